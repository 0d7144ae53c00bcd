package epoch

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

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

// EpochOf is the epoch of a head, by its first line, which nobody has checked yet.
func EpochOf(checkpoint []byte) (uint64, error) {
	origin, _, _ := strings.Cut(string(checkpoint), "\n")
	_, epoch, err := keys.ParseOrigin(origin)
	return epoch, err
}
