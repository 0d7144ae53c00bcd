package audit

import (
	"encoding/hex"
	"errors"
	"fmt"
	"iter"
)

// ErrBreak is what every Break is.
var ErrBreak = errors.New("the trail is broken")

// Break is the first place where a trail does not hold.
type Break struct {
	// Position counts the records from 0.
	Position uint64
	// ID is what the record there says it is; empty where it says nothing.
	ID string
	// Why says what does not hold.
	Why string
}

// Error names the place and the reason.
func (b *Break) Error() string {
	if b.ID == "" {
		return fmt.Sprintf("%v at record %d: %s", ErrBreak, b.Position, b.Why)
	}
	return fmt.Sprintf("%v at record %d (%s): %s", ErrBreak, b.Position, b.ID, b.Why)
}

// Unwrap lets errors.Is find ErrBreak.
func (b *Break) Unwrap() error { return ErrBreak }

// Trail holds the last hash of every chain and the place of every id, of all records so far. It is
// for one goroutine at a time.
type Trail struct {
	heads  map[string]string
	places map[[16]byte]uint64
	size   uint64
}

// NewTrail is a trail without records.
func NewTrail() *Trail {
	return &Trail{heads: map[string]string{}, places: map[[16]byte]uint64{}}
}

// Size is how many records it has.
func (t *Trail) Size() uint64 { return t.size }

// Find is the place of the record with this id.
func (t *Trail) Find(id string) (uint64, bool) {
	key, ok := placeKey(id)
	if !ok {
		return 0, false
	}
	place, found := t.places[key]
	return place, found
}

// Append checks a new record, gives it its links and its hash, and takes it in as the last one.
// It returns the record as it is now, and in its one form. Whatever links it came with are replaced.
// A record with a known id is refused: see Find.
func (t *Trail) Append(record Record) (Record, []byte, error) {
	record, err := asRead(record)
	if err != nil {
		return Record{}, nil, err
	}
	record.PrevHash, record.PrevIssueHash = t.links(record)
	if err := Check(record); err != nil {
		return Record{}, nil, err
	}
	record, raw, err := seal(record)
	if err != nil {
		return Record{}, nil, err
	}
	if err := t.Add(record); err != nil {
		return Record{}, nil, err
	}
	return record, raw, nil
}

// Add takes in the next record of a trail as it was written, or returns a Break. It takes the
// record's hash for its own, as Parse has checked.
func (t *Trail) Add(record Record) error {
	prev, prevIssue := t.links(record)
	key, ok := placeKey(record.ID)
	switch place, found := t.places[key]; {
	case !ok:
		return t.broken(record, "its id is none")
	case found:
		return t.broken(record, fmt.Sprintf("its id is already that of record %d", place))
	case record.PrevHash != prev:
		return t.broken(record, fmt.Sprintf("prev_hash is not the hash of the record before it in chain %s", chain(record)))
	case record.PrevIssueHash != prevIssue:
		return t.broken(record, fmt.Sprintf("prev_issue_hash is not the hash of the issue before it in chain %s", issues(record)))
	}
	t.places[key] = t.size
	t.heads[chain(record)] = record.Hash
	if record.Action == PassportIssue {
		t.heads[issues(record)] = record.Hash
	}
	t.size++
	return nil
}

// Verify reads records in the order of the log and returns nil, or the first Break.
func Verify(records iter.Seq[Record]) error {
	trail := NewTrail()
	for record := range records {
		raw, err := Encode(record)
		if err != nil {
			return trail.broken(record, err.Error())
		}
		if hashOf(raw, record) != record.Hash {
			return trail.broken(record, "its hash is not that of its fields")
		}
		if err := trail.Add(record); err != nil {
			return err
		}
	}
	return nil
}

func (t *Trail) broken(record Record, why string) error {
	return &Break{Position: t.size, ID: record.ID, Why: why}
}

// links are the hashes that the next record of its chains has to hold.
func (t *Trail) links(record Record) (prev, prevIssue string) {
	prev = t.head(chain(record))
	if record.Action == PassportIssue {
		prevIssue = t.head(issues(record))
	}
	return prev, prevIssue
}

func (t *Trail) head(name string) string {
	if hash, found := t.heads[name]; found {
		return hash
	}
	return Zero
}

// chain names the chain that a record belongs to: its passport's, else its agent's, else the system's.
func chain(record Record) string {
	switch {
	case record.PassportJTI != "":
		return "passport/" + record.PassportJTI
	case record.Agent != nil:
		return "agent/" + agentKey(record)
	default:
		return "system"
	}
}

// issues names the chain of an agent's issues.
func issues(record Record) string {
	return "issues/" + agentKey(record)
}

// agentKey is the agent's UID, or its name where the agent is gone and its UID unknown.
func agentKey(record Record) string {
	if record.Agent == nil {
		return ""
	}
	if record.Agent.UID != "" {
		return record.Agent.UID
	}
	return record.Namespace + "/" + record.Agent.Name
}

// placeKey is the 128 bits of an id: half of what its text would take, for millions of them.
func placeKey(id string) (key [16]byte, ok bool) {
	if len(id) != len("ar_")+32 || id[:3] != "ar_" {
		return key, false
	}
	n, err := hex.Decode(key[:], []byte(id[3:]))
	return key, err == nil && n == len(key)
}
