package tlog

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/transparency-dev/merkle/rfc6962"
	"github.com/transparency-dev/tessera/api/layout"
	"golang.org/x/mod/sumdb/note"

	"agentpassport.dev/operator/internal/audit"
)

// MaxBatch is how many records go into the tree at once. It bounds what an answer waits for.
const MaxBatch = 512

// What a batch costs is the files that it writes and syncs, however many records it has. So where several ask
// at once, a batch of few records waits a moment for more. Who asks alone never waits.
const (
	// fewRecords in a batch are too few to write at once in a crowd.
	fewRecords = 16
	// moment is how long such a batch waits at most.
	moment = 20 * time.Millisecond
)

// ErrClosed means that the log takes no more: it was closed, or an add has failed. In the second case
// the error says what failed, and opening the log anew finds out what is in it.
var ErrClosed = errors.New("the audit log is closed")

// Log is a log that is open for writing. Its methods may be called by any goroutine.
type Log struct {
	storage Storage
	signer  note.Signer
	scan    *scan

	requests chan *request
	closing  chan struct{}
	close    sync.Once
	// done is closed when the writer has ended, and failed may be read from then on.
	done   chan struct{}
	failed error

	mu     sync.RWMutex
	head   Head
	signed []byte
}

type request struct {
	records []audit.Record
	// signer, where it is not nil, gives the signer from here on: see Rotate.
	signer  func(Head) (note.Signer, error)
	entries []audit.Entry
	err     error
	done    chan struct{}
}

// Open reads the whole log, checks all of it up to its head, and opens it for writing. heads are as
// for VerifyFolder: a log that does not hold what they cover is refused.
//
// What stands in the tree beyond the last checkpoint was never answered for. Where it is whole it is
// kept; where it is not it is cut.
//
// The log owns the storage from here on, also where Open fails.
func Open(ctx context.Context, storage Storage, signer note.Signer, key note.Verifier, heads ...[]byte) (*Log, error) {
	keys := OneKey(key)
	marks, err := openHeads(keys, heads)
	if err != nil {
		return nil, errors.Join(err, storage.Close())
	}
	return OpenMarked(ctx, storage, signer, keys, marks)
}

// OpenMarked is Open for a log that has had more than one key.
func OpenMarked(ctx context.Context, storage Storage, signer note.Signer, keys Keys, marks []Mark) (*Log, error) {
	log := &Log{
		storage:  storage,
		signer:   signer,
		requests: make(chan *request),
		closing:  make(chan struct{}),
		done:     make(chan struct{}),
	}
	if err := log.start(ctx, keys, marks); err != nil {
		return nil, errors.Join(err, storage.Close())
	}
	// A batch that has begun is carried through, whoever has stopped waiting for it.
	go log.write(context.WithoutCancel(ctx))
	return log, nil
}

func (l *Log) start(ctx context.Context, keys Keys, marks []Mark) error {
	if err := l.read(ctx, keys, marks); err != nil {
		return err
	}
	if err := l.storage.Start(ctx); err != nil {
		return err
	}
	return l.publish(ctx)
}

// read brings the scan to the end of the tree.
func (l *Log) read(ctx context.Context, keys Keys, marks []Mark) error {
	size, root, err := l.storage.Tree(ctx)
	if err != nil {
		return err
	}
	l.scan = newScan(l.storage)
	if _, err := l.storage.ReadCheckpoint(ctx); errors.Is(err, os.ErrNotExist) && size == 0 && len(marks) == 0 {
		return nil
	}
	head, err := l.scan.published(ctx, keys, marks)
	if err != nil {
		return err
	}
	if size < head.Size {
		return fmt.Errorf("%w: the tree has %d records, and a checkpoint of %d was signed", audit.ErrBreak, size, head.Size)
	}
	if err := l.scan.to(ctx, head.Size); err != nil {
		return err
	}
	if l.tail(ctx, size, root) == nil {
		return nil
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := l.storage.Cut(ctx, head.Size, head.Root); err != nil {
		return err
	}
	// The tail has gone into the scan, and a scan only goes forward.
	l.scan = newScan(l.storage)
	return l.scan.to(ctx, head.Size)
}

// tail reads what stands beyond the last checkpoint.
func (l *Log) tail(ctx context.Context, size uint64, root []byte) error {
	if err := l.scan.to(ctx, size); err != nil {
		return err
	}
	return l.matches(size, root)
}

// matches holds the storage's tree against the one that follows from the records.
func (l *Log) matches(size uint64, root []byte) error {
	want, err := l.scan.root()
	if err != nil {
		return err
	}
	if size != l.scan.tree.End() || !bytes.Equal(root, want) {
		return fmt.Errorf("the tree of %d records that was stored is not the one of the %d that were handed over",
			size, l.scan.tree.End())
	}
	return nil
}

// publish signs the tree of the scan.
func (l *Log) publish(ctx context.Context) error {
	root, err := l.scan.root()
	if err != nil {
		return err
	}
	head := Head{Size: l.scan.tree.End(), Root: root}
	checkpoint, err := signHead(head, l.signer)
	if err != nil {
		return err
	}
	if err := l.storage.Publish(ctx, checkpoint); err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.head, l.signed = head, checkpoint
	return nil
}

// Head is the last head that was signed and published.
func (l *Log) Head() Head {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.head
}

// Checkpoint is that head as it was signed.
func (l *Log) Checkpoint() []byte {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return bytes.Clone(l.signed)
}

// Rotate has all heads signed by another signer from now on, the present one first. Between two
// batches it shows that head to next, which returns the new signer. Where next fails nobody knows which
// keys the log has, so the log ends.
func (l *Log) Rotate(ctx context.Context, next func(Head) (note.Signer, error)) error {
	_, err := l.ask(ctx, &request{signer: next, done: make(chan struct{})})
	return err
}

// Append puts records into the log, in their order, and returns them as they stand there, with links
// and hash, each under a published checkpoint. A record whose id is already there is not written
// again: the first one is returned in its place.
//
// Either all are acceptable or none is written. Where the context ends first, nothing is known of
// them; the same call again finds out.
func (l *Log) Append(ctx context.Context, records ...audit.Record) ([]audit.Entry, error) {
	if len(records) > MaxBatch {
		return nil, fmt.Errorf("%d records at once, at most %d", len(records), MaxBatch)
	}
	// As the first of a trail, to see whether each is acceptable. What comes back is a copy: a caller
	// that gives up may do with its records what it likes.
	own := make([]audit.Record, len(records))
	for i := range records {
		var err error
		if own[i], _, err = audit.NewTrail().Append(records[i]); err != nil {
			return nil, fmt.Errorf("record %d: %w", i+1, err)
		}
	}
	return l.ask(ctx, &request{records: own, done: make(chan struct{})})
}

// ask hands a request to the writer and waits for its answer.
func (l *Log) ask(ctx context.Context, asked *request) ([]audit.Entry, error) {
	select {
	case l.requests <- asked:
	case <-l.done:
		return nil, l.failed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	select {
	case <-asked.done:
		return asked.entries, asked.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Close ends the log after the batch that is in flight.
func (l *Log) Close() error {
	l.close.Do(func() { close(l.closing) })
	<-l.done
	if errors.Is(l.failed, errStorage) {
		return l.failed
	}
	return nil
}

// errStorage marks an error that a Close has to tell of.
var errStorage = errors.New("its storage failed")

// write is the one writer. It ends when the log is closed, or with the first batch that fails.
func (l *Log) write(ctx context.Context) {
	defer close(l.done)
	l.failed = ErrClosed
	var left *request
	crowd := false
	for {
		first := left
		if first == nil {
			select {
			case first = <-l.requests:
			case <-l.closing:
				if err := l.storage.Close(); err != nil {
					l.failed = fmt.Errorf("%w: %w: %w", ErrClosed, errStorage, err)
				}
				return
			}
		}
		var batch []*request
		batch, left = l.gather(ctx, first, crowd)
		err := l.batch(ctx, batch)
		if left == nil {
			// Who came meanwhile, before anybody has an answer and asks again.
			left = l.next(ctx, false)
		}
		crowd = len(batch) > 1 || left != nil
		if err != nil {
			l.failed = errors.Join(fmt.Errorf("%w: %w: %w", ErrClosed, errStorage, err), l.storage.Close())
			if left != nil {
				batch = append(batch, left)
			}
			for _, asked := range batch {
				asked.entries, asked.err = nil, l.failed
			}
		}
		for _, asked := range batch {
			close(asked.done)
		}
		if err != nil {
			return
		}
	}
}

// gather takes in whoever waits as well, up to a batch. What no longer fits is left.
func (l *Log) gather(ctx context.Context, first *request, crowd bool) (batch []*request, left *request) {
	batch = []*request{first}
	waiting, cancel := context.WithTimeout(ctx, moment)
	defer cancel()
	for n := len(first.records); ; {
		next := l.next(waiting, crowd && n < fewRecords)
		if next == nil {
			return batch, nil
		}
		n += len(next.records)
		if n > MaxBatch {
			return batch, next
		}
		batch = append(batch, next)
	}
}

// next is a request that is there, or comes before the context ends; nil where there is none.
func (l *Log) next(ctx context.Context, wait bool) *request {
	select {
	case next := <-l.requests:
		return next
	default:
	}
	if !wait {
		return nil
	}
	select {
	case next := <-l.requests:
		return next
	case <-ctx.Done():
		return nil
	}
}

// batch links, stores, compares and publishes. An error means that nobody knows what was stored.
func (l *Log) batch(ctx context.Context, batch []*request) error {
	var entries [][]byte
	fresh := map[uint64]audit.Record{}
	var rotations []func(Head) (note.Signer, error)
	for _, asked := range batch {
		if asked.signer != nil {
			rotations = append(rotations, asked.signer)
		}
		asked.entries = make([]audit.Entry, len(asked.records))
		for i := range asked.records {
			place, found := l.scan.trail.Find(asked.records[i].ID)
			if !found {
				place = l.scan.trail.Size()
				record, raw, err := l.link(asked.records[i])
				if err != nil {
					return err
				}
				fresh[place] = record
				entries = append(entries, raw)
			}
			asked.entries[i] = audit.Entry{Index: place, Record: fresh[place]}
		}
	}
	if len(entries) > 0 {
		if err := l.store(ctx, entries); err != nil {
			return err
		}
	}
	for _, next := range rotations {
		if err := l.rotate(ctx, next); err != nil {
			return err
		}
	}
	for _, asked := range batch {
		for i := range asked.entries {
			if _, written := fresh[asked.entries[i].Index]; written {
				continue
			}
			record, err := l.at(ctx, asked.entries[i].Index)
			if err != nil {
				return err
			}
			asked.entries[i].Record = record
		}
	}
	return nil
}

// rotate changes the signer and signs the present head anew.
func (l *Log) rotate(ctx context.Context, next func(Head) (note.Signer, error)) error {
	signer, err := next(l.Head())
	if err != nil {
		return err
	}
	l.signer = signer
	return l.publish(ctx)
}

// link gives a record its place in its chains and in the tree.
func (l *Log) link(record audit.Record) (audit.Record, []byte, error) {
	record, raw, err := l.scan.trail.Append(record)
	if err != nil {
		return audit.Record{}, nil, err
	}
	return record, raw, l.scan.grow(rfc6962.DefaultHasher.HashLeaf(raw))
}

// store brings a batch onto the disk and under a checkpoint.
func (l *Log) store(ctx context.Context, entries [][]byte) error {
	if err := l.storage.Append(ctx, entries); err != nil {
		return err
	}
	l.scan.full = l.scan.full[:0]
	// The storage promises no order. Where it has another, or another tree, nothing is signed.
	size, root, err := l.storage.Tree(ctx)
	if err != nil {
		return err
	}
	if err := l.matches(size, root); err != nil {
		return err
	}
	return l.publish(ctx)
}

// at reads a record that is in the tree.
func (l *Log) at(ctx context.Context, index uint64) (audit.Record, error) {
	entry, err := ReadEntry(ctx, l.storage, index, l.scan.tree.End())
	return entry.Record, err
}

// ReadEntry reads one entry of a tree of this size, and checks its hash alone.
func ReadEntry(ctx context.Context, reader Reader, index, size uint64) (audit.Entry, error) {
	entries, err := readBundle(ctx, reader, index/layout.EntryBundleWidth, size)
	if err != nil {
		return audit.Entry{}, err
	}
	if index%layout.EntryBundleWidth >= uint64(len(entries)) {
		return audit.Entry{}, fmt.Errorf("%w: record %d is no longer there", audit.ErrBreak, index)
	}
	record, err := audit.Parse(entries[index%layout.EntryBundleWidth])
	return audit.Entry{Index: index, Record: record}, err
}
