package writer_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	testclock "k8s.io/utils/clock/testing"

	"agentpassport.dev/operator/internal/audit"
	"agentpassport.dev/operator/internal/audit/epoch"
	"agentpassport.dev/operator/internal/audit/keys"
	"agentpassport.dev/operator/internal/audit/tlog"
	"agentpassport.dev/operator/internal/audit/writer"
)

const name = "agentpassport.dev/auditlog/test"

var noon = time.Date(2026, 8, 1, 12, 0, 0, 0, time.UTC)

func generate(t testing.TB) keys.Private {
	t.Helper()
	private, err := keys.Generate(rand.Reader, name)
	if err != nil {
		t.Fatal(err)
	}
	return private
}

// options are those of a new log that begins at noon.
func options(t testing.TB) writer.Options {
	t.Helper()
	return writer.Options{
		Dir: t.TempDir(), Keys: []keys.Private{generate(t)}, Clock: testclock.NewFakePassiveClock(noon),
	}
}

func open(t testing.TB, o writer.Options) *writer.Log {
	t.Helper()
	log, err := writer.Open(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = log.Close() })
	return log
}

func closed(t testing.TB, log *writer.Log) {
	t.Helper()
	if err := log.Close(); err != nil {
		t.Fatal(err)
	}
}

// record is the issue of a passport, at some time after noon.
func record(passport string, after time.Duration) audit.Record {
	return audit.Record{
		ID: audit.ID(passport, string(audit.PassportIssue)), Time: noon.Add(after), Layer: audit.Vault,
		Action: audit.PassportIssue, Step: string(audit.PassportIssue), Outcome: audit.Success, Namespace: "support",
		Object:      audit.Object{Kind: "Passport", Name: "mission", UID: passport},
		Agent:       &audit.Agent{Name: "bot", UID: "agent-1"},
		PassportJTI: "pp_" + passport,
		Actor:       audit.Actor{Username: "system:serviceaccount:support:bot"},
	}
}

// fill appends so many issues.
func fill(t testing.TB, log *writer.Log, from, to int) []audit.Entry {
	t.Helper()
	var entries []audit.Entry
	for i := from; i < to; i++ {
		more, err := log.Append(context.Background(), record(fmt.Sprint("p", i), time.Hour))
		if err != nil {
			t.Fatal(err)
		}
		entries = append(entries, more...)
	}
	return entries
}

func state(t testing.TB, log *writer.Log) *epoch.State {
	t.Helper()
	s, err := log.State()
	if err != nil {
		t.Fatal(err)
	}
	return &s
}

// keep copies a directory, to be brought back.
func keep(t testing.TB, dir string) string {
	t.Helper()
	to := filepath.Join(t.TempDir(), "copy")
	if err := os.CopyFS(to, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	return to
}

func bringBack(t testing.TB, copied, dir string) {
	t.Helper()
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(dir, os.DirFS(copied)); err != nil {
		t.Fatal(err)
	}
}

func TestALogGoesOnWhereItEnded(t *testing.T) {
	o := options(t)
	log := open(t, o)
	first := fill(t, log, 0, 3)
	if _, err := writer.Open(context.Background(), o); !errors.Is(err, tlog.ErrInUse) {
		t.Fatalf("a second process gets in: %v", err)
	}
	o.Mirrored = state(t, log)
	closed(t, log)

	log = open(t, o)
	again := fill(t, log, 0, 4)
	for i := range first {
		if again[i].Record.Hash != first[i].Record.Hash || again[i].Epoch != 1 {
			t.Fatalf("record %d is another one: %+v", i, again[i])
		}
	}
	if log.Head().Size != 4 || log.Epoch() != 1 {
		t.Fatalf("epoch %d has %d records", log.Epoch(), log.Head().Size)
	}
}

// lossOf opens a log that is not whole.
func lossOf(t *testing.T, o writer.Options) *writer.LostError {
	t.Helper()
	_, err := writer.Open(context.Background(), o)
	var lost *writer.LostError
	if !errors.As(err, &lost) || !errors.Is(err, audit.ErrBreak) {
		t.Fatalf("it opens, or says other than that it lost records: %v", err)
	}
	for _, word := range []string{"auditlog begin-epoch", fmt.Sprint(lost.Head.Size), hex.EncodeToString(lost.Head.Root)} {
		if !strings.Contains(err.Error(), word) {
			t.Fatalf("%q is not in: %v", word, err)
		}
	}
	return lost
}

func TestWhatIsLostIsRefused(t *testing.T) {
	for name, c := range map[string]struct {
		lose func(t *testing.T, dir, earlier string)
		kept int64
	}{
		"the tail cut: an earlier copy of the folder": {kept: 3, lose: func(t *testing.T, dir, earlier string) {
			bringBack(t, earlier, dir)
		}},
		"the epoch's folder missing": {kept: 0, lose: func(t *testing.T, dir, _ string) {
			if err := os.RemoveAll(epoch.Folder(dir, 1)); err != nil {
				t.Fatal(err)
			}
		}},
		"the volume is new": {kept: 0, lose: func(t *testing.T, dir, _ string) {
			if err := os.RemoveAll(dir); err != nil {
				t.Fatal(err)
			}
		}},
		"a bit flipped in a record": {kept: 0, lose: func(t *testing.T, dir, _ string) {
			paths, err := filepath.Glob(filepath.Join(epoch.Folder(dir, 1), "tile", "entries", "000.p", "6"))
			if err != nil || len(paths) != 1 {
				t.Fatal(paths, err)
			}
			raw, err := os.ReadFile(paths[0])
			if err != nil {
				t.Fatal(err)
			}
			raw[300] ^= 1
			if err := os.WriteFile(paths[0], raw, 0o600); err != nil {
				t.Fatal(err)
			}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			o := options(t)
			log := open(t, o)
			fill(t, log, 0, 3)
			earlier := keep(t, o.Dir)
			fill(t, log, 3, 6)
			o.Mirrored = state(t, log)
			head := log.Head()
			closed(t, log)
			if _, err := writer.Begin(context.Background(), o, audit.Actor{Username: "admin"}, "none"); !errors.Is(err, writer.ErrWhole) {
				t.Fatalf("a whole log is begun anew: %v", err)
			}
			c.lose(t, o.Dir, earlier)

			lost := lossOf(t, o)
			if lost.Epoch != 1 || lost.Head.Size != head.Size || !bytes.Equal(lost.Head.Root, head.Root) {
				t.Fatalf("the lost head is %+v, want %+v", lost, head)
			}
			o.Clock = testclock.NewFakePassiveClock(noon.Add(2 * time.Hour))
			begun, err := writer.Begin(context.Background(), o, audit.Actor{Username: "admin"}, "the disk broke")
			if err != nil {
				t.Fatal(err)
			}
			facts := begun.Record.Facts
			if begun.Epoch != 2 || begun.Index != 0 || begun.Record.Action != audit.EpochBegin ||
				begun.Record.Actor.Username != "admin" || facts.Reason != "the disk broke" ||
				facts.Size != 6 || facts.Digest != hex.EncodeToString(head.Root) || facts.Kept != c.kept {
				t.Fatalf("%+v %+v", begun, facts)
			}

			log = open(t, o)
			replayed, err := log.Append(context.Background(), record("p1", time.Hour), record("new", 3*time.Hour))
			if err != nil {
				t.Fatal(err)
			}
			if !replayed[0].Record.Replayed || replayed[1].Record.Replayed || replayed[0].Epoch != 2 {
				t.Fatalf("%+v", replayed)
			}
			o.Mirrored = state(t, log)
			closed(t, log)
			closed(t, open(t, o))
		})
	}
}

func TestOnlyTheLogWritesItsOwnRecords(t *testing.T) {
	log := open(t, options(t))
	forged := record("p", 0)
	forged.Object = audit.Object{Kind: audit.KindAuditLog, Name: name + "/1", UID: audit.LogUID(name + "/1")}
	forged.Action, forged.Step, forged.Layer, forged.PassportJTI, forged.Agent = audit.KeyRotate, "key.rotate/x", audit.System, "", nil
	forged.ID = audit.ID(forged.Object.UID, forged.Step)
	forged.Facts = &audit.Facts{KeyID: "x", Reason: "x"}
	for _, action := range []audit.Action{audit.KeyRotate, audit.EpochBegin} {
		forged.Action = action
		if _, err := log.Append(context.Background(), forged); !errors.Is(err, writer.ErrOwnRecord) {
			t.Errorf("%s: %v", action, err)
		}
	}
}

func TestANewKeySignsFromItsRecordOn(t *testing.T) {
	o := options(t)
	log := open(t, o)
	fill(t, log, 0, 2)
	old := state(t, log)
	second, third := generate(t), generate(t)
	o.Keys = append(o.Keys, second)
	if err := log.AdoptKeys(context.Background(), o.Keys); err != nil {
		t.Fatal(err)
	}
	if err := log.AdoptKeys(context.Background(), o.Keys); err != nil { // nothing is left to do
		t.Fatal(err)
	}
	if log.Head().Size != 3 || !log.Ring().Active().Same(second.Public) {
		t.Fatalf("%d records, key %s", log.Head().Size, log.Ring().Active())
	}
	fill(t, log, 2, 4)
	o.Mirrored = state(t, log)
	closed(t, log)

	// The old private key is needed no more, and the third comes in at a start.
	o.Keys = []keys.Private{second, third}
	log = open(t, o)
	ring := log.Ring()
	if !ring.Active().Same(third.Public) || len(ring.Statements()) != 3 {
		t.Fatalf("%s of %d", ring.Active(), len(ring.Statements()))
	}
	heads := ring.Heads(1)
	for _, raw := range [][]byte{old.Checkpoint, o.Mirrored.Checkpoint, log.Checkpoint()} {
		if _, err := heads.OpenHead(raw); err != nil {
			t.Errorf("a head of its time no longer verifies: %v", err)
		}
	}
	// A retired key signs nothing that is larger than what it saw.
	late := forge(t, o.Keys[0], 1, 100)
	if _, err := heads.OpenHead(late); err == nil {
		t.Error("a retired key signs on")
	}
	if _, err := ring.Heads(2).OpenHead(log.Checkpoint()); err == nil {
		t.Error("a head of one epoch passes for one of another")
	}
	closed(t, log)

	o.Keys = []keys.Private{second}
	if _, err := writer.Open(context.Background(), o); !errors.Is(err, writer.ErrNoKey) {
		t.Fatalf("it opens without the key that signs: %v", err)
	}
}

func TestKeysThatDoNotHoldAreRefused(t *testing.T) {
	o := options(t)
	log := open(t, o)
	fill(t, log, 0, 2)
	o.Mirrored = state(t, log)
	closed(t, log)
	path := filepath.Join(o.Dir, epoch.KeysFile)
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for name, other := range map[string]string{
		"a time changed":      strings.Replace(string(raw), "2026-08-01", "2026-08-02", 1),
		"a status changed":    strings.Replace(string(raw), "active", "retired", 1),
		"a field more":        strings.Replace(string(raw), `"name"`, `"note": 1, "name"`, 1),
		"cut":                 string(raw[:len(raw)/2]),
		"rebuilt by another":  string(state(t, open(t, options(t))).Keys),
		"of another log size": strings.Replace(string(raw), `"from": 0`, `"from": 1`, 1),
	} {
		if other == string(raw) {
			t.Fatalf("%s: nothing changed", name)
		}
		if err := os.WriteFile(path, []byte(other), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := writer.Open(context.Background(), o); !errors.Is(err, keys.ErrRing) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestACrashInARotation opens the log as it is at each point of one.
func TestACrashInARotation(t *testing.T) {
	o := options(t)
	log := open(t, o)
	fill(t, log, 0, 2)
	path := filepath.Join(o.Dir, epoch.KeysFile)
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	old := o.Keys[0]
	o.Keys = append(o.Keys, generate(t))
	if err := log.AdoptKeys(context.Background(), o.Keys); err != nil {
		t.Fatal(err)
	}
	after, head := log.Ring().Encode(), log.Head()
	closed(t, log)
	for name, ring := range map[string][]byte{
		"after the record, before the keys file": before,
		"after the keys file, before the head":   after,
	} {
		t.Run(name, func(t *testing.T) {
			o := o
			o.Dir = keep(t, o.Dir)
			// The head of this moment, as the old key has signed it.
			signed := signHead(t, old, head)
			if err := errors.Join(os.WriteFile(filepath.Join(o.Dir, epoch.KeysFile), ring, 0o600),
				os.WriteFile(filepath.Join(epoch.Folder(o.Dir, 1), "checkpoint"), signed, 0o600)); err != nil {
				t.Fatal(err)
			}
			log := open(t, o)
			if log.Head().Size != head.Size || len(log.Ring().Statements()) != 2 || !log.Ring().Active().Same(o.Keys[1].Public) {
				t.Fatalf("%d records, %d keys", log.Head().Size, len(log.Ring().Statements()))
			}
		})
	}
}

// TestACrashInABegin opens the log with what is left of an epoch that was not finished.
func TestACrashInABegin(t *testing.T) {
	o := options(t)
	log := open(t, o)
	fill(t, log, 0, 2)
	closed(t, log)
	left := epoch.Folder(o.Dir, 2) + ".new"
	if err := os.CopyFS(left, os.DirFS(epoch.Folder(o.Dir, 1))); err != nil {
		t.Fatal(err)
	}
	log = open(t, o)
	if log.Epoch() != 1 {
		t.Fatalf("epoch %d is open", log.Epoch())
	}
	fill(t, log, 2, 4)
	o.Mirrored = state(t, log)
	closed(t, log)
	if err := os.RemoveAll(epoch.Folder(o.Dir, 1)); err != nil {
		t.Fatal(err)
	}
	if _, err := writer.Begin(context.Background(), o, audit.Actor{Username: "admin"}, "again"); err != nil {
		t.Fatal(err)
	}
	log = open(t, o)
	if log.Epoch() != 2 || log.Head().Size != 1 {
		t.Fatalf("epoch %d has %d records", log.Epoch(), log.Head().Size)
	}
}
