// Package entries reads the entries of an audit log from its bundles, of 256 entries each: in order
// with flat memory, or one by one with the bundles kept that were read last.
package entries

import (
	"context"
	"fmt"
	"iter"

	"github.com/transparency-dev/tessera/api"
	"github.com/transparency-dev/tessera/api/layout"
	"k8s.io/utils/lru"

	"agentpassport.dev/operator/internal/audit"
)

// Width is how many entries a full bundle has.
const Width = layout.EntryBundleWidth

// kept is how many bundles a Reader keeps: some ten megabytes with records of usual length.
const kept = 64

// Source reads entry bundles as tlog-tiles lays them out.
type Source interface {
	ReadEntryBundle(ctx context.Context, index uint64, partial uint8) ([]byte, error)
}

// Entry is one entry as it is stored.
type Entry struct {
	// Index of the leaf, from 0.
	Index uint64
	// Raw is the record in its one form. It must not be changed.
	Raw []byte
}

// Reader reads entries. Its methods may be called by any goroutine.
type Reader struct {
	source Source
	recent *lru.Cache
}

// NewReader reads from a source.
func NewReader(source Source) *Reader {
	return &Reader{source: source, recent: lru.New(kept)}
}

// Bundle is the entries of a bundle as far as a tree of this size has them: a published size, since
// others have no bundles on disk. It fails where an entry is missing.
func (r *Reader) Bundle(ctx context.Context, bundle, size uint64) ([][]byte, error) {
	want := layout.PartialTileSize(0, bundle, size)
	raw, err := r.source.ReadEntryBundle(ctx, bundle, want)
	if err != nil {
		return nil, fmt.Errorf("entry bundle %d: %w", bundle, err)
	}
	var parsed api.EntryBundle
	if err := parsed.UnmarshalText(raw); err != nil {
		return nil, fmt.Errorf("%w: entry bundle %d is damaged: %w", audit.ErrBreak, bundle, err)
	}
	width := uint64(Width)
	if want > 0 {
		width = uint64(want)
	}
	if uint64(len(parsed.Entries)) < width {
		return nil, fmt.Errorf("%w: entry bundle %d has %d entries, not %d", audit.ErrBreak, bundle, len(parsed.Entries), width)
	}
	return parsed.Entries[:width], nil
}

// Recent is Bundle, and keeps full bundles for the next who asks.
func (r *Reader) Recent(ctx context.Context, bundle, size uint64) ([][]byte, error) {
	if found, ok := r.recent.Get(bundle); ok {
		return found.([][]byte), nil
	}
	entries, err := r.Bundle(ctx, bundle, size)
	if err == nil && len(entries) == Width {
		r.recent.Add(bundle, entries)
	}
	return entries, err
}

// At is the entry with this index in a tree of this size.
func (r *Reader) At(ctx context.Context, index, size uint64) (Entry, error) {
	if index >= size {
		return Entry{}, fmt.Errorf("there is no entry %d: the log has %d", index, size)
	}
	entries, err := r.Recent(ctx, index/Width, size)
	if err != nil {
		return Entry{}, err
	}
	return Entry{Index: index, Raw: entries[index%Width]}, nil
}

// Range is the entries from one index up to, and without, another, in a tree of a published size. It
// ends with the first error.
func (r *Reader) Range(ctx context.Context, from, to, size uint64) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		for next := from; next < min(to, size); {
			if err := ctx.Err(); err != nil {
				yield(Entry{}, err)
				return
			}
			bundle, err := r.Bundle(ctx, next/Width, size)
			if err != nil {
				yield(Entry{}, err)
				return
			}
			for _, raw := range bundle[next%Width:] {
				if next == to {
					return
				}
				if !yield(Entry{Index: next, Raw: raw}, nil) {
					return
				}
				next++
			}
		}
	}
}
