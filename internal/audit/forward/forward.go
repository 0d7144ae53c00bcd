// Package forward sends every record of an audit log to another system, as CloudEvents 1.0 over HTTP:
// in the order of the log, each at least once. How far it has got is in a file, so that it goes on
// there after a restart. Nothing waits for it: a receiver that is down only makes it lag.
package forward

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/cloudevents/sdk-go/v2/binding"
	"github.com/cloudevents/sdk-go/v2/event"
	cehttp "github.com/cloudevents/sdk-go/v2/protocol/http"
	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/utils/clock"

	"agentpassport.dev/operator/internal/audit"
	"agentpassport.dev/operator/internal/audit/entries"
	"agentpassport.dev/operator/internal/audit/tlog"
)

const (
	// round is how many records are sent before the place is written down, and how many are sent again
	// at most after a crash.
	round = entries.Width
	// MaxBatch is how many events a request may have.
	MaxBatch = round
	// sendTimeout bounds one request.
	sendTimeout = 30 * time.Second
	// The wait after a failure, doubled with each that follows.
	firstWait, lastWait = time.Second, 5 * time.Minute
)

// Source is the log that is sent.
type Source interface {
	entries.Source
	// Head is the last head that was published.
	Head() tlog.Head
}

// Options say where to and from where on.
type Options struct {
	// URL of the receiver, which answers with 2xx what it has taken.
	URL string
	// TokenFile holds a bearer token for it, read for every request; empty: none is sent.
	TokenFile string
	// CAFile holds the authorities that may sign its certificate, as PEM; empty: those of the system.
	CAFile string
	// Batch is how many events a request has: with 1 each is sent in structured mode, with more in
	// batched mode.
	Batch int
	// File is where the place in the log is kept.
	File string
	// Origin and Epoch tell the log from others. Origin is also the source of the events.
	Origin string
	Epoch  uint64
	Clock  clock.WithTicker
	Log    logr.Logger
	// Registry takes the metrics.
	Registry prometheus.Registerer
}

// Forwarder sends one log to one receiver.
type Forwarder struct {
	options  Options
	source   Source
	entries  *entries.Reader
	client   *http.Client
	appended chan struct{}
	// next is the index of the first record that the receiver has not taken.
	next     atomic.Uint64
	failures prometheus.Counter
}

// New reads where the last one has ended.
func New(source Source, options Options) (*Forwarder, error) {
	to, err := url.Parse(options.URL)
	if err != nil || to.Host == "" || (to.Scheme != "https" && to.Scheme != "http") || to.User != nil {
		return nil, errors.New("the receiver of the records: want a URL, https://host/path, without a password in it")
	}
	if options.Batch < 1 || options.Batch > MaxBatch {
		return nil, fmt.Errorf("%d events a request: want 1 to %d", options.Batch, MaxBatch)
	}
	f := &Forwarder{options: options, source: source, entries: entries.NewReader(source), appended: make(chan struct{}, 1)}
	if f.client, err = newHTTPClient(options.CAFile); err != nil {
		return nil, err
	}
	found, err := readPlace(options.File)
	switch {
	case err != nil:
		// Twice is better than never, and a log that does not open is worse than both.
		options.Log.Error(err, "where the receiver was is not known; every record is sent again")
	case found.Origin == options.Origin && found.Epoch == options.Epoch && found.Next <= source.Head().Size:
		f.next.Store(found.Next)
	case found != place{}:
		options.Log.Info("the receiver was sent another log before; this one is sent from its first record", "file", options.File)
	}
	f.register()
	return f, nil
}

func newHTTPClient(caFile string) (*http.Client, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if caFile != "" {
		authorities, err := os.ReadFile(caFile) //nolint:gosec // G304: the caller says where it is
		if err != nil {
			return nil, fmt.Errorf("the CA of the receiver: %w", err)
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(authorities) {
			return nil, fmt.Errorf("the CA of the receiver: no certificate in %s", caFile)
		}
	}
	return &http.Client{
		Timeout:       sendTimeout,
		Transport:     &http.Transport{Proxy: http.ProxyFromEnvironment, TLSClientConfig: config, IdleConnTimeout: time.Minute},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}, nil
}

func (f *Forwarder) register() {
	const namespace, subsystem = "agentpassport", "auditlog"
	f.failures = prometheus.NewCounter(prometheus.CounterOpts{
		Namespace: namespace, Subsystem: subsystem, Name: "forward_failures_total",
		Help: "Requests that the receiver of the records has not taken; they are sent again.",
	})
	f.options.Registry.MustRegister(f.failures, prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Namespace: namespace, Subsystem: subsystem, Name: "forward_lag_records",
		Help: "Records that the receiver has not taken yet.",
	}, func() float64 {
		next, size := f.next.Load(), f.source.Head().Size
		return float64(max(size, next) - next)
	}))
}

// Next is the index of the first record that the receiver has not taken.
func (f *Forwarder) Next() uint64 { return f.next.Load() }

// Appended tells that the log has grown.
func (f *Forwarder) Appended() {
	select {
	case f.appended <- struct{}{}:
	default:
	}
}

// Run sends until the context ends. What fails is sent again, for as long as it takes.
func (f *Forwarder) Run(ctx context.Context) error {
	backoff := newBackoff()
	for {
		before := f.next.Load()
		err := f.round(ctx)
		if f.next.Load() > before {
			backoff = newBackoff()
		}
		switch {
		case ctx.Err() != nil:
			return nil //nolint:nilerr // so it is stopped
		case err == nil && f.next.Load() < f.source.Head().Size:
		case err == nil:
			select {
			case <-ctx.Done():
				return nil
			case <-f.appended:
			}
		default:
			pause := backoff.Step()
			f.failures.Inc()
			f.options.Log.Error(err, "the receiver has not taken records; they are sent again", "index", f.next.Load(), "in", pause.String())
			timer := f.options.Clock.NewTimer(pause)
			select {
			case <-ctx.Done():
				timer.Stop()
				return nil
			case <-timer.C():
			}
		}
	}
}

func newBackoff() *wait.Backoff {
	return &wait.Backoff{Duration: firstWait, Factor: 2, Jitter: 0.1, Steps: 1 << 30, Cap: lastWait}
}

// round sends some records and writes down how far that went.
func (f *Forwarder) round(ctx context.Context) error {
	began := f.next.Load()
	err := f.send(ctx, began, f.source.Head().Size)
	if f.next.Load() == began {
		return err
	}
	return errors.Join(err, writePlace(f.options.File, place{Origin: f.options.Origin, Epoch: f.options.Epoch, Next: f.next.Load()}))
}

func (f *Forwarder) send(ctx context.Context, from, size uint64) error {
	var batch []event.Event
	for entry, err := range f.entries.Range(ctx, from, from+round, size) {
		if err != nil {
			return err
		}
		e, err := f.event(entry)
		if err != nil {
			return err
		}
		if batch = append(batch, e); len(batch) < f.options.Batch {
			continue
		}
		if err := f.deliver(ctx, batch); err != nil {
			return err
		}
		batch = batch[:0]
	}
	return f.deliver(ctx, batch)
}

// event is a record as an event. Its data is the record as a row, with its place in the log.
func (f *Forwarder) event(entry entries.Entry) (event.Event, error) {
	var record audit.Record
	if err := json.Unmarshal(entry.Raw, &record); err != nil {
		return event.Event{}, fmt.Errorf("entry %d is no record", entry.Index)
	}
	e := event.New(event.CloudEventsVersionV1)
	e.SetID(record.ID)
	e.SetSource(f.options.Origin)
	e.SetType("dev.agentpassport." + string(record.Action) + ".v1")
	e.SetSubject(subject(record))
	e.SetTime(record.Time)
	row := append(fmt.Appendf(nil, `{"epoch":%d,"index":%d,`, f.options.Epoch, entry.Index), entry.Raw[1:]...)
	if err := e.SetData(event.ApplicationJSON, json.RawMessage(row)); err != nil {
		return event.Event{}, err
	}
	return e, e.Validate()
}

// subject is the passport, or else the object.
func subject(record audit.Record) string {
	if record.PassportJTI != "" {
		return record.PassportJTI
	}
	parts := []string{record.Object.Kind, record.Namespace, record.Object.Name}
	if record.Namespace == "" {
		parts = []string{record.Object.Kind, record.Object.Name}
	}
	return strings.Join(parts, "/")
}

// deliver sends events in one request, and moves on where they were taken.
func (f *Forwarder) deliver(ctx context.Context, batch []event.Event) error {
	if len(batch) == 0 {
		return nil
	}
	request, err := f.request(ctx, batch)
	if err != nil {
		return err
	}
	if f.options.TokenFile != "" {
		token, err := os.ReadFile(f.options.TokenFile)
		if err != nil {
			return fmt.Errorf("the token for the receiver: %w", err)
		}
		request.Header.Set("Authorization", "Bearer "+strings.TrimSpace(string(token)))
	}
	response, err := f.client.Do(request)
	if err != nil {
		// The URL may hold what is nobody's business.
		var failed *url.Error
		if errors.As(err, &failed) {
			err = failed.Err
		}
		return fmt.Errorf("the receiver cannot be reached: %w", err)
	}
	_, drained := io.Copy(io.Discard, io.LimitReader(response.Body, 64<<10))
	if err := errors.Join(drained, response.Body.Close()); err != nil {
		return fmt.Errorf("the receiver's answer broke off: %w", err)
	}
	if response.StatusCode < 200 || response.StatusCode > 299 {
		return fmt.Errorf("the receiver answered %d %s", response.StatusCode, http.StatusText(response.StatusCode))
	}
	f.next.Add(uint64(len(batch)))
	return nil
}

func (f *Forwarder) request(ctx context.Context, batch []event.Event) (*http.Request, error) {
	if f.options.Batch == 1 {
		return cehttp.NewHTTPRequestFromEvent(binding.WithForceStructured(ctx), f.options.URL, batch[0])
	}
	return cehttp.NewHTTPRequestFromEvents(ctx, f.options.URL, batch)
}
