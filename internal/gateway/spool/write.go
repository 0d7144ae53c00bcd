package spool

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"time"
)

// What a write costs is its fsync, however many records it has. So where many append at once, a write of few
// records waits a moment for more. Who appends alone, or among few, never waits.
const (
	// crowd is how many records in one write show that many append at once.
	crowd = 4
	// fewRecords in a write are too few to go at once in a crowd.
	fewRecords = 32
	// moment is how long such a write waits at most.
	moment = 2 * time.Millisecond
)

func newCommit(buffer []byte) *commit {
	return &commit{frames: buffer[:0], done: make(chan struct{})}
}

// write puts what waits on disk, until the context ends and nothing waits any longer.
func (s *Spool) write(ctx context.Context) {
	var last int64
	for {
		select {
		case <-ctx.Done():
			s.commit() // nobody can append any more
			return
		case <-s.written:
			if last >= crowd {
				s.gather(ctx)
			}
			if written := s.commit(); written > 0 {
				last = written
			}
		}
	}
}

// gather waits a moment for more records, as long as there are few.
func (s *Spool) gather(ctx context.Context) {
	timer := s.Clock.NewTimer(moment)
	defer timer.Stop()
	for {
		s.mu.Lock()
		waiting := s.next.records
		s.mu.Unlock()
		if waiting == 0 || waiting >= fewRecords { // none: the drainer has woken us
			return
		}
		select {
		case <-s.written:
		case <-timer.C():
			return
		case <-ctx.Done():
			return
		}
	}
}

// commit writes what waits, and says how many records that were. It alone writes.
func (s *Spool) commit() int64 {
	s.mu.Lock()
	s.emptyActive()
	batch := s.next
	if batch.records == 0 {
		s.mu.Unlock()
		return 0
	}
	s.next, s.spare = newCommit(s.spare), nil
	s.writing = int64(len(batch.frames))
	s.mu.Unlock()

	began := s.Clock.Now()
	err := s.store(batch)
	if err == nil {
		s.metrics.commit.Observe(s.Clock.Since(began).Seconds())
		s.metrics.appended.Add(float64(batch.records))
	}

	s.mu.Lock()
	s.writing = 0
	if batch.err = err; err == nil {
		s.active().size += int64(len(batch.frames))
		s.active().records += batch.records
	}
	if cap(batch.frames) <= maxSegment {
		s.spare = batch.frames
	}
	batch.frames = nil
	s.mu.Unlock()
	close(batch.done)
	wake(s.wanted)
	return batch.records
}

// store writes a batch behind what is there. Where that fails nobody knows what is on disk: the next one goes
// into another segment, once what is behind the last good record is cut off.
func (s *Spool) store(batch *commit) error {
	err := s.makeRoom(int64(len(batch.frames)))
	if err == nil {
		s.mu.Lock()
		to := s.active()
		s.mu.Unlock()
		_, err = to.file.WriteAt(batch.frames, to.size)
		if err == nil {
			err = to.file.Sync()
		}
		s.mu.Lock()
		s.broken = err != nil
		s.mu.Unlock()
	}
	switch {
	case err == nil:
		return nil
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		s.metrics.full.Add(float64(batch.records))
		err = fmt.Errorf("%w: %w", ErrFull, err)
	default:
		err = fmt.Errorf("write to the audit spool: %w", err)
	}
	s.Logger.Error(err, "audit records could not be put on disk; the calls that they are of are refused", "dir", s.Dir)
	return err
}

// makeRoom begins another segment where the last one is long enough, or cannot be trusted.
func (s *Spool) makeRoom(more int64) error {
	s.mu.Lock()
	last := s.active()
	s.mu.Unlock()
	if !s.broken && (last.records == 0 || last.size+more <= s.segmentBytes) {
		return nil
	}
	if s.broken {
		if err := errors.Join(last.file.Truncate(last.size), last.file.Sync()); err != nil {
			return err
		}
	}
	next, err := newSegment(s.Dir, last.number+1)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.segments = append(s.segments, next)
	s.broken = false
	return nil
}

// emptyActive takes what is in the log out of the segment that is written to, once that is all of it and much:
// so a spool that keeps up stays in one short file.
func (s *Spool) emptyActive() {
	last := s.active()
	if records, _ := s.pending(); records > 0 || len(s.segments) > 1 || s.broken || last.size < s.segmentBytes/4 {
		return
	}
	if err := last.file.Truncate(int64(len(magic))); err != nil {
		s.Logger.Error(err, "the audit spool could not be emptied; it goes on in another segment", "dir", s.Dir)
		s.broken = true
		return
	}
	last.size, last.records, s.sent, s.sentRecords = int64(len(magic)), 0, int64(len(magic)), 0
}
