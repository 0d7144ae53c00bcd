package tlog

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"github.com/transparency-dev/formats/log"
	"github.com/transparency-dev/tessera/client"
)

// TreeState is Tessera's own note of the tree in a folder, written last of all that a batch writes.
type TreeState struct {
	Size uint64 `json:"size"`
	Root []byte `json:"root"`
}

// TreeStatePath is where that note is, in the folder at path.
func TreeStatePath(path string) string { return filepath.Join(path, ".state", "treeState") }

// ReadTreeState reads the note; where there is none it is an os.ErrNotExist.
func ReadTreeState(path string) (TreeState, error) {
	raw, err := os.ReadFile(TreeStatePath(path))
	if err != nil {
		return TreeState{}, err
	}
	var state TreeState
	if err := json.Unmarshal(raw, &state); err != nil {
		return TreeState{}, fmt.Errorf("%s: %w", filepath.Base(TreeStatePath(path)), err)
	}
	return state, nil
}

// Sizes are the sizes that a tree in a folder may have, by its checkpoint and by Tessera's own note of it,
// neither of which has to be true: none where neither can be read.
func Sizes(ctx context.Context, path string) []uint64 {
	var sizes []uint64
	if state, err := ReadTreeState(path); err == nil && state.Size > 0 {
		sizes = append(sizes, state.Size)
	}
	var checkpoint log.Checkpoint
	if raw, err := (client.FileFetcher{Root: path}).ReadCheckpoint(ctx); err == nil {
		if _, err := checkpoint.Unmarshal(raw); err == nil && checkpoint.Size > 0 {
			sizes = append(sizes, checkpoint.Size)
		}
	}
	return sizes
}
