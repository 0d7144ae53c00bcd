package epoch

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"agentpassport.dev/operator/internal/audit"
	"agentpassport.dev/operator/internal/audit/keys"
	"agentpassport.dev/operator/internal/audit/tlog"
)

// State is what is kept elsewhere of a log, so that a loss or a change of its folder is seen: public, and
// signed in every part.
type State struct {
	// Epoch is the newest one.
	Epoch uint64
	// Checkpoint is its newest signed head.
	Checkpoint []byte
	// Witnessed is its newest head with the cosignatures of the witnesses; nil without.
	Witnessed []byte
	// Keys is the keys file.
	Keys []byte
}

// ErrState means that a State does not hold: an error that wraps it says why.
var ErrState = errors.New("the mirrored head does not hold")

// OpenState checks a State by itself: the chain of its keys, and that one of them signed its head.
func OpenState(state State) (*keys.Ring, tlog.Head, error) {
	ring, err := keys.Parse(state.Keys)
	if err != nil {
		return nil, tlog.Head{}, fmt.Errorf("%w: %w", ErrState, err)
	}
	head, err := ring.Heads(state.Epoch).OpenHead(state.Checkpoint)
	if err != nil {
		return nil, tlog.Head{}, fmt.Errorf("%w: %w", ErrState, err)
	}
	if len(state.Witnessed) > 0 {
		witnessed, err := ring.Heads(state.Epoch).OpenHead(state.Witnessed)
		switch {
		case err != nil:
			return nil, tlog.Head{}, fmt.Errorf("%w: the witnessed one: %w", ErrState, err)
		case witnessed.Size > head.Size, witnessed.Size == head.Size && !bytes.Equal(witnessed.Root, head.Root):
			return nil, tlog.Head{}, fmt.Errorf("%w: the witnessed one is not of the same tree", ErrState)
		}
	}
	return ring, head, nil
}

// marks are the heads of a State, for the tree of its epoch.
func (s *State) marks(ring *keys.Ring) ([]tlog.Mark, error) {
	var marks []tlog.Mark
	for from, raw := range map[string][]byte{"the mirrored head": s.Checkpoint, "the witnessed head": s.Witnessed} {
		if len(raw) == 0 {
			continue
		}
		head, err := ring.Heads(s.Epoch).OpenHead(raw)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", from, err)
		}
		marks = append(marks, tlog.Mark{Head: head, From: from})
	}
	return marks, nil
}

// EpochOf is the epoch of a head, by its first line, which nobody has checked yet.
func EpochOf(checkpoint []byte) (uint64, error) {
	origin, _, _ := strings.Cut(string(checkpoint), "\n")
	_, epoch, err := keys.ParseOrigin(origin)
	return epoch, err
}

// LostError means that the log does not hold what it once signed. It is not opened, so that nothing is
// written over what may still be found; a person brings a copy back, or begins a new epoch.
type LostError struct {
	// Epoch is the tree that is not whole.
	Epoch uint64
	// Head is its newest signed head that is known; of size 0 without root where none is.
	Head tlog.Head
	// Cause says what is missing or wrong; it may be an audit.Break.
	Cause error
}

// Error names the lost head, and the way on.
func (e *LostError) Error() string {
	head := "no signed head of it is known"
	if e.Head.Root != nil {
		head = fmt.Sprintf("its head of %d records (root %x) was signed", e.Head.Size, e.Head.Root)
	}
	return fmt.Sprintf("records of epoch %d of the audit log are lost: %s, and %v. "+
		"Bring the folder back from a copy, or, where there is none, go on without: auditlog begin-epoch", e.Epoch, head, e.Cause)
}

// Unwrap lets errors.Is find audit.ErrBreak and what else it was.
func (e *LostError) Unwrap() []error { return []error{e.Cause, audit.ErrBreak} }
