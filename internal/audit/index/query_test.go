package index

import (
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"agentpassport.dev/operator/internal/audit"
)

// A matcher takes a member of a record for one of the record itself, which holds as long as nothing in
// a record has a member of that name.
func TestNoNestedFieldIsNamedAsOneThatIsAskedBy(t *testing.T) {
	asked := []string{"passport_jti", "namespace", "action", "outcome", "time"}
	var look func(of reflect.Type, depth int)
	look = func(of reflect.Type, depth int) {
		for of.Kind() == reflect.Pointer || of.Kind() == reflect.Slice {
			of = of.Elem()
		}
		if of.Kind() != reflect.Struct || of == reflect.TypeFor[time.Time]() {
			return
		}
		for field := range of.Fields() {
			name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
			if slices.Contains(asked, name) != (depth == 0 && slices.Contains(asked, name)) {
				t.Errorf("%s of %s", name, of)
			}
			look(field.Type, depth+1)
		}
	}
	look(reflect.TypeFor[audit.Record](), 0)
}

// Whatever texts a record holds, it matches what it is, and what another is it does not.
func TestAMatcherMatchesFieldsAndNotTexts(t *testing.T) {
	tricky := rapid.SampledFrom([]string{
		"a", "b", `"`, `\`, `","namespace":"a`, `"namespace":"a"`, "é", "\u2028", "<&>", "\n", "\x00", "}", `\"`,
	})
	rapid.Check(t, func(t *rapid.T) {
		at := time.Date(2026, 8, 1, 12, 0, 0, rapid.IntRange(0, 3).Draw(t, "ns"), time.UTC)
		record := audit.Record{
			Time: at, PassportJTI: tricky.Draw(t, "jti"), Namespace: tricky.Draw(t, "namespace"),
			Facts: &audit.Facts{Summary: tricky.Draw(t, "summary"), Services: []string{tricky.Draw(t, "service")}},
			Hash:  audit.Zero,
		}
		raw, err := audit.Encode(record)
		if err != nil {
			t.Fatal(err)
		}
		if !json.Valid(raw) {
			t.Fatal(string(raw))
		}
		q := Query{JTI: tricky.Draw(t, "asked jti"), Namespace: tricky.Draw(t, "asked namespace")}
		if rapid.Bool().Draw(t, "bounded") {
			q.From, q.To = at.Add(time.Duration(rapid.IntRange(-1, 1).Draw(t, "from"))), at.Add(time.Duration(rapid.IntRange(0, 2).Draw(t, "to")))
		}
		m, err := newMatcher(q)
		if err != nil {
			t.Fatal(err)
		}
		got, err := m.match(raw)
		if err != nil {
			t.Fatal(err)
		}
		want := q.JTI == record.PassportJTI && q.Namespace == record.Namespace &&
			(q.From.IsZero() || !at.Before(q.From)) && (q.To.IsZero() || at.Before(q.To))
		if got != want {
			t.Fatalf("%+v of %s: %t", q, raw, got)
		}
	})
}
