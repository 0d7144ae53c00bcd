package signals

import (
	"os"
	"path/filepath"
	"testing"
)

// A gateway that is cut off while it saves leaves no file for ever, and none of another's is touched.
func TestFileRemovesWhatWasCutOff(t *testing.T) {
	folder := t.TempDir()
	file := File{Path: filepath.Join(folder, "signals.json")}
	if err := file.Save(Left{}); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"signals.json.123", "signals.json.456", "calls.json.1", "signals.jsonl"} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(`{"half`), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := file.Load(); err != nil {
		t.Fatal(err)
	}
	for name, stays := range map[string]bool{
		"signals.json": true, "signals.json.123": false, "signals.json.456": false, "calls.json.1": true, "signals.jsonl": true,
	} {
		if _, err := os.Stat(filepath.Join(folder, name)); (err == nil) != stays {
			t.Errorf("%s stays: %t", name, err == nil)
		}
	}
}
