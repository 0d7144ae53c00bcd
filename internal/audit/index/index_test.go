package index_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/go-logr/logr/testr"
	"github.com/google/go-cmp/cmp"
	"k8s.io/utils/clock"
	"pgregory.net/rapid"

	"agentpassport.dev/operator/internal/audit"
	"agentpassport.dev/operator/internal/audit/audittest"
	"agentpassport.dev/operator/internal/audit/index"
)

// running opens an index and runs it until the test ends, or until stop.
func running(t testing.TB, path string, tree index.Source) (x *index.Index, stop func()) {
	t.Helper()
	x, err := index.Open(context.Background(), path, tree, options(t))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- x.Run(ctx) }()
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := errors.Join(<-done, x.Close()); err != nil {
			t.Error(err)
		}
	}
	t.Cleanup(stop)
	return x, stop
}

func options(t testing.TB) index.Options {
	options := index.Options{Origin: audittest.Origin, Epoch: 1, Clock: clock.RealClock{}}
	if t, isTest := t.(*testing.T); isTest {
		options.Log = testr.New(t)
	}
	return options
}

func wait(t testing.TB, x *index.Index, size uint64) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	if err := x.Wait(ctx, size); err != nil {
		t.Fatal(err)
	}
}

// rows are the places of what a query finds.
func rows(t testing.TB, x *index.Index, q index.Query) []uint64 {
	t.Helper()
	places := []uint64{}
	for entry, err := range x.Rows(context.Background(), q) {
		if err != nil {
			t.Fatal(err)
		}
		places = append(places, entry.Index)
	}
	return places
}

// expected looks at every entry.
func expected(entries []audit.Entry, q index.Query) []uint64 {
	places := []uint64{}
	for _, e := range entries {
		r := e.Record
		if (q.JTI == "" || q.JTI == r.PassportJTI) && (q.Namespace == "" || q.Namespace == r.Namespace) &&
			(q.Agent == "" || q.Agent == r.Agent.Name || q.Agent == r.Agent.UID) &&
			(q.Action == "" || q.Action == r.Action) && (q.Outcome == "" || q.Outcome == r.Outcome) &&
			(q.From.IsZero() || !r.Time.Before(q.From)) && (q.To.IsZero() || r.Time.Before(q.To)) &&
			e.Index >= q.Start && e.Index < q.End {
			places = append(places, e.Index)
		}
	}
	return places
}

func drawQuery(t *rapid.T, missions int, size uint64) index.Query {
	base := time.Date(2026, 8, 1, 12, 0, 0, 0, time.UTC)
	maybe := func(name string, values ...string) string {
		return rapid.SampledFrom(append(values, "")).Draw(t, name)
	}
	q := index.Query{
		JTI:       maybe("jti", audittest.JTI(rapid.IntRange(0, missions).Draw(t, "mission")), "", ""),
		Agent:     maybe("agent", "support-bot", "release-bot-uid", "nobody", ""),
		Namespace: maybe("namespace", "support", "release", "none", ""),
		Action:    audit.Action(maybe("action", string(audit.PassportIssue), string(audit.PassportCheckpoint), string(audit.AgentBlock))),
		Outcome:   audit.Outcome(maybe("outcome", string(audit.Success), string(audit.Failure))),
		End:       size,
		Start:     rapid.Uint64Range(0, size).Draw(t, "start"),
	}
	if rapid.Bool().Draw(t, "from") {
		q.From = base.Add(time.Duration(rapid.IntRange(-2000, 1000*missions).Draw(t, "fromMs")) * time.Millisecond)
	}
	if rapid.Bool().Draw(t, "to") {
		q.To = base.Add(time.Duration(rapid.IntRange(-2000, 1000*missions).Draw(t, "toMs")) * time.Millisecond)
	}
	return q
}

// Whatever is asked, the index finds what one finds who reads everything.
func TestRowsAreThoseOfTheLog(t *testing.T) {
	const missions = 300
	tree := audittest.Open(t, t.TempDir())
	entries := audittest.Fill(t, tree, 0, missions)
	x, _ := running(t, filepath.Join(t.TempDir(), "index.db"), tree)
	size := tree.Head().Size
	wait(t, x, size)
	rapid.Check(t, func(rt *rapid.T) {
		q := drawQuery(rt, missions, size)
		if diff := cmp.Diff(expected(entries, q), rows(t, x, q)); diff != "" {
			rt.Fatalf("%+v: %s", q, diff)
		}
	})
	for _, e := range entries {
		if place, found, err := x.Find(e.Record.ID); err != nil || !found || place != e.Index {
			t.Fatal(e.Index, place, found, err)
		}
	}
	for _, id := range []string{"", "ar_", audit.ID("nothing", ""), "xx_" + entries[0].Record.ID[3:]} {
		if _, found, err := x.Find(id); found || err != nil {
			t.Error(id, found, err)
		}
	}
}

// What was acknowledged before a query is found by it.
func TestWaitSeesWhatWasAppended(t *testing.T) {
	tree := audittest.Open(t, t.TempDir())
	x, _ := running(t, filepath.Join(t.TempDir(), "index.db"), tree)
	for m := range 20 {
		audittest.Fill(t, tree, m, m+1)
		x.Appended()
		size := tree.Head().Size
		wait(t, x, size)
		if got := rows(t, x, index.Query{JTI: audittest.JTI(m), End: size}); len(got) != 5 {
			t.Fatalf("mission %d: %v", m, got)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := x.Wait(ctx, tree.Head().Size+1); !errors.Is(err, index.ErrBehind) {
		t.Error(err)
	}
}

func TestItGoesOnWhereItWas(t *testing.T) {
	tree := audittest.Open(t, t.TempDir())
	path := filepath.Join(t.TempDir(), "index.db")
	audittest.Fill(t, tree, 0, 60)
	x, stop := running(t, path, tree)
	wait(t, x, 300)
	stop()
	entries := audittest.Fill(t, tree, 60, 130)
	x, err := index.Open(context.Background(), path, tree, options(t))
	if err != nil {
		t.Fatal(err)
	}
	if x.Size() != 300 {
		t.Errorf("%d entries are in, not the 300 that were", x.Size())
	}
	if err := x.Close(); err != nil {
		t.Fatal(err)
	}
	x, _ = running(t, path, tree)
	wait(t, x, tree.Head().Size)
	q := index.Query{Outcome: audit.Failure, Start: 300, End: tree.Head().Size}
	if diff := cmp.Diff(expected(entries, q), rows(t, x, q)); diff != "" {
		t.Error(diff)
	}
}

func TestAnIndexOfAnotherLogIsBuiltAnew(t *testing.T) {
	one, other := audittest.Open(t, t.TempDir()), audittest.Open(t, t.TempDir())
	audittest.Fill(t, one, 0, 60)
	// As long, and other records.
	audittest.Fill(t, other, 100, 160)
	short := audittest.Open(t, t.TempDir())
	audittest.Fill(t, short, 0, 10)
	for name, now := range map[string]struct {
		tree *audittest.Tree
		set  func(*index.Options)
	}{
		"of other records": {other, func(*index.Options) {}},
		"of a longer log":  {short, func(*index.Options) {}},
		"of another epoch": {one, func(o *index.Options) { o.Epoch = 2 }},
		"of another name":  {one, func(o *index.Options) { o.Origin = "another" }},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "index.db")
			x, stop := running(t, path, one)
			wait(t, x, 300)
			stop()
			o := options(t)
			now.set(&o)
			x, err := index.Open(context.Background(), path, now.tree, o)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = x.Close() }()
			if x.Size() != 0 {
				t.Errorf("%d entries were kept", x.Size())
			}
		})
	}
}

// Whatever happens to the file while it is closed, the answers are those of the log.
func TestADamagedIndexIsBuiltAnew(t *testing.T) {
	tree := audittest.Open(t, t.TempDir())
	entries := audittest.Fill(t, tree, 0, 120)
	path := filepath.Join(t.TempDir(), "index.db")
	x, stop := running(t, path, tree)
	wait(t, x, tree.Head().Size)
	stop()
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	damages := map[string]func(raw []byte) []byte{
		"empty":      func([]byte) []byte { return nil },
		"text":       func([]byte) []byte { return []byte("not a database\n") },
		"cut":        func(raw []byte) []byte { return raw[:len(raw)/2] },
		"cut to two": func(raw []byte) []byte { return raw[:8192] },
		"zeros": func(raw []byte) []byte {
			clear(raw[len(raw)/3 : len(raw)/3+8192])
			return raw
		},
	}
	check := func(t interface{ Fatal(...any) }, raw []byte) {
		file := filepath.Join(filepath.Dir(path), "damaged.db")
		if err := os.WriteFile(file, raw, 0o600); err != nil {
			t.Fatal(err)
		}
		x, err := index.Open(context.Background(), file, tree, index.Options{Origin: audittest.Origin, Epoch: 1, Clock: clock.RealClock{}})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error, 1)
		go func() { done <- x.Run(ctx) }()
		defer func() {
			cancel()
			if err := errors.Join(<-done, x.Close()); err != nil {
				t.Fatal(err)
			}
		}()
		if err := x.Wait(context.Background(), tree.Head().Size); err != nil {
			t.Fatal(err)
		}
		for _, q := range []index.Query{{Outcome: audit.Failure}, {Agent: "release-bot"}, {JTI: audittest.JTI(7)}} {
			q.End = tree.Head().Size
			var got []uint64
			for entry, err := range x.Rows(context.Background(), q) {
				if err != nil {
					t.Fatal(err)
				}
				got = append(got, entry.Index)
			}
			if diff := cmp.Diff(expected(entries, q), got); diff != "" {
				t.Fatal(diff)
			}
		}
	}
	for name, damage := range damages {
		t.Run(name, func(t *testing.T) { check(t, damage(append([]byte{}, whole...))) })
	}
	t.Run("flipped", func(t *testing.T) {
		rapid.Check(t, func(rt *rapid.T) {
			raw := append([]byte{}, whole...)
			for range rapid.IntRange(1, 4).Draw(rt, "flips") {
				raw[rapid.IntRange(0, len(raw)-1).Draw(rt, "at")] ^= 1 << rapid.IntRange(0, 7).Draw(rt, "bit")
			}
			check(rt, raw)
		})
	})
}
