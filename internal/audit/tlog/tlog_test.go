package tlog_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/transparency-dev/formats/log"
	"github.com/transparency-dev/merkle/proof"
	"github.com/transparency-dev/merkle/rfc6962"
	"github.com/transparency-dev/tessera/api"
	"github.com/transparency-dev/tessera/api/layout"
	"github.com/transparency-dev/tessera/client"
	"github.com/transparency-dev/tessera/fsck"
	"golang.org/x/mod/sumdb/note"

	"agentpassport.dev/operator/internal/audit"
	"agentpassport.dev/operator/internal/audit/tlog"
	"agentpassport.dev/operator/internal/audit/tlog/posix"
)

const origin = "agentpassport.dev/audit/test"

// keys are a signer and its verifier.
func keys(t testing.TB) (note.Signer, note.Verifier) {
	t.Helper()
	signer, key, _, _ := keyTexts(t)
	return signer, key
}

// keyTexts are the same, also as text.
func keyTexts(t testing.TB) (signer note.Signer, key note.Verifier, private, public string) {
	t.Helper()
	private, public, err := note.GenerateKey(rand.Reader, origin)
	if err != nil {
		t.Fatal(err)
	}
	signer, err = note.NewSigner(private)
	if err != nil {
		t.Fatal(err)
	}
	key, err = note.NewVerifier(public)
	if err != nil {
		t.Fatal(err)
	}
	return signer, key, private, public
}

// open opens the log in a folder; the test's end closes it.
func open(t testing.TB, path string, signer note.Signer, key note.Verifier, heads ...[]byte) *tlog.Log {
	t.Helper()
	opened, err := tryOpen(path, signer, key, heads...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = opened.Close()
		awaitTessera(t)
	})
	return opened
}

// awaitTessera waits until no goroutine of Tessera's is left. It ends them by a context, and waits for none: one may
// still write into a folder that the test's end removes.
func awaitTessera(t testing.TB) {
	t.Helper()
	stacks := make([]byte, 1<<20)
	for range 10_000 {
		if !bytes.Contains(stacks[:runtime.Stack(stacks, true)], []byte("tessera/storage/posix.(*Storage)")) {
			return
		}
		runtime.Gosched()
	}
	t.Log("Tessera still works on a log")
}

func tryOpen(path string, signer note.Signer, key note.Verifier, heads ...[]byte) (*tlog.Log, error) {
	storage, err := posix.Open(path, signer)
	if err != nil {
		return nil, err
	}
	return tlog.Open(context.Background(), storage, signer, key, heads...)
}

// record is step n of a passport of agent bot: the issue, then checkpoints.
func record(passport string, n int) audit.Record {
	action, stepName := audit.PassportIssue, string(audit.PassportIssue)
	if n > 0 {
		action = audit.PassportCheckpoint
		stepName = fmt.Sprintf("%s/%d", action, n)
	}
	return audit.Record{
		ID:          audit.ID(passport, stepName),
		Time:        time.Date(2026, 8, 1, 12, 0, n, 0, time.UTC),
		Layer:       audit.Vault,
		Action:      action,
		Step:        stepName,
		Outcome:     audit.Success,
		Namespace:   "support",
		Object:      audit.Object{Kind: "Passport", Name: "mission", UID: passport},
		Agent:       &audit.Agent{Name: "bot", UID: "agent-1", Generation: 3},
		PassportJTI: "pp_" + passport,
		Actor:       audit.Actor{Username: "system:serviceaccount:support:bot"},
		Facts:       &audit.Facts{Summary: "Answer today's tickets", Actions: int64(n)},
	}
}

// mission is n steps of a passport.
func mission(passport string, n int) []audit.Record {
	records := make([]audit.Record, n)
	for i := range records {
		records[i] = record(passport, i)
	}
	return records
}

func add(t testing.TB, to *tlog.Log, records ...audit.Record) []audit.Entry {
	t.Helper()
	entries, err := to.Append(context.Background(), records...)
	if err != nil {
		t.Fatal(err)
	}
	return entries
}

// fill appends missions of five steps each.
func fill(t testing.TB, to *tlog.Log, missions int) []audit.Entry {
	t.Helper()
	var records []audit.Record
	for i := range missions {
		records = append(records, mission(fmt.Sprint("m", i), 5)...)
	}
	var entries []audit.Entry
	for part := range slices.Chunk(records, 120) {
		entries = append(entries, add(t, to, part...)...)
	}
	return entries
}

func checkpoint(t *testing.T, path string) []byte {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(path, "checkpoint"))
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// mustProve holds each entry against the checkpoint, with Tessera's own client and no code of ours.
func mustProve(t *testing.T, path string, key note.Verifier, entries []audit.Entry) {
	t.Helper()
	ctx := context.Background()
	head, _, _, err := log.ParseCheckpoint(checkpoint(t, path), origin, key)
	if err != nil {
		t.Fatal(err)
	}
	reader := client.FileFetcher{Root: path}
	builder, err := client.NewProofBuilder(ctx, head.Size, reader.ReadTile)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		raw, err := audit.Encode(entry.Record)
		if err != nil {
			t.Fatal(err)
		}
		hashes, err := builder.InclusionProof(ctx, entry.Index)
		if err != nil {
			t.Fatalf("record %d of %d: %v", entry.Index, head.Size, err)
		}
		leaf := rfc6962.DefaultHasher.HashLeaf(raw)
		if err := proof.VerifyInclusion(rfc6962.DefaultHasher, entry.Index, head.Size, leaf, hashes, head.Hash); err != nil {
			t.Fatalf("record %d of %d: %v", entry.Index, head.Size, err)
		}
	}
}

func TestAppendAndReopen(t *testing.T) {
	path := t.TempDir()
	signer, key := keys(t)
	first := open(t, path, signer, key)
	entries := add(t, first, mission("a", 3)...)
	entries = append(entries, fill(t, first, 130)...)
	for i := range 10 {
		entries = append(entries, add(t, first, mission(fmt.Sprint("alone", i), 1)...)...)
	}
	if head := first.Head(); head.Size != uint64(len(entries)) {
		t.Fatalf("head of %d records, %d appended", head.Size, len(entries))
	}
	mustProve(t, path, key, entries)
	if _, err := tryOpen(path, signer, key); !errors.Is(err, tlog.ErrInUse) {
		t.Fatalf("a second writer: %v", err)
	}
	before := checkpoint(t, path)
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := first.Append(context.Background(), record("a", 9)); !errors.Is(err, tlog.ErrClosed) {
		t.Fatalf("a closed log answers %v", err)
	}

	second := open(t, path, signer, key, before)
	var asked []audit.Record
	for i, entry := range entries {
		again := entry.Record
		again.PrevHash, again.PrevIssueHash, again.Hash = "", "", ""
		again.Outcome = audit.Failure // a repeat may differ; the first one counts
		if asked = append(asked, again); len(asked) == 300 || i == len(entries)-1 {
			start := i + 1 - len(asked)
			if diff := cmp.Diff(entries[start:i+1], add(t, second, asked...)); diff != "" {
				t.Fatal(diff)
			}
			asked = nil
		}
	}
	if got := second.Head().Size; got != uint64(len(entries)) {
		t.Fatalf("repeats were written: %d records", got)
	}
	next := add(t, second, record("a", 3))[0]
	if next.Record.PrevHash != entries[2].Record.Hash {
		t.Fatal("the chain was not taken up")
	}
	if head, err := tlog.VerifyFolder(context.Background(), path, key, before); err != nil || head.Size != next.Index+1 {
		t.Fatalf("%d records: %v", head.Size, err)
	}
	mustPassFsck(t, path, key)
}

// mustPassFsck checks the folder with Tessera's own tool.
func mustPassFsck(t *testing.T, path string, key note.Verifier) {
	t.Helper()
	leaves := func(raw []byte) ([][]byte, error) {
		var bundle api.EntryBundle
		if err := bundle.UnmarshalText(raw); err != nil {
			return nil, err
		}
		hashes := make([][]byte, len(bundle.Entries))
		for i, entry := range bundle.Entries {
			hashes[i] = rfc6962.DefaultHasher.HashLeaf(entry)
		}
		return hashes, nil
	}
	if err := fsck.New(origin, key, client.FileFetcher{Root: path}, leaves, fsck.Opts{}).Check(context.Background()); err != nil {
		t.Fatal(err)
	}
}

func TestManyWritersOneChain(t *testing.T) {
	path := t.TempDir()
	signer, key := keys(t)
	to := open(t, path, signer, key)
	var all sync.WaitGroup
	for writer := range 64 {
		all.Go(func() {
			for i := range 5 {
				// Two writers at a time ask for the same record, as two replicas would.
				passport := fmt.Sprint("p", writer/2, "-", i)
				if _, err := to.Append(context.Background(), mission(passport, 2)...); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	head, err := tlog.VerifyFolder(context.Background(), path, key)
	if err != nil || head.Size != 32*5*2 {
		t.Fatalf("%d records: %v", head.Size, err)
	}
}

func TestARefusedRecordLeavesTheLogOpen(t *testing.T) {
	path := t.TempDir()
	signer, key := keys(t)
	to := open(t, path, signer, key)
	bad := record("a", 1)
	bad.Actor.Username = ""
	if _, err := to.Append(context.Background(), record("a", 0), bad); !errors.Is(err, audit.ErrRecord) {
		t.Fatalf("got %v", err)
	}
	if got := add(t, to, record("b", 0)); got[0].Index != 0 {
		t.Fatal("half of a refused call was written")
	}
}

func TestAFailedAddEndsTheLog(t *testing.T) {
	path := t.TempDir()
	signer, key := keys(t)
	to := open(t, path, signer, key)
	entries := add(t, to, mission("a", 3)...)
	// A file where the driver needs a folder fails every write, also for root.
	tiles, aside := filepath.Join(path, "tile"), filepath.Join(path, "aside")
	if err := os.Rename(tiles, aside); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(tiles, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := to.Append(context.Background(), record("b", 0)); !errors.Is(err, tlog.ErrClosed) {
		t.Fatalf("the add that failed: %v", err)
	}
	if err := errors.Join(os.Remove(tiles), os.Rename(aside, tiles)); err != nil {
		t.Fatal(err)
	}
	if _, err := to.Append(context.Background(), record("b", 0)); !errors.Is(err, tlog.ErrClosed) {
		t.Fatalf("the add after it: %v", err)
	}
	if to.Close() == nil {
		t.Fatal("Close does not tell of the failure")
	}
	again := open(t, path, signer, key)
	entries = append(entries, add(t, again, record("b", 0))...)
	mustProve(t, path, key, entries)
}

func TestACallerThatGivesUp(t *testing.T) {
	path := t.TempDir()
	signer, key := keys(t)
	to := open(t, path, signer, key)
	gone, cancel := context.WithCancel(context.Background())
	cancel()
	for i := range 20 {
		if _, err := to.Append(gone, record("a", i)); err != nil && !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
	}
	add(t, to, mission("a", 20)...)
	if head, err := tlog.VerifyFolder(context.Background(), path, key); err != nil || head.Size != 20 {
		t.Fatalf("%d records: %v", head.Size, err)
	}
}

// TestAnUnpublishedTail sets the checkpoint back, as a crash between the tree and the checkpoint
// does, once with a whole tail and once with one that does not hold.
func TestAnUnpublishedTail(t *testing.T) {
	for name, spoil := range map[string]bool{"whole": false, "torn": true} {
		t.Run(name, func(t *testing.T) {
			path := t.TempDir()
			signer, key := keys(t)
			to := open(t, path, signer, key)
			kept := add(t, to, mission("a", 5)...)
			old := checkpoint(t, path)
			tail := add(t, to, mission("b", 300)...)
			if err := to.Close(); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(path, "checkpoint"), old, 0o600); err != nil {
				t.Fatal(err)
			}
			if spoil {
				flip(t, filepath.Join(path, layout.EntriesPath(1, 305-256)))
			}
			again := open(t, path, signer, key)
			want := uint64(305)
			if spoil {
				want = 5
			}
			if got := again.Head().Size; got != want {
				t.Fatalf("%d records, want %d", got, want)
			}
			if diff := cmp.Diff(append(kept, tail...), add(t, again, append(mission("a", 5), mission("b", 300)...)...)); diff != "" {
				t.Fatal(diff)
			}
			mustProve(t, path, key, append(kept, tail...))
			mustPassFsck(t, path, key)
		})
	}
}

// flip changes one bit in the middle of a file.
func flip(t *testing.T, path string) {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	raw[len(raw)/2] ^= 1
	if err := os.WriteFile(path, raw, 0o600); err != nil {
		t.Fatal(err)
	}
}

// rewrite changes the entries of the first bundle and nothing else.
func rewrite(t *testing.T, path string, change func([][]byte) [][]byte) {
	t.Helper()
	file := filepath.Join(path, layout.EntriesPath(0, 0))
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var bundle api.EntryBundle
	if err := bundle.UnmarshalText(raw); err != nil {
		t.Fatal(err)
	}
	var out []byte
	for _, entry := range change(bundle.Entries) {
		out = binary.BigEndian.AppendUint16(out, uint16(len(entry)))
		out = append(out, entry...)
	}
	if err := os.WriteFile(file, out, 0o600); err != nil {
		t.Fatal(err)
	}
}

// rebuild makes a whole new log of some of a log's records, in a new folder: what someone does who
// has the signing key and wants the tree to fit.
func rebuild(t *testing.T, from string, fromKey note.Verifier, signer note.Signer, key note.Verifier, change func([]audit.Record) []audit.Record) string {
	t.Helper()
	var records []audit.Record
	head, err := tlog.VerifyFolder(context.Background(), from, fromKey)
	if err != nil {
		t.Fatal(err)
	}
	for index := range (head.Size + 255) / 256 {
		bundle, err := client.GetEntryBundle(context.Background(), client.FileFetcher{Root: from}.ReadEntryBundle, index, head.Size)
		if err != nil {
			t.Fatal(err)
		}
		for _, raw := range bundle.Entries {
			parsed, err := audit.Parse(raw)
			if err != nil {
				t.Fatal(err)
			}
			records = append(records, parsed)
		}
	}
	path := t.TempDir()
	to := open(t, path, signer, key)
	for part := range slices.Chunk(change(records), 300) {
		add(t, to, part...)
	}
	if err := to.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestVerifyFolderFinds(t *testing.T) {
	signer, key := keys(t)
	otherSigner, otherKey := keys(t)
	original := t.TempDir()
	to := open(t, original, signer, key)
	fill(t, to, 120)
	half := checkpoint(t, original)
	halfway := t.TempDir()
	if err := os.CopyFS(halfway, os.DirFS(original)); err != nil {
		t.Fatal(err)
	}
	add(t, to, mission("last", 40)...)
	if err := to.Close(); err != nil {
		t.Fatal(err)
	}
	last := checkpoint(t, original)
	edge := func(path string) string { return filepath.Join(path, layout.EntriesPath(2, 640-512)) }

	for name, test := range map[string]struct {
		// spoil changes a copy of the folder, or returns another one.
		spoil func(t *testing.T, path string) string
		heads [][]byte
		// position of the break; -1 where it has none.
		position int
		why      string
	}{
		"nothing": {func(_ *testing.T, path string) string { return path }, [][]byte{half, last}, -2, ""},
		"a bit of a record": {func(t *testing.T, path string) string {
			rewrite(t, path, func(e [][]byte) [][]byte { e[7][len(e[7])/2] ^= 1; return e })
			return path
		}, nil, 7, ""},
		"a bit of a leaf": {func(t *testing.T, path string) string {
			flip(t, filepath.Join(path, layout.TilePath(0, 0, 0)))
			return path
		}, nil, 128, "leaf"},
		"a bit of an upper tile": {func(t *testing.T, path string) string {
			flip(t, filepath.Join(path, layout.TilePath(1, 0, 2)))
			return path
		}, nil, 256, "level 1"},
		"a record dropped": {func(t *testing.T, path string) string {
			rewrite(t, path, func(e [][]byte) [][]byte { return slices.Delete(e, 3, 4) })
			return path
		}, nil, 3, "leaf"},
		"two records swapped": {func(t *testing.T, path string) string {
			rewrite(t, path, func(e [][]byte) [][]byte { e[3], e[9] = e[9], e[3]; return e })
			return path
		}, nil, 3, "leaf"},
		"the last file gone": {func(t *testing.T, path string) string {
			if err := os.Remove(edge(path)); err != nil {
				t.Fatal(err)
			}
			return path
		}, nil, 512, "cannot be read"},
		"the tail of the last file": {func(t *testing.T, path string) string {
			raw, err := os.ReadFile(edge(path))
			if err != nil {
				t.Fatal(err)
			}
			size := 2 + int(binary.BigEndian.Uint16(raw))
			if err := os.WriteFile(edge(path), raw[:size], 0o600); err != nil {
				t.Fatal(err)
			}
			return path
		}, nil, 513, "missing"},
		"a bit of the checkpoint": {func(t *testing.T, path string) string {
			flip(t, filepath.Join(path, "checkpoint"))
			return path
		}, nil, -1, "not signed"},
		"no checkpoint": {func(t *testing.T, path string) string {
			if err := os.Remove(filepath.Join(path, "checkpoint")); err != nil {
				t.Fatal(err)
			}
			return path
		}, nil, -1, "no checkpoint"},
		"set back as a whole, with a head": {func(*testing.T, string) string { return halfway }, [][]byte{last}, 600, "cut off"},
		"a mission left out and all signed anew": {func(t *testing.T, path string) string {
			return rebuild(t, path, key, signer, key, func(all []audit.Record) []audit.Record {
				return append(all[:5:5], append(all[10:], mission("more", 9)...)...)
			})
		}, [][]byte{half}, 600, "head 1"},
		"another key": {func(t *testing.T, path string) string {
			return rebuild(t, path, key, otherSigner, otherKey, func(all []audit.Record) []audit.Record { return all })
		}, nil, -1, "not signed"},
		"a fork": {func(t *testing.T, _ string) string {
			path := t.TempDir()
			if err := os.CopyFS(path, os.DirFS(halfway)); err != nil {
				t.Fatal(err)
			}
			fork, err := tryOpen(path, signer, key)
			if err != nil {
				t.Fatal(err)
			}
			add(t, fork, mission("other", 50)...)
			if err := fork.Close(); err != nil {
				t.Fatal(err)
			}
			return path
		}, [][]byte{half, last}, 640, "head 2"},
	} {
		t.Run(name, func(t *testing.T) {
			path := t.TempDir()
			if err := os.CopyFS(path, os.DirFS(original)); err != nil {
				t.Fatal(err)
			}
			// Verifying needs the public part alone.
			if err := os.RemoveAll(filepath.Join(path, ".state")); err != nil {
				t.Fatal(err)
			}
			path = test.spoil(t, path)
			_, err := tlog.VerifyFolder(context.Background(), path, key, test.heads...)
			if test.position == -2 {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			if !errors.Is(err, audit.ErrBreak) || !strings.Contains(err.Error(), test.why) {
				t.Fatalf("got %v", err)
			}
			var found *audit.Break
			if errors.As(err, &found) != (test.position >= 0) || found != nil && found.Position != uint64(test.position) {
				t.Fatalf("another place: %v", err)
			}
		})
	}
}

// TestOpenRefuses asks of the writer what VerifyFolder asks of a copy.
func TestOpenRefuses(t *testing.T) {
	signer, key := keys(t)
	_, otherKey := keys(t)
	for name, test := range map[string]struct {
		spoil func(path string) error
		key   note.Verifier
	}{
		"another key":     {func(string) error { return nil }, otherKey},
		"no checkpoint":   {func(path string) error { return os.Remove(filepath.Join(path, "checkpoint")) }, key},
		"no state":        {func(path string) error { return os.RemoveAll(filepath.Join(path, ".state")) }, key},
		"an empty folder": {os.RemoveAll, key},
		"a shorter state": {func(path string) error {
			return os.WriteFile(filepath.Join(path, ".state", "treeState"), []byte(`{"size":2,"root":""}`), 0o600)
		}, key},
		"no entries": {func(path string) error { return os.RemoveAll(filepath.Join(path, "tile", "entries")) }, key},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "log")
			to := open(t, path, signer, key)
			add(t, to, mission("a", 5)...)
			head := checkpoint(t, path)
			if err := to.Close(); err != nil {
				t.Fatal(err)
			}
			awaitTessera(t)
			if err := test.spoil(path); err != nil {
				t.Fatal(err)
			}
			if _, err := tryOpen(path, signer, test.key, head); !errors.Is(err, audit.ErrBreak) {
				t.Fatalf("got %v", err)
			}
		})
	}
}

// counted counts the batches that it stores.
type counted struct {
	tlog.Storage
	batches *int
}

func (c counted) Append(ctx context.Context, entries [][]byte) error {
	*c.batches++
	return c.Storage.Append(ctx, entries)
}

// after is closed after a time of the bubble.
func after(t *testing.T, how time.Duration) <-chan struct{} {
	ctx, cancel := context.WithTimeout(t.Context(), how)
	context.AfterFunc(ctx, cancel)
	return ctx.Done()
}

// Time is that of the bubble: what waits for no clock takes none. Where several ask at once, few records wait
// for more; who asks alone does not.
func TestACrowdSharesBatches(t *testing.T) {
	path := t.TempDir()
	signer, key := keys(t)
	synctest.Test(t, func(t *testing.T) {
		storage, err := posix.Open(path, signer)
		if err != nil {
			t.Fatal(err)
		}
		batches := 0
		to, err := tlog.Open(t.Context(), counted{storage, &batches}, signer, key)
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		for n := range 5 {
			add(t, to, record("alone", n))
		}
		alone := time.Since(began) / 5
		if batches != 5 || alone > 10*time.Millisecond {
			t.Errorf("who asks alone waits %s, in %d batches for 5 records", alone, batches)
		}
		batches = 0
		var all sync.WaitGroup
		for writer := range 4 {
			all.Go(func() {
				for n := range 10 {
					add(t, to, record(fmt.Sprint("crowd-", writer), n))
					// Each in its own time, as the manager's workers come.
					<-after(t, time.Duration(1+writer)*4*time.Millisecond)
				}
			})
		}
		all.Wait()
		if batches > 20 {
			t.Errorf("%d batches for 40 records", batches)
		}
		t.Logf("alone: %s each; a crowd of 4: %d batches for 40 records", alone, batches)
		if err := to.Close(); err != nil {
			t.Error(err)
		}
	})
}

// reversed is a storage that keeps the entries of a call in another order than they came: Tessera
// promises none.
type reversed struct{ tlog.Storage }

func (r reversed) Append(ctx context.Context, entries [][]byte) error {
	slices.Reverse(entries)
	return r.Storage.Append(ctx, entries)
}

func TestAnotherOrderIsNotSigned(t *testing.T) {
	path := t.TempDir()
	signer, key := keys(t)
	first := open(t, path, signer, key)
	kept := add(t, first, mission("a", 3)...)
	signed := checkpoint(t, path)
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	storage, err := posix.Open(path, signer)
	if err != nil {
		t.Fatal(err)
	}
	second, err := tlog.Open(context.Background(), reversed{storage}, signer, key)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := second.Append(context.Background(), mission("b", 3)...); !errors.Is(err, tlog.ErrClosed) {
		t.Fatalf("got %v", err)
	}
	if diff := cmp.Diff(string(signed), string(checkpoint(t, path))); diff != "" {
		t.Fatal(diff)
	}
	third := open(t, path, signer, key)
	if got := third.Head().Size; got != 3 {
		t.Fatalf("%d records", got)
	}
	kept = append(kept, add(t, third, mission("b", 3)...)...)
	mustProve(t, path, key, kept)
	mustPassFsck(t, path, key)
}
