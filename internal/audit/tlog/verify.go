package tlog

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/transparency-dev/formats/log"
	"github.com/transparency-dev/tessera/client"
	"golang.org/x/mod/sumdb/note"

	"agentpassport.dev/operator/internal/audit"
)

// Head is a signed tree head: what a log held when it was signed.
type Head struct {
	Size uint64
	Root []byte
}

// Keys opens the heads of one log.
type Keys interface {
	// OpenHead reads a checkpoint, which has to be of this log and signed by a key that might sign it.
	OpenHead(checkpoint []byte) (Head, error)
}

// OneKey is the one key of a log whose checkpoints have the key's name for their origin.
func OneKey(key note.Verifier) Keys { return oneKey{key} }

type oneKey struct{ note.Verifier }

func (k oneKey) OpenHead(raw []byte) (Head, error) {
	checkpoint, _, _, err := log.ParseCheckpoint(raw, k.Name(), k.Verifier)
	if err != nil {
		return Head{}, fmt.Errorf("not signed by %s with the given key: %w", k.Name(), err)
	}
	return Head{Size: checkpoint.Size, Root: checkpoint.Hash}, nil
}

// Mark is a head that a log has to hold, and where it comes from.
type Mark struct {
	Head
	// From names it in an error.
	From string
}

// VerifyFolder checks a copy of a log's folder: the signature of its checkpoint, every entry and its
// hash, the links of every passport and agent, every tile, and the root. It needs the public key and
// nothing else, and returns the head that it found right.
//
// heads are checkpoints of the same log that were kept elsewhere, as they were signed. What they
// cover must be in the folder. Without one, a folder that was set back as a whole to an earlier state
// cannot be told from one that is merely older.
//
// Where something does not hold, the error is an audit.ErrBreak that names the first place.
func VerifyFolder(ctx context.Context, path string, key note.Verifier, heads ...[]byte) (Head, error) {
	keys := OneKey(key)
	marks, err := openHeads(keys, heads)
	if err != nil {
		return Head{}, err
	}
	return Verify(ctx, client.FileFetcher{Root: path}, keys, marks, nil)
}

// Verify is VerifyFolder for any reader and any keys. It shows each entry, in order, to visit, which
// may be nil and whose error ends it. An entry is shown when its hash and links hold; that it is under
// the signed head is known at the end alone.
func Verify(ctx context.Context, reader Reader, keys Keys, marks []Mark, visit func(audit.Entry) error) (Head, error) {
	s := newScan(reader)
	s.visit = visit
	head, err := s.published(ctx, keys, marks)
	if err != nil {
		return Head{}, err
	}
	return head, s.to(ctx, head.Size)
}

// VerifyRest reads a tree that may have lost its checkpoint or its end, as far as it holds: up to size
// records, in which marks are met. It returns what held, with its root, and the error that ended it,
// nil where all did. Size has to be that of the tree on disk, for its last tiles are named by it.
func VerifyRest(ctx context.Context, reader Reader, size uint64, marks []Mark, visit func(audit.Entry) error) (Head, error) {
	s := newScan(reader)
	s.visit, s.marks = visit, marks
	broken := s.to(ctx, size)
	root, err := s.root()
	return Head{Size: s.tree.End(), Root: root}, errors.Join(broken, err)
}

// published reads the checkpoint and marks what it, and each head, covers.
func (s *scan) published(ctx context.Context, keys Keys, marks []Mark) (Head, error) {
	raw, err := s.reader.ReadCheckpoint(ctx)
	if err != nil {
		if errors.Is(err, os.ErrNotExist) {
			return Head{}, fmt.Errorf("%w: there is no checkpoint", audit.ErrBreak)
		}
		return Head{}, err
	}
	head, err := keys.OpenHead(raw)
	if err != nil {
		return Head{}, fmt.Errorf("%w: the checkpoint: %w", audit.ErrBreak, err)
	}
	s.marks = append(s.marks, Mark{Head: head, From: "the checkpoint"})
	for _, known := range marks {
		if known.Size > head.Size {
			return Head{}, &audit.Break{Position: head.Size, Why: fmt.Sprintf(
				"the log has %d records, and %s of %d was signed: its tail was cut off", head.Size, known.From, known.Size)}
		}
		s.marks = append(s.marks, known)
	}
	return head, nil
}

// openHeads reads checkpoints that were kept elsewhere.
func openHeads(keys Keys, heads [][]byte) ([]Mark, error) {
	marks := make([]Mark, len(heads))
	for i, raw := range heads {
		head, err := keys.OpenHead(raw)
		if err != nil {
			return nil, fmt.Errorf("%w: head %d: %w", audit.ErrBreak, i+1, err)
		}
		marks[i] = Mark{Head: head, From: fmt.Sprintf("head %d", i+1)}
	}
	return marks, nil
}

// signHead is a checkpoint.
func signHead(head Head, signer note.Signer) ([]byte, error) {
	text := log.Checkpoint{Origin: signer.Name(), Size: head.Size, Hash: head.Root}.Marshal()
	return note.Sign(&note.Note{Text: string(text)}, signer)
}
