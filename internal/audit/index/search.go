package index

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"iter"

	bolt "go.etcd.io/bbolt"

	"agentpassport.dev/operator/internal/audit/entries"
)

// ahead is how many bundles are looked up in one transaction: a long one would hold up the writer.
const ahead = 64

// candidate is a bundle, and which of its entries may match.
type candidate struct {
	bundle uint64
	which  bitmap
}

// Find is the index of the record with this id, as far as the index has got.
func (x *Index) Find(id string) (index uint64, found bool, err error) {
	k, ok := idKey(id)
	if !ok {
		return 0, false, nil
	}
	err = guarded(func() error {
		return x.db.View(func(tx *bolt.Tx) error {
			if raw := tx.Bucket(ids).Get(k); raw != nil {
				index, found = binary.BigEndian.Uint64(raw), true
			}
			return nil
		})
	})
	return index, found, err
}

// Rows are the entries that a query asks for, in the order of the log, with flat memory. The index
// must have Query.End entries: see Wait. It ends with the first error.
func (x *Index) Rows(ctx context.Context, q Query) iter.Seq2[entries.Entry, error] {
	if q.All() {
		return x.entries.Range(ctx, q.Start, q.End, q.End)
	}
	return func(yield func(entries.Entry, error) bool) {
		match, err := newMatcher(q)
		if err != nil {
			yield(entries.Entry{}, err)
			return
		}
		for from := q.Start / entries.Width; from*entries.Width < q.End; {
			found, next, err := x.candidates(q, from)
			if err != nil {
				yield(entries.Entry{}, err)
				return
			}
			for _, c := range found {
				if !x.rowsOf(ctx, q, match, c, yield) {
					return
				}
			}
			from = next
		}
	}
}

// rowsOf yields the matches in one bundle, and reports whether more are wanted.
func (x *Index) rowsOf(ctx context.Context, q Query, match matcher, c candidate, yield func(entries.Entry, error) bool) bool {
	if err := ctx.Err(); err != nil {
		yield(entries.Entry{}, err)
		return false
	}
	bundle, err := x.entries.Recent(ctx, c.bundle, q.End)
	if err != nil {
		yield(entries.Entry{}, err)
		return false
	}
	for i, raw := range bundle {
		index := c.bundle*entries.Width + uint64(i)
		if index < q.Start || index >= q.End || !c.which.has(index%entries.Width) {
			continue
		}
		matches, err := match.match(raw)
		if err != nil {
			yield(entries.Entry{}, fmt.Errorf("entry %d: %w", index, err))
			return false
		}
		if matches && !yield(entries.Entry{Index: index, Raw: raw}, nil) {
			return false
		}
	}
	return true
}

// candidates are the next bundles, from one on, that may have matches, and where to go on.
func (x *Index) candidates(q Query, from uint64) (found []candidate, next uint64, err error) {
	end := (q.End + entries.Width - 1) / entries.Width
	err = guarded(func() error {
		found, next = nil, from
		return x.db.View(func(tx *bolt.Tx) error {
			s := search{times: tx.Bucket(spans)}
			for _, k := range q.keys() {
				s.lists = append(s.lists, list{cursor: tx.Bucket(postings).Cursor(), key: k})
			}
			for range ahead {
				c, ok := s.next(next, end)
				if !ok {
					next = end
					return nil
				}
				next = c.bundle + 1
				within, err := s.within(q, c.bundle)
				if err != nil {
					return err
				}
				if within {
					found = append(found, c)
				}
			}
			return nil
		})
	})
	return found, next, err
}

// search goes through posting lists side by side.
type search struct {
	lists []list
	times *bolt.Bucket
}

// list is one posting list.
type list struct {
	cursor *bolt.Cursor
	key    key
}

// from is the first bundle of the list at or after another.
func (l list) from(bundle uint64) (candidate, bool) {
	k, v := l.cursor.Seek(l.key.at(bundle))
	prefix := l.key.prefix()
	if len(k) != len(prefix)+8 || !bytes.HasPrefix(k, prefix) || len(v) != len(bitmap{}) {
		return candidate{}, false
	}
	return candidate{bundle: binary.BigEndian.Uint64(k[len(prefix):]), which: bitmap(v)}, true
}

// next is the first bundle, from one up to and without another, that all lists have an entry in.
func (s search) next(bundle, end uint64) (candidate, bool) {
	for bundle < end {
		met := candidate{bundle: bundle, which: everything()}
		for _, l := range s.lists {
			c, ok := l.from(bundle)
			if !ok {
				return candidate{}, false
			}
			if c.bundle > bundle {
				met.bundle = max(met.bundle, c.bundle)
				continue
			}
			met.which.and(c.which)
		}
		switch {
		case met.bundle > bundle:
			bundle = met.bundle
		case met.which == bitmap{}:
			bundle++
		default:
			return met, true
		}
	}
	return candidate{}, false
}

// within reports whether a bundle has any time that is asked for.
func (s search) within(q Query, bundle uint64) (bool, error) {
	if q.From.IsZero() && q.To.IsZero() {
		return true, nil
	}
	raw := s.times.Get(binary.BigEndian.AppendUint64(nil, bundle))
	if raw == nil {
		return false, nil
	}
	times, err := spanOf(raw)
	return err == nil && !times.outside(q), err
}
