package main

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A command that does not compile for a platform is told with it; one that is not released for that platform may be so.
func TestCheck(t *testing.T) {
	t.Parallel() // with the archives: both wait for Go
	root := t.TempDir()
	for name, content := range map[string]string{
		"go.mod": "module example.com/commands\n\ngo 1.26\n",
		"cmd/locks/main.go": `package main

import "syscall"

func main() { _ = syscall.Flock(0, syscall.LOCK_EX) }
`,
		"cmd/reads/main.go": "package main\n\nfunc main() {}\n",
	} {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	everywhere := []string{"linux/amd64", "windows/amd64"}
	r := &release{root: root, said: io.Discard, config: config{Archives: []archive{
		{"locks", everywhere[:1]}, {"reads", everywhere}, {"gone", everywhere},
	}}}
	if err := r.check(t.Context()); err != nil {
		t.Errorf("all compile where they are released for: %v", err)
	}
	r.Archives[0].Platforms = everywhere
	err := r.check(t.Context())
	if err == nil {
		t.Fatal("a command without flock is released for Windows")
	}
	for _, word := range []string{"windows/amd64: ", "cmd/locks/main.go", "syscall.Flock"} {
		if !strings.Contains(err.Error(), word) {
			t.Errorf("%q is not in: %v", word, err)
		}
	}
	if strings.Contains(err.Error(), "linux/amd64: ") {
		t.Errorf("linux is at fault as well: %v", err)
	}
}
