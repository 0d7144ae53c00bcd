package tlog

import (
	"context"
	"errors"
)

// ErrInUse means that another process writes to the log.
var ErrInUse = errors.New("another process writes to this audit log")

// Reader reads a log as the tlog-tiles format lays it out. Asked for a partial resource that is gone
// it returns the full one; what is not there at all is an os.ErrNotExist.
type Reader interface {
	ReadCheckpoint(ctx context.Context) ([]byte, error)
	ReadTile(ctx context.Context, level, index uint64, partial uint8) ([]byte, error)
	ReadEntryBundle(ctx context.Context, index uint64, partial uint8) ([]byte, error)
}

// Storage is where a log lives: a folder, or later a bucket with a database. A Log calls its methods
// one at a time, Reader's apart.
type Storage interface {
	Reader
	// Tree is the size and root of the tree, which may be larger than what its checkpoint covers:
	// 0 and nil for a log that does not exist yet.
	Tree(ctx context.Context) (size uint64, root []byte, err error)
	// Cut makes the tree the smaller one that a checkpoint covers. It is called before Start alone.
	Cut(ctx context.Context, size uint64, root []byte) error
	// Start makes the storage ready to append to a tree that has been read and found right.
	Start(ctx context.Context) error
	// Append puts entries at the end of the tree and returns when they are on disk and in the tree.
	// Where it returns an error, some may be there and some not, in any order.
	Append(ctx context.Context, entries [][]byte) error
	// Publish replaces the checkpoint, and returns when the new one is on disk.
	Publish(ctx context.Context, checkpoint []byte) error
	// Close ends the writing and lets another process begin.
	Close() error
}
