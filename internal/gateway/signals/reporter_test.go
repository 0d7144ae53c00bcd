package signals

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/types"
	clocktesting "k8s.io/utils/clock/testing"
	"pgregory.net/rapid"

	"agentpassport.dev/operator/internal/channel/wire"
)

func sequences(batch []wire.Signal) []int64 {
	var all []int64
	for _, signal := range batch {
		all = append(all, signal.Sequence)
	}
	return all
}

func TestWhatIsSeenAgainIsOneReport(t *testing.T) {
	p := NewPending("gateway-0", Left{})
	p.add(standing("1"), "constraint_violation", "slack", "first", after(0))
	batch, _ := p.take(after(0), 10)
	if len(batch) != 1 || batch[0].Sequence != noon.UnixMicro() || batch[0].Gateway != "gateway-0" || batch[0].UID != "1" {
		t.Fatalf("at once: %+v", batch)
	}
	// What was sent stays as it is; what comes then is the next report, ten seconds later.
	p.add(standing("1"), "constraint_violation", "slack", "second", after(2))
	p.add(standing("1"), "constraint_violation", "slack", "third", after(4))
	p.answer(batch, []bool{true}, after(4))
	if early, next := p.take(after(5), 10); len(early) > 0 || !next.Equal(after(10)) {
		t.Fatalf("held: %+v, next %v", early, next)
	}
	// Another type is told at once, and takes along what waits.
	p.add(standing("1"), "scope_drift", "slack", "drift", after(6))
	batch, _ = p.take(after(6), 10)
	if len(batch) != 2 || batch[0].Count != 2 || batch[0].Message != "third" || !batch[0].First.Equal(after(2)) || !batch[0].Last.Equal(after(4)) {
		t.Fatalf("%+v", batch)
	}
	if batch[0].Sequence >= batch[1].Sequence {
		t.Errorf("not in order: %v", sequences(batch))
	}
	p.answer(batch, []bool{true, true}, after(6))
	if p.Waiting() != 0 {
		t.Errorf("%d wait", p.Waiting())
	}
	p.add(standing("1"), "scope_drift", "slack", "again", after(7))
	p.Flush("1")
	if batch, _ := p.take(after(7), 10); len(batch) != 1 {
		t.Error("a mission that is over waits")
	}
}

// What is not settled is sent again, later each time, with the same number.
func TestRetries(t *testing.T) {
	p := NewPending("gateway-0", Left{})
	p.add(standing("1"), "scope_drift", "", "seen", noon)
	at, number := noon, int64(0)
	var waits []time.Duration
	for range 9 {
		batch, _ := p.take(at, 10)
		if len(batch) != 1 || number != 0 && batch[0].Sequence != number {
			t.Fatalf("at %v: %+v", at, batch)
		}
		number = batch[0].Sequence
		p.answer(batch, nil, at)
		again, next := p.take(at, 10)
		if len(again) > 0 {
			t.Fatalf("sent again at once: %+v", again)
		}
		waits = append(waits, next.Sub(at))
		at = next
	}
	want := []time.Duration{
		250 * time.Millisecond, 500 * time.Millisecond, time.Second, 2 * time.Second, 4 * time.Second, 8 * time.Second,
		10 * time.Second, 10 * time.Second, 10 * time.Second,
	}
	if diff := cmp.Diff(want, waits); diff != "" {
		t.Error(diff)
	}
}

func TestPendingIsBounded(t *testing.T) {
	p := NewPending("gateway-0", Left{})
	for i := range maxPending + 10 {
		p.add(standing(types.UID(time.Duration(i).String())), "scope_drift", "", "seen", noon)
	}
	if p.Waiting() != maxPending || p.Dropped() != 10 {
		t.Errorf("%d wait, %d dropped", p.Waiting(), p.Dropped())
	}
	batch, _ := p.take(noon, 256)
	if len(batch) != 256 {
		t.Errorf("a batch of %d", len(batch))
	}
}

// Whatever is settled, lost and repeated: the numbers of a passport's reports reach the manager in order,
// a number is given once, also over restarts, and nothing that was seen is lost but by a crash.
func TestNumbersRise(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p, now := NewPending("gateway-0", Left{}), noon
		stored := map[string]int64{} // by passport, as the manager keeps it
		counts := map[int64]int32{}
		seen, counted := int32(0), int32(0)
		deliver := func(settles bool) {
			batch, _ := p.take(now, rapid.IntRange(1, 5).Draw(t, "limit"))
			settled := make([]bool, len(batch))
			for i, signal := range batch {
				if signal.Sequence > stored[signal.UID] {
					stored[signal.UID] = signal.Sequence
					counted += signal.Count
					counts[signal.Sequence] = signal.Count
				} else if counts[signal.Sequence] != signal.Count {
					t.Fatalf("%d changed, or came behind a higher one: %+v", signal.Sequence, signal)
				}
				settled[i] = settles
			}
			p.answer(batch, settled, now)
		}
		t.Repeat(map[string]func(*rapid.T){
			"see": func(t *rapid.T) {
				seen++
				uid := rapid.SampledFrom([]types.UID{"1", "2"}).Draw(t, "passport")
				p.add(standing(uid), rapid.SampledFrom([]string{"a", "b"}).Draw(t, "type"), "", "seen", now)
			},
			"wait": func(t *rapid.T) {
				now = now.Add(time.Duration(rapid.IntRange(0, 12_000).Draw(t, "millis")) * time.Millisecond)
			},
			"settle":  func(*rapid.T) { deliver(true) },
			"no word": func(*rapid.T) { deliver(false) },
			"restart": func(*rapid.T) {
				p.changed = true
				left, _ := p.unsaved()
				p = NewPending("gateway-0", left)
			},
		})
		for range 200 {
			now = now.Add(11 * time.Second)
			deliver(true)
		}
		if p.Waiting() != 0 || counted != seen {
			t.Fatalf("%d of %d seen are counted, %d wait", counted, seen, p.Waiting())
		}
		for _, sequence := range stored {
			lost := NewPending("gateway-0", Left{})
			lost.add(standing("1"), "a", "", "seen", now.Add(time.Millisecond))
			if batch, _ := lost.take(now, 1); batch[0].Sequence <= sequence {
				t.Fatalf("a gateway that lost everything begins at %d, and %d is stored", batch[0].Sequence, sequence)
			}
		}
	})
}

// manager notes what it is sent, and answers as it is told to.
type manager struct {
	mu     sync.Mutex
	fails  int
	stored []wire.Signal
	got    chan struct{}
}

func (m *manager) Signals(_ context.Context, signals []wire.Signal) ([]bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	defer func() { m.got <- struct{}{} }()
	if m.fails > 0 {
		m.fails--
		return nil, errors.New("away")
	}
	m.stored = append(m.stored, signals...)
	settled := make([]bool, len(signals))
	for i := range settled {
		settled[i] = true
	}
	return settled, nil
}

func TestReporter(t *testing.T) {
	store := File{Path: filepath.Join(t.TempDir(), "signals.json")}
	clock := clocktesting.NewFakeClock(noon)
	m := &manager{fails: 1, got: make(chan struct{}, 10)}
	r := &Reporter{Pending: NewPending("gateway-0", Left{}), Manager: m, Store: store, Clock: clock, Log: logr.Discard()}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- r.Run(ctx) }()
	r.Pending.add(standing("1"), "scope_drift", "notion", "seen", noon)
	<-m.got
	for !clock.HasWaiters() {
		select {
		case err := <-done:
			t.Fatal(err)
		default:
		}
	}
	kept, err := store.Load()
	if err != nil || len(kept.Signals) != 1 || kept.Signals[0].Type != "scope_drift" {
		t.Fatalf("kept while the manager is away: %+v, %v", kept, err)
	}
	clock.Step(firstRetry)
	<-m.got
	cancel()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(kept.Signals, m.stored); diff != "" {
		t.Error(diff)
	}
	if kept, err = store.Load(); err != nil || len(kept.Signals) > 0 || kept.Last < noon.UnixMicro() {
		t.Errorf("kept once it is settled: %+v, %v", kept, err)
	}
}

func TestFile(t *testing.T) {
	folder := t.TempDir()
	file := File{Path: filepath.Join(folder, "signals.json")}
	if kept, err := file.Load(); err != nil || kept.Last != 0 {
		t.Errorf("%v %v", kept, err)
	}
	for _, left := range []Left{{Last: 7, Signals: []wire.Signal{{Gateway: "gateway-0", Sequence: 7, First: noon, Last: noon, Count: 1}}}, {Last: 9}} {
		if err := file.Save(left); err != nil {
			t.Fatal(err)
		}
		kept, err := file.Load()
		if diff := cmp.Diff(left, kept); diff != "" || err != nil {
			t.Errorf("%v %s", err, diff)
		}
	}
	if left, err := os.ReadDir(folder); err != nil || len(left) != 1 {
		t.Errorf("%v %v", left, err)
	}
	if err := os.WriteFile(file.Path, []byte(`{"signals":[`), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := file.Load(); err == nil {
		t.Error("a damaged file is read")
	}
	if err := (File{Path: filepath.Join(folder, "missing", "signals.json")}).Save(Left{}); err == nil {
		t.Error("saved to a folder that is not there")
	}
}
