package capability

import (
	"testing"

	"pgregory.net/rapid"
)

func TestFold(t *testing.T) {
	for text, want := range map[string]string{
		"  Git   History.\t": "git history", "STRASSE": "strasse", "Straße": "strasse", "ﬁle": "file", "Ａ": "a", "Σίσυφος": "σίσυφοσ",
		"Cafe\u0301": "caf\u00e9", "...": "...", ".": ".", "../.": "../.", "": "", "e.g. this.": "e.g. this", "\u00a0x\u2003y": "x y",
	} {
		if got := fold(text); got != want {
			t.Errorf("%q became %q, want %q", text, got, want)
		}
	}
}

func TestFoldSettles(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.String().Draw(t, "text")
		once := fold(text)
		if again := fold(once); again != once {
			t.Fatalf("%q, then %q", once, again)
		}
	})
}
