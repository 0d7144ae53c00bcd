package api

import (
	"math"
	"sync"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/time/rate"
	"k8s.io/utils/clock"
)

// Limits bound how often one client may come: one user, or one address where nobody says who they are.
type Limits struct {
	// PerSecond is how many requests a second are let in; 0: as many as come.
	PerSecond float64
	// Burst is how many at once; at least 1.
	Burst int
	// Clients is how many clients are remembered; 0: 10,000. Whoever did not come for longest is
	// forgotten.
	Clients int
}

const defaultClients = 10_000

// limiter holds a bucket a client. A nil one lets everything in.
type limiter struct {
	limits Limits
	clock  clock.PassiveClock
	mu     sync.Mutex
	known  *lru.Cache[string, *rate.Limiter]
}

func newLimiter(limits Limits, now clock.PassiveClock) *limiter {
	if limits.PerSecond <= 0 {
		return nil
	}
	limits.Burst = max(limits.Burst, 1)
	if limits.Clients <= 0 {
		limits.Clients = defaultClients
	}
	known, err := lru.New[string, *rate.Limiter](limits.Clients)
	if err != nil {
		return nil // a size above 0 never fails
	}
	return &limiter{limits: limits, clock: now, known: known}
}

func (l *limiter) bucket(client string) *rate.Limiter {
	l.mu.Lock()
	defer l.mu.Unlock()
	bucket, found := l.known.Get(client)
	if !found {
		bucket = rate.NewLimiter(rate.Limit(l.limits.PerSecond), l.limits.Burst)
		l.known.Add(client, bucket)
	}
	return bucket
}

// take lets one request in, or says when to come again.
func (l *limiter) take(client string) error {
	if l == nil || l.bucket(client).AllowN(l.clock.Now(), 1) {
		return nil
	}
	return l.comeAgain()
}

// left says whether take would let one in, and takes nothing.
func (l *limiter) left(client string) error {
	if l == nil || l.bucket(client).TokensAt(l.clock.Now()) >= 1 {
		return nil
	}
	return l.comeAgain()
}

func (l *limiter) comeAgain() error {
	wait := time.Duration(float64(time.Second) / l.limits.PerSecond)
	seconds := max(1, int(math.Ceil(wait.Seconds())))
	return fail(CodeRateLimited, "too many requests; come again in %d s", seconds).with(details{retryAfter: seconds})
}
