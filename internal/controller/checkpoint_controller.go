package controller

import (
	"context"
	"fmt"
	"time"

	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"agentpassport.dev/operator/api/v1alpha1"
	"agentpassport.dev/operator/internal/lifecycle"
)

// orphanRetention is how long a checkpoint without a passport is kept, so that its sender can read
// why it does not count.
const orphanRetention = time.Hour

// CheckpointReconciler sees to the checkpoints that have no Passport. The others are their
// passport's: one worker at a time decides about all of a passport's checkpoints.
type CheckpointReconciler struct {
	// Client reads from the cache and writes.
	client.Client
	// Live reads from the API server itself.
	Live client.Reader
	// Clock is the API server's.
	Clock clock.PassiveClock
}

// Reconcile marks a checkpoint whose Passport does not exist, and deletes it in time.
func (r *CheckpointReconciler) Reconcile(ctx context.Context, request ctrl.Request) (ctrl.Result, error) {
	var checkpoint v1alpha1.Checkpoint
	if err := r.Get(ctx, request.NamespacedName, &checkpoint); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	passport, err := passportOfReport(ctx, r.Client, r.Live, checkpoint.Namespace, checkpoint.Spec.PassportRef, checkpoint.Status.PassportUID)
	if err != nil || passport != nil || checkpoint.DeletionTimestamp != nil {
		return ctrl.Result{}, err
	}
	if !lifecycle.Marked(&checkpoint) {
		mark := lifecycle.Mark{
			Checkpoint: &checkpoint,
			Reason:     v1alpha1.ReasonPassportNotFound,
			Message:    fmt.Sprintf("there is no Passport %s in namespace %s", checkpoint.Spec.PassportRef.Name, checkpoint.Namespace),
		}
		checkpoint.Status = mark.Status(nil, r.Clock.Now())
		if err := r.Status().Update(ctx, &checkpoint); err != nil {
			return ctrl.Result{}, client.IgnoreNotFound(err)
		}
		checkpointsRejected.WithLabelValues(string(mark.Reason)).Inc()
	}
	if left := checkpoint.CreationTimestamp.Add(orphanRetention).Sub(r.Clock.Now()); left > 0 && checkpoint.Status.PassportUID == "" {
		return ctrl.Result{RequeueAfter: left}, nil
	}
	return ctrl.Result{}, client.IgnoreNotFound(r.Delete(ctx, &checkpoint, client.Preconditions{UID: &checkpoint.UID}))
}
