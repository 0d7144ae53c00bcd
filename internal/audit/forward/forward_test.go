package forward_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"
	cehttp "github.com/cloudevents/sdk-go/v2/protocol/http"
	"github.com/go-logr/logr/testr"
	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	testclock "k8s.io/utils/clock/testing"

	"agentpassport.dev/operator/internal/audit"
	"agentpassport.dev/operator/internal/audit/audittest"
	"agentpassport.dev/operator/internal/audit/forward"
)

// receiver takes events, as the SDK reads them, and refuses what it is told to.
type receiver struct {
	*httptest.Server
	t *testing.T

	mu       sync.Mutex
	taken    []event.Event
	requests int
	tokens   map[string]bool
	status   func(request int) int
	came     chan struct{}
}

func newReceiver(t *testing.T) *receiver {
	r := &receiver{t: t, tokens: map[string]bool{}, came: make(chan struct{}, 1<<16)}
	r.Server = httptest.NewServer(r)
	t.Cleanup(r.Close)
	return r
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	r.mu.Lock()
	defer r.mu.Unlock()
	defer func() { r.came <- struct{}{} }()
	r.tokens[request.Header.Get("Authorization")] = true
	r.requests++
	if r.status != nil {
		if status := r.status(r.requests); status > 299 {
			w.WriteHeader(status)
			return
		}
	}
	events, err := eventsOf(request)
	if err != nil {
		r.t.Error(err)
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	r.taken = append(r.taken, events...)
	w.WriteHeader(http.StatusAccepted)
}

func eventsOf(request *http.Request) ([]event.Event, error) {
	if cehttp.IsHTTPBatch(request.Header) {
		return cehttp.NewEventsFromHTTPRequest(request)
	}
	if got := request.Header.Get("Content-Type"); got != event.ApplicationCloudEventsJSON {
		return nil, fmt.Errorf("mode %s is not structured", got)
	}
	one, err := cehttp.NewEventFromHTTPRequest(request)
	if err != nil {
		return nil, err
	}
	return []event.Event{*one}, nil
}

// until waits for the receiver to have taken some events.
func (r *receiver) until(taken int) []event.Event {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.t.Context(), time.Minute)
	defer cancel()
	for {
		r.mu.Lock()
		has := append([]event.Event{}, r.taken...)
		r.mu.Unlock()
		if len(has) >= taken {
			return has
		}
		select {
		case <-r.came:
		case <-ctx.Done():
			r.t.Fatalf("%d of %d events after a minute", len(has), taken)
		}
	}
}

type setup struct {
	options  forward.Options
	registry *prometheus.Registry
	clock    *testclock.FakeClock
}

func newSetup(t *testing.T, to *receiver, batch int) *setup {
	s := &setup{clock: testclock.NewFakeClock(time.Date(2026, 8, 1, 12, 0, 0, 0, time.UTC))}
	s.options = forward.Options{
		URL: to.URL + "/in", Batch: batch, File: filepath.Join(t.TempDir(), "forward.json"),
		Origin: audittest.Origin, Epoch: 1, Clock: s.clock, Log: testr.New(t),
	}
	return s
}

// run forwards until the returned function is called, which waits for its end.
func (s *setup) run(t *testing.T, tree forward.Source) (*forward.Forwarder, func()) {
	t.Helper()
	s.registry = prometheus.NewRegistry()
	s.options.Registry = s.registry
	f, err := forward.New(tree, s.options)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- f.Run(ctx) }()
	var once sync.Once
	stop := func() {
		once.Do(func() {
			cancel()
			if err := <-done; err != nil {
				t.Error(err)
			}
		})
	}
	t.Cleanup(stop)
	return f, stop
}

// inOrder holds events against the log, from an entry on.
func inOrder(t *testing.T, events []event.Event, entries []audit.Entry) {
	t.Helper()
	if len(events) != len(entries) {
		t.Fatalf("%d events of %d records", len(events), len(entries))
	}
	for i := range events {
		if events[i].ID() != entries[i].Record.ID {
			t.Fatalf("event %d is of another record", i)
		}
	}
}

func TestEveryRecordIsAnEvent(t *testing.T) {
	for _, batch := range []int{1, 7, forward.MaxBatch} {
		t.Run(fmt.Sprint("batch of ", batch), func(t *testing.T) {
			tree := audittest.Open(t, t.TempDir())
			entries := audittest.Fill(t, tree, 0, 60)
			to := newReceiver(t)
			s := newSetup(t, to, batch)
			s.options.TokenFile = audittest.File(t, t.TempDir(), "token", []byte("first\n"))
			f, _ := s.run(t, tree)
			inOrder(t, to.until(300), entries)
			if err := os.WriteFile(s.options.TokenFile, []byte("second"), 0o600); err != nil {
				t.Fatal(err)
			}
			entries = append(entries, audittest.Fill(t, tree, 60, 70)...)
			f.Appended()
			events := to.until(350)
			inOrder(t, events, entries)
			if diff := cmp.Diff(map[string]bool{"Bearer first": true, "Bearer second": true}, to.tokens); diff != "" {
				t.Error(diff)
			}

			got, want := events[301], entries[301]
			var data struct {
				audit.Record
				Epoch, Index uint64
			}
			if err := json.Unmarshal(got.Data(), &data); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, audit.Entry{Epoch: data.Epoch, Index: data.Index, Record: data.Record}); diff != "" {
				t.Error(diff)
			}
			if got.SpecVersion() != "1.0" || got.Source() != audittest.Origin || got.Type() != "dev.agentpassport."+string(want.Record.Action)+".v1" ||
				got.Subject() != want.Record.PassportJTI || !got.Time().Equal(want.Record.Time) || got.DataContentType() != "application/json" {
				t.Error(got)
			}
		})
	}
}

// After a restart it goes on where it was; of another log it begins with the first record.
func TestTheCursorSurvives(t *testing.T) {
	tree := audittest.Open(t, t.TempDir())
	entries := audittest.Fill(t, tree, 0, 60)
	to := newReceiver(t)
	s := newSetup(t, to, 50)
	f, stop := s.run(t, tree)
	waitFor(t, func() bool { return f.Next() == 300 })
	stop()
	more := audittest.Fill(t, tree, 60, 61)
	f, stop = s.run(t, tree)
	inOrder(t, to.until(305), append(entries, more...))
	waitFor(t, func() bool { return f.Next() == 305 })
	stop()

	other := audittest.Open(t, t.TempDir())
	begun := audittest.Fill(t, other, 0, 2)
	s.options.Epoch = 2
	f, stop = s.run(t, other)
	inOrder(t, to.until(315)[305:], begun)
	waitFor(t, func() bool { return f.Next() == 10 })
	stop()

	// Where the place cannot be read all is sent again.
	if err := os.WriteFile(s.options.File, []byte(`{"next":`), 0o600); err != nil {
		t.Fatal(err)
	}
	s.run(t, other)
	inOrder(t, to.until(325)[315:], begun)
}

// A receiver that fails now and then gets each record at least once, in order, and the wait grows.
func TestAFailingReceiverGetsEverythingInOrder(t *testing.T) {
	tree := audittest.Open(t, t.TempDir())
	entries := audittest.Fill(t, tree, 0, 4)
	to := newReceiver(t)
	statuses := []int{500, 429, 302, 200, 200, 404, 503}
	to.status = func(request int) int {
		if request <= len(statuses) {
			return statuses[request-1]
		}
		return http.StatusOK
	}
	s := newSetup(t, to, 3)
	s.run(t, tree)
	// The failures stand where they do in the list; the clock alone lets it try again.
	for n, wait := range []time.Duration{time.Second, 2 * time.Second, 4 * time.Second, time.Second, 2 * time.Second} {
		waitFor(t, s.clock.HasWaiters)
		if got := testutil.ToFloat64(failures(t, s.registry)); got != float64(n+1) {
			t.Errorf("%v failures, want %d", got, n+1)
		}
		s.clock.Step(wait - time.Millisecond)
		if !s.clock.HasWaiters() {
			t.Fatalf("failure %d was waited for less than %s", n+1, wait)
		}
		s.clock.Step(wait/5 + time.Millisecond) // the jitter
	}
	inOrder(t, to.until(20), entries)
	waitFor(t, func() bool { return gauge(t, s.registry, "agentpassport_auditlog_forward_lag_records") == 0 })
}

// failures is the counter as a collector of its own.
func failures(t *testing.T, registry *prometheus.Registry) prometheus.Collector {
	c := prometheus.NewGauge(prometheus.GaugeOpts{Name: "copy"})
	c.Set(gauge(t, registry, "agentpassport_auditlog_forward_failures_total"))
	return c
}

func gauge(t *testing.T, registry *prometheus.Registry, name string) float64 {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		if family.GetName() == name {
			return family.GetMetric()[0].GetGauge().GetValue() + family.GetMetric()[0].GetCounter().GetValue()
		}
	}
	t.Fatalf("no metric %s", name)
	return 0
}

// waitFor polls what has no channel of its own.
func waitFor(t *testing.T, holds func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for !holds() {
		if ctx.Err() != nil {
			t.Fatal("not after a minute")
		}
		runtime.Gosched()
	}
}

// A receiver that is down keeps nobody from appending, and the lag says how much it misses.
func TestAReceiverThatIsDownSlowsNothing(t *testing.T) {
	tree := audittest.Open(t, t.TempDir())
	to := newReceiver(t)
	to.Close()
	s := newSetup(t, to, 1)
	f, _ := s.run(t, tree)
	audittest.Fill(t, tree, 0, 20)
	f.Appended()
	waitFor(t, s.clock.HasWaiters)
	audittest.Fill(t, tree, 20, 40)
	f.Appended()
	if got := gauge(t, s.registry, "agentpassport_auditlog_forward_lag_records"); got != 200 || f.Next() != 0 {
		t.Error(got, f.Next())
	}
}

func TestOptionsThatCannotBe(t *testing.T) {
	tree := audittest.Open(t, t.TempDir())
	for _, change := range []func(*forward.Options){
		func(o *forward.Options) { o.URL = "" },
		func(o *forward.Options) { o.URL = "ftp://host/" },
		func(o *forward.Options) { o.URL = "https://user:secret@host/" },
		func(o *forward.Options) { o.Batch = 0 },
		func(o *forward.Options) { o.Batch = forward.MaxBatch + 1 },
		func(o *forward.Options) { o.CAFile = audittest.File(t, t.TempDir(), "ca", []byte("none")) },
	} {
		o := forward.Options{URL: "https://host/", Batch: 1, Registry: prometheus.NewRegistry()}
		change(&o)
		if _, err := forward.New(tree, o); err == nil || strings.Contains(err.Error(), "secret") {
			t.Error(o.URL, o.Batch, err)
		}
	}
}

// The receiver's certificate has to be of the authorities that are given.
func TestTheReceiversCertificateCounts(t *testing.T) {
	tree := audittest.Open(t, t.TempDir())
	entries := audittest.Fill(t, tree, 0, 1)
	to := newReceiver(t)
	ca := audittest.NewAuthority(t)
	https := httptest.NewUnstartedServer(to)
	https.TLS = serverTLS(ca.Pair(t, "receiver"))
	https.StartTLS()
	t.Cleanup(https.Close)
	s := newSetup(t, to, 10)
	s.options.URL = https.URL
	foreign := audittest.NewAuthority(t)
	s.options.CAFile = audittest.File(t, t.TempDir(), "ca.pem", foreign.PEM)
	_, stop := s.run(t, tree)
	waitFor(t, s.clock.HasWaiters)
	stop()
	if len(to.until(0)) != 0 {
		t.Error("an unknown receiver got records")
	}
	s.options.CAFile = audittest.File(t, t.TempDir(), "ca.pem", ca.PEM)
	s.run(t, tree)
	inOrder(t, to.until(5), entries)
}
