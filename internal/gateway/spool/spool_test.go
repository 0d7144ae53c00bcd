package spool_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/go-logr/logr/funcr"
	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"k8s.io/utils/clock"
	clocktesting "k8s.io/utils/clock/testing"

	"agentpassport.dev/operator/internal/audit"
	"agentpassport.dev/operator/internal/audit/audittest"
	"agentpassport.dev/operator/internal/audit/client"
	"agentpassport.dev/operator/internal/gateway/spool"
)

var errAway = errors.New("the audit log is away")

// gate stands before a real log: it can be away, and refuse a request with certain records as the service does.
type gate struct {
	to *audittest.Tree

	mu       sync.Mutex
	away     bool
	refuses  func(audit.Record) bool
	asked    int
	order    []string
	answered chan struct{}
}

func newGate(t testing.TB) *gate {
	return &gate{to: audittest.Open(t, t.TempDir()), answered: make(chan struct{}, 1)}
}

func (g *gate) AppendRaw(ctx context.Context, raws []json.RawMessage) error {
	records := make([]audit.Record, len(raws))
	for i, raw := range raws {
		if err := json.Unmarshal(raw, &records[i]); err != nil {
			return &client.BadRecord{Message: "not an audit record"}
		}
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.asked++
	select {
	case g.answered <- struct{}{}:
	default:
	}
	if g.away {
		return errAway
	}
	if g.refuses != nil && slices.ContainsFunc(records, g.refuses) {
		return &client.BadRecord{Message: "record 1: not an audit record"}
	}
	entries, err := g.to.Append(ctx, records...)
	for _, entry := range entries {
		g.order = append(g.order, entry.Record.ID)
	}
	return err
}

func (g *gate) set(away bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.away = away
}

// has gives the ids in the log, in their order, each once.
func (g *gate) has() []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	var once []string
	seen := map[string]bool{}
	for _, id := range g.order {
		if !seen[id] {
			once = append(once, id)
		}
		seen[id] = true
	}
	return once
}

// said gathers what is logged.
type said struct {
	mu    sync.Mutex
	lines strings.Builder
}

func (s *said) logger() logr.Logger {
	return funcr.New(func(_, args string) {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.lines.WriteString(args + "\n")
	}, funcr.Options{})
}

func (s *said) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.lines.String()
}

func open(t testing.TB, options spool.Options) *spool.Spool {
	t.Helper()
	if options.Clock == nil {
		options.Clock = clock.RealClock{}
	}
	s, err := spool.Open(options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func call(n int) audit.Record { return audittest.Call(0, n, "gateway-0", "slack", "") }

// put appends calls and gives their ids.
func put(t testing.TB, s *spool.Spool, from, to int) (ids []string) {
	t.Helper()
	for n := from; n < to; n++ {
		if err := s.Append(t.Context(), call(n)); err != nil {
			t.Fatal(err)
		}
		ids = append(ids, call(n).ID)
	}
	return ids
}

func drained(t testing.TB, s *spool.Spool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := s.Drain(ctx); err != nil {
		t.Fatal(err)
	}
	if records, size := s.Pending(); records != 0 || size != 0 {
		t.Error(records, size)
	}
}

func files(t testing.TB, dir, pattern string) []string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(dir, pattern))
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func TestRecordsReachTheLogInTheirOrder(t *testing.T) {
	log, dir, registry := newGate(t), filepath.Join(t.TempDir(), "spool"), prometheus.NewRegistry()
	s := open(t, spool.Options{Dir: dir, Log: log, Metrics: registry})
	want := put(t, s, 0, 50)
	drained(t, s)
	if diff := cmp.Diff(want, log.has()); diff != "" {
		t.Error(diff)
	}
	const expected = `
# HELP agent_passport_gateway_spool_pending_records Audit records that are on disk and not yet in the audit log.
# TYPE agent_passport_gateway_spool_pending_records gauge
agent_passport_gateway_spool_pending_records 0
# HELP agent_passport_gateway_spool_drained_records_total Audit records that the audit log has taken.
# TYPE agent_passport_gateway_spool_drained_records_total counter
agent_passport_gateway_spool_drained_records_total 50
# HELP agent_passport_gateway_spool_limit_bytes Bytes that records may have on disk. At the limit every call is refused.
# TYPE agent_passport_gateway_spool_limit_bytes gauge
agent_passport_gateway_spool_limit_bytes 2.68435456e+08
`
	if err := testutil.GatherAndCompare(registry, strings.NewReader(expected), "agent_passport_gateway_spool_pending_records",
		"agent_passport_gateway_spool_drained_records_total", "agent_passport_gateway_spool_limit_bytes"); err != nil {
		t.Error(err)
	}
	for _, file := range files(t, dir, "*") {
		about, err := os.Stat(file)
		if err != nil || about.Mode().Perm() != 0o600 {
			t.Error(file, about.Mode(), err)
		}
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if err := s.Append(t.Context(), call(0)); !errors.Is(err, spool.ErrClosed) {
		t.Error(err)
	}
	asked := log.asked
	s = open(t, spool.Options{Dir: dir, Log: log})
	if records, _ := s.Pending(); records != 0 || log.asked != asked {
		t.Error("what is in the log is not sent again after a good end", records)
	}
}

func TestItWaitsForALogThatIsAway(t *testing.T) {
	log, dir, lines := newGate(t), t.TempDir(), &said{}
	log.set(true)
	now := clocktesting.NewFakeClock(time.Now())
	s := open(t, spool.Options{Dir: dir, Log: log, Clock: now, Logger: lines.logger()})
	want := put(t, s, 0, 1000)
	if records, size := s.Pending(); records != 1000 || size < 1000*200 {
		t.Error(records, size)
	}
	// Each attempt waits twice as long as the one before.
	waits := 0
	for elapsed := time.Duration(0); elapsed < time.Minute; waits++ {
		<-log.answered
		for !now.HasWaiters() {
			if t.Context().Err() != nil {
				t.Fatal("nobody waits")
			}
		}
		step := min(100*time.Millisecond<<waits, 10*time.Second)
		now.Step(step - 1)
		select {
		case <-log.answered:
			t.Fatal("it asks again before", step)
		default:
		}
		now.Step(1)
		elapsed += step
	}
	if n := strings.Count(lines.String(), "does not take records"); n != 1 {
		t.Error(n, "times told:", lines)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Drain(ctx); err == nil || !strings.Contains(err.Error(), "1000 audit records wait") {
		t.Error(err)
	}
	log.set(false)
	drained(t, s) // at once, without a step of the clock
	if diff := cmp.Diff(want, log.has()); diff != "" {
		t.Error(diff)
	}
	if !strings.Contains(lines.String(), "takes records again") {
		t.Error(lines)
	}
}

func TestANewProcessGoesOnWithWhatItFinds(t *testing.T) {
	log, dir := newGate(t), t.TempDir()
	log.set(true)
	s := open(t, spool.Options{Dir: dir, Log: log})
	want := put(t, s, 0, 300)
	if _, err := spool.Open(spool.Options{Dir: dir, Log: log, Clock: clock.RealClock{}}); err == nil || !strings.Contains(err.Error(), "another process") {
		t.Error("two have it open", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, spool.Options{Dir: dir, Log: log})
	if records, _ := s.Pending(); records != 300 {
		t.Error(records)
	}
	want = append(want, put(t, s, 300, 310)...)
	log.set(false)
	drained(t, s)
	if diff := cmp.Diff(want, log.has()); diff != "" {
		t.Error(diff)
	}
}

func TestAFullSpoolTakesNoMore(t *testing.T) {
	log, dir := newGate(t), t.TempDir()
	log.set(true)
	s := open(t, spool.Options{Dir: dir, Log: log, MaxBytes: spool.MinMaxBytes})
	var want []string
	for n := 0; ; n++ {
		err := s.Append(t.Context(), call(n))
		if errors.Is(err, spool.ErrFull) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		want = append(want, call(n).ID)
	}
	var used int64
	segments := files(t, dir, "*.segment")
	for _, file := range segments {
		about, err := os.Stat(file)
		if err != nil {
			t.Fatal(err)
		}
		used += about.Size()
	}
	if used > spool.MinMaxBytes || used < spool.MinMaxBytes-2000 || len(segments) < 4 {
		t.Error(used, segments)
	}
	log.set(false)
	drained(t, s)
	want = append(want, put(t, s, 100_000, 100_000+len(want)/2)...) // half as many again: there is room, however slow the log is
	drained(t, s)
	if diff := cmp.Diff(want, log.has()); diff != "" {
		t.Error(diff)
	}
	if left := files(t, dir, "*.segment"); len(left) > 2 {
		t.Error("what is in the log is deleted", left)
	}
	if _, err := spool.Open(spool.Options{Dir: t.TempDir(), MaxBytes: 1000}); err == nil {
		t.Error("a spool that no record fits into")
	}
}

func TestARecordThatIsRefusedHoldsUpNoOther(t *testing.T) {
	log, dir, lines, registry := newGate(t), t.TempDir(), &said{}, prometheus.NewRegistry()
	log.set(true)
	odd := map[string]bool{call(7).ID: true, call(8).ID: true, call(400).ID: true}
	log.refuses = func(r audit.Record) bool { return odd[r.ID] }
	s := open(t, spool.Options{Dir: dir, Log: log, Logger: lines.logger(), Metrics: registry})
	want := slices.DeleteFunc(put(t, s, 0, 600), func(id string) bool { return odd[id] })
	// The real log refuses this one itself.
	secret := call(1000)
	secret.Actor.Username = "Bearer abcdefghijklmnopqrstuvwxyz0123456789"
	if err := s.Append(t.Context(), secret); err != nil {
		t.Fatal(err)
	}
	want = append(want, put(t, s, 601, 650)...)
	log.set(false)
	drained(t, s)
	if diff := cmp.Diff(want, log.has()); diff != "" {
		t.Error(diff)
	}
	raw, err := os.ReadFile(filepath.Join(dir, "refused"))
	if err != nil {
		t.Fatal(err)
	}
	aside := bytes.Split(bytes.TrimSpace(raw), []byte("\n"))
	if len(aside) != 4 || bytes.Contains(raw, []byte("abcdefghijkl")) || strings.Contains(lines.String(), "abcdefghijkl") {
		t.Fatalf("%s", raw)
	}
	for i, id := range []string{call(7).ID, call(8).ID, call(400).ID, secret.ID} {
		var line struct{ Why, Record string }
		var record audit.Record
		if err := errors.Join(json.Unmarshal(aside[i], &line), json.Unmarshal([]byte(line.Record), &record)); err != nil ||
			record.ID != id || !strings.Contains(line.Why, "not an audit record") {
			t.Errorf("%s: %v", aside[i], err)
		}
		if !strings.Contains(lines.String(), id) {
			t.Error("nobody is told of", id)
		}
	}
	const expected = `
# HELP agent_passport_gateway_spool_refused_records_total Audit records that the audit log will never take. They are in the file refused of the spool.
# TYPE agent_passport_gateway_spool_refused_records_total counter
agent_passport_gateway_spool_refused_records_total 4
`
	if err := testutil.GatherAndCompare(registry, strings.NewReader(expected), "agent_passport_gateway_spool_refused_records_total"); err != nil {
		t.Error(err)
	}
}

func TestTooLarge(t *testing.T) {
	s := open(t, spool.Options{Dir: t.TempDir(), Log: newGate(t)})
	record := call(1)
	record.Facts.Summary = strings.Repeat("x", audit.MaxBytes)
	if err := s.Append(t.Context(), record); !errors.Is(err, spool.ErrTooLarge) {
		t.Error(err)
	}
}

// closedWith gives the segments that a spool leaves which the log has taken nothing of.
func closedWith(t *testing.T, log *gate, dir string, records int) (ids, segments []string) {
	t.Helper()
	log.set(true)
	s := open(t, spool.Options{Dir: dir, Log: log, MaxBytes: 1 << 20})
	ids = put(t, s, 0, records)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	log.set(false)
	return ids, files(t, dir, "*.segment")
}

func change(t *testing.T, file string, how func([]byte) []byte) {
	t.Helper()
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, how(raw), 0o600); err != nil {
		t.Fatal(err)
	}
}

// What a crash leaves of a write that nobody was told of is cut off.
func TestATornEndIsCutOff(t *testing.T) {
	for name, end := range map[string][]byte{
		"a part of a header": {200, 1, 0},
		"a part of a record": append([]byte{200, 1, 0, 0, 9, 9, 9, 9}, `{"id":`...),
		"zeros":              make([]byte, 4096),
	} {
		t.Run(name, func(t *testing.T) {
			log, dir, lines := newGate(t), t.TempDir(), &said{}
			want, segments := closedWith(t, log, dir, 20)
			change(t, segments[0], func(raw []byte) []byte { return append(raw, end...) })
			s := open(t, spool.Options{Dir: dir, Log: log, Logger: lines.logger()})
			want = append(want, put(t, s, 20, 30)...)
			drained(t, s)
			if diff := cmp.Diff(want, log.has()); diff != "" {
				t.Error(diff)
			}
			if aside := files(t, dir, "*.damaged"); len(aside) != 0 || lines.String() != "" {
				t.Error("that is no damage", aside, lines)
			}
		})
	}
}

// Damage costs the records that it hits, which are kept aside, and is told of.
func TestDamageIsKeptAsideAndTold(t *testing.T) {
	for name, how := range map[string]struct {
		segment int
		change  func([]byte) []byte
		lost    int
	}{
		"a bit in the middle":                       {0, func(raw []byte) []byte { raw[len(raw)/2] ^= 4; return raw }, 1},
		"a page of zeros":                           {0, func(raw []byte) []byte { clear(raw[4096:8192]); return raw }, -1},
		"the beginning":                             {0, func(raw []byte) []byte { clear(raw[:4]); return raw }, 0},
		"the end of a segment that is not the last": {0, func(raw []byte) []byte { return raw[:len(raw)-3] }, 1},
		"the last record":                           {-1, func(raw []byte) []byte { raw[len(raw)-2] ^= 1; return raw }, 1},
	} {
		t.Run(name, func(t *testing.T) {
			log, dir, lines := newGate(t), t.TempDir(), &said{}
			want, segments := closedWith(t, log, dir, 400)
			if len(segments) < 2 {
				t.Fatal(segments)
			}
			change(t, segments[(how.segment+len(segments))%len(segments)], how.change)
			s := open(t, spool.Options{Dir: dir, Log: log, Logger: lines.logger(), MaxBytes: 1 << 20})
			drained(t, s)
			got := log.has()
			missing := len(want) - len(got)
			if how.lost >= 0 && missing != how.lost || missing > 40 || how.lost != 0 && missing == 0 {
				t.Error(missing, "records are gone")
			}
			if !slices.IsSortedFunc(got, func(a, b string) int { return slices.Index(want, a) - slices.Index(want, b) }) {
				t.Error("out of order")
			}
			aside := files(t, dir, "*.damaged")
			if len(aside) != 1 || !strings.Contains(lines.String(), "damaged") {
				t.Error(aside, lines)
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			lines.lines.Reset()
			open(t, spool.Options{Dir: dir, Log: log, Logger: lines.logger(), MaxBytes: 1 << 20})
			if lines.String() != "" || len(files(t, dir, "*.damaged")) != 1 {
				t.Error("told twice", lines)
			}
		})
	}
}

// A page that goes bad while the spool is open is found when it is read.
func TestDamageWhileOpen(t *testing.T) {
	log, dir, lines := newGate(t), t.TempDir(), &said{}
	log.set(true)
	s := open(t, spool.Options{Dir: dir, Log: log, Logger: lines.logger()})
	want := put(t, s, 0, 100)
	file, err := os.OpenFile(files(t, dir, "*.segment")[0], os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := file.WriteAt([]byte{0}, 2000); err != nil {
		t.Fatal(err)
	}
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
	log.set(false)
	drained(t, s)
	if got := log.has(); len(got) != len(want)-1 || got[len(got)-1] != want[len(want)-1] {
		t.Error(len(got))
	}
	if len(files(t, dir, "*.damaged")) != 1 || !strings.Contains(lines.String(), "damaged") {
		t.Error(lines)
	}
}

func TestAMissingSegmentIsTold(t *testing.T) {
	log, dir, lines := newGate(t), t.TempDir(), &said{}
	_, segments := closedWith(t, log, dir, 700)
	if len(segments) < 3 {
		t.Fatal(segments)
	}
	if err := os.Remove(segments[1]); err != nil {
		t.Fatal(err)
	}
	s := open(t, spool.Options{Dir: dir, Log: log, Logger: lines.logger(), MaxBytes: 1 << 20})
	drained(t, s)
	if !strings.Contains(lines.String(), "segments of the audit spool are gone") {
		t.Error(lines)
	}
}

// Whoever waits at the same moment shares a write.
func TestManyAtOnce(t *testing.T) {
	log := newGate(t)
	s := open(t, spool.Options{Dir: t.TempDir(), Log: log})
	var callers sync.WaitGroup
	for c := range 64 {
		callers.Go(func() {
			for n := range 20 {
				if err := s.Append(t.Context(), call(c*1000+n)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	callers.Wait()
	drained(t, s)
	got := log.has()
	if len(got) != 64*20 {
		t.Error(len(got))
	}
	place := map[string]int{}
	for i, id := range got {
		place[id] = i
	}
	for c := range 64 {
		for n := 1; n < 20; n++ {
			if place[call(c*1000+n).ID] < place[call(c*1000+n-1).ID] {
				t.Fatal("a caller's own records are out of order")
			}
		}
	}
}

func BenchmarkAppend(b *testing.B) {
	for _, callers := range []int{1, 32, 256} {
		b.Run(fmt.Sprintf("callers=%d", callers), func(b *testing.B) {
			s := open(b, spool.Options{Dir: b.TempDir(), Log: nowhere{}, MaxBytes: 1 << 40})
			b.ReportAllocs()
			b.ResetTimer()
			var running sync.WaitGroup
			for c := range callers {
				running.Go(func() {
					record := call(c)
					for range (b.N + callers - 1) / callers {
						if err := s.Append(context.Background(), record); err != nil {
							b.Error(err)
						}
					}
				})
			}
			running.Wait()
			b.StopTimer()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "records/s")
		})
	}
}

// nowhere takes records at no cost: what is measured is the disk.
type nowhere struct{}

func (nowhere) AppendRaw(context.Context, []json.RawMessage) error { return nil }
