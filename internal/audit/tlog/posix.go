package tlog

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/transparency-dev/formats/log"
	"github.com/transparency-dev/tessera"
	"github.com/transparency-dev/tessera/api/layout"
	"github.com/transparency-dev/tessera/client"
	"github.com/transparency-dev/tessera/storage/posix"
	"golang.org/x/mod/sumdb/note"
)

const (
	stateDir = ".state"
	// treeStateFile is Tessera's own note of the tree, written last of all that a batch writes.
	treeStateFile = "treeState"
	lockFile      = "writer.lock"

	// batchAge is how long Tessera waits for a batch to fill. A batch comes whole, so that it need
	// be no longer than it takes to hand it over.
	batchAge = 5 * time.Millisecond
	// never is longer than Tessera waits to publish a checkpoint that is there: see Publish.
	never = time.Duration(math.MaxInt64)
)

type folder struct {
	client.FileFetcher
	path   string
	signer note.Signer
	lock   *os.File
	add    tessera.AddFn
	stop   context.CancelFunc
}

// OpenFolder makes a folder on a local disk the storage of a log, by Tessera's POSIX driver, and
// makes the folder where there is none. The file system must be one on which a rename is atomic and
// fsync is true: ext4 and XFS are, NFS is not. It fails with ErrInUse while another process has it.
func OpenFolder(path string, signer note.Signer) (Storage, error) {
	if err := os.MkdirAll(filepath.Join(path, stateDir), 0o750); err != nil {
		return nil, err
	}
	lock, err := os.OpenFile(filepath.Join(path, stateDir, lockFile), os.O_CREATE|os.O_RDWR, 0o600) //nolint:gosec // G304: the caller says where the log is
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		if errors.Is(err, syscall.EWOULDBLOCK) {
			err = ErrInUse
		}
		return nil, errors.Join(fmt.Errorf("%s: %w", path, err), lock.Close())
	}
	return &folder{FileFetcher: client.FileFetcher{Root: path}, path: path, signer: signer, lock: lock}, nil
}

// treeState is the file of that name.
type treeState struct {
	Size uint64 `json:"size"`
	Root []byte `json:"root"`
}

func (f *folder) Tree(context.Context) (size uint64, root []byte, err error) {
	raw, err := os.ReadFile(filepath.Join(f.path, stateDir, treeStateFile))
	if errors.Is(err, os.ErrNotExist) {
		return 0, nil, nil
	}
	if err != nil {
		return 0, nil, err
	}
	var state treeState
	if err := json.Unmarshal(raw, &state); err != nil {
		return 0, nil, fmt.Errorf("%s: %w", treeStateFile, err)
	}
	return state.Size, state.Root, nil
}

// Sizes are the sizes that a tree in a folder may have, by its checkpoint and by Tessera's own note of it,
// neither of which has to be true: none where neither can be read.
func Sizes(ctx context.Context, path string) []uint64 {
	var sizes []uint64
	f := folder{path: path, FileFetcher: client.FileFetcher{Root: path}}
	if size, _, err := f.Tree(ctx); err == nil && size > 0 {
		sizes = append(sizes, size)
	}
	var checkpoint log.Checkpoint
	if raw, err := f.ReadCheckpoint(ctx); err == nil {
		if _, err := checkpoint.Unmarshal(raw); err == nil && checkpoint.Size > 0 {
			sizes = append(sizes, checkpoint.Size)
		}
	}
	return sizes
}

func (f *folder) Cut(_ context.Context, size uint64, root []byte) error {
	raw, err := json.Marshal(treeState{Size: size, Root: root})
	if err != nil {
		return err
	}
	return ReplaceFile(filepath.Join(f.path, stateDir, treeStateFile), raw)
}

func (f *folder) Start(ctx context.Context) error {
	driver, err := posix.New(ctx, posix.Config{Path: f.path})
	if err != nil {
		return err
	}
	// Tessera's goroutines live as long as the log, not as long as the call that opened it.
	running, stop := context.WithCancel(context.WithoutCancel(ctx))
	options := tessera.NewAppendOptions().
		WithCheckpointSigner(f.signer).
		WithCheckpointInterval(never).
		WithCheckpointRepublishInterval(0).
		// One more than a batch: it is the age that ends one, never the size, so that it stays whole.
		WithBatching(maxBatch+1, batchAge)
	appender, _, _, err := tessera.NewAppender(running, driver, options)
	if err != nil {
		stop()
		return err
	}
	f.add, f.stop = appender.Add, stop
	return nil
}

func (f *folder) Append(ctx context.Context, entries [][]byte) error {
	futures := make([]tessera.IndexFuture, len(entries))
	for i, entry := range entries {
		futures[i] = f.add(ctx, tessera.NewEntry(entry))
	}
	var failed error
	for i, future := range futures {
		if _, err := future(); err != nil {
			failed = errors.Join(failed, fmt.Errorf("entry %d of %d: %w", i+1, len(entries), err))
		}
	}
	return failed
}

// Publish writes the checkpoint itself: Tessera's POSIX driver publishes ten times a second at most,
// and every append would wait for that.
func (f *folder) Publish(_ context.Context, checkpoint []byte) error {
	return ReplaceFile(filepath.Join(f.path, layout.CheckpointPath), checkpoint)
}

func (f *folder) Close() error {
	if f.stop != nil {
		f.stop()
	}
	return f.lock.Close()
}

// ReplaceFile puts a file that all may read in the place of another, at once and on disk, or leaves the other.
func ReplaceFile(path string, data []byte) (err error) {
	temporary := path + ".new"
	file, err := os.OpenFile(temporary, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o644) //nolint:gosec // G302: a checkpoint is public
	if err != nil {
		return err
	}
	_, err = file.Write(data)
	if err == nil {
		err = file.Sync()
	}
	if err := errors.Join(err, file.Close()); err != nil {
		return err
	}
	if err := os.Rename(temporary, path); err != nil {
		return err
	}
	return SyncDir(filepath.Dir(path))
}

// SyncDir brings the names in a directory onto the disk.
func SyncDir(path string) error {
	dir, err := os.Open(path) //nolint:gosec // G304: the caller says where the log is
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
