package controller

import (
	"context"
	"slices"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"agentpassport.dev/operator/api/v1alpha1"
	"agentpassport.dev/operator/internal/audit"
	"agentpassport.dev/operator/internal/audit/steps"
)

// MissionTrailReconciler records the steps of missions, by the names of their Passports. Nothing waits
// for it: where the log is away it comes back, and finds the same steps in what is stored.
type MissionTrailReconciler struct {
	// Client reads from the cache.
	client.Client

	trail *AuditTrail
}

// Reconcile records what is not in the log yet of the missions of one name.
func (r *MissionTrailReconciler) Reconcile(ctx context.Context, request ctrl.Request) (ctrl.Result, error) {
	passport, err := find[v1alpha1.Passport](ctx, r.Client, request.Namespace, request.Name)
	if err != nil {
		return ctrl.Result{}, err
	}
	records, err := r.trail.ofMission(ctx, r.Client, request.Namespace, request.Name, passport)
	if err != nil {
		return ctrl.Result{}, err
	}
	return later(r.trail.record(ctx, records...))
}

// later tries again what the log did not take. That is told of once, where it is first seen.
func later(err error) (ctrl.Result, error) {
	if err != nil {
		return ctrl.Result{RequeueAfter: retryWaiting}, nil //nolint:nilerr // it was told of where it was seen
	}
	return ctrl.Result{}, nil
}

// BlockTrailReconciler records that agents were blocked, and that they were let work again.
type BlockTrailReconciler struct {
	// Client reads from the cache.
	client.Client
	// Clock is the API server's.
	Clock clock.PassiveClock

	trail *AuditTrail
	gone  remains[*v1alpha1.AgentBlock]
}

// Reconcile records what is not in the log yet of one block. One that was deleted is recorded as it was
// last seen.
func (r *BlockTrailReconciler) Reconcile(ctx context.Context, request ctrl.Request) (ctrl.Result, error) {
	blocks := r.gone.of(request.NamespacedName)
	block, err := find[v1alpha1.AgentBlock](ctx, r.Client, request.Namespace, request.Name)
	if err != nil {
		return ctrl.Result{}, err
	}
	if block != nil {
		blocks = append(blocks, block)
	}
	for _, block := range blocks {
		if err := r.trail.record(ctx, steps.Block(block, r.Clock.Now())...); err != nil {
			return later(err)
		}
		r.gone.forget(block)
	}
	return ctrl.Result{}, nil
}

// AgentTrailReconciler records every change of an agent, and what its document's signature was found to be.
type AgentTrailReconciler = ConfigTrailReconciler[v1alpha1.AgentPassport, *v1alpha1.AgentPassport]

// ConnectionTrailReconciler records every change of a ServiceConnection.
type ConnectionTrailReconciler = ConfigTrailReconciler[v1alpha1.ServiceConnection, *v1alpha1.ServiceConnection]

// PackageTrailReconciler records every change of a package's document, and what its signature was found to be.
type PackageTrailReconciler = ConfigTrailReconciler[v1alpha1.CapabilityPassport, *v1alpha1.CapabilityPassport]

// PackTrailReconciler records every change of a PolicyPack.
type PackTrailReconciler = ConfigTrailReconciler[v1alpha1.PolicyPack, *v1alpha1.PolicyPack]

// VendorKeyTrailReconciler records every change of a VendorKey.
type VendorKeyTrailReconciler = ConfigTrailReconciler[v1alpha1.VendorKey, *v1alpha1.VendorKey]

// ConfigTrailReconciler records every change of what is set up by people.
type ConfigTrailReconciler[T any, P configured[T]] struct {
	// Client reads from the cache.
	client.Client
	// Clock is the API server's.
	Clock clock.PassiveClock

	trail *AuditTrail
	// change is the record of one generation, deletion that of the end.
	change   func(object P, at time.Time) (audit.Record, error)
	deletion func(object P, at time.Time) audit.Record
	// verified is what the signature of a document was found to be; nil: the kind has no document.
	verified func(object P, operator string) []audit.Record
	// changed are versions that may be another by now.
	changed remains[P]
	gone    remains[P]
}

// configured is a pointer to an object, one version of which is told from another by where it is.
type configured[T any] interface {
	object[T]
	comparable
}

// Reconcile records every generation of an object that was seen, and its deletion.
func (r *ConfigTrailReconciler[T, P]) Reconcile(ctx context.Context, request ctrl.Request) (ctrl.Result, error) {
	for _, was := range r.changed.of(request.NamespacedName) {
		records, err := r.records(was)
		if err != nil {
			return ctrl.Result{}, err
		}
		if err := r.trail.record(ctx, records...); err != nil {
			return later(err)
		}
		r.changed.forget(was)
	}
	for _, was := range r.gone.of(request.NamespacedName) {
		records, err := r.records(was)
		if err != nil {
			return ctrl.Result{}, err
		}
		if err := r.trail.record(ctx, append(records, r.deletion(was, r.Clock.Now()))...); err != nil {
			return later(err)
		}
		r.gone.forget(was)
	}
	is, err := find[T, P](ctx, r.Client, request.Namespace, request.Name)
	if err != nil || is == nil {
		return ctrl.Result{}, err
	}
	records, err := r.records(is)
	if err != nil {
		return ctrl.Result{}, err
	}
	return later(r.trail.record(ctx, records...))
}

// records are those of one version of an object.
func (r *ConfigTrailReconciler[T, P]) records(object P) ([]audit.Record, error) {
	change, err := r.change(object, r.Clock.Now())
	if err != nil {
		return nil, err
	}
	records := []audit.Record{change}
	if r.verified != nil {
		records = append(records, r.verified(object, r.trail.operator)...)
	}
	return records, nil
}

// keepable is a pointer to an object: one version of it is told from another by where it is.
type keepable interface {
	client.Object
	comparable
}

// remains keeps objects as they were, which may not be there any longer, until their records are in the log.
// Nothing holds their change or their deletion, so that what this process forgets in an outage of the log is
// lost.
type remains[T keepable] struct {
	mu   sync.Mutex
	gone map[types.NamespacedName][]T
}

func (r *remains[T]) keep(object T) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.gone == nil {
		r.gone = map[types.NamespacedName][]T{}
	}
	key := client.ObjectKeyFromObject(object)
	r.gone[key] = append(r.gone[key], object)
}

func (r *remains[T]) of(key types.NamespacedName) []T {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.gone[key])
}

func (r *remains[T]) forget(object T) {
	r.mu.Lock()
	defer r.mu.Unlock()
	key := client.ObjectKeyFromObject(object)
	left := slices.DeleteFunc(r.gone[key], func(other T) bool { return other == object })
	if len(left) == 0 {
		delete(r.gone, key)
		return
	}
	r.gone[key] = left
}
