package epoch

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"agentpassport.dev/operator/internal/audit/keys"
)

const (
	// KeysFile is the name of the keys file.
	KeysFile = "keys.json"
	// WitnessedFile is the name, in the folder of an epoch, of its newest head with cosignatures.
	WitnessedFile = "checkpoint.witnessed"

	folderPrefix = "epoch-"
)

// Folder is the path of an epoch's folder.
func Folder(dir string, epoch uint64) string {
	return filepath.Join(dir, folderPrefix+strconv.FormatUint(epoch, 10))
}

// Folders are the epochs that have a folder, in order.
func Folders(dir string) ([]uint64, error) {
	found, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	var epochs []uint64
	for _, entry := range found {
		number, isEpoch := strings.CutPrefix(entry.Name(), folderPrefix)
		epoch, err := strconv.ParseUint(number, 10, 64)
		if isEpoch && err == nil && epoch > 0 && entry.IsDir() && entry.Name() == filepath.Base(Folder(dir, epoch)) {
			epochs = append(epochs, epoch)
		}
	}
	slices.Sort(epochs)
	return epochs, nil
}

// ReadRing reads the keys file of a data directory; without one it is an os.ErrNotExist.
func ReadRing(dir string) (*keys.Ring, error) {
	raw, err := os.ReadFile(filepath.Join(dir, KeysFile)) //nolint:gosec // G304: the caller says where the log is
	if err != nil {
		return nil, err
	}
	ring, err := keys.Parse(raw)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", KeysFile, err)
	}
	return ring, nil
}
