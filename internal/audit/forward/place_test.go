package forward

import (
	"path/filepath"
	"testing"

	"pgregory.net/rapid"
)

func TestAPlaceIsReadAsItWasWritten(t *testing.T) {
	path := filepath.Join(t.TempDir(), "forward.json")
	if got, err := readPlace(path); err != nil || got != (place{}) {
		t.Error(got, err)
	}
	rapid.Check(t, func(t *rapid.T) {
		want := place{
			Origin: rapid.StringMatching(`[a-z./-]*`).Draw(t, "origin"),
			Epoch:  rapid.Uint64().Draw(t, "epoch"), Next: rapid.Uint64().Draw(t, "next"),
		}
		if err := writePlace(path, want); err != nil {
			t.Fatal(err)
		}
		if got, err := readPlace(path); err != nil || got != want {
			t.Fatal(got, err)
		}
	})
}

func FuzzParsePlace(f *testing.F) {
	for _, seed := range []string{`{"origin":"log","epoch":1,"next":7}`, `{"next":-1}`, `{"next":1,"next":2}`, `null`, ``, `{"Next":3}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		found, err := parsePlace(raw)
		if err != nil && found != (place{}) {
			t.Errorf("%+v with %v", found, err)
		}
	})
}
