package controller

import (
	"context"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"agentpassport.dev/operator/api/v1alpha1"
	"agentpassport.dev/operator/internal/lifecycle"
	"agentpassport.dev/operator/internal/policy"
)

// +kubebuilder:rbac:groups=agentpassport.dev,resources=policypacks,verbs=get;list;watch
// +kubebuilder:rbac:groups=agentpassport.dev,resources=policypacks/status,verbs=update

// PolicyPackReconciler says on each PolicyPack what its rules match, or would. Whoever installs or issues asks the
// rules itself; nothing waits for this.
type PolicyPackReconciler struct {
	// Client reads from the cache and writes.
	client.Client
	// Clock is the API server's.
	Clock clock.PassiveClock
	// Recorder makes Events.
	Recorder events.EventRecorder

	mu sync.Mutex
	// tried is when, and as which, a pack of that name was held against all there is.
	tried map[types.NamespacedName]trying
}

type trying struct {
	at         time.Time
	uid        types.UID
	generation int64
}

// Reconcile writes the status, once, where it changed: at once for another pack, and else once in sumInterval.
func (r *PolicyPackReconciler) Reconcile(ctx context.Context, request ctrl.Request) (ctrl.Result, error) {
	pack, err := find[v1alpha1.PolicyPack](ctx, r.Client, request.Namespace, request.Name)
	if err != nil {
		return ctrl.Result{}, err
	}
	if pack == nil || pack.DeletionTimestamp != nil {
		r.forget(request.NamespacedName)
		return ctrl.Result{}, nil
	}
	now := r.Clock.Now()
	if left := r.untilNextTry(pack, now); left > 0 {
		return ctrl.Result{RequeueAfter: left}, nil
	}
	trial, err := r.try(ctx, pack)
	if err != nil {
		return ctrl.Result{}, err
	}
	if err := r.store(ctx, pack, lifecycle.Pack(pack, trial, now)); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	r.note(pack, now)
	return ctrl.Result{}, nil
}

// try holds a pack against what is in its namespace.
func (r *PolicyPackReconciler) try(ctx context.Context, pack *v1alpha1.PolicyPack) (policy.Trial, error) {
	var agents v1alpha1.AgentPassportList
	var packages v1alpha1.CapabilityPassportList
	var checks v1alpha1.CompatibilityCheckList
	var passports v1alpha1.PassportList
	for _, list := range []client.ObjectList{&agents, &packages, &checks, &passports} {
		if err := r.List(ctx, list, client.InNamespace(pack.Namespace), client.UnsafeDisableDeepCopy); err != nil {
			return policy.Trial{}, err
		}
	}
	return lifecycle.TryPack(pack, agents.Items, packages.Items, checks.Items, passports.Items), nil
}

func (r *PolicyPackReconciler) store(ctx context.Context, pack *v1alpha1.PolicyPack, status v1alpha1.PolicyPackStatus) error {
	if equality.Semantic.DeepEqual(status, pack.Status) {
		return nil
	}
	before := meta.FindStatusCondition(pack.Status.Conditions, string(v1alpha1.ConditionReady))
	pack.Status = status
	if err := r.Status().Update(ctx, pack); err != nil {
		return err
	}
	if after := meta.FindStatusCondition(status.Conditions, string(v1alpha1.ConditionReady)); before == nil || before.Reason != after.Reason {
		r.Recorder.Eventf(pack, nil, corev1.EventTypeNormal, after.Reason, "Try", "%s", note(after.Message))
	}
	return nil
}

func (r *PolicyPackReconciler) untilNextTry(pack *v1alpha1.PolicyPack, now time.Time) time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	last, tried := r.tried[client.ObjectKeyFromObject(pack)]
	if !tried || last.uid != pack.UID || last.generation != pack.Generation {
		return 0
	}
	return last.at.Add(sumInterval).Sub(now)
}

func (r *PolicyPackReconciler) note(pack *v1alpha1.PolicyPack, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.tried == nil {
		r.tried = map[types.NamespacedName]trying{}
	}
	r.tried[client.ObjectKeyFromObject(pack)] = trying{at: now, uid: pack.UID, generation: pack.Generation}
}

func (r *PolicyPackReconciler) forget(pack types.NamespacedName) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.tried, pack)
}
