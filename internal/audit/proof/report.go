package proof

import (
	"errors"
	"fmt"
	"time"

	"agentpassport.dev/operator/internal/audit"
)

// Report is what was found right.
type Report struct {
	// Log is the name of the log.
	Log string `json:"log"`
	// Key is the one that all was checked by, as a verifier key.
	Key string `json:"key"`
	// Keys are all keys of the log, in order.
	Keys []Key `json:"keys"`
	// Epochs are the trees, in order.
	Epochs []Epoch `json:"epochs"`
	// Heads are those that were kept elsewhere.
	Heads []Head `json:"heads,omitempty"`
	// Notes say what could not be checked.
	Notes []string `json:"notes,omitempty"`
}

// Key is one key of the log, and from where on it signs.
type Key struct {
	Key    string    `json:"key"`
	ID     string    `json:"id"`
	Epoch  uint64    `json:"epoch"`
	From   uint64    `json:"from"`
	Since  time.Time `json:"since"`
	Status string    `json:"status"`
}

// Epoch is one tree.
type Epoch struct {
	Epoch uint64 `json:"epoch"`
	// Records are those that are there and hold, and Missions how many of them are passport.issue.
	Records  uint64 `json:"records"`
	Missions uint64 `json:"missions"`
	// Root is the root of the tree of these records, in hex.
	Root string `json:"root"`
	// OnDisk is the size of the tree that the files are of; larger than Records where the rest was lost.
	OnDisk uint64 `json:"-"`
	// Witnessed is the size of the newest head with cosignatures, and Witnesses who of the policy has signed
	// it; empty without a policy.
	Witnessed uint64   `json:"witnessed,omitempty"`
	Witnesses []string `json:"witnesses,omitempty"`
	// Lost says what of this tree was lost before the next one was begun; nil for the newest tree.
	Lost *Lost `json:"lost,omitempty"`
}

// Lost is what the first record of an epoch says of the one before it.
type Lost struct {
	// Records is the size of the last head that was known, Kept how many of them were still there.
	Records int64 `json:"records"`
	Kept    int64 `json:"kept"`
	// Record is the id of the record that says so; the others are its actor, reason and time.
	Record string    `json:"record"`
	Actor  string    `json:"actor"`
	Reason string    `json:"reason"`
	Time   time.Time `json:"time"`
}

// Head is a head that was kept elsewhere, and that the log holds.
type Head struct {
	From  string `json:"from"`
	Epoch uint64 `json:"epoch"`
	Size  uint64 `json:"size"`
}

// Break is the first place where a log does not hold.
type Break struct {
	// Epoch is the tree; 0 where it is about all of them, such as the keys.
	Epoch uint64
	// Cause is an audit.Break with the place, or what else is wrong.
	Cause error
}

// Error names the place and the reason.
func (b *Break) Error() string {
	if b.Epoch == 0 {
		return b.Cause.Error()
	}
	return fmt.Sprintf("epoch %d: %v", b.Epoch, b.Cause)
}

// Unwrap lets errors.Is find audit.ErrBreak and the cause.
func (b *Break) Unwrap() []error { return []error{audit.ErrBreak, b.Cause} }

// Place is the record that does not hold and its id, where they are known.
func (b *Break) Place() (position uint64, id string, known bool) {
	var place *audit.Break
	if !errors.As(b.Cause, &place) {
		return 0, "", false
	}
	return place.Position, place.ID, true
}

// Why is the reason alone, without the place.
func (b *Break) Why() string {
	var place *audit.Break
	if errors.As(b.Cause, &place) {
		return place.Why
	}
	return b.Cause.Error()
}
