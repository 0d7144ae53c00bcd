package watched_test

import (
	"slices"
	"strings"
	"testing"

	"agentpassport.dev/operator/internal/watched"
)

func TestParse(t *testing.T) {
	for value, want := range map[string]watched.Namespaces{
		"": nil, " , ": nil, "agents": {"agents"}, " b, a,b ": {"a", "b"}, "4711": {"4711"},
	} {
		got := watched.Namespaces{"before"}
		if err := got.Parse(value); err != nil || !slices.Equal(got, want) {
			t.Errorf("%q: %q, %v", value, got, err)
		}
	}
	for _, value := range []string{"Agents", "a.b", "a/b", "*", "-", strings.Repeat("a", 64)} {
		var got watched.Namespaces
		if err := got.Parse("ok," + value); err == nil || !strings.Contains(err.Error(), `"`+value+`"`) {
			t.Errorf("%q: %q, %v", value, got, err)
		}
	}
}

func TestNamespaces(t *testing.T) {
	const root = "/apis/agentpassport.dev/v1alpha1"
	for _, is := range []struct {
		of                watched.Namespaces
		each, collections []string
		few               string
		holds, holdsNot   []string
		cached            int
	}{
		{nil, []string{""}, []string{root + "/passports"}, root + "/namespaces/own/passports", []string{"", "a", "own"}, nil, 0},
		{
			watched.Namespaces{"a", "b"},
			[]string{"a", "b"},
			[]string{root + "/namespaces/a/passports", root + "/namespaces/b/passports"},
			root + "/namespaces/a/passports?fieldSelector=metadata.name%3D-",
			[]string{"a", "b"},
			[]string{"", "c", "own"},
			2,
		},
	} {
		if got := is.of.Each(); !slices.Equal(got, is.each) {
			t.Errorf("%q: each %q", is.of, got)
		}
		if got := is.of.Collections(root, "passports"); !slices.Equal(got, is.collections) {
			t.Errorf("%q: collections %q", is.of, got)
		}
		if got := is.of.Few(root, "own", "passports"); got != is.few {
			t.Errorf("%q: few %q", is.of, got)
		}
		if got := is.of.Cache(); len(got) != is.cached || (got == nil) != is.of.All() {
			t.Errorf("%q: cache %v", is.of, got)
		}
		for _, name := range is.holds {
			if !is.of.Hold(name) {
				t.Errorf("%q does not hold %q", is.of, name)
			}
		}
		for _, name := range is.holdsNot {
			if is.of.Hold(name) {
				t.Errorf("%q holds %q", is.of, name)
			}
		}
	}
}
