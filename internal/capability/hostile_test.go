package capability_test

import (
	"strings"
	"testing"

	"agentpassport.dev/operator/internal/capability"
)

// TestHostileFilesAreRefused reads files of 1 MiB that are made to take long or deep.
func TestHostileFilesAreRefused(t *testing.T) {
	fill := func(text string) string { return strings.Repeat(text, capability.MaxDocument/len(text)) }
	for name, file := range map[string]string{
		"deep dashes":         fill("- "),
		"deep questions":      fill("? "),
		"deep keys":           fill("a: "),
		"many keys":           fill("a: 1\n"),
		"many keys in a line": "{" + fill("a,")[1:],
		"many documents":      fill("---\n"),
		"many anchors":        fill("- &a 1\n"),
		"many aliases":        "- &a 1\n" + fill("- *a\n")[8:],
		"many colons":         fill(":"),
		"an open quote":       "a: \"" + fill("x\n")[8:],
		"many quotes":         fill("'"),
		"many comments":       fill("#\n"),
		"many folds":          "a: >\n" + fill(" x\n")[8:],
		"many breaks":         fill("\n"),
		"brackets to and fro": fill("[]"),
		"many tags":           fill("- !!str x\n"),
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := capability.Read([]byte(file)); err == nil || err.Error() == "" || len(err.Error()) > 100_000 {
				t.Error(err)
			}
		})
	}
}
