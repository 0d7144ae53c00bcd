package forward

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	kjson "sigs.k8s.io/json"
)

// place is how far a log was sent.
type place struct {
	Origin string `json:"origin"`
	Epoch  uint64 `json:"epoch"`
	// Next is the index of the first record that was not taken.
	Next uint64 `json:"next"`
}

// readPlace reads the file, which need not be there yet.
func readPlace(path string) (place, error) {
	raw, err := os.ReadFile(path) //nolint:gosec // G304: the caller says where it is
	if errors.Is(err, fs.ErrNotExist) {
		return place{}, nil
	}
	if err != nil {
		return place{}, err
	}
	found, err := parsePlace(raw)
	if err != nil {
		return place{}, fmt.Errorf("%s: %w", path, err)
	}
	return found, nil
}

func parsePlace(raw []byte) (place, error) {
	var found place
	if strict, err := kjson.UnmarshalStrict(raw, &found); err != nil || len(strict) > 0 {
		return place{}, errors.New(`not a place in a log, {"origin", "epoch", "next"}`)
	}
	return found, nil
}

// writePlace replaces the file, at once and on disk.
func writePlace(path string, at place) error {
	raw, err := json.Marshal(at)
	if err != nil {
		return err
	}
	fresh := path + ".new"
	file, err := os.OpenFile(fresh, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600) //nolint:gosec // G304: the caller says where it is
	if err != nil {
		return err
	}
	_, err = file.Write(raw)
	if err == nil {
		err = file.Sync()
	}
	if err := errors.Join(err, file.Close()); err != nil {
		return err
	}
	if err := os.Rename(fresh, path); err != nil {
		return err
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
