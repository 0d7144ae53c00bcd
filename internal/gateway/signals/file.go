package signals

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// File keeps reports in one file. Whatever stops the gateway, the file is either the old one or the new.
type File struct {
	// Path of the file, in a folder that is there.
	Path string
}

// Load gives what was kept; nothing where there is no file.
func (f File) Load() (Left, error) {
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
func (f File) Save(left Left) (err error) {
	text, err := json.Marshal(left)
	if err != nil {
		return err
	}
	fresh, err := os.CreateTemp(filepath.Dir(f.Path), filepath.Base(f.Path)+".*")
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
