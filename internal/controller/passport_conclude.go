package controller

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	"agentpassport.dev/operator/api/v1alpha1"
	"agentpassport.dev/operator/internal/lifecycle"
	"agentpassport.dev/operator/internal/token"
)

// conclude takes a finished passport out of the world: its Secret at once, its checkpoints and
// itself ttlSecondsAfterFinished later, or with its deletion.
func (r *PassportReconciler) conclude(ctx context.Context, passport *v1alpha1.Passport) (ctrl.Result, error) {
	if err := r.removeSecret(ctx, passport); err != nil {
		return ctrl.Result{}, err
	}
	checkpoints, err := checkpointsOf(ctx, r.Client, passport.Namespace, passport.Name)
	if err != nil {
		return ctrl.Result{}, err
	}
	outcome := lifecycle.Advance(lifecycle.Situation{Passport: passport, Checkpoints: checkpoints, Now: r.Clock.Now()})
	if err := r.mark(ctx, passport, outcome.Marks); err != nil {
		return ctrl.Result{}, err
	}
	keepUntil := passport.Status.EndTime.Add(retention(passport))
	if passport.DeletionTimestamp == nil && r.Clock.Now().Before(keepUntil) {
		return r.wakeLater(keepUntil), r.trim(ctx, passport)
	}
	if err := r.deleteCheckpoints(ctx, passport, checkpoints); err != nil {
		return ctrl.Result{}, err
	}
	if passport.DeletionTimestamp == nil {
		uid := passport.UID
		if err := r.Delete(ctx, passport, client.Preconditions{UID: &uid}); err != nil {
			return ctrl.Result{}, client.IgnoreNotFound(err)
		}
		return ctrl.Result{}, nil
	}
	return ctrl.Result{}, r.release(ctx, passport)
}

// abandon lets go of a passport that is deleted before it was issued. A token that a crash left in
// its Secret is adopted first, so that its end is recorded like any other.
func (r *PassportReconciler) abandon(ctx context.Context, passport *v1alpha1.Passport, ring token.Ring) (ctrl.Result, error) {
	if passport.Spec.TokenDelivery != v1alpha1.DeliveryNone {
		claims, err := r.secrets.adopt(ctx, passport, ring)
		if err != nil && asProblem(err) == nil {
			return ctrl.Result{}, err
		}
		if claims != nil {
			return r.activate(ctx, passport, adopted(passport, claims))
		}
	}
	checkpoints, err := checkpointsOf(ctx, r.Client, passport.Namespace, passport.Name)
	if err != nil {
		return ctrl.Result{}, err
	}
	if err := r.deleteCheckpoints(ctx, passport, checkpoints); err != nil {
		return ctrl.Result{}, err
	}
	return ctrl.Result{}, r.release(ctx, passport)
}

// removeSecret removes the token. Where the namespace has taken its consent back, the operator has no
// more say there: it says what to do, and the garbage collector removes the Secret with its owner.
// Any other failure holds a deletion for an hour at most.
func (r *PassportReconciler) removeSecret(ctx context.Context, passport *v1alpha1.Passport) error {
	err := r.secrets.remove(ctx, passport)
	switch deleted := passport.DeletionTimestamp; {
	case err == nil:
		return nil
	case apierrors.IsForbidden(err):
		if deleted == nil && passport.Status.Issued != nil {
			r.Recorder.Eventf(passport, nil, corev1.EventTypeWarning, "SecretNotRemoved", "RemoveSecret",
				"namespace %s has taken back its consent, so Secret %s is still there: delete it by hand; its token is dead at its exp, and it goes with this Passport",
				passport.Namespace, passport.Status.Issued.SecretName)
		}
		return nil
	case deleted != nil && !r.Clock.Now().Before(deleted.Add(maxHold)):
		return nil
	default:
		return fmt.Errorf("the token Secret of %s is still there: %w", describe(passport), err)
	}
}

// deleteCheckpoints deletes those of the checkpoints that were for this passport, not for an earlier
// one of its name.
func (r *PassportReconciler) deleteCheckpoints(ctx context.Context, passport *v1alpha1.Passport, checkpoints []v1alpha1.Checkpoint) error {
	for i := range checkpoints {
		checkpoint := &checkpoints[i]
		if checkpoint.CreationTimestamp.Before(&passport.CreationTimestamp) {
			continue
		}
		if err := r.Delete(ctx, checkpoint, client.Preconditions{UID: &checkpoint.UID}); client.IgnoreNotFound(err) != nil {
			return err
		}
	}
	return nil
}

// release takes the finalizer off.
func (r *PassportReconciler) release(ctx context.Context, passport *v1alpha1.Passport) error {
	if err := r.changeFinalizers(ctx, passport, controllerutil.RemoveFinalizer); err != nil {
		return err
	}
	r.secrets.distrust(passport.UID)
	r.written.forget(passport.UID)
	return nil
}

// wakeLater asks for another look without any hurry.
func (r *PassportReconciler) wakeLater(at time.Time) ctrl.Result {
	return ctrl.Result{RequeueAfter: max(at.Sub(r.Clock.Now()), time.Millisecond)}
}

func retention(passport *v1alpha1.Passport) time.Duration {
	if kept := passport.Spec.TTLSecondsAfterFinished; kept != nil {
		return time.Duration(*kept) * time.Second
	}
	return 24 * time.Hour
}
