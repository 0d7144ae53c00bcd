package documentfile_test

import (
	"testing"

	"agentpassport.dev/operator/internal/documentfile"
)

// FuzzRead looks for files whose manifest holds another document, and for panics.
func FuzzRead(f *testing.F) {
	for _, text := range published(f) {
		f.Add([]byte(text))
		manifest, err := read(f, text).Manifest("one", "agents")
		if err != nil {
			f.Fatal(err)
		}
		f.Add(manifest)
	}
	f.Add([]byte("apiVersion: agentpassport.dev/v1alpha1\nkind: AgentPassport\nspec: {document: &a [*a]}"))
	f.Add([]byte("apiVersion: agentpassport.dev/v1alpha1\nkind: AgentPassport\nspec:\n  document: *x\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		file, err := documentfile.Read(data)
		if err != nil {
			return
		}
		manifest, err := file.Manifest("one", "agents")
		if err != nil {
			t.Skip("no manifest, and said so")
		}
		if canonical(t, read(t, string(manifest))) != canonical(t, file) {
			t.Fatalf("another document:\n%s", manifest)
		}
	})
}
