package spool

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"agentpassport.dev/operator/internal/audit"
	"agentpassport.dev/operator/internal/audit/client"
	"agentpassport.dev/operator/internal/audit/wire"
)

const (
	// window is how many bytes are read, and sent, at once: well under what a request may have.
	window = wire.MaxBody / 8
	// shortestWait and longestWait bound the waits for a log that is away.
	shortestWait = 100 * time.Millisecond
	longestWait  = 10 * time.Second
)

// drain sends what is on disk to the log until the context ends.
func (s *Spool) drain(ctx context.Context) {
	var away bool
	pause := shortestWait
	for {
		more, err := s.sendNext(ctx)
		if ctx.Err() != nil {
			return
		}
		switch {
		case err != nil:
			s.metrics.failures.Inc()
			if !away {
				away = true
				s.Logger.Error(err, "the audit log does not take records; they wait in the spool", "dir", s.Dir)
			}
			if !s.rest(ctx, pause) {
				return
			}
			pause = min(2*pause, longestWait)
			continue
		case more && away:
			away = false
			s.Logger.Info("the audit log takes records again")
		}
		pause = shortestWait
		if more {
			continue
		}
		select {
		case <-ctx.Done():
			return
		case <-s.wanted:
		}
	}
}

// rest waits, and reports false at the end of the context.
func (s *Spool) rest(ctx context.Context, pause time.Duration) bool {
	timer := s.Clock.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C():
	case <-s.hurry:
	}
	return true
}

// sendNext sends the next records, and reports that there were some, or a segment to leave.
func (s *Spool) sendNext(ctx context.Context) (more bool, err error) {
	s.mu.Lock()
	from, at, size, others := s.segments[0], s.sent, s.segments[0].size, len(s.segments) > 1
	s.mu.Unlock()
	if at >= size {
		if others { // then it is not written to any more
			s.leave(from)
			return true, nil
		}
		// The writer may empty it now.
		wake(s.written)
		return false, nil
	}
	batch, err := s.load(from, at, size)
	if err != nil || len(batch.records) == 0 {
		return true, err
	}
	done, err := s.send(ctx, batch.records)
	if done > 0 {
		s.advance(from, batch.ends[done-1], int64(done))
	}
	return true, err
}

// batch is records of one segment, in their order, and where in it each of them ends.
type batch struct {
	records []json.RawMessage
	ends    []int64
}

// load reads the next records of a segment, up to one that is none any more. Where that comes first, it is kept
// aside, and the batch is empty.
func (s *Spool) load(from *segment, at, size int64) (b batch, err error) {
	end := min(size, at+window)
	s.readInto = slices.Grow(s.readInto[:0], int(end-at))[:end-at]
	raw := s.readInto
	if err := from.read(raw, at); err != nil {
		return b, err
	}
	frames, damage := scan(raw)
	if len(damage) > 0 && damage[0].from == 0 {
		if damage[0].to == len(raw) && end < size {
			damage[0].to -= frameHeader + maxPayload // a good one may begin there, and go on behind what was read
		}
		return b, s.pass(from, at, raw, damage[0])
	}
	if len(damage) > 0 {
		frames = before(frames, damage[0].from)
	}
	for _, frame := range frames {
		if len(b.records) == wire.MaxRecords {
			break
		}
		record := json.RawMessage(frame.payload(raw))
		if !json.Valid(record) {
			if len(b.records) > 0 {
				break
			}
			return b, s.passRecord(from, at, raw, frame)
		}
		b.records, b.ends = append(b.records, record), append(b.ends, at+int64(frame.to))
	}
	return b, nil
}

// before are the frames that end before a byte.
func before(frames []span, end int) []span {
	for i, frame := range frames {
		if frame.to > end {
			return frames[:i]
		}
	}
	return frames
}

// pass keeps aside what was a record when it was written, and is none any more, and goes on behind it.
func (s *Spool) pass(from *segment, at int64, raw []byte, damaged span) error {
	if err := keepAside(segmentPath(s.Dir, from.number), at, raw[damaged.from:damaged.to]); err != nil {
		return err
	}
	s.tellDamage(from.number, damaged.to-damaged.from)
	s.advance(from, at+int64(damaged.to), 0)
	return nil
}

// passRecord sets aside what no version of a record is, and goes on behind it.
func (s *Spool) passRecord(from *segment, at int64, raw []byte, frame span) error {
	const why = "it is no JSON of a record"
	if err := s.setAside(frame.payload(raw), why); err != nil {
		return err
	}
	s.metrics.refused.Inc()
	s.Logger.Error(nil, "a record of the audit spool cannot be read, and is in its file refused", "dir", s.Dir, "why", why)
	s.advance(from, at+int64(frame.to), 1)
	return nil
}

// send appends records to the log, and says how many of them are done with: in the log, or set aside since the
// log will never take them. Of a request that is refused nothing is written, so that a half of it is tried.
func (s *Spool) send(ctx context.Context, records []json.RawMessage) (done int, err error) {
	err = s.Log.AppendRaw(ctx, records)
	var bad *client.BadRecord
	switch {
	case err == nil:
		s.metrics.drained.Add(float64(len(records)))
		return len(records), nil
	case !errors.As(err, &bad) && !errors.Is(err, audit.ErrRecord):
		return 0, err
	case len(records) == 1:
		return s.refuse(records[0], err)
	}
	half := len(records) / 2
	if done, err = s.send(ctx, records[:half]); err != nil {
		return done, err
	}
	rest, err := s.send(ctx, records[half:])
	return done + rest, err
}

// refuse sets a record aside.
func (s *Spool) refuse(raw json.RawMessage, why error) (done int, err error) {
	if err := s.setAside(raw, why.Error()); err != nil {
		return 0, err
	}
	s.metrics.refused.Inc()
	var record audit.Record
	if err := json.Unmarshal(raw, &record); err != nil {
		why = errors.Join(why, err)
	}
	s.Logger.Error(why, "the audit log will never take this record: it is in the file refused of the spool",
		"dir", s.Dir, "id", record.ID, "action", record.Action, "namespace", record.Namespace)
	return 1, nil
}

// advance notes how far the log has got in the first segment.
func (s *Spool) advance(from *segment, to, records int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sent = to
	s.sentRecords += records
	if s.sent >= from.size {
		s.sentRecords = from.records // what is damaged is not waited for
	}
	s.tellMoved()
}

// leave deletes a segment that is in the log. The last one stays.
func (s *Spool) leave(from *segment) {
	s.mu.Lock()
	s.segments = s.segments[1:]
	s.sent, s.sentRecords = int64(len(magic)), 0
	s.tellMoved()
	s.mu.Unlock()
	if err := from.remove(); err != nil {
		s.Logger.Error(err, "a segment of the audit spool could not be deleted; it is sent again after a restart", "dir", s.Dir, "segment", from.number)
	}
}

func (s *Spool) tellMoved() {
	close(s.moved)
	s.moved = make(chan struct{})
}
