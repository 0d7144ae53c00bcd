package controller

import (
	"context"
	"fmt"

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

// +kubebuilder:rbac:groups=agentpassport.dev,resources=capabilitypassports,verbs=get;list;watch
// +kubebuilder:rbac:groups=agentpassport.dev,resources=capabilitypassports/status,verbs=update

// CapabilityPassportReconciler says on each CapabilityPassport what is odd about its document, and who stands behind
// it. CompatibilityChecks watch packages themselves.
type CapabilityPassportReconciler struct {
	// Client reads from the cache and writes.
	client.Client
	// Clock is the API server's.
	Clock clock.PassiveClock
	// Recorder makes Events.
	Recorder events.EventRecorder
}

// Reconcile writes the status, once, where it changed.
func (r *CapabilityPassportReconciler) Reconcile(ctx context.Context, request ctrl.Request) (ctrl.Result, error) {
	pkg, err := find[v1alpha1.CapabilityPassport](ctx, r.Client, request.Namespace, request.Name)
	if err != nil || pkg == nil || pkg.DeletionTimestamp != nil {
		return ctrl.Result{}, err
	}
	keys, err := vendorKeys(ctx, r.Client, pkg.Spec.Signature)
	if err != nil {
		return ctrl.Result{}, err
	}
	now := r.Clock.Now()
	reading, err := lifecycle.ReadPackage(pkg, keys, now)
	if err != nil {
		return ctrl.Result{}, fmt.Errorf("capabilitypassport %s/%s: %w", pkg.Namespace, pkg.Name, err)
	}
	if err := r.store(ctx, pkg, lifecycle.Package(pkg, reading, now)); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	return ctrl.Result{RequeueAfter: rereadAfter(reading, now)}, nil
}

func (r *CapabilityPassportReconciler) store(
	ctx context.Context, pkg *v1alpha1.CapabilityPassport, status v1alpha1.CapabilityPassportStatus,
) error {
	if equality.Semantic.DeepEqual(status, pkg.Status) {
		return nil
	}
	before := pkg.Status.Conditions
	pkg.Status = status
	if err := r.Status().Update(ctx, pkg); err != nil {
		return err
	}
	tellOf(r.Recorder, pkg, "Read", before, status.Conditions, worthOfDocument)
	return nil
}

// worthOfDocument is what a condition of a document is worth: that it is not signed, as most are not, is nothing.
func worthOfDocument(condition metav1.Condition) string {
	switch {
	case condition.Type == string(v1alpha1.ConditionReady), condition.Reason == string(v1alpha1.ReasonNotSigned):
		return ""
	case condition.Type == string(v1alpha1.ConditionGrantOutsideDocument), condition.Reason == string(v1alpha1.ReasonSignedByVendor):
		return corev1.EventTypeNormal
	default:
		return corev1.EventTypeWarning
	}
}
