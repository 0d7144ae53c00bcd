package controller

import (
	"context"
	"slices"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"agentpassport.dev/operator/api/v1alpha1"
	"agentpassport.dev/operator/internal/audit/wire"
	"agentpassport.dev/operator/internal/lifecycle"
)

const (
	// observationPatience is for how long a verdict waits for what gateways saw.
	observationPatience = 10 * time.Second
	// observationFirst and observationSlowest bound the time between two looks.
	observationFirst   = 100 * time.Millisecond
	observationSlowest = time.Second
	// callsTimeout is for how long the audit log may take to answer one look.
	callsTimeout = 2 * time.Second
	// someGateway stands for gateways that nobody could name.
	someGateway = "unknown"
)

// observations gathers what gateways saw of missions that are over.
type observations struct {
	// gateways gives the names of those that were up at a time; nil: there are none.
	gateways func(ctx context.Context, at time.Time) ([]string, error)
	// calls gives the audit log's sums for one jti; nil: there is nothing to gather.
	calls func(ctx context.Context, namespace, jti string) (wire.Calls, error)

	mu sync.Mutex
	// since when each Checkout waits for its verdict.
	since map[types.UID]time.Time
}

// of gives what gateways saw of a mission, nil where no gateway had to do with it. Until all that were up
// when it ended have said that they told everything, or 10 seconds are over, it gives the time of the
// next look instead.
func (o *observations) of(
	ctx context.Context, checkout *v1alpha1.Checkout, passport *v1alpha1.Passport, now time.Time,
) (*v1alpha1.ObservedCalls, time.Duration) {
	if o.calls == nil {
		return nil, 0
	}
	gateways, known := o.gatewaysAt(ctx, passport.Status.EndTime.Time)
	calls, answered := o.sums(ctx, passport)
	missing := slices.DeleteFunc(gateways, func(name string) bool { return slices.Contains(calls.Seen, name) })
	if len(missing) > 0 {
		if again := o.again(checkout.UID, now); again > 0 {
			return nil, again
		}
	}
	if known && len(gateways) == 0 && (!answered || len(calls.Services) == 0) {
		return nil, 0
	}
	return lifecycle.Observed(calls, missing), 0
}

// gatewaysAt names the gateways that were up at a time. Where they cannot be asked for, there may be one.
func (o *observations) gatewaysAt(ctx context.Context, at time.Time) (names []string, known bool) {
	if o.gateways == nil {
		return nil, true
	}
	names, err := o.gateways(ctx, at)
	if err != nil {
		log.FromContext(ctx).Error(err, "which gateways are up is unknown")
		return []string{someGateway}, false
	}
	return slices.Clone(names), true
}

// sums asks the audit log for what it has of a mission, and says whether it answered.
func (o *observations) sums(ctx context.Context, passport *v1alpha1.Passport) (wire.Calls, bool) {
	ctx, cancel := context.WithTimeout(ctx, callsTimeout)
	defer cancel()
	calls, err := o.calls(ctx, passport.Namespace, passport.Status.JTI)
	if err != nil {
		log.FromContext(ctx).Info("the audit log does not say what gateways saw", "jti", passport.Status.JTI, "error", err.Error())
		return wire.Calls{}, false
	}
	return calls, true
}

// again is how long to wait until the next look: a tenth of a second at first, then twice as long each
// time, up to a second; zero once the patience is over.
func (o *observations) again(checkout types.UID, now time.Time) time.Duration {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.since == nil {
		o.since = map[types.UID]time.Time{}
	}
	begun, known := o.since[checkout]
	if !known {
		begun = now
		o.since[checkout] = now
	}
	waited := now.Sub(begun)
	return max(0, min(max(waited, observationFirst), observationSlowest, observationPatience-waited))
}

// forget drops what is known of a Checkout that is judged, or gone.
func (o *observations) forget(checkout types.UID) {
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.since, checkout)
}
