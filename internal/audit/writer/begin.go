package writer

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/transparency-dev/tessera/client"

	"agentpassport.dev/operator/internal/audit"
	"agentpassport.dev/operator/internal/audit/epoch"
	"agentpassport.dev/operator/internal/audit/keys"
	"agentpassport.dev/operator/internal/audit/tlog"
	"agentpassport.dev/operator/internal/audit/tlog/posix"
)

// unfinished is the end of the name of a folder that is not an epoch yet.
const unfinished = ".new"

// ErrWhole means that the log holds all that it signed, as far as is known: there is nothing to begin anew.
var ErrWhole = errors.New("nothing of the audit log is lost: no new epoch is begun")

// Begin opens a new epoch in the place of one that was lost, and returns its first record: the lost head,
// what is still there of that tree, the reason, and who did it. It refuses where Open would succeed. What is
// left of the old epoch stays as it is. The log can be opened afterwards, with the same options.
//
// A crash in the middle leaves the log as it was.
func Begin(ctx context.Context, options Options, actor audit.Actor, reason string) (audit.Entry, error) {
	held, err := lock(options.Dir)
	if err != nil {
		return audit.Entry{}, err
	}
	entry, err := begin(ctx, options, actor, reason)
	return entry, errors.Join(err, held.Close())
}

func begin(ctx context.Context, options Options, actor audit.Actor, reason string) (audit.Entry, error) {
	s, err := look(options)
	if err != nil {
		return audit.Entry{}, err
	}
	if s.ring == nil {
		return audit.Entry{}, fmt.Errorf("there is no audit log in %s, and none is mirrored", options.Dir)
	}
	whole, err := open(ctx, options)
	if err == nil {
		return audit.Entry{}, errors.Join(ErrWhole, whole.Close())
	}
	var lost *LostError
	if !errors.As(err, &lost) {
		return audit.Entry{}, err
	}
	active, err := s.sign(options)
	if err != nil {
		return audit.Entry{}, err
	}
	if err := s.save(options.Dir); err != nil {
		return audit.Entry{}, err
	}
	kept := rest(ctx, options.Dir, lost.Epoch)
	record := begun(s.ring.Name(), lost, kept, reason)
	record.Actor, record.Time = actor, options.Clock.Now().UTC()
	return first(ctx, options.Dir, s.ring, active, lost.Epoch+1, record)
}

// begun is the first record of the epoch after a lost one.
func begun(name string, lost *LostError, kept tlog.Head, reason string) audit.Record {
	origin := keys.Origin(name, lost.Epoch+1)
	record := audit.Record{
		Layer: audit.System, Action: audit.EpochBegin, Step: string(audit.EpochBegin), Outcome: audit.Success,
		Object: audit.Object{Kind: audit.KindAuditLog, Name: origin, UID: audit.LogUID(origin)},
		Facts: &audit.Facts{
			Reason: audit.Redact(reason),
			Notes:  fmt.Sprintf("epoch %d: %v", lost.Epoch, lost.Cause),
			Size:   int64(lost.Head.Size), Digest: hex.EncodeToString(lost.Head.Root), //nolint:gosec // G115: no tree has 2^63 records
			Kept: int64(kept.Size), //nolint:gosec // G115: no tree has 2^63 records
		},
	}
	if kept.Size > 0 {
		record.Facts.KeptDigest = hex.EncodeToString(kept.Root)
	}
	record.ID = audit.ID(record.Object.UID, record.Step)
	return record
}

// first makes an epoch with its first record, whole or not at all.
func first(ctx context.Context, dir string, ring *keys.Ring, active keys.Private, number uint64, record audit.Record) (audit.Entry, error) {
	folder := epoch.Folder(dir, number)
	temporary := folder + unfinished
	if err := os.RemoveAll(temporary); err != nil {
		return audit.Entry{}, err
	}
	signer := active.Signer(number)
	storage, err := posix.Open(temporary, signer)
	if err != nil {
		return audit.Entry{}, err
	}
	log, err := tlog.OpenMarked(ctx, storage, signer, ring.Heads(number), nil)
	if err != nil {
		return audit.Entry{}, err
	}
	entries, err := log.Append(ctx, record)
	if err := errors.Join(err, log.Close()); err != nil {
		return audit.Entry{}, err
	}
	if err := os.Rename(temporary, folder); err != nil {
		return audit.Entry{}, err
	}
	entries[0].Epoch = number
	return entries[0], posix.SyncDir(filepath.Clean(dir))
}

// rest is how much of an epoch is there and holds, by its hashes and links alone, and the root of that:
// what the first record of the next epoch says was kept.
func rest(ctx context.Context, dir string, number uint64) tlog.Head {
	reader := client.FileFetcher{Root: epoch.Folder(dir, number)}
	best := tlog.Head{}
	for _, size := range tlog.Sizes(ctx, epoch.Folder(dir, number)) {
		// Its last tiles are named by the size of the tree, and it is not known which of these is there.
		if kept, _ := tlog.VerifyRest(ctx, reader, size, nil, nil); kept.Size > best.Size {
			best = kept
		}
	}
	return best
}
