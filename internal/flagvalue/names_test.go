package flagvalue_test

import (
	"slices"
	"testing"

	"agentpassport.dev/operator/internal/flagvalue"
)

func TestNames(t *testing.T) {
	for value, want := range map[string][]string{
		"":                 nil,
		" , ":              nil,
		"a":                {"a"},
		"a, b c ,,spiffe:": {"a", "b c", "spiffe:"},
	} {
		got := []string{"before"}
		if err := flagvalue.Names(&got)(value); err != nil || !slices.Equal(got, want) {
			t.Errorf("%q: %q, %v", value, got, err)
		}
	}
}
