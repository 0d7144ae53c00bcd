package audit_test

import (
	"fmt"
	"testing"

	"agentpassport.dev/operator/internal/audit"
)

// BenchmarkAppend links one record and puts it in its form.
func BenchmarkAppend(b *testing.B) {
	trail := audit.NewTrail()
	for i := range b.N {
		if _, _, err := trail.Append(issue(fmt.Sprint(i))); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkParse reads and checks one record.
func BenchmarkParse(b *testing.B) {
	raw, err := audit.Encode(written(b, issue("u"))[0])
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := audit.Parse(raw); err != nil {
			b.Fatal(err)
		}
	}
}
