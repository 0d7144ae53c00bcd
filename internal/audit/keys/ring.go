package keys

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/transparency-dev/formats/log"
	strict "sigs.k8s.io/json"

	"agentpassport.dev/operator/internal/audit"
	"agentpassport.dev/operator/internal/audit/tlog"
)

// MaxRing is the longest keys file, in bytes: some thousand keys.
const MaxRing = 1 << 20

// ErrRing means that a keys file does not hold: an error that wraps it says which key, and why.
var ErrRing = errors.New("the keys of the audit log do not hold")

// Status is whether a key signs.
type Status string

// The statuses.
const (
	// Active is the key that signs, the last of a ring.
	Active Status = "active"
	// Retired keys have signed, and heads of that time still verify.
	Retired Status = "retired"
)

// Ring is every key that a log has had, in order. The last one signs. A Ring is never changed.
type Ring struct {
	statements []Statement
}

// New is the ring of a new log.
func New(first Private, epoch uint64, since time.Time) (*Ring, error) {
	statement, err := Statement{
		Key: first.Public, Epoch: epoch, Since: since.UTC().Truncate(time.Second), before: audit.Zero,
	}.sign(first)
	if err != nil {
		return nil, err
	}
	return &Ring{statements: []Statement{statement}}, nil
}

// Next is the ring with one key more, which signs from a size of an epoch on. The one that signed until
// then vouches for it.
func (r *Ring) Next(active, next Private, epoch, from uint64, since time.Time) (*Ring, error) {
	last := r.statements[len(r.statements)-1]
	switch {
	case !active.Same(last.Key):
		return nil, fmt.Errorf("key %s does not sign this log: %s does", active.ID(), last.Key.ID())
	case next.name != last.Key.name:
		return nil, fmt.Errorf("the new key is for the log %s, not for %s", next.name, last.Key.name)
	case r.find(next.Public) >= 0:
		return nil, fmt.Errorf("key %s has signed this log before", next.ID())
	case epoch < last.Epoch, epoch == last.Epoch && from < last.From:
		return nil, fmt.Errorf("the new key would sign from epoch %d, size %d on, before the one that it follows", epoch, from)
	}
	statement, err := Statement{
		Key: next.Public, Epoch: epoch, From: from, Since: since.UTC().Truncate(time.Second), before: last.hash(),
	}.sign(next, active)
	if err != nil {
		return nil, err
	}
	return &Ring{statements: append(append([]Statement(nil), r.statements...), statement)}, nil
}

// file is a keys file. All that it says is in the statements; the rest is for people, and has to agree.
type file struct {
	Name string    `json:"name"`
	Keys []fileKey `json:"keys"`
}

type fileKey struct {
	Key       string    `json:"key"`
	Epoch     uint64    `json:"epoch"`
	From      uint64    `json:"from"`
	Since     time.Time `json:"since"`
	Status    Status    `json:"status"`
	Statement string    `json:"statement"`
}

// Encode is the ring as a keys file.
func (r *Ring) Encode() []byte {
	out := file{Name: r.Name()}
	for i, s := range r.statements {
		out.Keys = append(out.Keys, fileKey{
			Key: s.Key.String(), Epoch: s.Epoch, From: s.From, Since: s.Since, Status: r.status(i), Statement: s.signed,
		})
	}
	var raw bytes.Buffer
	encoder := json.NewEncoder(&raw)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	if err := encoder.Encode(out); err != nil {
		panic(err) // strings, numbers and times of this century
	}
	return raw.Bytes()
}

// Parse reads a keys file and checks its chain. Which of its keys is to be trusted at all the caller has
// to know: see Pinned.
func Parse(raw []byte) (*Ring, error) {
	if len(raw) > MaxRing {
		return nil, fmt.Errorf("%w: %d bytes, at most %d", ErrRing, len(raw), MaxRing)
	}
	var in file
	if failed, err := strict.UnmarshalStrict(raw, &in); err != nil || len(failed) > 0 {
		return nil, fmt.Errorf("%w: no JSON of a keys file", ErrRing)
	}
	if len(in.Keys) == 0 {
		return nil, fmt.Errorf("%w: there is none", ErrRing)
	}
	r := &Ring{}
	for i, key := range in.Keys {
		var before *Statement
		if i > 0 {
			before = &r.statements[i-1]
		}
		s, err := openStatement(key.Statement, before)
		if err != nil {
			return nil, fmt.Errorf("%w: key %d: %w", ErrRing, i+1, err)
		}
		if before != nil && (s.Epoch < before.Epoch || s.Epoch == before.Epoch && s.From < before.From) {
			return nil, fmt.Errorf("%w: key %d would sign before the one that it follows", ErrRing, i+1)
		}
		if r.find(s.Key) >= 0 {
			return nil, fmt.Errorf("%w: key %d is there twice", ErrRing, i+1)
		}
		r.statements = append(r.statements, s)
	}
	// One form, so that what people read there is what was signed.
	if !bytes.Equal(r.Encode(), raw) {
		return nil, fmt.Errorf("%w: the file says other than its statements", ErrRing)
	}
	return r, nil
}

// Name is the name of the log.
func (r *Ring) Name() string { return r.statements[0].Key.name }

// Active is the key that signs.
func (r *Ring) Active() Public { return r.statements[len(r.statements)-1].Key }

// Statements are the keys in order, and since when each signed.
func (r *Ring) Statements() []Statement { return append([]Statement(nil), r.statements...) }

// Status is whether key i of Statements signs.
func (r *Ring) Status(i int) Status { return r.status(i) }

func (r *Ring) status(i int) Status {
	if i == len(r.statements)-1 {
		return Active
	}
	return Retired
}

func (r *Ring) find(key Public) int {
	for i := range r.statements {
		if r.statements[i].Key.Same(key) {
			return i
		}
	}
	return -1
}

// Holds reports whether a key is one of the ring's.
func (r *Ring) Holds(key Public) bool { return r.find(key) >= 0 }

// Pinned refuses a ring that does not hold a key that is known for the log's.
func (r *Ring) Pinned(key Public) error {
	if !r.Holds(key) {
		return fmt.Errorf("%w: key %s is none of them: this log was signed with others, or written anew", ErrRing, key)
	}
	return nil
}

// Longer is the longer of two rings of one log. Where neither is the beginning of the other, they are of
// two logs, or of one that was forked.
func Longer(one, other *Ring) (*Ring, error) {
	switch {
	case one == nil:
		return other, nil
	case other == nil:
		return one, nil
	}
	for i := range min(len(one.statements), len(other.statements)) {
		if one.statements[i].text() != other.statements[i].text() {
			return nil, fmt.Errorf("%w: two keys files differ in key %d: %s and %s", ErrRing, i+1,
				one.statements[i].Key, other.statements[i].Key)
		}
	}
	if len(other.statements) > len(one.statements) {
		return other, nil
	}
	return one, nil
}

// Heads opens the heads of an epoch: each has to be signed by a key that signed trees of its size.
func (r *Ring) Heads(epoch uint64) tlog.Keys { return heads{ring: r, epoch: epoch} }

type heads struct {
	ring  *Ring
	epoch uint64
}

// OpenHead implements tlog.Keys.
func (h heads) OpenHead(raw []byte) (tlog.Head, error) {
	origin := Origin(h.ring.Name(), h.epoch)
	if found, _, _ := strings.Cut(string(raw), "\n"); found != origin {
		return tlog.Head{}, fmt.Errorf("it is a head of %.200q, not of %s", found, origin)
	}
	for i, statement := range h.ring.statements {
		verifier, err := statement.Key.verifier(origin)
		if err != nil {
			return tlog.Head{}, err
		}
		head, _, _, err := log.ParseCheckpoint(raw, origin, verifier)
		if err != nil {
			continue
		}
		if !h.ring.signed(i, h.epoch, head.Size) {
			return tlog.Head{}, fmt.Errorf("it is signed with key %s, which did not sign trees of %d records in epoch %d",
				statement.Key, head.Size, h.epoch)
		}
		return tlog.Head{Size: head.Size, Root: head.Hash}, nil
	}
	return tlog.Head{}, fmt.Errorf("it is not signed with any key of %s", h.ring.Name())
}

// signed reports whether key i signed trees of this size. Where a key follows another, both did: the
// last head of the one is the first of the other.
func (r *Ring) signed(i int, epoch, size uint64) bool {
	from := r.statements[i]
	if epoch < from.Epoch || epoch == from.Epoch && size < from.From {
		return false
	}
	if i == len(r.statements)-1 {
		return true
	}
	to := r.statements[i+1]
	return epoch < to.Epoch || epoch == to.Epoch && size <= to.From
}
