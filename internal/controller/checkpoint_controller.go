package controller

import (
	"context"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
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
	orphaned, err := r.orphaned(ctx, &checkpoint)
	if err != nil || !orphaned || checkpoint.DeletionTimestamp != nil {
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

// orphaned says whether the checkpoint's Passport is gone: by the cache first, then for certain.
func (r *CheckpointReconciler) orphaned(ctx context.Context, checkpoint *v1alpha1.Checkpoint) (bool, error) {
	for _, reader := range []client.Reader{r.Client, r.Live} {
		var passport v1alpha1.Passport
		key := client.ObjectKey{Namespace: checkpoint.Namespace, Name: checkpoint.Spec.PassportRef.Name}
		err := reader.Get(ctx, key, &passport)
		if err == nil {
			judged := checkpoint.Status.PassportUID
			return judged != "" && judged != passport.UID, nil
		}
		if !apierrors.IsNotFound(err) {
			return false, err
		}
	}
	return true, nil
}
