package trail

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"

	"agentpassport.dev/operator/api/v1alpha1"
	"agentpassport.dev/operator/internal/audit"
	"agentpassport.dev/operator/internal/gateway/decision"
)

const (
	// landingWait is how long a mark waits for calls that have begun before the end of their passport.
	landingWait = 5 * time.Second
	// retryMark is how long a worker rests when the spool takes no mark.
	retryMark = time.Second
	// flushEvery is how often the sums of forged tokens are looked at.
	flushEvery = 5 * time.Second
	// farewell is how long the last records may take.
	farewell = 5 * time.Second
	// workers write marks at the same time; they share their writes.
	workers = 16
)

// Spool takes records and returns once they are safe: spool.Spool.
type Spool interface {
	Append(ctx context.Context, record audit.Record) error
}

// Options are what a trail needs.
type Options struct {
	// Gateway is who writes.
	Gateway Gateway
	// Spool is where it writes to.
	Spool Spool
	// Clock is the API server's.
	Clock clock.WithTicker
	// Logger is told of what could not be written.
	Logger logr.Logger
}

// Trail writes what one gateway sees. Its methods may be called by any goroutine.
type Trail struct {
	Options
	sequence  atomic.Uint64
	flights   flights
	forgeries Forgeries

	mu sync.Mutex
	// marks wait to be written, in the order of the ends.
	marks []mark
	// marked is told of them.
	marked chan struct{}
}

// mark is a passport that is over.
type mark struct {
	standing *decision.Standing
	// landed is closed when the calls are over that had begun before; nil for none.
	landed <-chan struct{}
}

// New gives a trail. Run has to run for its marks and its sums to be written.
func New(options Options) *Trail {
	return &Trail{Options: options, marked: make(chan struct{}, workers)}
}

// Begin counts a call of the passport with a UID in flight until done is called: the mark of its end waits for
// that. Call it before looking at how the passport stands: what is seen alive then has begun before its end.
func (t *Trail) Begin(uid types.UID) (done func()) { return t.flights.begin(uid) }

// Call records one call, and returns once the record is safe. The errors are those of the spool.
func (t *Trail) Call(ctx context.Context, call Call) error {
	return t.Spool.Append(ctx, t.Gateway.callRecord(call, t.sequence.Add(1)))
}

// Forged counts a token with our issuer that is none of ours.
func (t *Trail) Forged(source string) { t.forgeries.Note(source, t.Clock.Now()) }

// Ended takes note of a passport that is over: once all its calls that have begun are recorded, or five seconds
// later, passport.seen is. Missions in mode Standard have no verdict that would ask for it.
func (t *Trail) Ended(standing *decision.Standing) {
	if standing.JTI == "" || (standing.Mode != v1alpha1.ModeEnforced && standing.Mode != v1alpha1.ModeLogged) {
		return
	}
	t.queue(mark{standing: standing, landed: t.flights.settled(standing.UID)})
}

func (t *Trail) queue(m mark) {
	t.mu.Lock()
	t.marks = append(t.marks, m)
	t.mu.Unlock()
	t.wake()
}

func (t *Trail) wake() {
	select {
	case t.marked <- struct{}{}:
	default:
	}
}

func (t *Trail) next() (m mark, found bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.marks) == 0 {
		return m, false
	}
	m, t.marks = t.marks[0], t.marks[1:]
	return m, true
}

// Run writes marks and sums until the context ends, and then what is left of them. By then no call may be under way
// any more.
func (t *Trail) Run(ctx context.Context) {
	var running sync.WaitGroup
	for range workers {
		running.Go(func() { t.write(ctx, &running) })
	}
	t.sum(ctx)
	running.Wait()

	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), farewell)
	defer cancel()
	for m, found := t.next(); found; m, found = t.next() {
		if err := t.see(last, m.standing); err != nil {
			t.Logger.Error(err, "the end of a passport could not be marked", "passport", m.standing.JTI)
		}
	}
	t.flush(last, t.Clock.Now().Add(time.Minute))
}

// write writes marks, until the context ends.
func (t *Trail) write(ctx context.Context, running *sync.WaitGroup) {
	for {
		m, found := t.next()
		if !found {
			select {
			case <-ctx.Done():
				return
			case <-t.marked:
			}
			continue
		}
		if m.landed != nil {
			// Each of these has a call under way, of which there are not many.
			running.Go(func() { t.await(ctx, m) })
			continue
		}
		if err := t.see(ctx, m.standing); err != nil {
			t.queue(m)
			if ctx.Err() != nil {
				return
			}
			t.Logger.Error(err, "the end of a passport could not be marked yet", "passport", m.standing.JTI)
			t.rest(ctx, retryMark, nil)
		}
	}
}

// await queues a mark again once its calls have landed, or have taken too long.
func (t *Trail) await(ctx context.Context, m mark) {
	t.rest(ctx, landingWait, m.landed)
	t.queue(mark{standing: m.standing})
}

func (t *Trail) see(ctx context.Context, standing *decision.Standing) error {
	return t.Spool.Append(ctx, t.Gateway.seenRecord(standing, t.Clock.Now()))
}

// rest waits for so long, for a channel or for the end of the context.
func (t *Trail) rest(ctx context.Context, how time.Duration, or <-chan struct{}) {
	timer := t.Clock.NewTimer(how)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C():
	case <-or:
	}
}

// sum writes the sums of forged tokens once their minute is over, until the context ends.
func (t *Trail) sum(ctx context.Context) {
	ticker := t.Clock.NewTicker(flushEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C():
			t.flush(ctx, t.Clock.Now())
		}
	}
}

// flush writes the sums of the minutes that are over by a time. What cannot be written is told of: it is no record
// that anything waits for.
func (t *Trail) flush(ctx context.Context, now time.Time) {
	var failed error
	for _, sum := range t.forgeries.take(now) {
		err := t.Spool.Append(ctx, t.Gateway.forgeryRecord(sum, t.sequence.Add(1)))
		failed = errors.Join(failed, err)
	}
	if failed != nil {
		t.Logger.Error(failed, "forged tokens could not be recorded")
	}
}
