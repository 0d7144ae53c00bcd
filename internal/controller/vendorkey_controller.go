package controller

import (
	"context"

	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/client-go/tools/events"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"agentpassport.dev/operator/api/v1alpha1"
	"agentpassport.dev/operator/internal/lifecycle"
	"agentpassport.dev/operator/internal/signature"
)

// VendorKeyReconciler says of each VendorKey which of its keys count. Those that verify documents watch VendorKeys
// themselves. Its rights are of the cluster: config/rbac/vendor_keys_role.yaml.
type VendorKeyReconciler struct {
	// Client reads from the cache and writes.
	client.Client
	// Clock is the API server's.
	Clock clock.PassiveClock
	// Recorder makes Events.
	Recorder events.EventRecorder
}

// Reconcile writes the status, once, where it changed, and comes back when a key begins or ceases to count.
func (r *VendorKeyReconciler) Reconcile(ctx context.Context, request ctrl.Request) (ctrl.Result, error) {
	key, err := find[v1alpha1.VendorKey](ctx, r.Client, "", request.Name)
	if err != nil || key == nil || key.DeletionTimestamp != nil {
		return ctrl.Result{}, err
	}
	now := r.Clock.Now()
	again := ctrl.Result{RequeueAfter: untilAfter(signature.NextChange(key.Spec, now), now)}
	status := lifecycle.VendorKey(key, now)
	if equality.Semantic.DeepEqual(status, key.Status) {
		return again, nil
	}
	before := key.Status.Conditions
	key.Status = status
	if err := r.Status().Update(ctx, key); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	tellOf(r.Recorder, key, "Trust", before, status.Conditions, normalIfTrue)
	return again, nil
}
