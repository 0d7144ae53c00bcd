package main

import (
	"os"
	"path/filepath"
)

// tokenFile is the file that the command reads its token from, in a directory of its own that nobody else may
// enter.
type tokenFile struct{ path string }

func newTokenFile(token string) (tokenFile, error) {
	dir, err := os.MkdirTemp("", "mission-")
	if err != nil {
		return tokenFile{}, err
	}
	file := tokenFile{path: filepath.Join(dir, "token")}
	if err := file.write(token); err != nil {
		file.remove()
		return tokenFile{}, err
	}
	return file, nil
}

// write replaces the token: whoever reads finds the old one or the new one, whole.
func (f tokenFile) write(token string) error {
	next := f.path + ".next"
	if err := os.WriteFile(next, []byte(token), 0o600); err != nil {
		return err
	}
	return os.Rename(next, f.path)
}

func (f tokenFile) remove() { _ = os.RemoveAll(filepath.Dir(f.path)) }
