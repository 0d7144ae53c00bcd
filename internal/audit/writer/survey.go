package writer

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"agentpassport.dev/operator/internal/audit"
	"agentpassport.dev/operator/internal/audit/epoch"
	"agentpassport.dev/operator/internal/audit/keys"
	"agentpassport.dev/operator/internal/audit/tlog"
	"agentpassport.dev/operator/internal/audit/tlog/posix"
)

// survey is what is known of a log before its records are read.
type survey struct {
	// epoch is the newest one, on disk or elsewhere.
	epoch uint64
	// ring is every key; nil for a log that does not exist yet.
	ring *keys.Ring
	// known is the newest head of the epoch that is kept elsewhere, and marks are all such heads.
	known tlog.Head
	marks []tlog.Mark
	// lost says that the epoch is not whole, as far as that shows without reading it.
	lost *LostError
}

// look gathers what the folder and the mirrored state say. An error means that keys do not hold or that
// something cannot be read.
func look(options Options) (*survey, error) {
	s := &survey{epoch: 1}
	folders, err := epoch.Folders(options.Dir)
	if err != nil {
		return nil, err
	}
	newest := uint64(0)
	if len(folders) > 0 {
		newest = folders[len(folders)-1]
		s.epoch = newest
	}
	s.ring, err = epoch.ReadRing(options.Dir)
	missing := errors.Is(err, fs.ErrNotExist)
	switch {
	case err != nil && !missing:
		return nil, fmt.Errorf("%w; bring the file back from a copy, or from the ConfigMap that mirrors it", err)
	case missing && newest > 0 && options.Mirrored == nil:
		return nil, fmt.Errorf("%s is missing, and nothing else says which keys signed the records in %s: bring it back from a copy",
			epoch.KeysFile, options.Dir)
	}
	if options.Mirrored == nil {
		return s, nil
	}
	if err := s.mirrored(*options.Mirrored, newest, missing); err != nil {
		return nil, err
	}
	return s, nil
}

// mirrored takes in what is kept elsewhere.
func (s *survey) mirrored(state epoch.State, newest uint64, missing bool) error {
	ring, head, err := epoch.OpenState(state)
	if err != nil {
		return err
	}
	if s.ring, err = keys.Longer(s.ring, ring); err != nil {
		return fmt.Errorf("the folder and the mirror: %w", err)
	}
	switch {
	case state.Epoch < newest:
		// It was not mirrored since a new epoch was begun. What it covers was lost then, or before.
		return nil
	case state.Epoch > newest:
		s.lost = &LostError{Epoch: state.Epoch, Head: head, Cause: fmt.Errorf("%w: there is no folder %s", audit.ErrBreak, epoch.Folder("", state.Epoch))}
	case missing:
		s.lost = &LostError{Epoch: state.Epoch, Head: head, Cause: fmt.Errorf("%w: there is no %s", audit.ErrBreak, epoch.KeysFile)}
	}
	s.epoch, s.known = state.Epoch, head
	s.marks, err = marks(state, s.ring)
	return err
}

// marks are the heads of a State, for the tree of its epoch.
func marks(state epoch.State, ring *keys.Ring) ([]tlog.Mark, error) {
	var heads []tlog.Mark
	for from, raw := range map[string][]byte{"the mirrored head": state.Checkpoint, "the witnessed head": state.Witnessed} {
		if len(raw) == 0 {
			continue
		}
		head, err := ring.Heads(state.Epoch).OpenHead(raw)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", from, err)
		}
		heads = append(heads, tlog.Mark{Head: head, From: from})
	}
	return heads, nil
}

// sign finds the private key that signs, and makes the ring of a new log.
func (s *survey) sign(options Options) (keys.Private, error) {
	if s.ring == nil {
		ring, err := keys.New(options.Keys[0], 1, options.Clock.Now())
		if err != nil {
			return keys.Private{}, err
		}
		s.ring = ring
		return options.Keys[0], s.save(options.Dir)
	}
	active := s.ring.Active()
	for _, private := range options.Keys {
		if private.Same(active) && private.Name() == active.Name() {
			return private, nil
		}
	}
	return keys.Private{}, fmt.Errorf("%w: key %s signs it", ErrNoKey, active)
}

func (s *survey) save(dir string) error {
	return posix.ReplaceFile(filepath.Join(dir, epoch.KeysFile), s.ring.Encode())
}

// loses is the LostError of an epoch that was read and does not hold.
func (s *survey) loses(dir string, cause error) *LostError {
	lost := &LostError{Epoch: s.epoch, Head: s.known, Cause: cause}
	raw, err := os.ReadFile(filepath.Join(epoch.Folder(dir, s.epoch), "checkpoint"))
	if err != nil {
		return lost
	}
	if own, err := s.ring.Heads(s.epoch).OpenHead(raw); err == nil && (lost.Head.Root == nil || own.Size > lost.Head.Size) {
		lost.Head = own
	}
	return lost
}
