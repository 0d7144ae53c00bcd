package keys

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// LoadFile reads the private keys of a log from a file, and makes it with a first one where there is none.
// random gives the seed, name is the name of the log.
func LoadFile(path string, random io.Reader, name string) ([]Private, error) {
	privates, err := ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		first, err := Generate(random, name)
		if err != nil {
			return nil, err
		}
		return []Private{first}, writeFile(path, first.Secret())
	}
	if err == nil && privates[0].name != name {
		return nil, fmt.Errorf("%s: its keys are for the log %s, not for %s", path, privates[0].name, name)
	}
	return privates, err
}

// ReadFile reads private keys from a file that has to be there.
func ReadFile(path string) ([]Private, error) {
	raw, err := os.ReadFile(path) //nolint:gosec // G304: the caller says where the keys are
	if err != nil {
		return nil, err
	}
	privates, err := ParsePrivates(raw)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return privates, nil
}

// AddToFile puts a new private key at the end of a file with private keys, and returns it. A log that is
// opened with them signs with it from then on.
func AddToFile(path string, random io.Reader) (Public, error) {
	privates, err := ReadFile(path)
	if err != nil {
		return Public{}, err
	}
	next, err := Generate(random, privates[0].name)
	if err != nil {
		return Public{}, err
	}
	var text bytes.Buffer
	for _, private := range append(privates, next) {
		text.Write(private.Secret())
	}
	return next.Public, writeFile(path, text.Bytes())
}

// writeFile writes a file for its owner alone, whole or not at all.
func writeFile(path string, data []byte) error {
	temporary, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*") // made with mode 0600
	if err != nil {
		return err
	}
	_, err = temporary.Write(data)
	if err == nil {
		err = temporary.Sync()
	}
	err = errors.Join(err, temporary.Close())
	if err == nil {
		err = os.Rename(temporary.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(temporary.Name()))
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
