// Package posix keeps the log of package tlog in a folder on a local disk, by Tessera's POSIX driver. Who only
// reads a log does without it, and so runs where this does not: on Windows.
package posix

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"time"

	"github.com/transparency-dev/tessera"
	"github.com/transparency-dev/tessera/api/layout"
	"github.com/transparency-dev/tessera/client"
	driver "github.com/transparency-dev/tessera/storage/posix"
	"golang.org/x/mod/sumdb/note"

	"agentpassport.dev/operator/internal/audit/tlog"
)

const (
	lockFile = "writer.lock"

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

// Open makes a folder the storage of a log, and makes the folder where there is none. The file system must be
// one on which a rename is atomic and fsync is true: ext4 and XFS are, NFS is not. It fails with tlog.ErrInUse
// while another process has it.
func Open(path string, signer note.Signer) (tlog.Storage, error) {
	state := filepath.Dir(tlog.TreeStatePath(path))
	if err := os.MkdirAll(state, 0o750); err != nil {
		return nil, err
	}
	lock, err := Lock(filepath.Join(state, lockFile))
	if err != nil {
		return nil, err
	}
	return &folder{FileFetcher: client.FileFetcher{Root: path}, path: path, signer: signer, lock: lock}, nil
}

func (f *folder) Tree(context.Context) (size uint64, root []byte, err error) {
	state, err := tlog.ReadTreeState(f.path)
	if errors.Is(err, os.ErrNotExist) {
		return 0, nil, nil
	}
	return state.Size, state.Root, err
}

func (f *folder) Cut(_ context.Context, size uint64, root []byte) error {
	raw, err := json.Marshal(tlog.TreeState{Size: size, Root: root})
	if err != nil {
		return err
	}
	return ReplaceFile(tlog.TreeStatePath(f.path), raw)
}

func (f *folder) Start(ctx context.Context) error {
	disk, err := driver.New(ctx, driver.Config{Path: f.path})
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
		WithBatching(tlog.MaxBatch+1, batchAge)
	appender, _, _, err := tessera.NewAppender(running, disk, options)
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
