package controller

import (
	"context"
	"crypto/rand"
	"sync"
	"time"

	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"agentpassport.dev/operator/internal/servingcert"
)

// authorityInterval is how often the authority and the gateways' certificates are looked at: one that was
// deleted is back, or replaced, within it.
const authorityInterval = time.Minute

// ChannelAuthority holds the authority of the channel between gateways and managers, as this replica last
// read it. The zero value holds none.
type ChannelAuthority struct {
	mu        sync.RWMutex
	current   *servingcert.Authority
	listeners []func()
}

// Authority gives it; nil while none is read.
func (a *ChannelAuthority) Authority() *servingcert.Authority {
	a.mu.RLock()
	defer a.mu.RUnlock()
	return a.current
}

// Set takes in the authority as it is stored, and tells listeners where it is the first, or another.
func (a *ChannelAuthority) Set(authority *servingcert.Authority) {
	a.mu.Lock()
	same := authority.Same(a.current)
	a.current = authority
	listeners := a.listeners
	a.mu.Unlock()
	if same {
		return
	}
	for _, listener := range listeners {
		listener()
	}
}

// OnChange adds a listener. It must not block.
func (a *ChannelAuthority) OnChange(listener func()) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.listeners = append(a.listeners, listener)
}

// ChannelAuthorityLoader brings the stored authority into this replica, and makes the first one. Every replica
// runs it, leader or not: each shows a certificate of it to gateways.
type ChannelAuthorityLoader struct {
	// Client reads Secrets and ConfigMaps live, and writes.
	client.Client
	// Clock is the API server's.
	Clock clock.PassiveClock
	// Authority of this replica.
	Authority *ChannelAuthority
	// Namespace of the operator.
	Namespace string
}

// Reconcile reads the authority.
func (l *ChannelAuthorityLoader) Reconcile(ctx context.Context, _ ctrl.Request) (ctrl.Result, error) {
	authority, err := servingcert.LoadAuthority(ctx, l.Client, servingcert.Channel(l.Namespace), rand.Reader, l.Clock.Now())
	if err != nil {
		return ctrl.Result{}, err
	}
	l.Authority.Set(authority)
	return ctrl.Result{RequeueAfter: authorityInterval}, nil
}
