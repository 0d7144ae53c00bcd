package controller

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/events"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"agentpassport.dev/operator/api/v1alpha1"
	"agentpassport.dev/operator/internal/lifecycle"
)

// +kubebuilder:rbac:groups=agentpassport.dev,resources=compatibilitychecks,verbs=get;list;watch
// +kubebuilder:rbac:groups=agentpassport.dev,resources=compatibilitychecks/status,verbs=update

// CompatibilityCheckReconciler pairs packages with agents.
type CompatibilityCheckReconciler struct {
	// Client reads from the cache and writes.
	client.Client
	// Clock is the API server's.
	Clock clock.PassiveClock
	// Recorder makes Events.
	Recorder events.EventRecorder
}

// Reconcile writes the status, once, where it changed.
func (r *CompatibilityCheckReconciler) Reconcile(ctx context.Context, request ctrl.Request) (ctrl.Result, error) {
	check, err := find[v1alpha1.CompatibilityCheck](ctx, r.Client, request.Namespace, request.Name)
	if err != nil || check == nil || check.DeletionTimestamp != nil {
		return ctrl.Result{}, err
	}
	pkg, err := find[v1alpha1.CapabilityPassport](ctx, r.Client, check.Namespace, check.Spec.PackageRef.Name)
	if err != nil {
		return ctrl.Result{}, err
	}
	agent, err := find[v1alpha1.AgentPassport](ctx, r.Client, check.Namespace, check.Spec.AgentRef.Name)
	if err != nil {
		return ctrl.Result{}, err
	}
	if unread(pkg, agent) {
		return ctrl.Result{}, nil // its status is on its way, and brings this back: one write, not two
	}
	rules, err := packs(ctx, r.Client, check.Namespace)
	if err != nil {
		return ctrl.Result{}, err
	}
	status := lifecycle.Compatibility(check, pkg, agent, rules, r.Clock.Now())
	return ctrl.Result{}, client.IgnoreNotFound(r.store(ctx, check, status))
}

// unread says whether the operator has not looked yet at a document as it is now: who stands behind it, and its
// digest, are not known.
func unread(pkg *v1alpha1.CapabilityPassport, agent *v1alpha1.AgentPassport) bool {
	return (pkg != nil && pkg.Status.ObservedGeneration != pkg.Generation) ||
		(agent != nil && agent.Status.ObservedGeneration != agent.Generation)
}

func (r *CompatibilityCheckReconciler) store(
	ctx context.Context, check *v1alpha1.CompatibilityCheck, status v1alpha1.CompatibilityCheckStatus,
) error {
	if equality.Semantic.DeepEqual(status, check.Status) {
		return nil
	}
	before := check.Status.Conditions
	check.Status = status
	if err := r.Status().Update(ctx, check); err != nil {
		return err
	}
	tellOf(r.Recorder, check, "Pair", before, status.Conditions, worthOfCheck)
	return nil
}

// worthOfCheck is what a condition of a check is worth. That the two are paired, Compatible says.
func worthOfCheck(condition metav1.Condition) string {
	switch {
	case condition.Reason == string(v1alpha1.ReasonPaired):
		return ""
	case condition.Type == string(v1alpha1.ConditionPolicyWarning):
		return corev1.EventTypeWarning
	default:
		return normalIfTrue(condition)
	}
}
