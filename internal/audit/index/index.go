// Package index finds records in an audit log by time, passport, agent, namespace, action, outcome
// and id, and sums the calls of each passport. It is a bbolt file beside the log, and holds nothing that the log does not: where it is
// lost, damaged or of another log it is built anew.
//
// A posting list holds, for one value of one field, which entries of which bundles have it. Bundles
// have 256 entries and are read as a whole anyway, so that a list needs 32 bytes for each of them. A
// query goes through the lists of all that it asks for, bundle by bundle, and skips from one to the
// next that stands in all of them; the shortest list so decides how long it takes. For the time there
// is the earliest and the latest of each bundle.
package index

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"github.com/transparency-dev/merkle/rfc6962"
	bolt "go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"
	"k8s.io/utils/clock"

	"agentpassport.dev/operator/internal/audit/entries"
	"agentpassport.dev/operator/internal/audit/tlog"
)

const (
	// pause is how long new records are gathered before they are written, unless a query waits.
	pause = 200 * time.Millisecond
	// again is how long after an error the next attempt is.
	again = time.Second
	// chunk is how many entries go in at once: it bounds the memory that a rebuild takes.
	chunk = 64 * entries.Width
)

// ErrBehind means that the index does not yet have what the log has.
var ErrBehind = errors.New("the index of the audit log is behind the log")

// Source is the log that the index is of.
type Source interface {
	tlog.Reader
	// Head is the last head that was published.
	Head() tlog.Head
}

// Options are what an index needs to know.
type Options struct {
	// Origin and Epoch tell the log from others.
	Origin string
	Epoch  uint64
	Clock  clock.WithTicker
	Log    logr.Logger
}

// Index is an index of one log. Its methods may be called by any goroutine.
type Index struct {
	source  Source
	entries *entries.Reader
	options Options
	db      *bolt.DB
	// appended is told of new entries, wanted of a query that waits.
	appended, wanted chan struct{}

	mu    sync.Mutex
	state state
	// moved is closed, and replaced, when size or failed changes.
	moved  chan struct{}
	failed error
}

// Open opens the index in a file. Where that is not of this log, or damaged, an empty one takes its
// place. Run fills it.
func Open(ctx context.Context, path string, source Source, options Options) (*Index, error) {
	x := &Index{
		source: source, entries: entries.NewReader(source), options: options,
		appended: make(chan struct{}, 1), wanted: make(chan struct{}, 1), moved: make(chan struct{}),
	}
	db, found, err := openFile(path)
	if errors.Is(err, bolterrors.ErrTimeout) {
		return nil, fmt.Errorf("index %s: another process has it open", path)
	}
	if err == nil {
		err = x.usable(ctx, db, found)
	}
	if err == nil {
		x.db, x.state = db, found
		return x, nil
	}
	if ctx.Err() != nil {
		if db != nil {
			_ = db.Close()
		}
		return nil, ctx.Err()
	}
	if !errors.Is(err, errNew) {
		options.Log.Info("the index is built anew from the log", "file", path, "why", err.Error())
	}
	if db != nil {
		_ = guarded(db.Close)
	}
	if err := remove(path); err != nil {
		return nil, fmt.Errorf("remove the index that cannot be used: %w", err)
	}
	if x.db, _, err = openFile(path); err != nil {
		return nil, fmt.Errorf("make the index: %w", err)
	}
	x.state = x.empty()
	return x, nil
}

// errNew means that there was no index before.
var errNew = errors.New("a new index")

func (x *Index) empty() state {
	return state{Version: version, Origin: x.options.Origin, Epoch: x.options.Epoch, Root: rfc6962.DefaultHasher.EmptyRoot()}
}

// usable reports why a file is not the index of this log as it was written.
func (x *Index) usable(ctx context.Context, db *bolt.DB, found state) error {
	head := x.source.Head()
	switch {
	case found.Version == 0:
		return errNew
	case found.Version != version:
		return fmt.Errorf("it is of version %d", found.Version)
	case found.Origin != x.options.Origin || found.Epoch != x.options.Epoch:
		return errors.New("it is of another log")
	case found.Size > head.Size:
		return fmt.Errorf("it has %d entries, the log %d", found.Size, head.Size)
	}
	root, err := tlog.RootAt(ctx, x.source, found.Size, head.Size)
	if err != nil {
		return err
	}
	if !bytes.Equal(root, found.Root) {
		return fmt.Errorf("the first %d entries of the log are others", found.Size)
	}
	total, err := sum(db)
	if err != nil {
		return err
	}
	if total != found.Sum {
		return errDamaged
	}
	return nil
}

// Close closes the file. Run must have ended.
func (x *Index) Close() error { return x.db.Close() }

// Appended tells the index that the log has grown.
func (x *Index) Appended() { wake(x.appended) }

func wake(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// Size is how many entries are in the index.
func (x *Index) Size() uint64 {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.state.Size
}

// Run keeps the index up with the log until the context ends. What goes wrong, such as a full disk,
// is tried again; it returns an error where the file is damaged, which the next Open mends.
func (x *Index) Run(ctx context.Context) error {
	for {
		if err := x.catchUp(ctx); err != nil {
			if ctx.Err() != nil {
				return nil //nolint:nilerr // so it is stopped
			}
			if errors.Is(err, errDamaged) {
				return err
			}
			x.options.Log.Error(err, "the index does not get on; it tries again", "in", again.String())
			x.advance(func() { x.failed = err })
			if !x.rest(ctx, again, nil) {
				return nil
			}
			continue
		}
		select {
		case <-ctx.Done():
			return nil
		case <-x.wanted:
		case <-x.appended:
			if !x.rest(ctx, pause, x.wanted) {
				return nil
			}
		}
	}
}

// rest waits, or until somebody wants the index, and reports false at the end of the context.
func (x *Index) rest(ctx context.Context, how time.Duration, wanted <-chan struct{}) bool {
	timer := x.options.Clock.NewTimer(how)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C():
	case <-wanted:
	}
	return true
}

func (x *Index) advance(change func()) {
	x.mu.Lock()
	defer x.mu.Unlock()
	change()
	close(x.moved)
	x.moved = make(chan struct{})
}

// Wait returns once the index has the first size entries. It gives up with the context, or when an
// attempt to get on has failed meanwhile.
func (x *Index) Wait(ctx context.Context, size uint64) error {
	for {
		x.mu.Lock()
		has, moved, failed := x.state.Size, x.moved, x.failed
		x.mu.Unlock()
		if has >= size {
			return nil
		}
		if failed != nil {
			return fmt.Errorf("%w: %w", ErrBehind, failed)
		}
		wake(x.wanted)
		select {
		case <-moved:
		case <-ctx.Done():
			return fmt.Errorf("%w: it has %d of %d records", ErrBehind, has, size)
		}
	}
}

// catchUp takes in what the log has more.
func (x *Index) catchUp(ctx context.Context) error {
	for {
		head := x.source.Head()
		x.mu.Lock()
		now := x.state
		x.mu.Unlock()
		if now.Size >= head.Size {
			return nil
		}
		next, err := x.take(ctx, now, head)
		if err != nil {
			return err
		}
		x.advance(func() { x.state, x.failed = next, nil })
	}
}

// take writes the next chunk of entries.
func (x *Index) take(ctx context.Context, s state, head tlog.Head) (state, error) {
	gathered, err := x.gather(ctx, s.Size, min(s.Size+chunk, head.Size), head.Size)
	if err != nil {
		return s, err
	}
	s.Size, s.Root = gathered.end, head.Root
	if s.Size < head.Size {
		if s.Root, err = tlog.RootAt(ctx, x.source, s.Size, head.Size); err != nil {
			return s, err
		}
	}
	err = guarded(func() error {
		return x.db.Update(func(tx *bolt.Tx) error { return gathered.write(tx, &s) })
	})
	return s, err
}

// gathering is what some entries add to the index.
type gathering struct {
	end   uint64
	lists map[listPart]*bitmap
	spans map[uint64]span
	ids   []idAt
	sums  sums
}

// listPart is one bundle in one posting list.
type listPart struct {
	key
	bundle uint64
}

// idAt is an id, and the entry that has it.
type idAt struct {
	id    []byte
	index uint64
}

func (x *Index) gather(ctx context.Context, from, to, head uint64) (*gathering, error) {
	g := &gathering{end: to, lists: map[listPart]*bitmap{}, spans: map[uint64]span{}, ids: make([]idAt, 0, to-from), sums: sums{}}
	for entry, err := range x.entries.Range(ctx, from, to, head) {
		if err != nil {
			return nil, err
		}
		f, err := facetsOf(entry.Raw)
		if err != nil {
			return nil, fmt.Errorf("entry %d is no record", entry.Index)
		}
		if err := g.add(entry.Index, f); err != nil {
			return nil, err
		}
	}
	return g, nil
}

func (g *gathering) add(index uint64, f facets) error {
	bundle := index / entries.Width
	for _, list := range f.keys() {
		part := listPart{list, bundle}
		if g.lists[part] == nil {
			g.lists[part] = &bitmap{}
		}
		g.lists[part].set(index % entries.Width)
	}
	second := f.Time.Unix()
	seen, found := g.spans[bundle]
	if !found {
		seen = span{first: second, last: second}
	}
	g.spans[bundle] = span{first: min(seen.first, second), last: max(seen.last, second)}
	id, ok := idKey(f.ID)
	if !ok {
		return fmt.Errorf("entry %d has no id", index)
	}
	g.ids = append(g.ids, idAt{id, index})
	g.sums.add(f)
	return nil
}

// write adds it to what is there. Keys come in their order, which a B-tree takes much faster.
func (g *gathering) write(tx *bolt.Tx, s *state) error {
	lists := make(map[string]*bitmap, len(g.lists))
	for part, more := range g.lists {
		lists[string(part.at(part.bundle))] = more
	}
	for _, k := range slices.Sorted(maps.Keys(lists)) {
		more := lists[k]
		for i, old := range tx.Bucket(postings).Get([]byte(k)) {
			more[i] |= old
		}
		if err := put(tx, s, postings, []byte(k), more[:]); err != nil {
			return err
		}
	}
	for _, bundle := range slices.Sorted(maps.Keys(g.spans)) {
		k, more := binary.BigEndian.AppendUint64(nil, bundle), g.spans[bundle]
		if raw := tx.Bucket(spans).Get(k); raw != nil {
			old, err := spanOf(raw)
			if err != nil {
				return err
			}
			more = span{first: min(old.first, more.first), last: max(old.last, more.last)}
		}
		if err := put(tx, s, spans, k, more.bytes()); err != nil {
			return err
		}
	}
	slices.SortFunc(g.ids, func(a, b idAt) int { return bytes.Compare(a.id, b.id) })
	for _, at := range g.ids {
		if err := put(tx, s, ids, at.id, binary.BigEndian.AppendUint64(nil, at.index)); err != nil {
			return err
		}
	}
	if err := g.sums.write(tx, s); err != nil {
		return err
	}
	raw, err := json.Marshal(s)
	if err != nil {
		return err
	}
	return tx.Bucket(about).Put(aboutIt, raw)
}
