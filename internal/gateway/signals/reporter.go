package signals

import (
	"context"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/utils/clock"

	"agentpassport.dev/operator/internal/channel/wire"
)

// sendTimeout is for how long the manager may take to store a batch.
const sendTimeout = 20 * time.Second

// Manager takes reports, and says of each one whether it is settled.
type Manager interface {
	Signals(ctx context.Context, signals []wire.Signal) (settled []bool, err error)
}

// Store keeps reports over a restart.
type Store interface {
	// Save keeps this in the place of all that was kept before.
	Save(left Left) error
}

// Reporter sends what is pending to the manager, until it is settled.
type Reporter struct {
	// Pending reports.
	Pending *Pending
	// Manager that takes them.
	Manager Manager
	// Store that keeps them meanwhile; nil: nobody does.
	Store Store
	// Clock for waiting.
	Clock clock.Clock
	// Log of what does not work.
	Log logr.Logger
}

// Run sends until the context ends. What is left then is kept.
func (r *Reporter) Run(ctx context.Context) error {
	for r.round(ctx) {
	}
	r.keep()
	return nil
}

// round sends one batch, or waits where there is none, and says whether there may be another.
func (r *Reporter) round(ctx context.Context) bool {
	batch, next := r.Pending.take(r.Clock.Now(), wire.MaxItems)
	r.keep()
	if len(batch) > 0 {
		r.send(ctx, batch)
		r.keep()
	} else {
		r.wait(ctx, next)
	}
	return ctx.Err() == nil
}

// send sends one batch. A failure is one for all of it.
func (r *Reporter) send(ctx context.Context, batch []wire.Signal) {
	ctx, cancel := context.WithTimeout(ctx, sendTimeout)
	defer cancel()
	settled, err := r.Manager.Signals(ctx, batch)
	if err != nil {
		r.Log.Info("the manager takes no signals; they are sent again", "signals", len(batch), "error", err.Error())
		settled = nil
	}
	r.Pending.answer(batch, settled, r.Clock.Now())
}

// wait waits for something to send.
func (r *Reporter) wait(ctx context.Context, next time.Time) {
	var due <-chan time.Time
	if !next.IsZero() {
		timer := r.Clock.NewTimer(max(next.Sub(r.Clock.Now()), 0))
		defer timer.Stop()
		due = timer.C()
	}
	select {
	case <-ctx.Done():
	case <-r.Pending.wake:
	case <-due:
	}
}

// keep stores what is pending, where it changed.
func (r *Reporter) keep() {
	if r.Store == nil {
		return
	}
	if left, changed := r.Pending.unsaved(); changed {
		if err := r.Store.Save(left); err != nil {
			r.Log.Error(err, "signals that the manager does not have yet are lost if this gateway stops now")
		}
	}
}
