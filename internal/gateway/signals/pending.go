package signals

import (
	"cmp"
	"maps"
	"slices"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"agentpassport.dev/operator/api/v1alpha1"
	"agentpassport.dev/operator/internal/channel/wire"
	"agentpassport.dev/operator/internal/gateway/decision"
)

const (
	// maxPending is how many reports wait at once, maxOpen how many of one passport are counted on.
	maxPending = 4096
	maxOpen    = 16
	// hold is for how long what was told is counted on before it is told again.
	hold = 10 * time.Second
	// Between attempts to have a passport's reports settled.
	firstRetry, slowestRetry = 250 * time.Millisecond, 10 * time.Second
	// maxService is the longest name of a service.
	maxService = 63
)

// Pending are the reports that the manager does not have yet. What is seen again before it is sent is one
// report with a count.
type Pending struct {
	gateway string

	mu     sync.Mutex
	queues map[types.UID]*queue
	// size is how many reports there are, dropped how many there was no room for.
	size, dropped int
	// last is the highest sequence number that was given.
	last int64
	// changed says that what is stored is old; wake that there is something new to send.
	changed bool
	wake    chan struct{}
}

// queue is what one passport's reports are.
type queue struct {
	// open ones are counted on; sent ones stay as they are. Both in order.
	open, sent []*wire.Signal
	// told is when each type was last sent.
	told map[string]time.Time
	// retry is when sent ones are sent again, tries how often they were.
	retry time.Time
	tries int
}

// Left is what a gateway keeps of its reports over a restart.
type Left struct {
	// Last is the highest sequence number that it gave.
	Last int64 `json:"last"`
	// Signals that the manager does not have yet, in order.
	Signals []wire.Signal `json:"signals,omitempty"`
}

// NewPending gives what a gateway of this name, its Pod's, has to report: at first what it had left when
// it stopped.
func NewPending(gateway string, left Left) *Pending {
	p := &Pending{gateway: gateway, last: left.Last, queues: map[types.UID]*queue{}, wake: make(chan struct{}, 1)}
	slices.SortFunc(left.Signals, bySequence)
	for _, signal := range left.Signals[:min(len(left.Signals), maxPending)] {
		q := p.queue(types.UID(signal.UID))
		q.sent = append(q.sent, &signal)
		p.size++
		p.last = max(p.last, signal.Sequence)
	}
	return p
}

// Dropped says how many reports were lost because too many waited.
func (p *Pending) Dropped() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.dropped
}

// Waiting says how many reports the manager does not have yet.
func (p *Pending) Waiting() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.size
}

// Flush has what is known of a passport sent at once: its mission is over.
func (p *Pending) Flush(passport types.UID) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if q, known := p.queues[passport]; known && len(q.open) > 0 {
		clear(q.told)
		p.ring()
	}
}

// add counts something that was seen.
func (p *Pending) add(standing *decision.Standing, kind string, service v1alpha1.ServiceName, message string, at time.Time) {
	name := clip(string(service), maxService)
	p.mu.Lock()
	defer p.mu.Unlock()
	q := p.queue(standing.UID)
	if open := q.counting(kind, name); open != nil {
		open.Count = min(open.Count+1, 1<<30)
		open.Message = message
		if at.After(open.Last) {
			open.Last = at
		}
		if at.Before(open.First) {
			open.First = at
		}
		p.changed = true
		return
	}
	if p.size >= maxPending {
		p.dropped++
		return
	}
	if len(q.open) >= maxOpen {
		// Too many services to tell apart: from here on they are counted together.
		name = ""
	}
	p.size++
	q.open = append(q.open, &wire.Signal{
		Gateway: p.gateway, Sequence: p.sequence(at), Namespace: standing.Namespace, Name: standing.Name, UID: string(standing.UID),
		Type: kind, Service: name, Message: message, First: at, Last: at, Count: 1,
	})
	p.changed = true
	p.ring()
}

// counting is the open report that a sighting belongs to; nil where it begins one.
func (q *queue) counting(kind, service string) *wire.Signal {
	full := len(q.open) >= maxOpen
	for _, open := range q.open {
		if open.Type == kind && (open.Service == service || full && open.Service == "") {
			return open
		}
	}
	return nil
}

func (p *Pending) queue(passport types.UID) *queue {
	q, known := p.queues[passport]
	if !known {
		q = &queue{told: map[string]time.Time{}}
		p.queues[passport] = q
	}
	return q
}

// sequence numbers rise with time, so that even a gateway that lost all that it knew gives no lower one.
func (p *Pending) sequence(at time.Time) int64 {
	p.last = max(p.last+1, at.UnixMicro())
	return p.last
}

func (p *Pending) ring() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// take gives the reports to send now, at most so many, those of one passport in order, and until when
// there are no others; zero: before something new is seen.
func (p *Pending) take(now time.Time, limit int) (batch []wire.Signal, next time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, uid := range p.byRetry() {
		q := p.queues[uid]
		q.freeze(now, p)
		if len(q.sent) > 0 && !q.retry.After(now) {
			for _, signal := range q.sent[:min(len(q.sent), limit-len(batch))] {
				batch = append(batch, *signal)
			}
		}
		if due := q.due(); !due.IsZero() && (next.IsZero() || due.Before(next)) {
			next = due
		}
		if q.idle(now) {
			delete(p.queues, uid)
		}
	}
	return batch, next
}

// byRetry are the passports, those that wait for longest first.
func (p *Pending) byRetry() []types.UID {
	return slices.SortedFunc(maps.Keys(p.queues), func(a, b types.UID) int {
		return cmp.Or(p.queues[a].retry.Compare(p.queues[b].retry), cmp.Compare(a, b))
	})
}

// freeze makes open reports ones to send, once one of them is due.
func (q *queue) freeze(now time.Time, p *Pending) {
	due := func(open *wire.Signal) bool { return !q.dueOf(open).After(now) }
	if !slices.ContainsFunc(q.open, due) {
		return
	}
	for _, open := range q.open {
		q.told[open.Type] = now
	}
	q.sent, q.open = append(q.sent, q.open...), nil
	p.changed = true
}

// dueOf is when an open report is to be sent.
func (q *queue) dueOf(open *wire.Signal) time.Time {
	told, known := q.told[open.Type]
	if !known {
		return time.Time{}
	}
	return told.Add(hold)
}

// due is when there is something to do next; zero: nothing.
func (q *queue) due() (next time.Time) {
	sooner := func(at time.Time) {
		if next.IsZero() || at.Before(next) {
			next = at
		}
	}
	if len(q.sent) > 0 {
		sooner(q.retry)
	}
	for _, open := range q.open {
		sooner(q.dueOf(open))
	}
	return next
}

// idle says whether nothing is known of a passport that matters.
func (q *queue) idle(now time.Time) bool {
	if len(q.open)+len(q.sent) > 0 {
		return false
	}
	for _, told := range q.told {
		if now.Before(told.Add(hold)) {
			return false
		}
	}
	return true
}

// answer notes what became of a batch: what is settled goes, what is not is sent again later.
func (p *Pending) answer(batch []wire.Signal, settled []bool, now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	tried := map[types.UID]bool{}
	for i, signal := range batch {
		uid := types.UID(signal.UID)
		q := p.queues[uid]
		if q == nil {
			continue
		}
		if i < len(settled) && settled[i] {
			p.settle(q, signal.Sequence)
		} else {
			tried[uid] = true
		}
	}
	for uid := range tried {
		q := p.queues[uid]
		q.retry = now.Add(min(firstRetry<<min(q.tries, 10), slowestRetry))
		q.tries++
	}
}

// settle takes off a report that the manager has.
func (p *Pending) settle(q *queue, sequence int64) {
	before := len(q.sent)
	q.sent = slices.DeleteFunc(q.sent, func(s *wire.Signal) bool { return s.Sequence == sequence })
	p.size -= before - len(q.sent)
	q.tries, q.retry = 0, time.Time{}
	p.changed = true
}

// unsaved gives all that there is, where it changed since the last call.
func (p *Pending) unsaved() (left Left, changed bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.changed {
		return Left{}, false
	}
	p.changed, left.Last = false, p.last
	for _, q := range p.queues {
		for _, signal := range slices.Concat(q.sent, q.open) {
			left.Signals = append(left.Signals, *signal)
		}
	}
	slices.SortFunc(left.Signals, bySequence)
	return left, true
}

func bySequence(a, b wire.Signal) int { return cmp.Compare(a.Sequence, b.Sequence) }

func clip(text string, limit int) string {
	if runes := []rune(text); len(runes) > limit {
		return string(runes[:limit])
	}
	return text
}
