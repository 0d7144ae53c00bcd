package writer

import (
	"context"
	"fmt"
	"path/filepath"

	"golang.org/x/mod/sumdb/note"

	"agentpassport.dev/operator/internal/audit"
	"agentpassport.dev/operator/internal/audit/epoch"
	"agentpassport.dev/operator/internal/audit/keys"
	"agentpassport.dev/operator/internal/audit/tlog"
	"agentpassport.dev/operator/internal/audit/tlog/posix"
)

// self is the log as the actor of what nobody asked it for by name.
const self = "agentpassport.dev/auditlog"

// AdoptKeys has the newest of these private keys sign from now on, by way of those between it and the one
// that signs now. Each leaves a key.rotate record, and a statement in the keys file that the key before it
// has signed. Nothing changes where the newest one signs already, so it can be called again after a crash.
func (l *Log) AdoptKeys(ctx context.Context, privates []keys.Private) error {
	l.rotating.Lock()
	defer l.rotating.Unlock()
	for i := range privates {
		if !privates[i].Same(l.active.Public) {
			continue
		}
		for _, next := range privates[i+1:] {
			if err := l.rotate(ctx, next); err != nil {
				return fmt.Errorf("sign with key %s: %w", next.ID(), err)
			}
		}
		return nil
	}
	return fmt.Errorf("%w: key %s signs it", ErrNoKey, l.active.Public)
}

func (l *Log) rotate(ctx context.Context, next keys.Private) error {
	now := l.clock.Now().UTC()
	// The same step after a crash is answered with the record that it left before. The ring refuses keys
	// that cannot follow, and has to be asked before the record says that one did.
	if _, err := l.Ring().Next(l.active, next, l.epoch, l.Head().Size, now); err != nil {
		return err
	}
	if _, err := l.append(ctx, rotated(l.Name(), l.epoch, next.Public, audit.Record{Time: now})); err != nil {
		return err
	}
	return l.log.Rotate(ctx, func(head tlog.Head) (note.Signer, error) {
		ring, err := l.Ring().Next(l.active, next, l.epoch, head.Size, now)
		if err != nil {
			return nil, err
		}
		if err := posix.ReplaceFile(filepath.Join(l.dir, epoch.KeysFile), ring.Encode()); err != nil {
			return nil, err
		}
		l.mu.Lock()
		defer l.mu.Unlock()
		l.ring, l.active = ring, next
		return next.Signer(l.epoch), nil
	})
}

// rotated is the record of a key that signs from now on.
func rotated(name string, number uint64, next keys.Public, record audit.Record) audit.Record {
	origin := keys.Origin(name, number)
	record.Layer, record.Action, record.Outcome = audit.System, audit.KeyRotate, audit.Success
	record.Step = string(audit.KeyRotate) + "/" + next.ID()
	record.Object = audit.Object{Kind: audit.KindAuditLog, Name: origin, UID: audit.LogUID(origin)}
	record.ID = audit.ID(record.Object.UID, record.Step)
	record.Actor = audit.Actor{Username: self}
	record.Facts = &audit.Facts{KeyID: next.ID()}
	return record
}
