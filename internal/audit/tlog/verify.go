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
	return Verify(ctx, client.FileFetcher{Root: path}, key, heads...)
}

// Verify is VerifyFolder of what a reader reads. The log may grow meanwhile: what is checked is the
// head that was there at the beginning.
func Verify(ctx context.Context, reader Reader, key note.Verifier, heads ...[]byte) (Head, error) {
	s := newScan(reader)
	head, err := s.published(ctx, key, heads)
	if err != nil {
		return Head{}, err
	}
	return head, s.to(ctx, head.Size)
}

// published reads the checkpoint and marks what it, and each head, covers.
func (s *scan) published(ctx context.Context, key note.Verifier, heads [][]byte) (Head, error) {
	raw, err := s.reader.ReadCheckpoint(ctx)
	if err != nil {
		if errors.Is(err, os.ErrNotExist) {
			return Head{}, fmt.Errorf("%w: there is no checkpoint", audit.ErrBreak)
		}
		return Head{}, err
	}
	head, err := openHead(raw, key)
	if err != nil {
		return Head{}, fmt.Errorf("%w: the checkpoint: %w", audit.ErrBreak, err)
	}
	s.marks = append(s.marks, mark{size: head.Size, root: head.Root, from: "the checkpoint"})
	for i, raw := range heads {
		known, err := openHead(raw, key)
		if err != nil {
			return Head{}, fmt.Errorf("%w: head %d: %w", audit.ErrBreak, i+1, err)
		}
		if known.Size > head.Size {
			return Head{}, fmt.Errorf("%w: the log has %d records, and a head of %d was signed: its tail was cut off",
				audit.ErrBreak, head.Size, known.Size)
		}
		s.marks = append(s.marks, mark{size: known.Size, root: known.Root, from: fmt.Sprintf("head %d", i+1)})
	}
	return head, nil
}

// openHead reads a checkpoint that has to be signed with this key.
func openHead(raw []byte, key note.Verifier) (Head, error) {
	checkpoint, _, _, err := log.ParseCheckpoint(raw, key.Name(), key)
	if err != nil {
		return Head{}, fmt.Errorf("not signed by %s with the given key: %w", key.Name(), err)
	}
	return Head{Size: checkpoint.Size, Root: checkpoint.Hash}, nil
}

// signHead is a checkpoint.
func signHead(head Head, signer note.Signer) ([]byte, error) {
	text := log.Checkpoint{Origin: signer.Name(), Size: head.Size, Hash: head.Root}.Marshal()
	return note.Sign(&note.Note{Text: string(text)}, signer)
}
