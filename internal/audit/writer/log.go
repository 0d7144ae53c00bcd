package writer

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/transparency-dev/tessera/client"
	"k8s.io/utils/clock"

	"agentpassport.dev/operator/internal/audit"
	"agentpassport.dev/operator/internal/audit/epoch"
	"agentpassport.dev/operator/internal/audit/keys"
	"agentpassport.dev/operator/internal/audit/tlog"
	"agentpassport.dev/operator/internal/audit/tlog/posix"
)

// ErrOwnRecord means that a record is of the log itself: it is written by Begin and AdoptKeys alone.
var ErrOwnRecord = errors.New("only the audit log itself writes such a record")

// ErrNoKey means that the private key that signs this log was not given.
var ErrNoKey = errors.New("the private key that signs this audit log is not there")

// Options are what a log is opened with.
type Options struct {
	// Dir is the data directory. It is made where there is none.
	Dir string
	// Keys are the private keys, the newest last. The name of the log is theirs.
	Keys []keys.Private
	// Mirrored is what is kept elsewhere of the log; nil where nothing is.
	Mirrored *epoch.State
	// Clock says since when a key signs and when an epoch began.
	Clock clock.PassiveClock
}

// Log is a log that is open for writing. Its methods may be called by any goroutine.
type Log struct {
	dir   string
	clock clock.PassiveClock
	lock  *os.File
	epoch uint64
	// begun is when the epoch was, zero for the first.
	begun time.Time
	log   *tlog.Log

	// rotating is held by the one who changes the keys.
	rotating sync.Mutex

	mu     sync.RWMutex
	ring   *keys.Ring
	active keys.Private
}

// Open opens the newest epoch of a data directory, and makes the first where there is none. It reads and
// checks all of that epoch. Where that does not hold what it once signed, as its own checkpoint and
// Options.Mirrored show, the error is a LostError. Newer private keys than the one that signs are adopted.
func Open(ctx context.Context, options Options) (*Log, error) {
	held, err := lock(options.Dir)
	if err != nil {
		return nil, err
	}
	l, err := open(ctx, options)
	if err != nil {
		return nil, errors.Join(err, held.Close())
	}
	l.lock = held
	if err := l.AdoptKeys(ctx, options.Keys); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

// open does what Open does, under the lock.
func open(ctx context.Context, options Options) (*Log, error) {
	if len(options.Keys) == 0 {
		return nil, ErrNoKey
	}
	survey, err := look(options)
	if err != nil {
		return nil, err
	}
	if survey.lost != nil {
		return nil, survey.lost
	}
	active, err := survey.sign(options)
	if err != nil {
		return nil, err
	}
	signer := active.Signer(survey.epoch)
	storage, err := posix.Open(epoch.Folder(options.Dir, survey.epoch), signer)
	if err != nil {
		return nil, err
	}
	log, err := tlog.OpenMarked(ctx, storage, signer, survey.ring.Heads(survey.epoch), survey.marks)
	if err != nil {
		if errors.Is(err, audit.ErrBreak) {
			return nil, survey.loses(options.Dir, err)
		}
		return nil, err
	}
	l := &Log{dir: options.Dir, clock: options.Clock, epoch: survey.epoch, log: log, ring: survey.ring, active: active}
	if err := l.readBegin(ctx); err != nil {
		return nil, errors.Join(err, log.Close())
	}
	return l, nil
}

// readBegin finds out when the epoch was begun.
func (l *Log) readBegin(ctx context.Context) error {
	if l.epoch == 1 {
		return nil
	}
	entry, err := tlog.ReadEntry(ctx, client.FileFetcher{Root: epoch.Folder(l.dir, l.epoch)}, 0, l.log.Head().Size)
	if err != nil {
		return err
	}
	if entry.Record.Action != audit.EpochBegin {
		return &LostError{
			Epoch: l.epoch, Head: l.log.Head(),
			Cause: &audit.Break{ID: entry.Record.ID, Why: "the first record of an epoch after the first is not " + string(audit.EpochBegin)},
		}
	}
	l.begun = entry.Record.Time
	return nil
}

// Append is tlog.Log's Append, to the newest epoch. Records of what was done before that was begun are
// marked as replayed, and no others.
func (l *Log) Append(ctx context.Context, records ...audit.Record) ([]audit.Entry, error) {
	marked := make([]audit.Record, len(records))
	for i, record := range records {
		if record.Action == audit.EpochBegin || record.Object.Kind == audit.KindAuditLog {
			return nil, fmt.Errorf("record %d: %w: %s", i+1, ErrOwnRecord, record.Action)
		}
		record.Replayed = record.Time.Before(l.begun)
		marked[i] = record
	}
	return l.append(ctx, marked...)
}

func (l *Log) append(ctx context.Context, records ...audit.Record) ([]audit.Entry, error) {
	entries, err := l.log.Append(ctx, records...)
	for i := range entries {
		entries[i].Epoch = l.epoch
	}
	return entries, err
}

// Epoch is the newest epoch, which is written to.
func (l *Log) Epoch() uint64 { return l.epoch }

// Name is the name of the log, which the origins of its trees begin with.
func (l *Log) Name() string { return l.Ring().Name() }

// Head is the last head that was signed and published.
func (l *Log) Head() tlog.Head { return l.log.Head() }

// Checkpoint is that head as it was signed.
func (l *Log) Checkpoint() []byte { return l.log.Checkpoint() }

// Ring is every key that the log has had.
func (l *Log) Ring() *keys.Ring {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.ring
}

// State is what is to be kept elsewhere of the log, as it is now on disk.
func (l *Log) State() (epoch.State, error) {
	// The keys after the head: a head never comes with keys that are older than it.
	state := epoch.State{Epoch: l.epoch, Checkpoint: l.Checkpoint()}
	witnessed, err := os.ReadFile(filepath.Join(epoch.Folder(l.dir, l.epoch), epoch.WitnessedFile))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return epoch.State{}, err
	}
	ring := l.Ring()
	state.Keys = ring.Encode()
	// What is witnessed may by now be newer than the head that was read first.
	head, err := ring.Heads(l.epoch).OpenHead(state.Checkpoint)
	if err != nil {
		return epoch.State{}, err
	}
	if newest, err := ring.Heads(l.epoch).OpenHead(witnessed); err == nil && newest.Size <= head.Size {
		state.Witnessed = witnessed
	}
	return state, nil
}

// SaveWitnessed puts a head with its cosignatures beside the checkpoint.
func (l *Log) SaveWitnessed(checkpoint []byte) error {
	return posix.ReplaceFile(filepath.Join(epoch.Folder(l.dir, l.epoch), epoch.WitnessedFile), checkpoint)
}

// Epochs are the epochs that can be read, in order. Those whose folder was lost are not among them.
func (l *Log) Epochs() ([]uint64, error) { return epoch.Folders(l.dir) }

// Reader reads an epoch as tlog-tiles lays it out: the newest, or an old one, as far as that is there.
func (l *Log) Reader(number uint64) tlog.Reader {
	return client.FileFetcher{Root: epoch.Folder(l.dir, number)}
}

// Close ends the log after the batch that is in flight.
func (l *Log) Close() error {
	err := l.log.Close()
	if l.lock != nil {
		err = errors.Join(err, l.lock.Close())
	}
	return err
}
