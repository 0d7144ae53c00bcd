package signals

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// File keeps reports in one file. Whatever stops the gateway, the file is either the old one or the new.
type File struct {
	// Path of the file, in a folder that is there.
	Path string
}

// Load gives what was kept; nothing where there is no file. It removes what a Save that was cut off left behind,
// so that nobody may save meanwhile.
func (f File) Load() (Left, error) {
	f.removeStale()
	text, err := os.ReadFile(f.Path)
	if errors.Is(err, fs.ErrNotExist) {
		return Left{}, nil
	}
	if err != nil {
		return Left{}, fmt.Errorf("signals that were not sent yet: %w", err)
	}
	var left Left
	if err := json.Unmarshal(text, &left); err != nil {
		return Left{}, fmt.Errorf("signals that were not sent yet: %s is damaged: %w", f.Path, err)
	}
	return left, nil
}

// Save implements Store.
func (f File) Save(left Left) error {
	text, err := json.Marshal(left)
	if err != nil {
		return err
	}
	if err := f.replace(text); err != nil {
		return err
	}
	return f.syncFolder()
}

// replace puts a new file in the place of the old one.
func (f File) replace(text []byte) (err error) {
	fresh, err := os.CreateTemp(filepath.Dir(f.Path), f.prefix()+"*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(fresh.Name()))
		}
	}()
	_, err = fresh.Write(text)
	err = errors.Join(err, fresh.Sync(), fresh.Close())
	if err != nil {
		return err
	}
	return os.Rename(fresh.Name(), f.Path)
}

// prefix is what the names of unfinished files begin with.
func (f File) prefix() string { return filepath.Base(f.Path) + "." }

// removeStale does what it can: a folder in disorder is no reason to lose what was kept.
func (f File) removeStale() {
	folder := filepath.Dir(f.Path)
	entries, _ := os.ReadDir(folder)
	for _, entry := range entries {
		if strings.HasPrefix(entry.Name(), f.prefix()) {
			_ = os.Remove(filepath.Join(folder, entry.Name()))
		}
	}
}

// syncFolder makes the file's name last through a crash of the machine, as its bytes do.
func (f File) syncFolder() error {
	folder, err := os.Open(filepath.Dir(f.Path))
	if err != nil {
		return err
	}
	return errors.Join(folder.Sync(), folder.Close())
}
