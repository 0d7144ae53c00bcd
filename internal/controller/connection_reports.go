package controller

import (
	"context"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"

	"agentpassport.dev/operator/api/v1alpha1"
	"agentpassport.dev/operator/internal/channel/wire"
	"agentpassport.dev/operator/internal/gateway/presence"
	"agentpassport.dev/operator/internal/lifecycle"
)

// maxReporters is how many gateways are heard on one connection.
const maxReporters = 256

// ConnectionReports holds what gateways last said of the credentials of ServiceConnections, in the memory of
// the replica that leads. Gateways say it again to another one.
type ConnectionReports struct {
	cached, live client.Reader
	clock        clock.PassiveClock
	// news brings a connection back of which something else is said.
	news chan event.GenericEvent

	mu   sync.Mutex
	said map[types.NamespacedName]*heard
}

// heard is what is said of one connection, by gateway.
type heard struct {
	uid types.UID
	by  map[string]credentialReport
}

type credentialReport struct {
	generation int64
	reason     v1alpha1.Reason
	at         time.Time
}

// NewConnectionReports gives one that knows of nothing yet.
func NewConnectionReports(cached, live client.Reader, now clock.PassiveClock) *ConnectionReports {
	return &ConnectionReports{
		cached: cached, live: live, clock: now, news: make(chan event.GenericEvent), said: map[types.NamespacedName]*heard{},
	}
}

// News are the connections of which something else is said. Somebody has to take them.
func (r *ConnectionReports) News() <-chan event.GenericEvent { return r.news }

// Report takes what gateways say. What concerns no ServiceConnection that there is, is left out.
func (r *ConnectionReports) Report(ctx context.Context, connections []wire.Connection) error {
	for i := range connections {
		said := &connections[i]
		if said.Gateway == "" || !lifecycle.CredentialReason(v1alpha1.Reason(said.Reason)) {
			continue
		}
		connection, err := findCertainly(ctx, r.cached, r.live, said.Namespace, said.Name, func(c *v1alpha1.ServiceConnection) bool {
			return string(c.UID) == said.UID
		})
		if err != nil {
			return err
		}
		if connection == nil || !r.hear(connection, said) {
			continue
		}
		select {
		case r.news <- event.GenericEvent{Object: connection}:
		case <-ctx.Done():
			r.unhear(connection, said.Gateway) // said again, it is news again
			return ctx.Err()
		}
	}
	return nil
}

// hear says whether it is news.
func (r *ConnectionReports) hear(connection *v1alpha1.ServiceConnection, said *wire.Connection) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	key := client.ObjectKeyFromObject(connection)
	of := r.said[key]
	if of == nil || of.uid != connection.UID {
		of = &heard{uid: connection.UID, by: map[string]credentialReport{}}
		r.said[key] = of
	}
	before, known := of.by[said.Gateway]
	if (!known && len(of.by) >= maxReporters) || said.Generation < before.generation {
		return false
	}
	now := credentialReport{generation: said.Generation, reason: v1alpha1.Reason(said.Reason), at: r.clock.Now()}
	of.by[said.Gateway] = now
	return before.generation != now.generation || before.reason != now.reason
}

func (r *ConnectionReports) unhear(connection *v1alpha1.ServiceConnection, gateway string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if of := r.said[client.ObjectKeyFromObject(connection)]; of != nil {
		delete(of.by, gateway)
	}
}

// of gives what live gateways say of a connection as it is in its generation, and forgets what others said.
// One that spoke a moment ago lives, though its Lease may not be seen yet.
func (r *ConnectionReports) of(connection *v1alpha1.ServiceConnection, live map[string]bool) (said []v1alpha1.Reason) {
	r.mu.Lock()
	defer r.mu.Unlock()
	of := r.said[client.ObjectKeyFromObject(connection)]
	if of == nil || of.uid != connection.UID {
		return nil
	}
	for gateway, report := range of.by {
		switch {
		case !live[gateway] && r.clock.Now().Sub(report.at) >= presence.Duration:
			delete(of.by, gateway)
		case report.generation == connection.Generation:
			said = append(said, report.reason)
		}
	}
	return said
}

// forget drops what is known of a connection that is gone: by the API server's own word, since the cache may not
// show one yet that was made again under the name.
func (r *ConnectionReports) forget(ctx context.Context, key types.NamespacedName) error {
	again, err := find[v1alpha1.ServiceConnection](ctx, r.live, key.Namespace, key.Name)
	if err != nil || again != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.said, key)
	return nil
}
