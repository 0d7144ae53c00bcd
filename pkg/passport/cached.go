package passport

import (
	"context"
	"sync/atomic"
	"time"
)

// afterFailure is how long it is between two attempts at least, where the first one failed.
const afterFailure = time.Second

// held is something that was fetched.
type held[T any] struct {
	value T
	// fetched is when. Until fresh nobody asks for a newer one; until usable it serves while there is none.
	fetched, fresh, usable time.Time
}

// cached keeps one thing that is fetched. One caller at a time fetches, and the others wait for it.
type cached[T any] struct {
	fetch func(context.Context) (held[T], error)
	now   func() time.Time
	// every is how long it is between two fetches at least, whoever asks.
	every time.Duration

	held atomic.Pointer[held[T]]
	// turn is held while fetching. It guards what follows.
	turn   chan struct{}
	tried  time.Time
	failed error
}

func newCached[T any](now func() time.Time, every time.Duration, fetch func(context.Context) (held[T], error)) *cached[T] {
	return &cached[T]{fetch: fetch, now: now, every: every, turn: make(chan struct{}, 1)}
}

// get gives what is held while it is fresh, and fetches it otherwise.
func (c *cached[T]) get(ctx context.Context) (T, error) {
	if held := c.held.Load(); held != nil && c.now().Before(held.fresh) {
		return held.value, nil
	}
	return c.renew(ctx, nil)
}

// newer gives what is fetched after a value turned out to be too old; the same one again where that was
// tried a moment ago.
func (c *cached[T]) newer(ctx context.Context) (T, error) { return c.renew(ctx, c.held.Load()) }

// renew fetches, but where another caller has done so meanwhile, or where it was tried a moment ago. What
// is held, and not old, it fetches anew.
func (c *cached[T]) renew(ctx context.Context, old *held[T]) (T, error) {
	var none T
	select {
	case c.turn <- struct{}{}:
		defer func() { <-c.turn }()
	case <-ctx.Done():
		return none, ctx.Err()
	}
	now := c.now()
	last := c.held.Load()
	if last != nil && last != old && now.Before(last.fresh) {
		return last.value, nil
	}
	every := c.every
	if c.failed != nil {
		every = min(every, afterFailure)
	}
	if waited := now.Sub(c.tried); c.tried.IsZero() || waited < 0 || waited >= every {
		fetched, err := c.fetch(ctx)
		if err != nil && ctx.Err() != nil {
			return none, err // it was given up, which says nothing
		}
		c.tried, c.failed = now, err
		if err == nil {
			c.held.Store(&fetched)
			return fetched.value, nil
		}
	}
	if last != nil && now.Before(last.usable) {
		return last.value, nil
	}
	return none, c.failed
}
