package proof

import (
	"errors"
	"fmt"

	"agentpassport.dev/operator/internal/audit"
	"agentpassport.dev/operator/internal/audit/keys"
)

// errEnough ends the reading of a tree of which no more is vouched for.
var errEnough = errors.New("that is all that was kept")

// walk looks at the records of one epoch as they are read.
type walk struct {
	check  *check
	report Epoch
	// until is how many records are looked at; 0 for all.
	until uint64
	// rotated are the places of the key.rotate records of the log's own keys, by key ID.
	rotated map[string]uint64
	seen    uint64
}

// restart begins again with the first record.
func (w *walk) restart() {
	w.report.Missions, w.seen = 0, 0
	clear(w.rotated)
}

func (w *walk) visit(entry audit.Entry) error {
	record := entry.Record
	own := record.Object.Kind == audit.KindAuditLog
	switch {
	case entry.Index == 0 && w.check.epoch > 1:
		if err := w.begins(record); err != nil {
			return err
		}
		w.check.next = &record
	case record.Action == audit.EpochBegin:
		return &audit.Break{Position: entry.Index, ID: record.ID, Why: "an epoch begins in the middle of a tree"}
	case own && record.Action == audit.KeyRotate:
		w.rotated[record.Facts.KeyID] = entry.Index
	case record.Action == audit.PassportIssue:
		w.report.Missions++
	}
	entry.Epoch = w.check.epoch
	if w.check.Visit != nil {
		if err := w.check.Visit(entry); err != nil {
			return err
		}
	}
	w.seen++
	if w.seen == w.until {
		return errEnough
	}
	return nil
}

// begins checks the first record of an epoch after the first.
func (w *walk) begins(record audit.Record) error {
	origin := keys.Origin(w.check.ring.Name(), w.check.epoch)
	if record.Action != audit.EpochBegin || audit.Check(record) != nil || record.Object.Name != origin {
		return &audit.Break{ID: record.ID, Why: fmt.Sprintf("the first record of epoch %d is not its %s", w.check.epoch, audit.EpochBegin)}
	}
	return nil
}

// keysFit checks that each key which came in during this epoch has left its record, before it signed.
func (w *walk) keysFit(size uint64) error {
	for i, statement := range w.check.ring.Statements() {
		if i == 0 || statement.Epoch != w.check.epoch || statement.From > size {
			continue
		}
		place, found := w.rotated[statement.Key.ID()]
		if !found || place >= statement.From {
			return w.check.broken(fmt.Errorf("key %s signs from size %d on, and no record before that says that it does (%s)",
				statement.Key, statement.From, audit.KeyRotate))
		}
	}
	return nil
}
