// Package apiclock keeps time by the API server: the local clock plus the offset that is seen in
// the server's answers. A manager whose own clock is wrong neither kills a passport early nor lets
// it live on.
package apiclock

import (
	"net/http"
	"sync"
	"time"

	"k8s.io/utils/clock"
)

// maxAge is for how long an observation bounds the offset: after that, drift may have moved it.
const maxAge = 5 * time.Minute

// Clock is a clock.PassiveClock that follows the API server. Before the first answer it is the
// local clock. Use New.
type Clock struct {
	local clock.PassiveClock

	mu sync.RWMutex
	// The offset lies in [low, high]; each bound was seen at its time.
	low, high     time.Duration
	lowAt, highAt time.Time
	seen          bool
}

var _ clock.PassiveClock = (*Clock)(nil)

// New gives a Clock over the local clock.
func New(local clock.PassiveClock) *Clock { return &Clock{local: local} }

// Now is the API server's time, as well as it is known: to about half a second and half the fastest
// round trip.
func (c *Clock) Now() time.Time { return c.local.Now().Add(c.Offset()) }

// Since is the time that passed since t.
func (c *Clock) Since(t time.Time) time.Duration { return c.Now().Sub(t) }

// Offset is what is added to the local clock.
func (c *Clock) Offset() time.Duration {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return (c.low + c.high) / 2
}

// Observe takes in an answer: the request was sent and the answer received at these local times, and
// the server dated it with this whole second.
func (c *Clock) Observe(sent, received, date time.Time) {
	// The server cut the fraction of its second: its time was in [date, date+1s) at some local time
	// in [sent, received].
	low, high := date.Sub(received), date.Add(time.Second).Sub(sent)
	c.mu.Lock()
	defer c.mu.Unlock()
	contradicts := low > c.high || high < c.low
	if !c.seen || contradicts {
		// The first answer; or a clock was stepped, and what was known no longer holds.
		c.low, c.high, c.lowAt, c.highAt, c.seen = low, high, received, received, true
		return
	}
	if low >= c.low || received.Sub(c.lowAt) > maxAge {
		c.low, c.lowAt = low, received
	}
	if high <= c.high || received.Sub(c.highAt) > maxAge {
		c.high, c.highAt = high, received
	}
}

// Wrap gives a transport that observes the Date of every answer (RFC 9110, section 6.6.1).
func (c *Clock) Wrap(next http.RoundTripper) http.RoundTripper {
	return roundTripper(func(request *http.Request) (*http.Response, error) {
		sent := c.local.Now()
		response, err := next.RoundTrip(request)
		if err != nil {
			return response, err
		}
		if date, parseErr := http.ParseTime(response.Header.Get("Date")); parseErr == nil {
			c.Observe(sent, c.local.Now(), date)
		}
		return response, nil
	})
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(request *http.Request) (*http.Response, error) { return f(request) }
