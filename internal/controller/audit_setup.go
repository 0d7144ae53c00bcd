package controller

import (
	"context"
	"slices"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"agentpassport.dev/operator/api/v1alpha1"
	"agentpassport.dev/operator/internal/audit"
	"agentpassport.dev/operator/internal/audit/steps"
)

// trailWorkers is how many names are recorded at once. The log has one writer, which takes what waits
// together.
const trailWorkers = 32

// NewMissionTrailReconciler gives one that reads from a cache.
func NewMissionTrailReconciler(c client.Client, o Options) *MissionTrailReconciler {
	return &MissionTrailReconciler{Client: c, trail: o.Trail}
}

// NewBlockTrailReconciler gives one that reads from a cache.
func NewBlockTrailReconciler(c client.Client, o Options) *BlockTrailReconciler {
	return &BlockTrailReconciler{Client: c, Clock: o.Clock, trail: o.Trail}
}

// NewAgentTrailReconciler gives one that reads from a cache.
func NewAgentTrailReconciler(c client.Client, o Options) *AgentTrailReconciler {
	return &AgentTrailReconciler{
		Client: c, Clock: o.Clock, trail: o.Trail, change: steps.Agent, deletion: steps.AgentDeleted, verified: steps.AgentVerified,
	}
}

// NewPackageTrailReconciler gives one that reads from a cache.
func NewPackageTrailReconciler(c client.Client, o Options) *PackageTrailReconciler {
	return &PackageTrailReconciler{
		Client: c, Clock: o.Clock, trail: o.Trail, change: steps.Package, deletion: steps.PackageDeleted, verified: steps.PackageVerified,
	}
}

// NewPackTrailReconciler gives one that reads from a cache.
func NewPackTrailReconciler(c client.Client, o Options) *PackTrailReconciler {
	return &PackTrailReconciler{Client: c, Clock: o.Clock, trail: o.Trail, change: steps.Pack, deletion: steps.PackDeleted}
}

// NewVendorKeyTrailReconciler gives one that reads from a cache.
func NewVendorKeyTrailReconciler(c client.Client, o Options) *VendorKeyTrailReconciler {
	return &VendorKeyTrailReconciler{Client: c, Clock: o.Clock, trail: o.Trail, change: steps.VendorKey, deletion: steps.VendorKeyDeleted}
}

// NewConnectionTrailReconciler gives one that reads from a cache.
func NewConnectionTrailReconciler(c client.Client, o Options) *ConnectionTrailReconciler {
	return &ConnectionTrailReconciler{Client: c, Clock: o.Clock, trail: o.Trail, change: steps.Connection, deletion: steps.ConnectionDeleted}
}

func setupMissionTrail(mgr ctrl.Manager, o Options) error {
	r := NewMissionTrailReconciler(mgr.GetClient(), o)
	return ctrl.NewControllerManagedBy(mgr).Named("missiontrail").
		For(&v1alpha1.Passport{}).
		Watches(&v1alpha1.Checkpoint{}, handler.EnqueueRequestsFromMapFunc(byMission), builder.WithPredicates(notDeleted)).
		Watches(&v1alpha1.Checkout{}, handler.EnqueueRequestsFromMapFunc(byMission), builder.WithPredicates(notDeleted)).
		WatchesRawSource(o.Trail.replay(mgr.GetClient(), missionName,
			&v1alpha1.PassportList{}, &v1alpha1.CheckpointList{}, &v1alpha1.CheckoutList{})).
		WithOptions(o.controller(trailWorkers)).
		Complete(r)
}

func setupBlockTrail(mgr ctrl.Manager, o Options) error {
	r := NewBlockTrailReconciler(mgr.GetClient(), o)
	return ctrl.NewControllerManagedBy(mgr).Named("blocktrail").
		Watches(&v1alpha1.AgentBlock{}, keepRemains(&r.gone)).
		WatchesRawSource(o.Trail.replay(mgr.GetClient(), ownName, &v1alpha1.AgentBlockList{})).
		WithOptions(o.controller(2)).
		Complete(r)
}

func setupAgentTrail(mgr ctrl.Manager, o Options) error {
	return setupConfigTrail(mgr, o, "agenttrail", NewAgentTrailReconciler(mgr.GetClient(), o), &v1alpha1.AgentPassportList{})
}

func setupConnectionTrail(mgr ctrl.Manager, o Options) error {
	return setupConfigTrail(mgr, o, "connectiontrail", NewConnectionTrailReconciler(mgr.GetClient(), o), &v1alpha1.ServiceConnectionList{})
}

func setupDocumentTrails(mgr ctrl.Manager, o Options) error {
	if err := setupConfigTrail(mgr, o, "packagetrail", NewPackageTrailReconciler(mgr.GetClient(), o), &v1alpha1.CapabilityPassportList{}); err != nil {
		return err
	}
	if err := setupConfigTrail(mgr, o, "packtrail", NewPackTrailReconciler(mgr.GetClient(), o), &v1alpha1.PolicyPackList{}); err != nil {
		return err
	}
	return setupConfigTrail(mgr, o, "vendorkeytrail", NewVendorKeyTrailReconciler(mgr.GetClient(), o), &v1alpha1.VendorKeyList{})
}

func setupConfigTrail[T any, P configured[T]](
	mgr ctrl.Manager, o Options, name string, r *ConfigTrailReconciler[T, P], all client.ObjectList,
) error {
	return ctrl.NewControllerManagedBy(mgr).Named(name).
		Watches(P(new(T)), keepRemains(&r.gone)).
		Watches(P(new(T)), r.keepVersions()).
		WatchesRawSource(o.Trail.replay(mgr.GetClient(), ownName, all)).
		WithOptions(o.controller(2)).
		Complete(r)
}

// missionName is the name of the Passport that an object is, or is about.
func missionName(object client.Object) reconcile.Request {
	if request, is := passportOf(object); is {
		return request
	}
	return ownName(object)
}

func ownName(object client.Object) reconcile.Request {
	return reconcile.Request{NamespacedName: client.ObjectKeyFromObject(object)}
}

func byMission(_ context.Context, object client.Object) []reconcile.Request {
	return []reconcile.Request{missionName(object)}
}

// replay enqueues everything once the log has begun another epoch.
func (t *AuditTrail) replay(reader client.Reader, name func(client.Object) reconcile.Request, kinds ...client.ObjectList) source.Source {
	return source.Func(func(ctx context.Context, queue requestQueue) error {
		t.onNewEpoch(func() {
			for _, kind := range kinds {
				for _, request := range requestsOf(ctx, reader, kind, name) {
					queue.Add(request)
				}
			}
		})
		return nil
	})
}

// requestsOf names the objects of a list's kind that a cache holds; none where it cannot be read.
func requestsOf(
	ctx context.Context, reader client.Reader, kind client.ObjectList, name func(client.Object) reconcile.Request, options ...client.ListOption,
) []reconcile.Request {
	list, ok := kind.DeepCopyObject().(client.ObjectList)
	if !ok || reader.List(ctx, list, append(options, client.UnsafeDisableDeepCopy)...) != nil {
		return nil
	}
	requests := make([]reconcile.Request, 0, meta.LenList(list))
	_ = meta.EachListItem(list, func(item runtime.Object) error {
		if object, is := item.(client.Object); is {
			requests = append(requests, name(object))
		}
		return nil
	})
	return requests
}

// keepVersions keeps every version of an object that has records of its own until these are in.
func (r *ConfigTrailReconciler[T, P]) keepVersions() handler.EventHandler {
	enqueue := handler.EnqueueRequestForObject{}
	return handler.Funcs{UpdateFunc: func(ctx context.Context, e event.UpdateEvent, queue requestQueue) {
		before, okBefore := e.ObjectOld.(P)
		after, okAfter := e.ObjectNew.(P)
		if okBefore && okAfter && r.differ(before, after) {
			r.changed.keep(after)
			enqueue.Update(ctx, e, queue)
		}
	}}
}

func (r *ConfigTrailReconciler[T, P]) differ(before, after P) bool {
	if before.GetGeneration() != after.GetGeneration() || r.verified == nil {
		return before.GetGeneration() != after.GetGeneration()
	}
	return !slices.EqualFunc(r.verified(before, ""), r.verified(after, ""), func(a, b audit.Record) bool { return a.ID == b.ID })
}

// keepRemains enqueues every object, and keeps one that is deleted until its records are in.
func keepRemains[T keepable](gone *remains[T]) handler.EventHandler {
	enqueue := handler.EnqueueRequestForObject{}
	return handler.Funcs{
		CreateFunc: enqueue.Create,
		UpdateFunc: enqueue.Update,
		DeleteFunc: func(ctx context.Context, e event.DeleteEvent, queue requestQueue) {
			if object, ok := e.Object.(T); ok {
				gone.keep(object)
			}
			enqueue.Delete(ctx, e, queue)
		},
	}
}
