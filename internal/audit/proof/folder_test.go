package proof_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/transparency-dev/formats/log"
	"github.com/transparency-dev/tessera/api"
	"github.com/transparency-dev/tessera/client"
	"golang.org/x/mod/sumdb/note"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	testclock "k8s.io/utils/clock/testing"
	"sigs.k8s.io/yaml"

	"agentpassport.dev/operator/internal/audit"
	"agentpassport.dev/operator/internal/audit/epoch"
	"agentpassport.dev/operator/internal/audit/keys"
	"agentpassport.dev/operator/internal/audit/proof"
	"agentpassport.dev/operator/internal/audit/tlog"
	"agentpassport.dev/operator/internal/audit/tlog/posix"
	"agentpassport.dev/operator/internal/audit/writer"
)

const logName = "agentpassport.dev/auditlog/test"

var noon = time.Date(2026, 8, 1, 12, 0, 0, 0, time.UTC)

func generate(t testing.TB) keys.Private {
	t.Helper()
	private, err := keys.Generate(rand.Reader, logName)
	if err != nil {
		t.Fatal(err)
	}
	return private
}

func options(t testing.TB) writer.Options {
	t.Helper()
	return writer.Options{Dir: t.TempDir(), Keys: []keys.Private{generate(t)}, Clock: testclock.NewFakePassiveClock(noon)}
}

func open(t testing.TB, o writer.Options) *writer.Log {
	t.Helper()
	opened, err := writer.Open(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = opened.Close() })
	return opened
}

// mission is the issue, a checkpoint and the checkout of a passport.
func mission(uid string) []audit.Record {
	records := make([]audit.Record, 3)
	for i, action := range []audit.Action{audit.PassportIssue, audit.PassportCheckpoint, audit.PassportCheckout} {
		records[i] = audit.Record{
			ID: audit.ID(uid, string(action)), Time: noon.Add(time.Duration(i) * time.Minute), Layer: audit.Vault,
			Action: action, Step: string(action), Outcome: audit.Success, Namespace: "support",
			Object:      audit.Object{Kind: "Passport", Name: "mission", UID: uid},
			Agent:       &audit.Agent{Name: "bot", UID: "agent-1"},
			PassportJTI: "pp_" + uid,
			Actor:       audit.Actor{Username: "system:serviceaccount:support:bot"},
		}
	}
	return records
}

// fill appends missions m<from> to m<to>.
func fill(t testing.TB, to *writer.Log, from, until int) {
	t.Helper()
	var records []audit.Record
	for i := from; i < until; i++ {
		records = append(records, mission(fmt.Sprint("m", i))...)
	}
	for part := range slices.Chunk(records, 120) {
		if _, err := to.Append(context.Background(), part...); err != nil {
			t.Fatal(err)
		}
	}
}

func copied(t testing.TB, dir string) string {
	t.Helper()
	to := filepath.Join(t.TempDir(), "copy")
	if err := os.CopyFS(to, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	return to
}

// manifest is the mirrored state as kubectl prints it.
func manifest(t testing.TB, from *writer.Log) []byte {
	t.Helper()
	state, err := from.State()
	if err != nil {
		t.Fatal(err)
	}
	raw, err := yaml.Marshal(corev1.ConfigMap{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "ConfigMap"},
		ObjectMeta: metav1.ObjectMeta{Name: "agent-passport-auditlog", ResourceVersion: "17"},
		Data:       map[string]string{"epoch": fmt.Sprint(state.Epoch), "checkpoint": string(state.Checkpoint), "keys.json": string(state.Keys)},
	})
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func known(t testing.TB, from string, raw []byte) proof.Known {
	t.Helper()
	k, err := proof.ParseKnown(from, raw)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// entries are the records of a folder, as they are written.
func entries(t testing.TB, dir string, number uint64) [][]byte {
	t.Helper()
	reader := client.FileFetcher{Root: epoch.Folder(dir, number)}
	size := tlog.Sizes(context.Background(), epoch.Folder(dir, number))[0]
	var all [][]byte
	for index := range (size + 255) / 256 {
		bundle, err := client.GetEntryBundle(context.Background(), reader.ReadEntryBundle, index, size)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, bundle.Entries...)
	}
	return all
}

// sign makes a tree of any bytes and signs it: what a log does that lies.
func sign(t testing.TB, dir string, private keys.Private, number uint64, raw [][]byte) {
	t.Helper()
	path := epoch.Folder(dir, number)
	if err := os.RemoveAll(path); err != nil {
		t.Fatal(err)
	}
	signer := private.Signer(number)
	storage, err := posix.Open(path, signer)
	if err != nil {
		t.Fatal(err)
	}
	if err := storage.Start(context.Background()); err != nil {
		t.Fatal(err)
	}
	for part := range slices.Chunk(raw, 500) {
		if err := storage.Append(context.Background(), part); err != nil {
			t.Fatal(err)
		}
	}
	size, root, err := storage.Tree(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	text := log.Checkpoint{Origin: signer.Name(), Size: size, Hash: root}.Marshal()
	signed, err := note.Sign(&note.Note{Text: string(text)}, signer)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(storage.Publish(context.Background(), signed), storage.Close()); err != nil {
		t.Fatal(err)
	}
	if !slices.EqualFunc(entries(t, dir, number), raw, bytes.Equal) {
		t.Fatal("Tessera has put them in another order")
	}
}

// relinked are records with their links assigned anew.
func relinked(t testing.TB, raw [][]byte) [][]byte {
	t.Helper()
	trail := audit.NewTrail()
	var all [][]byte
	for _, entry := range raw {
		record, err := audit.Parse(entry)
		if err != nil {
			t.Fatal(err)
		}
		_, again, err := trail.Append(record)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, again)
	}
	return all
}

func spoil(t testing.TB, path string, change func([]byte) []byte) {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, change(raw), 0o600); err != nil {
		t.Fatal(err)
	}
}

func bundlePath(dir string, number uint64, name ...string) string {
	return filepath.Join(append([]string{epoch.Folder(dir, number), "tile", "entries"}, name...)...)
}

// without are the records without those of one passport.
func without(t testing.TB, raw [][]byte, jti string) [][]byte {
	t.Helper()
	return slices.DeleteFunc(slices.Clone(raw), func(entry []byte) bool {
		record, err := audit.Parse(entry)
		if err != nil {
			t.Fatal(err)
		}
		return record.PassportJTI == jti
	})
}

func TestFolderFindsTheFirstBreak(t *testing.T) {
	o := options(t)
	original := open(t, o)
	fill(t, original, 0, 10)
	early := copied(t, o.Dir)
	earlyHead := original.Checkpoint()
	fill(t, original, 10, 100)
	head, mirrored := original.Checkpoint(), manifest(t, original)
	if err := original.Close(); err != nil {
		t.Fatal(err)
	}
	private := o.Keys[0]
	heads := []proof.Known{known(t, "mirror.yaml", mirrored), known(t, "early", earlyHead)}
	raw := entries(t, o.Dir, 1)

	other := options(t)
	stranger := open(t, other)
	fill(t, stranger, 0, 100)
	if err := stranger.Close(); err != nil {
		t.Fatal(err)
	}
	lie := func(change func([][]byte) [][]byte) func(*testing.T, string) string {
		return func(t *testing.T, dir string) string {
			sign(t, dir, private, 1, change(slices.Clone(raw)))
			return dir
		}
	}
	const nowhere = -1
	for name, c := range map[string]struct {
		spoil    func(t *testing.T, dir string) string
		heads    []proof.Known
		position int
		id, why  string
	}{
		"a bit flipped": {func(t *testing.T, dir string) string {
			spoil(t, bundlePath(dir, 1, "000"), func(raw []byte) []byte { raw[4000] ^= 1; return raw })
			return dir
		}, nil, 7, "", ""},
		"a record dropped from the files": {func(t *testing.T, dir string) string {
			spoil(t, bundlePath(dir, 1, "000"), func(text []byte) []byte {
				var bundle api.EntryBundle
				if err := bundle.UnmarshalText(text); err != nil {
					t.Fatal(err)
				}
				cut := 2 + len(bundle.Entries[0])
				return append(slices.Clone(text[:cut]), text[cut+2+len(bundle.Entries[1]):]...)
			})
			return dir
		}, nil, 1, idOf(t, raw[2]), "its leaf"},
		"a record dropped by the log": {
			lie(func(all [][]byte) [][]byte { return slices.Delete(all, 4, 5) }),
			nil, 4, idOf(t, raw[5]), "prev_hash",
		},
		"two swapped by the log": {
			lie(func(all [][]byte) [][]byte { all[4], all[5] = all[5], all[4]; return all }),
			nil, 4, idOf(t, raw[5]), "prev_hash",
		},
		"a mission left out by the log": {
			lie(func(all [][]byte) [][]byte { return without(t, all, "pp_m3") }),
			nil, 9, idOf(t, raw[12]), "prev_issue_hash",
		},
		"a mission left out, all links anew": {
			lie(func(all [][]byte) [][]byte { return relinked(t, without(t, all, "pp_m3")) }),
			[]proof.Known{heads[1]},
			30, "", "the head in early",
		},
		"the tail cut": {
			func(*testing.T, string) string { return early },
			heads, 30, "", "its tail was cut off",
		},
		"the ConfigMap's head ahead": {
			func(*testing.T, string) string { return early },
			heads[:1], 30, "", "the head in mirror.yaml of 300",
		},
		"the log rebuilt with another key": {
			func(*testing.T, string) string { return copied(t, other.Dir) },
			nil, nowhere, "", "this log was signed with others",
		},
		"rebuilt with another key, its keys file left": {func(t *testing.T, dir string) string {
			sign(t, dir, other.Keys[0], 1, raw)
			return dir
		}, nil, nowhere, "", "not signed with any key"},
		"a fork: the folder and a head": {
			lie(func(all [][]byte) [][]byte {
				return relinked(t, append(all[:297:297], rawOf(t, mission("other"))...))
			}),
			heads, 300, "", "the head in mirror.yaml",
		},
		"the keys file tampered with": {func(t *testing.T, dir string) string {
			spoil(t, filepath.Join(dir, epoch.KeysFile), func(raw []byte) []byte {
				return []byte(strings.Replace(string(raw), `"epoch": 1`, `"epoch": 2`, 1))
			})
			return dir
		}, nil, nowhere, "", "other than its statements"},
		"the keys file gone": {func(t *testing.T, dir string) string {
			if err := os.Remove(filepath.Join(dir, epoch.KeysFile)); err != nil {
				t.Fatal(err)
			}
			return dir
		}, nil, nowhere, "", "keys.json is missing"},
		"the epoch's folder missing": {func(t *testing.T, dir string) string {
			if err := os.RemoveAll(epoch.Folder(dir, 1)); err != nil {
				t.Fatal(err)
			}
			return dir
		}, heads[:1], nowhere, "", "its folder epoch-1 is missing"},
		"an epoch out of nowhere": {func(t *testing.T, dir string) string {
			sign(t, dir, private, 2, raw[:3])
			return dir
		}, nil, 0, idOf(t, raw[0]), "not its epoch.begin"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := c.spoil(t, copied(t, o.Dir))
			_, err := proof.Folder(t.Context(), proof.Options{Dir: dir, Key: private.Public, Known: c.heads})
			var broken *proof.Break
			if !errors.As(err, &broken) || !errors.Is(err, audit.ErrBreak) || !strings.Contains(err.Error(), c.why) {
				t.Fatalf("got %v", err)
			}
			position, id, placed := broken.Place()
			if placed != (c.position != nowhere) || placed && position != uint64(c.position) || c.id != "" && id != c.id {
				t.Fatalf("another place, %d %s: %v", position, id, err)
			}
		})
	}

	t.Run("a fork: two heads of one size", func(t *testing.T) {
		dir := copied(t, o.Dir)
		sign(t, dir, private, 1, relinked(t, append(slices.Clone(raw[:297]), rawOf(t, mission("other"))...)))
		forked, err := os.ReadFile(filepath.Join(epoch.Folder(dir, 1), "checkpoint"))
		if err != nil {
			t.Fatal(err)
		}
		_, err = proof.Folder(t.Context(), proof.Options{
			Dir: o.Dir, Key: private.Public, Known: []proof.Known{known(t, "a", head), known(t, "b", forked)},
		})
		if !errors.Is(err, audit.ErrBreak) || !strings.Contains(err.Error(), "a fork: the head in a and the head in b") {
			t.Fatal(err)
		}
	})
	t.Run("whole", func(t *testing.T) {
		report, err := proof.Folder(t.Context(), proof.Options{Dir: o.Dir, Key: private.Public, Known: heads})
		if err != nil {
			t.Fatal(err)
		}
		if len(report.Epochs) != 1 || report.Epochs[0].Records != 300 || report.Epochs[0].Missions != 100 || len(report.Heads) != 2 {
			t.Fatalf("%+v", report)
		}
	})
	t.Run("no such folder", func(t *testing.T) {
		for _, dir := range []string{t.TempDir(), filepath.Join(t.TempDir(), "none")} {
			if _, err := proof.Folder(t.Context(), proof.Options{Dir: dir, Key: private.Public}); err == nil || errors.Is(err, audit.ErrBreak) {
				t.Fatal(err)
			}
		}
	})
}

func idOf(t testing.TB, raw []byte) string {
	t.Helper()
	record, err := audit.Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	return record.ID
}

// rawOf are records of a trail of their own.
func rawOf(t testing.TB, records []audit.Record) [][]byte {
	t.Helper()
	trail := audit.NewTrail()
	var all [][]byte
	for _, record := range records {
		_, raw, err := trail.Append(record)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, raw)
	}
	return all
}

// twoEpochs is a log of which the last 30 of 60 records were lost, and that went on.
func twoEpochs(t *testing.T) (o writer.Options, lostHead []byte, again proof.Known) {
	t.Helper()
	o = options(t)
	first := open(t, o)
	fill(t, first, 0, 10)
	early := copied(t, o.Dir)
	fill(t, first, 10, 20)
	state, err := first.State()
	if err != nil {
		t.Fatal(err)
	}
	lostHead, o.Mirrored = first.Checkpoint(), &state
	if err := errors.Join(first.Close(), os.RemoveAll(o.Dir), os.CopyFS(o.Dir, os.DirFS(early))); err != nil {
		t.Fatal(err)
	}
	o.Clock = testclock.NewFakePassiveClock(noon.Add(time.Hour))
	if _, err := writer.Begin(t.Context(), o, audit.Actor{Username: "admin"}, "the disk broke"); err != nil {
		t.Fatal(err)
	}
	second := open(t, o)
	fill(t, second, 8, 30)
	again = known(t, "mirror.yaml", manifest(t, second))
	if err := second.Close(); err != nil {
		t.Fatal(err)
	}
	return o, lostHead, again
}

func TestALossIsSaidAndNothingMoreIsLost(t *testing.T) {
	o, lostHead, mirrored := twoEpochs(t)
	private := o.Keys[0]
	verify := func(dir string, more ...proof.Known) (*proof.Report, error) {
		return proof.Folder(t.Context(), proof.Options{Dir: dir, Key: private.Public, Known: append(more, mirrored)})
	}
	report, err := verify(o.Dir, known(t, "lost", lostHead))
	if err != nil {
		t.Fatal(err)
	}
	lost := report.Epochs[0].Lost
	if len(report.Epochs) != 2 || lost == nil || lost.Records != 60 || lost.Kept != 30 || lost.Actor != "admin" ||
		lost.Reason != "the disk broke" || report.Epochs[0].Records != 30 || report.Epochs[1].Records != 67 || len(report.Notes) != 1 {
		t.Fatalf("%+v %+v", report, lost)
	}

	for name, c := range map[string]struct {
		spoil func(t *testing.T, dir string)
		more  []proof.Known
		why   string
	}{
		"the rest of the old epoch gone too": {func(t *testing.T, dir string) {
			if err := os.RemoveAll(epoch.Folder(dir, 1)); err != nil {
				t.Fatal(err)
			}
		}, nil, "30 records of it were still there"},
		"the rest cut further": {func(t *testing.T, dir string) {
			sign(t, dir, private, 1, entries(t, dir, 1)[:12])
		}, nil, "epoch 1"},
		"the rest written anew": {func(t *testing.T, dir string) {
			raw := entries(t, dir, 1)
			sign(t, dir, private, 1, relinked(t, append(slices.Clone(raw[:27]), rawOf(t, mission("other"))...)))
		}, nil, "the first record of the next epoch"},
		"a bit flipped in the rest": {func(t *testing.T, dir string) {
			paths, err := filepath.Glob(bundlePath(dir, 1, "000.p", "30"))
			if err != nil || len(paths) != 1 {
				t.Fatal(paths, err)
			}
			spoil(t, paths[0], func(raw []byte) []byte { raw[900] ^= 1; return raw })
		}, nil, "epoch 1: the trail is broken at record 1"},
		"the new epoch gone": {func(t *testing.T, dir string) {
			if err := os.RemoveAll(epoch.Folder(dir, 2)); err != nil {
				t.Fatal(err)
			}
		}, nil, "epoch 2: its folder epoch-2 is missing"},
		"more was signed than was said": {
			func(*testing.T, string) {},
			[]proof.Known{{From: "more", Checkpoints: [][]byte{head(t, private, 1, 61, 7)}}},
			"61 records, and epoch 2 says",
		},
		"another was signed than was said": {
			func(*testing.T, string) {},
			[]proof.Known{{From: "other", Checkpoints: [][]byte{head(t, private, 1, 60, 7)}}},
			"a fork",
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := copied(t, o.Dir)
			c.spoil(t, dir)
			if _, err := verify(dir, c.more...); !errors.Is(err, audit.ErrBreak) || !strings.Contains(err.Error(), c.why) {
				t.Fatalf("got %v", err)
			}
		})
	}
}

// head is a signed head of a tree that does not exist.
func head(t testing.TB, private keys.Private, number, size uint64, fill byte) []byte {
	t.Helper()
	root := make([]byte, 32)
	for i := range root {
		root[i] = fill
	}
	text := log.Checkpoint{Origin: keys.Origin(logName, number), Size: size, Hash: root}.Marshal()
	signed, err := note.Sign(&note.Note{Text: string(text)}, private.Signer(number))
	if err != nil {
		t.Fatal(err)
	}
	return signed
}

// TestAnyKeyOfTheChainWillDo pins each key in turn.
func TestAnyKeyOfTheChainWillDo(t *testing.T) {
	o := options(t)
	o.Keys = append(o.Keys, generate(t))
	opened := open(t, o)
	fill(t, opened, 0, 3)
	o.Keys = append(o.Keys, generate(t))
	if err := opened.AdoptKeys(t.Context(), o.Keys); err != nil {
		t.Fatal(err)
	}
	fill(t, opened, 3, 5)
	if err := opened.Close(); err != nil {
		t.Fatal(err)
	}
	for i, private := range o.Keys {
		report, err := proof.Folder(t.Context(), proof.Options{Dir: o.Dir, Key: private.Public})
		if err != nil || len(report.Keys) != 3 {
			t.Errorf("key %d: %v", i+1, err)
		}
	}
	if _, err := proof.Folder(t.Context(), proof.Options{Dir: o.Dir, Key: generate(t).Public}); !errors.Is(err, audit.ErrBreak) {
		t.Errorf("a key that is none: %v", err)
	}

	// A key that came in without a record of it.
	raw := slices.DeleteFunc(entries(t, o.Dir, 1), func(entry []byte) bool { return strings.Contains(string(entry), "key.rotate") })
	sign(t, o.Dir, o.Keys[2], 1, relinked(t, append(raw, rawOf(t, mission("more"))...)))
	if _, err := proof.Folder(t.Context(), proof.Options{Dir: o.Dir, Key: o.Keys[0].Public}); !errors.Is(err, audit.ErrBreak) ||
		!strings.Contains(err.Error(), "no record before that says") {
		t.Errorf("a key without a record: %v", err)
	}
}
