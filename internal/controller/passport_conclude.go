package controller

import (
	"context"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	"agentpassport.dev/operator/api/v1alpha1"
	"agentpassport.dev/operator/internal/lifecycle"
	"agentpassport.dev/operator/internal/token"
)

// conclude takes a finished passport out of the world: its Secret at once; once the mission is decided
// and ttlSecondsAfterFinished are over, or with its deletion, its checkpoints and itself. Its Checkout
// follows it.
func (r *PassportReconciler) conclude(ctx context.Context, passport *v1alpha1.Passport) (ctrl.Result, error) {
	if err := r.removeSecret(ctx, passport); err != nil {
		return ctrl.Result{}, err
	}
	outcome, stale, err := r.checkOut(ctx, passport)
	if err != nil && !r.heldLongEnough(passport) {
		return ctrl.Result{}, err
	}
	if stale {
		return r.wake(r.Clock.Now().Add(time.Second)), nil
	}
	if err := r.mark(ctx, passport, outcome.Marks); err != nil {
		return ctrl.Result{}, err
	}
	keep, err := r.keptFor(ctx, passport, outcome.Wake)
	if err != nil {
		return ctrl.Result{}, err
	}
	if keep != nil {
		return *keep, r.trim(ctx, passport)
	}
	checkpoints, err := checkpointsOf(ctx, r.Client, passport.Namespace, passport.Name)
	if err != nil {
		return ctrl.Result{}, err
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

// keptFor says for how long a finished passport is still kept; nil where no longer. It is kept until
// its mission is decided; one that is being deleted, until it is judged, which takes an hour at most.
func (r *PassportReconciler) keptFor(ctx context.Context, passport *v1alpha1.Passport, again time.Time) (*ctrl.Result, error) {
	its, err := r.ownCheckout(ctx, passport)
	if err != nil {
		return nil, err
	}
	if passport.DeletionTimestamp != nil {
		if its == nil || lifecycle.Judged(its) || r.heldLongEnough(passport) || terminating(ctx, r.Live, passport.Namespace) {
			return nil, nil
		}
		kept := r.wakeLater(passport.DeletionTimestamp.Add(maxHold))
		return &kept, nil
	}
	if passport.Status.Checkout == nil && !again.IsZero() {
		kept := r.wakeLater(again)
		return &kept, nil
	}
	var decided *metav1.Time
	if its != nil {
		agent, err := agentOf(ctx, r.Client, passport)
		if err != nil {
			return nil, err
		}
		if !lifecycle.Decided(its) || lifecycle.Feeds(its, agent) {
			// The Checkout's next step brings the passport back.
			return &ctrl.Result{}, nil
		}
		decided = its.Status.DecidedTime
	}
	keepUntil := lifecycle.KeepUntil(passport.Status.EndTime.Time, decided, passport.Spec.TTLSecondsAfterFinished)
	if r.Clock.Now().Before(keepUntil) {
		kept := r.wakeLater(keepUntil)
		return &kept, nil
	}
	return nil, nil
}

// heldLongEnough says whether a deletion has waited for as long as a finalizer may hold it.
func (r *PassportReconciler) heldLongEnough(passport *v1alpha1.Passport) bool {
	deleted := passport.DeletionTimestamp
	return deleted != nil && !r.Clock.Now().Before(deleted.Add(maxHold))
}

// ownCheckout gives the passport's own Checkout; nil where it has none, or none any longer.
func (r *PassportReconciler) ownCheckout(ctx context.Context, passport *v1alpha1.Passport) (*v1alpha1.Checkout, error) {
	its := passport.Status.Checkout
	if its == nil {
		return nil, nil
	}
	for _, reader := range []client.Reader{r.Client, r.Live} {
		var checkout v1alpha1.Checkout
		err := reader.Get(ctx, client.ObjectKey{Namespace: passport.Namespace, Name: its.Name}, &checkout)
		if err == nil && checkout.UID == its.UID {
			return &checkout, nil
		}
		if client.IgnoreNotFound(err) != nil {
			return nil, err
		}
	}
	return nil, nil
}

// checkOut sees to it that the mission has its one Checkout, which may be the operator's own: block,
// Checkout, status. What it gives holds the marks that are left to write.
func (r *PassportReconciler) checkOut(ctx context.Context, passport *v1alpha1.Passport) (outcome lifecycle.Outcome, stale bool, err error) {
	situation := lifecycle.Situation{Passport: passport, Thresholds: r.Thresholds, Now: r.Clock.Now()}
	if situation.Checkpoints, err = checkpointsOf(ctx, r.Client, passport.Namespace, passport.Name); err != nil {
		return outcome, false, err
	}
	if situation.Checkouts, err = checkoutsOf(ctx, r.Client, passport.Namespace, passport.Name); err != nil {
		return outcome, false, err
	}
	outcome = lifecycle.Advance(situation)
	if !outcome.Confirm {
		return outcome, false, nil
	}
	if situation.Agent, err = r.agent(ctx, passport); err != nil {
		return outcome, false, err
	}
	if outcome, err = r.confirmed(ctx, situation); err != nil {
		return outcome, false, err
	}
	if outcome.Checkout != nil {
		err := r.Create(ctx, outcome.Checkout)
		if err != nil && terminating(ctx, r.Live, passport.Namespace) {
			return outcome, false, nil
		}
		if client.IgnoreAlreadyExists(err) != nil {
			return outcome, false, err
		}
		if outcome, err = r.confirmed(ctx, situation); err != nil {
			return outcome, false, err
		}
	}
	if stale, err = r.block(ctx, passport, outcome.Blocks); err != nil || stale {
		return outcome, stale, err
	}
	return outcome, false, r.store(ctx, passport, outcome.Status, outcome.News)
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
	case r.heldLongEnough(passport):
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
