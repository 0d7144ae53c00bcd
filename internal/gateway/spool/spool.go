package spool

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"syscall"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/utils/clock"

	"agentpassport.dev/operator/internal/audit"
)

const (
	// DefaultMaxBytes is how many bytes of records wait at most, where nothing else is asked for.
	DefaultMaxBytes = 256 << 20
	// MinMaxBytes is how many at least: a record has up to 64 KiB.
	MinMaxBytes = 256 << 10
	// maxSegment and minSegment bound how long a segment gets before the next one is begun.
	maxSegment = 4 << 20
	minSegment = 64 << 10
)

var (
	// ErrFull means that there is no room for a record: the log has been away for too long, or the disk is
	// full. Nothing was written.
	ErrFull = errors.New("the audit spool is full")
	// ErrClosed means that the spool takes no more records.
	ErrClosed = errors.New("the audit spool is closed")
	// ErrTooLarge means that a record is longer than the log takes.
	ErrTooLarge = errors.New("the audit record is too large")
)

// AuditAppender takes records, each as JSON, for good: the client of the audit log. A record whose id it knows is
// not written again.
type AuditAppender interface {
	AppendRaw(ctx context.Context, records []json.RawMessage) error
}

// Options are what a spool needs.
type Options struct {
	// Dir is its directory, which is made where it is not there. No other process may have it open.
	Dir string
	// MaxBytes is how many bytes its segments may have together, at least MinMaxBytes; 0: DefaultMaxBytes.
	MaxBytes int64
	// Log is where the records go.
	Log AuditAppender
	// Clock times the waits between attempts.
	Clock clock.WithTicker
	// Logger is told of outages and of damage.
	Logger logr.Logger
	// Metrics, where it is given, gets the metrics agent_passport_gateway_spool_*.
	Metrics prometheus.Registerer
}

// Spool is one open spool. Its methods may be called by any goroutine.
type Spool struct {
	Options
	lock         *os.File
	metrics      *metrics
	segmentBytes int64
	// written is told of records to write, wanted of records to send.
	written, wanted chan struct{}
	// hurry cuts the wait for a log that is away.
	hurry chan struct{}
	// readInto is what the drainer reads into.
	readInto []byte
	stop     context.CancelFunc
	running  sync.WaitGroup

	mu sync.Mutex
	// segments in their order; the last one is written to.
	segments []*segment
	// next gathers the records of the next write; spare is a buffer for the one after.
	next  *commit
	spare []byte
	// writing is how many bytes are being written.
	writing int64
	// sent is how much of the first segment is in the log, in bytes and in records.
	sent        int64
	sentRecords int64
	// broken says that the last write failed: nobody knows what is behind the last segment's size.
	broken bool
	closed bool
	// moved is closed, and replaced, when records have got into the log.
	moved chan struct{}
}

// commit is records that are written together.
type commit struct {
	frames  []byte
	records int64
	// done is closed when they are on disk, or err says why not.
	done chan struct{}
	err  error
}

// Open opens the spool in a directory and begins to send what it finds there. Records that were acknowledged
// are all found; what is no record any more is kept in files beside the segments, and told of loudly.
func Open(options Options) (*Spool, error) {
	if options.MaxBytes == 0 {
		options.MaxBytes = DefaultMaxBytes
	}
	if options.MaxBytes < MinMaxBytes {
		return nil, fmt.Errorf("the audit spool of %d bytes is too small: at least %d", options.MaxBytes, MinMaxBytes)
	}
	if err := os.MkdirAll(options.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("make the audit spool: %w", err)
	}
	lock, err := lockDir(options.Dir)
	if err != nil {
		return nil, err
	}
	s := &Spool{
		Options: options, lock: lock, segmentBytes: min(max(options.MaxBytes/8, minSegment), maxSegment),
		written: make(chan struct{}, 1), wanted: make(chan struct{}, 1), hurry: make(chan struct{}, 1), moved: make(chan struct{}), next: newCommit(nil),
	}
	s.metrics = newMetrics()
	if err := s.restore(); err != nil {
		return nil, errors.Join(fmt.Errorf("open the audit spool in %s: %w", options.Dir, err), s.closeFiles())
	}
	if options.Metrics != nil {
		s.metrics.register(options.Metrics, s.Pending, s.MaxBytes)
	}
	ctx, stop := context.WithCancel(context.Background())
	s.stop = stop
	s.running.Go(func() { s.write(ctx) })
	s.running.Go(func() { s.drain(ctx) })
	return s, nil
}

// lockDir keeps other processes out; the lock goes with the process.
func lockDir(dir string) (*os.File, error) {
	file, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_RDWR|os.O_CREATE, mode) //nolint:gosec // G304: the directory of the spool
	if err != nil {
		return nil, fmt.Errorf("lock the audit spool: %w", err)
	}
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, errors.Join(fmt.Errorf("the audit spool in %s is open in another process: %w", dir, err), file.Close())
	}
	return file, nil
}

// restore finds what a process before has left.
func (s *Spool) restore() error {
	numbers, err := segmentNumbers(s.Dir)
	if err != nil {
		return err
	}
	for i, number := range numbers {
		if i > 0 && number != numbers[i-1]+1 {
			s.Logger.Error(nil, "segments of the audit spool are gone: records may be lost",
				"dir", s.Dir, "after", numbers[i-1], "before", number)
		}
		found, lost, err := openSegment(s.Dir, number, i == len(numbers)-1)
		if err != nil {
			return err
		}
		if lost > 0 {
			s.tellDamage(number, lost)
		}
		s.segments = append(s.segments, found)
	}
	if len(numbers) == 0 {
		first, err := newSegment(s.Dir, 1)
		if err != nil {
			return err
		}
		s.segments = append(s.segments, first)
	}
	s.sent = int64(len(magic))
	return nil
}

func (s *Spool) tellDamage(segment uint64, lost int) {
	s.metrics.damaged.Add(float64(lost))
	s.Logger.Error(nil, "a segment of the audit spool is damaged: what is no record any more is kept in a file beside it; "+
		"the audit log may lack records", "dir", s.Dir, "segment", segment, "bytes", lost, "files", "*"+damagedSuffix)
}

// encoder turns records into JSON with memory that is used again.
type encoder struct {
	buffer bytes.Buffer
	json   *json.Encoder
	record audit.Record
}

var encoders = sync.Pool{New: func() any {
	e := &encoder{}
	e.json = json.NewEncoder(&e.buffer)
	return e
}}

// Append returns once a record is on disk for good. It goes to the log from there. Those who append at the
// same moment wait for one write together. The error is an ErrFull, ErrClosed or ErrTooLarge, and then nothing
// was written; or that of the disk or of the context, and then nobody knows.
func (s *Spool) Append(ctx context.Context, record audit.Record) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	e, _ := encoders.Get().(*encoder)
	defer encoders.Put(e)
	e.buffer.Reset()
	e.record = record
	err := e.json.Encode(&e.record)
	e.record = audit.Record{}
	if err != nil {
		return fmt.Errorf("an audit record: %w", err)
	}
	payload := bytes.TrimSuffix(e.buffer.Bytes(), []byte("\n"))
	if len(payload) > maxPayload {
		return fmt.Errorf("%w: %d bytes, at most %d", ErrTooLarge, len(payload), maxPayload)
	}
	waits, err := s.enqueue(payload)
	if err != nil {
		return err
	}
	select {
	case <-waits.done:
		return waits.err
	case <-ctx.Done():
		return fmt.Errorf("the audit record may not be on disk yet: %w", ctx.Err())
	}
}

// enqueue puts a record among those that are written next.
func (s *Spool) enqueue(payload []byte) (*commit, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, ErrClosed
	}
	if s.used()+int64(frameHeader+len(payload)) > s.MaxBytes {
		s.metrics.full.Inc()
		return nil, fmt.Errorf("%w: %d bytes wait for the audit log", ErrFull, s.used())
	}
	s.next.frames = appendFrame(s.next.frames, payload)
	s.next.records++
	if s.next.records == 1 || s.next.records == fewRecords { // the writer looks at all that wait
		wake(s.written)
	}
	return s.next, nil
}

// used is how many bytes are on disk or on their way there.
func (s *Spool) used() int64 {
	used := s.writing + int64(len(s.next.frames))
	for _, segment := range s.segments {
		used += segment.size
	}
	return used
}

// Pending is how many records, and bytes of them, are on disk and not known to be in the log. After a restart
// some of them may be there.
func (s *Spool) Pending() (records, size int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.pending()
}

func (s *Spool) pending() (records, size int64) {
	for _, segment := range s.segments {
		records += segment.records
		size += segment.size - int64(len(magic))
	}
	return records - s.sentRecords, size - (s.sent - int64(len(magic)))
}

// Drain returns once all that was acknowledged before is in the log. It gives up with the context.
func (s *Spool) Drain(ctx context.Context) error {
	wake(s.hurry)
	for {
		s.mu.Lock()
		records, _ := s.pending()
		moved, closed := s.moved, s.closed
		s.mu.Unlock()
		switch {
		case records == 0:
			return nil
		case closed:
			return fmt.Errorf("%w, and %d audit records wait in %s", ErrClosed, records, s.Dir)
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return fmt.Errorf("%d audit records wait in %s for the audit log: %w", records, s.Dir, ctx.Err())
		}
	}
}

// Close writes what waits to disk and stops. What is not in the log yet stays, for the next Open. A second
// Close does nothing.
func (s *Spool) Close() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil
	}
	s.closed = true
	s.mu.Unlock()
	s.stop()
	s.running.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	close(s.moved)
	s.moved = make(chan struct{})
	if records, _ := s.pending(); records == 0 && !s.broken {
		// So the next process has nothing to repeat.
		_ = s.active().file.Truncate(int64(len(magic)))
	}
	return s.closeFiles()
}

func (s *Spool) closeFiles() error {
	var err error
	for _, segment := range s.segments {
		err = errors.Join(err, segment.file.Close())
	}
	return errors.Join(err, s.lock.Close())
}

func (s *Spool) active() *segment { return s.segments[len(s.segments)-1] }

func wake(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
