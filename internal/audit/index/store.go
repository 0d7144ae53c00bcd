package index

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"io/fs"
	"os"
	"runtime/debug"
	"time"

	bolt "go.etcd.io/bbolt"

	"agentpassport.dev/operator/internal/audit/entries"
)

// version of what is in the file. A file of another one is built anew.
const version = 2

// lockWait bounds the wait for another process to leave the file.
const lockWait = 2 * time.Second

var (
	// postings: field, value with its length before it, bundle → which of its 256 entries, as 32 bytes.
	postings = []byte("postings")
	// spans: bundle → the earliest and the latest second in it.
	spans = []byte("spans")
	// ids: the 16 bytes of an id → index.
	ids = []byte("ids")
	// calls: namespace, passport, kind of count, service, code → count: see sums.go.
	calls = []byte("calls")
	// about: what the file is of.
	about   = []byte("about")
	aboutIt = []byte("state")
)

// field is what a posting list is by.
type field byte

const (
	byJTI field = iota + 1
	byAgent
	byNamespace
	byAction
	byOutcome
)

// key names a posting list.
type key struct {
	field field
	value string
}

// longest is how long a value may be to stand for itself; a longer one is told by its digest.
const longest = 512

// prefix is the beginning that all of a posting list's keys have, and no other's.
func (k key) prefix() []byte {
	value := []byte(k.value)
	length := len(value)
	if length > longest {
		digest := sha256.Sum256(value)
		value, length = digest[:], longest+1
	}
	prefix := binary.BigEndian.AppendUint16([]byte{byte(k.field)}, uint16(length))
	return append(prefix, value...)
}

func (k key) at(bundle uint64) []byte {
	return binary.BigEndian.AppendUint64(k.prefix(), bundle)
}

// bitmap says which entries of a bundle are meant.
type bitmap [entries.Width / 8]byte

func (b *bitmap) set(i uint64)      { b[i/8] |= 1 << (i % 8) }
func (b *bitmap) has(i uint64) bool { return b[i/8]&(1<<(i%8)) != 0 }
func (b *bitmap) and(other bitmap) {
	for i := range b {
		b[i] &= other[i]
	}
}

// everything is all entries of a bundle.
func everything() bitmap {
	var b bitmap
	for i := range b {
		b[i] = 0xff
	}
	return b
}

// span is the earliest and the latest time in a bundle, each cut to the second.
type span struct{ first, last int64 }

func (s span) bytes() []byte {
	raw := binary.BigEndian.AppendUint64(nil, uint64(s.first)) //nolint:gosec // G115: only to be read back
	return binary.BigEndian.AppendUint64(raw, uint64(s.last))  //nolint:gosec // G115: only to be read back
}

func spanOf(raw []byte) (span, error) {
	if len(raw) != 16 {
		return span{}, errDamaged
	}
	return span{
		first: int64(binary.BigEndian.Uint64(raw)),     //nolint:gosec // G115: as it was written
		last:  int64(binary.BigEndian.Uint64(raw[8:])), //nolint:gosec // G115: as it was written
	}, nil
}

// outside reports that nothing in the bundle can be in the time that is asked for.
func (s span) outside(q Query) bool {
	return (!q.To.IsZero() && s.first > q.To.Unix()) || (!q.From.IsZero() && s.last < q.From.Unix())
}

// state is what the file is of, and how far it goes.
type state struct {
	Version int    `json:"version"`
	Origin  string `json:"origin"`
	Epoch   uint64 `json:"epoch"`
	// Size is how many entries are in, Root the root of the tree of that size.
	Size uint64 `json:"size"`
	Root []byte `json:"root"`
	// Sum is the XOR of a hash of every key with its value: bbolt does not see a bit that flips.
	Sum uint64 `json:"sum"`
}

// errDamaged means that the file is not as it was written.
var errDamaged = errors.New("the index is damaged")

// openFile opens the file, or makes an empty one.
func openFile(path string) (db *bolt.DB, s state, err error) {
	err = guarded(func() error {
		// With NoFreelistSync it would look for free pages in a goroutine of its own, where a panic over a
		// damaged file cannot be caught.
		opened, err := bolt.Open(path, 0o600, &bolt.Options{Timeout: lockWait, FreelistType: bolt.FreelistMapType})
		if err != nil {
			return err
		}
		db = opened
		return db.Update(func(tx *bolt.Tx) error {
			for _, name := range [][]byte{postings, spans, ids, calls, about} {
				if _, err := tx.CreateBucketIfNotExists(name); err != nil {
					return err
				}
			}
			if raw := tx.Bucket(about).Get(aboutIt); raw != nil {
				return json.Unmarshal(raw, &s)
			}
			return nil
		})
	})
	if err != nil && db != nil {
		_ = guarded(db.Close)
	}
	return db, s, err
}

// guarded turns what bbolt panics with, over a damaged file, into an error; so it does with a fault
// in the part of the file that is mapped into memory and no longer there.
func guarded(do func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if broken := recover(); broken != nil {
			err = fmt.Errorf("%w: %v", errDamaged, broken)
		}
	}()
	return do()
}

// sum reads the whole file and returns what state.Sum has to be.
func sum(db *bolt.DB) (total uint64, err error) {
	err = guarded(func() error {
		return db.View(func(tx *bolt.Tx) error {
			for _, name := range [][]byte{postings, spans, ids, calls} {
				cursor := tx.Bucket(name).Cursor()
				var before []byte
				for k, v := cursor.First(); k != nil; k, v = cursor.Next() {
					if bytes.Compare(before, k) >= 0 {
						return errDamaged
					}
					before = k
					total ^= pair(name, k, v)
				}
			}
			return nil
		})
	})
	return total, err
}

// pair is the hash of a key with its value.
func pair(bucket, k, v []byte) uint64 {
	digest := fnv.New64a()
	_, _ = digest.Write(bucket)
	_, _ = digest.Write(binary.BigEndian.AppendUint32(nil, uint32(len(k)))) //nolint:gosec // G115: bbolt's keys are short
	_, _ = digest.Write(k)
	_, _ = digest.Write(v)
	return digest.Sum64()
}

// put writes a key, and keeps the sum.
func put(tx *bolt.Tx, s *state, bucket, k, v []byte) error {
	b := tx.Bucket(bucket)
	if old := b.Get(k); old != nil {
		s.Sum ^= pair(bucket, k, old)
	}
	s.Sum ^= pair(bucket, k, v)
	return b.Put(k, v)
}

// idKey is the bytes of an id.
func idKey(id string) ([]byte, bool) {
	if len(id) != len("ar_")+32 || id[:3] != "ar_" {
		return nil, false
	}
	raw, err := hex.DecodeString(id[3:])
	return raw, err == nil
}

func remove(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
