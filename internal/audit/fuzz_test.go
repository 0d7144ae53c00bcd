package audit_test

import (
	"bytes"
	"strings"
	"testing"

	"agentpassport.dev/operator/internal/audit"
)

// FuzzParse looks for anything but the one form of a record that is accepted, and for panics.
func FuzzParse(f *testing.F) {
	for _, record := range written(f, issue("a"), step("a", audit.PassportCheckout)) {
		raw, err := audit.Encode(record)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
		f.Add(raw[1:])
		f.Add(bytes.Replace(raw, []byte(`"layer"`), []byte(`"Layer"`), 1))
		f.Add(bytes.Replace(raw, []byte(`,"layer"`), []byte(`,"layer":"vault","layer"`), 1))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		record, err := audit.Parse(raw)
		if err != nil {
			return
		}
		again, err := audit.Encode(record)
		if err != nil || !bytes.Equal(again, raw) {
			t.Fatalf("another form is accepted: %v", err)
		}
	})
}

// FuzzRedact looks for tokens that come through, and for panics.
func FuzzRedact(f *testing.F) {
	f.Add("a ", " b")
	f.Add("ey", ".")
	f.Add("eyJ", "-")
	f.Fuzz(func(t *testing.T, before, after string) {
		clean := audit.Redact(before + jwt + after)
		if strings.Contains(clean, jwt) {
			t.Fatal("the token is still there")
		}
		if again := audit.Redact(clean); again != clean {
			t.Fatalf("%q is not clean: %q", clean, again)
		}
	})
}
