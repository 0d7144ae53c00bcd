package bundle_test

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

	"github.com/google/go-cmp/cmp"
	testclock "k8s.io/utils/clock/testing"

	"agentpassport.dev/operator/internal/audit"
	"agentpassport.dev/operator/internal/audit/bundle"
	"agentpassport.dev/operator/internal/audit/epoch"
	"agentpassport.dev/operator/internal/audit/keys"
	"agentpassport.dev/operator/internal/audit/keys/keystest"
	"agentpassport.dev/operator/internal/audit/proof"
	"agentpassport.dev/operator/internal/audit/writer"
)

var (
	noon = time.Date(2026, 8, 1, 12, 0, 0, 0, time.UTC)
	bot  = bundle.Agent{Namespace: "support", Name: "bot"}
)

func generate(t testing.TB) keys.Private {
	t.Helper()
	private, err := keys.Generate(rand.Reader, "agentpassport.dev/auditlog/test")
	if err != nil {
		t.Fatal(err)
	}
	return private
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

// mission is the issue, a checkpoint and the checkout of an agent's passport: number n begins n hours after
// noon.
func mission(agent string, n int) []audit.Record {
	uid := fmt.Sprint(agent, n)
	records := make([]audit.Record, 3)
	for i, action := range []audit.Action{audit.PassportIssue, audit.PassportCheckpoint, audit.PassportCheckout} {
		records[i] = audit.Record{
			ID: audit.ID(uid, string(action)), Time: noon.Add(time.Duration(n)*time.Hour + time.Duration(i)*time.Minute),
			Layer: audit.Vault, Action: action, Step: string(action), Outcome: audit.Success, Namespace: "support",
			Object:      audit.Object{Kind: "Passport", Name: "mission", UID: uid},
			Agent:       &audit.Agent{Name: agent, UID: "uid-" + agent},
			PassportJTI: "pp_" + uid,
			Actor:       audit.Actor{Username: "system:serviceaccount:support:bot"},
			Facts:       &audit.Facts{Summary: "Answer <today's> tickets & close them"},
		}
	}
	return records
}

// world is a log of ten hours of missions of two agents, one of which was blocked and unblocked, with a new
// key in the middle.
func world(t testing.TB) writer.Options { return worldOf(t, generate(t), generate(t)) }

// worldOf is world with these keys.
func worldOf(t testing.TB, first, second keys.Private) writer.Options {
	t.Helper()
	o := writer.Options{Dir: t.TempDir(), Keys: []keys.Private{first}, Clock: testclock.NewFakePassiveClock(noon)}
	log := open(t, o)
	for n := range 10 {
		records := append(mission("bot", n), mission("other", n)...)
		if n == 5 {
			records = append(records, block("bot"), block("other"))
			o.Keys = append(o.Keys, second)
			if err := log.AdoptKeys(context.Background(), o.Keys); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := log.Append(context.Background(), records...); err != nil {
			t.Fatal(err)
		}
	}
	if err := log.Close(); err != nil {
		t.Fatal(err)
	}
	return o
}

func block(agent string) audit.Record {
	return audit.Record{
		ID: audit.ID("block-"+agent, string(audit.AgentBlock)), Time: noon.Add(5 * time.Hour), Layer: audit.Vault,
		Action: audit.AgentBlock, Step: string(audit.AgentBlock), Outcome: audit.Success, Namespace: "support",
		Object: audit.Object{Kind: "AgentBlock", Name: "b", UID: "block-" + agent},
		Agent:  &audit.Agent{Name: agent, UID: "uid-" + agent}, Actor: audit.Actor{Username: "responder"},
	}
}

// pack packs hours 3 to 6, and reads the bundle back from its bytes.
func pack(t testing.TB, o writer.Options, from, to int) *bundle.Bundle {
	t.Helper()
	b, err := bundle.Make(context.Background(), proof.Options{Dir: o.Dir, Key: o.Keys[0].Public}, bot,
		noon.Add(time.Duration(from)*time.Hour), noon.Add(time.Duration(to)*time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	return again(t, b)
}

func again(t testing.TB, b *bundle.Bundle) *bundle.Bundle {
	t.Helper()
	var raw bytes.Buffer
	if err := b.Write(&raw); err != nil {
		t.Fatal(err)
	}
	read, err := bundle.Parse(raw.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(b, read); diff != "" {
		t.Fatal(diff)
	}
	return read
}

func TestABundleVerifiesAlone(t *testing.T) {
	o := world(t)
	b := pack(t, o, 3, 6)
	if err := os.RemoveAll(o.Dir); err != nil {
		t.Fatal(err)
	}
	for _, private := range o.Keys {
		report, err := bundle.Verify(b, private.Public, nil)
		if err != nil {
			t.Fatal(err)
		}
		tree := report.Trees[0]
		var jtis []string
		for _, m := range tree.Missions {
			jtis = append(jtis, m.JTI)
			if m.Records != 3 || !m.Ended || m.Last != audit.PassportCheckout {
				t.Errorf("%+v", m)
			}
		}
		if diff := cmp.Diff([]string{"pp_bot3", "pp_bot4", "pp_bot5"}, jtis); diff != "" {
			t.Error(diff)
		}
		// Seven issues lead to the first after hour 6; three missions are whole, one block.
		chain := tree.Chains[0]
		if chain.Issues != 7 || !chain.Beyond || tree.Earlier != 3 || tree.Records != 7+3*2+1 || report.Keys != 2 {
			t.Errorf("%+v %+v", chain, tree)
		}
	}
	if _, err := bundle.Verify(b, generate(t).Public, nil); !errors.Is(err, audit.ErrBreak) {
		t.Fatalf("another key: %v", err)
	}
}

// TestWhatItDoesNotProveIsSaid packs until after the last mission.
func TestWhatItDoesNotProveIsSaid(t *testing.T) {
	o := world(t)
	b := pack(t, o, 8, 20)
	last := &b.Epochs[0].Entries
	*last = (*last)[:len(*last)-1] // the checkout of the last mission: nothing links back to it
	report, err := bundle.Verify(b, o.Keys[0].Public, nil)
	if err != nil {
		t.Fatal(err)
	}
	said := strings.Join(report.ProvesNot, "\n")
	for _, words := range []string{
		"how mission pp_bot9 ended: its last record here is passport.checkpoint",
		"no mission was issued in epoch 1 to agent UID uid-bot after that of 2026-08-01T21:00:00Z",
		"the 8 missions of epoch 1 which were issued before the time asked for",
		"no record after its last one",
	} {
		if !strings.Contains(said, words) {
			t.Errorf("%q is not said in:\n%s", words, said)
		}
	}
	if nobody, err := bundle.Make(t.Context(), proof.Options{Dir: o.Dir, Key: o.Keys[0].Public}, bundle.Agent{Name: "nobody"}, noon, noon.Add(1)); err != nil {
		t.Error(err)
	} else if report, err := bundle.Verify(nobody, o.Keys[0].Public, nil); err != nil || !strings.Contains(report.ProvesNot[0], "an absence cannot be proven") {
		t.Error(report, err)
	}
}

func TestABundleThatWasChangedIsFound(t *testing.T) {
	o := world(t)
	original := pack(t, o, 3, 6)
	other := world(t)
	at := func(b *bundle.Bundle, action audit.Action, jti string) int {
		i := slices.IndexFunc(b.Epochs[0].Entries, func(e bundle.Entry) bool {
			record, err := audit.Parse([]byte(e.Record))
			return err == nil && record.Action == action && record.PassportJTI == jti
		})
		if i < 0 {
			t.Fatal(jti)
		}
		return i
	}
	drop := func(b *bundle.Bundle, jti string, actions ...audit.Action) {
		for _, action := range actions {
			i := at(b, action, jti)
			b.Epochs[0].Entries = slices.Delete(b.Epochs[0].Entries, i, i+1)
		}
	}
	for name, c := range map[string]struct {
		change func(b *bundle.Bundle)
		why    string
	}{
		"a record removed": {func(b *bundle.Bundle) { drop(b, "pp_bot4", audit.PassportCheckpoint) }, "a record before it is missing"},
		"a record altered": {func(b *bundle.Bundle) {
			entry := &b.Epochs[0].Entries[at(b, audit.PassportCheckout, "pp_bot4")]
			entry.Record = strings.Replace(entry.Record, "success", "failure", 1)
		}, "hash is not that of its fields"},
		"a record altered, with its hash": {func(b *bundle.Bundle) {
			entry := &b.Epochs[0].Entries[at(b, audit.PassportIssue, "pp_bot0")]
			record, err := audit.Parse([]byte(entry.Record))
			if err != nil {
				t.Fatal(err)
			}
			record.Outcome = audit.Failure
			_, raw, err := audit.NewTrail().Append(record)
			if err != nil {
				t.Fatal(err)
			}
			entry.Record = string(raw)
		}, "its proof does not lead"},
		"a mission left out": {func(b *bundle.Bundle) {
			drop(b, "pp_bot4", audit.PassportIssue, audit.PassportCheckpoint, audit.PassportCheckout)
		}, "prev_issue_hash"},
		"the first missions left out": {func(b *bundle.Bundle) { drop(b, "pp_bot0", audit.PassportIssue) }, "prev_issue_hash"},
		"a mission without its issue": {func(b *bundle.Bundle) { drop(b, "pp_bot5", audit.PassportIssue) }, ""},
		"two swapped": {func(b *bundle.Bundle) {
			e := b.Epochs[0].Entries
			e[1], e[2] = e[2], e[1]
		}, "a record before it is missing"},
		"a record at another place": {func(b *bundle.Bundle) { b.Epochs[0].Entries[len(b.Epochs[0].Entries)-1].Index++ }, "its proof does not lead"},
		"a bit of a proof":          {func(b *bundle.Bundle) { b.Epochs[0].Entries[3].Proof[1][5] ^= 1 }, "its proof does not lead"},
		"no proof":                  {func(b *bundle.Bundle) { b.Epochs[0].Entries[3].Proof = nil }, "its proof does not lead"},
		"a bit of the root": {func(b *bundle.Bundle) {
			b.Epochs[0].Checkpoint = strings.Replace(b.Epochs[0].Checkpoint, "\n63\n", "\n64\n", 1)
		}, "not signed with any key"},
		"no head":                           {func(b *bundle.Bundle) { b.Epochs[0].Checkpoint = "" }, "no signed head"},
		"the keys of another log":           {func(b *bundle.Bundle) { b.Keys = pack(t, other, 3, 6).Keys }, "signed with others"},
		"the keys without the last":         {func(b *bundle.Bundle) { b.Keys = b.Keys[:len(b.Keys)/2] }, "no JSON"},
		"another log's records":             {func(b *bundle.Bundle) { b.Epochs = pack(t, other, 3, 6).Epochs }, "not signed with any key"},
		"another agent's name on it":        {func(b *bundle.Bundle) { b.Agent.Name = "other" }, "of another agent"},
		"an epoch without its first record": {func(b *bundle.Bundle) { b.Epochs[0].Epoch = 2 }, "epoch 2"},
	} {
		t.Run(name, func(t *testing.T) {
			b := again(t, original)
			c.change(b)
			if cmp.Equal(b, original) {
				t.Fatal("nothing was changed")
			}
			_, err := bundle.Verify(b, o.Keys[0].Public, nil)
			if !errors.Is(err, audit.ErrBreak) || !strings.Contains(err.Error(), c.why) {
				t.Fatalf("got %v", err)
			}
		})
	}
}

// TestALostEpochIsVouchedForByTheNext packs a log that lost its end.
func TestALostEpochIsVouchedForByTheNext(t *testing.T) {
	for name, lose := range map[string]func(dir, early string) error{
		"the tail": func(dir, early string) error {
			return errors.Join(os.RemoveAll(dir), os.CopyFS(dir, os.DirFS(early)))
		},
		"a record in the middle": func(dir, _ string) error {
			paths, err := filepath.Glob(filepath.Join(epoch.Folder(dir, 1), "tile", "entries", "000.p", "*"))
			if err != nil {
				return err
			}
			for _, path := range paths {
				raw, err := os.ReadFile(path)
				if err == nil {
					raw[len(raw)-700] ^= 1
					err = os.WriteFile(path, raw, 0o600)
				}
				if err != nil {
					return err
				}
			}
			return nil
		},
		"all of it": func(dir, _ string) error { return os.RemoveAll(dir) },
	} {
		t.Run(name, func(t *testing.T) {
			o := writer.Options{Dir: t.TempDir(), Keys: []keys.Private{generate(t)}, Clock: testclock.NewFakePassiveClock(noon)}
			log := open(t, o)
			add := func(to *writer.Log, from, until int) {
				for n := from; n < until; n++ {
					if _, err := to.Append(t.Context(), mission("bot", n)...); err != nil {
						t.Fatal(err)
					}
				}
			}
			add(log, 0, 5)
			early := filepath.Join(t.TempDir(), "copy")
			if err := os.CopyFS(early, os.DirFS(o.Dir)); err != nil {
				t.Fatal(err)
			}
			add(log, 5, 8)
			state, err := log.State()
			if err != nil {
				t.Fatal(err)
			}
			o.Mirrored = &state
			if err := errors.Join(log.Close(), lose(o.Dir, early)); err != nil {
				t.Fatal(err)
			}
			o.Clock = testclock.NewFakePassiveClock(noon.Add(8 * time.Hour))
			if _, err := writer.Begin(t.Context(), o, audit.Actor{Username: "admin"}, "the disk broke"); err != nil {
				t.Fatal(err)
			}
			log = open(t, o)
			add(log, 6, 12)
			if err := log.Close(); err != nil {
				t.Fatal(err)
			}
			b := pack(t, o, 2, 10)
			report, err := bundle.Verify(b, o.Keys[0].Public, nil)
			if err != nil {
				t.Fatal(err)
			}
			newest := report.Trees[len(report.Trees)-1]
			if newest.Epoch != 2 || newest.Lost == nil || newest.Lost.Records != 24 || !strings.Contains(strings.Join(report.ProvesNot, "\n"), "the disk broke") {
				t.Fatalf("%+v", newest)
			}
			if (len(report.Trees) == 2) != (newest.Lost.Kept > 0) {
				t.Fatalf("%d trees, and %d records were kept", len(report.Trees), newest.Lost.Kept)
			}
			// The first record of the new epoch cannot be taken out.
			b.Epochs[len(b.Epochs)-1].Entries = b.Epochs[len(b.Epochs)-1].Entries[1:]
			if _, err := bundle.Verify(b, o.Keys[0].Public, nil); !errors.Is(err, audit.ErrBreak) {
				t.Fatal(err)
			}
		})
	}
}

// FuzzBundle looks for panics, and for a bundle with a record in it that the log does not hold.
func FuzzBundle(f *testing.F) {
	const name = "agentpassport.dev/auditlog/test"
	o := worldOf(f, keystest.Fixed(name, 1), keystest.Fixed(name, 2)) // all workers have to see one log
	b := pack(f, o, 3, 4)
	held := map[string]bool{}
	for _, entry := range b.Epochs[0].Entries {
		held[entry.Record] = true
	}
	var raw bytes.Buffer
	if err := b.Write(&raw); err != nil {
		f.Fatal(err)
	}
	f.Add(raw.Bytes())
	f.Add(raw.Bytes()[:raw.Len()/2])
	f.Add([]byte(`{"format":"` + bundle.Format + `","epochs":[{"epoch":1}]}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		b, err := bundle.Parse(raw)
		if err != nil {
			return
		}
		if _, err := bundle.Verify(b, o.Keys[0].Public, nil); err != nil {
			return
		}
		for _, e := range b.Epochs {
			for _, entry := range e.Entries {
				if !held[entry.Record] {
					t.Fatalf("a record is taken for one of the log: %s", entry.Record)
				}
			}
		}
	})
}
