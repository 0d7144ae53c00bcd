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
	"agentpassport.dev/operator/internal/audit/steps"
	"agentpassport.dev/operator/internal/lifecycle"
	"agentpassport.dev/operator/internal/token"
)

// conclude takes a finished passport out of the world: its Secret at once; once the mission is decided
// and ttlSecondsAfterFinished are over, or with its deletion, its checkpoints and itself, once all its
// steps are in the audit log and the status lists need it no longer. Its Checkout follows it.
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
	kept, result, err := r.kept(ctx, passport, outcome.Wake)
	if err != nil {
		return ctrl.Result{}, err
	}
	if kept {
		return result, r.trim(ctx, passport)
	}
	if err := r.trail.mission(ctx, r.Client, passport); err != nil && !r.heldLongEnough(passport) {
		return later(err)
	}
	if err := r.bury(ctx, passport); err != nil && !r.heldLongEnough(passport) {
		return ctrl.Result{}, err
	}
	if err := r.deleteCheckpoints(ctx, passport); err != nil {
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

// kept says whether a finished passport is still kept, and when to look again. It is kept until its
// mission is decided; one that is being deleted, until it is judged, which takes an hour at most.
func (r *PassportReconciler) kept(ctx context.Context, passport *v1alpha1.Passport, again time.Time) (bool, ctrl.Result, error) {
	its, err := r.ownCheckout(ctx, passport)
	if err != nil {
		return false, ctrl.Result{}, err
	}
	if passport.DeletionTimestamp != nil {
		settled := its == nil || lifecycle.Judged(its) || r.heldLongEnough(passport) || terminating(ctx, r.Live, passport.Namespace)
		return !settled, r.wakeLater(r.held.until(passport, r.Clock.Now())), nil
	}
	if passport.Status.Checkout == nil && !again.IsZero() {
		return true, r.wakeLater(again), nil
	}
	var decided *metav1.Time
	if its != nil {
		agent, err := agentOf(ctx, r.Client, passport)
		if err != nil {
			return false, ctrl.Result{}, err
		}
		if !lifecycle.Decided(its) || lifecycle.Feeds(its, agent) {
			// The Checkout's next step brings the passport back.
			return true, ctrl.Result{}, nil
		}
		decided = its.Status.DecidedTime
	}
	until := lifecycle.KeepUntil(passport.Status.EndTime.Time, decided, passport.Spec.TTLSecondsAfterFinished)
	return r.Clock.Now().Before(until), r.wakeLater(until), nil
}

// heldLongEnough says whether a deletion has waited for as long as a finalizer may hold it.
func (r *PassportReconciler) heldLongEnough(passport *v1alpha1.Passport) bool {
	now := r.Clock.Now()
	return passport.DeletionTimestamp != nil && !now.Before(r.held.until(passport, now))
}

// ownCheckout gives the passport's own Checkout; nil where it has none, or none any longer.
func (r *PassportReconciler) ownCheckout(ctx context.Context, passport *v1alpha1.Passport) (*v1alpha1.Checkout, error) {
	its := passport.Status.Checkout
	if its == nil {
		return nil, nil
	}
	return findCertainly(ctx, r.Client, r.Live, passport.Namespace, its.Name, func(checkout *v1alpha1.Checkout) bool {
		return checkout.UID == its.UID
	})
}

// checkOut sees to it that the mission has its one Checkout, which may be the operator's own: block,
// Checkout, status; and that what gateways still report of it is stored. What it gives holds the marks
// that are left to write.
func (r *PassportReconciler) checkOut(ctx context.Context, passport *v1alpha1.Passport) (outcome lifecycle.Outcome, stale bool, err error) {
	situation := lifecycle.Situation{Passport: passport, Reports: r.reports.on(passport), Thresholds: r.Thresholds, Now: r.Clock.Now()}
	if situation.Checkpoints, err = checkpointsOf(ctx, r.Client, passport.Namespace, passport.Name); err != nil {
		return outcome, false, err
	}
	if situation.Checkouts, err = checkoutsOf(ctx, r.Client, passport.Namespace, passport.Name); err != nil {
		return outcome, false, err
	}
	if len(situation.Reports) > 0 {
		if situation.Agent, err = r.agent(ctx, passport); err != nil {
			return outcome, false, err
		}
	}
	if outcome = lifecycle.Advance(situation); outcome.Confirm {
		if outcome, stale, err = r.checkOutCertainly(ctx, situation); err != nil || stale || outcome.Checkout != nil {
			return outcome, stale, err
		}
	}
	if stale, err = r.block(ctx, passport, outcome.Blocks); err != nil || stale {
		return outcome, stale, err
	}
	return outcome, false, r.store(ctx, passport, outcome.Status, outcome.News)
}

// checkOutCertainly asks the rules by live LISTs, and makes the Checkout that the mission lacks. Where the
// outcome still has one, the namespace takes none any more.
func (r *PassportReconciler) checkOutCertainly(
	ctx context.Context, situation lifecycle.Situation,
) (outcome lifecycle.Outcome, stale bool, err error) {
	passport := situation.Passport
	if situation.Agent, err = r.agent(ctx, passport); err != nil {
		return outcome, false, err
	}
	if outcome, err = r.confirmed(ctx, situation); err != nil || outcome.Checkout == nil {
		return outcome, false, err
	}
	if newest, err := isNewest(ctx, r.Live, passport); err != nil || !newest {
		return outcome, true, err
	}
	err = r.Create(ctx, outcome.Checkout)
	if err != nil && terminating(ctx, r.Live, passport.Namespace) {
		return outcome, false, nil
	}
	if client.IgnoreAlreadyExists(err) != nil {
		return outcome, false, err
	}
	outcome, err = r.confirmed(ctx, situation)
	return outcome, false, err
}

// abandon lets go of a passport that is deleted before it was issued. A token that a crash left in
// its Secret is adopted first, so that its end is recorded like any other.
func (r *PassportReconciler) abandon(ctx context.Context, passport *v1alpha1.Passport, ring token.Ring) (ctrl.Result, error) {
	claims, err := r.earlier(ctx, passport, ring)
	if err != nil && asProblem(err) == nil {
		return ctrl.Result{}, err
	}
	if claims != nil {
		return r.activate(ctx, passport, adopted(passport, claims))
	}
	if err := r.trail.record(ctx, steps.Abandoned(passport)); err != nil && !r.heldLongEnough(passport) {
		return later(err)
	}
	if err := r.deleteCheckpoints(ctx, passport); err != nil {
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
func (r *PassportReconciler) deleteCheckpoints(ctx context.Context, passport *v1alpha1.Passport) error {
	checkpoints, err := checkpointsOf(ctx, r.Client, passport.Namespace, passport.Name)
	if err != nil || len(checkpoints) == 0 {
		return err
	}
	if err := stillThere(ctx, r.Live, passport); err != nil {
		return err
	}
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
	if err := changeFinalizers(ctx, r.Client, &r.written, passport, v1alpha1.PassportFinalizer, controllerutil.RemoveFinalizer); err != nil {
		return err
	}
	r.secrets.distrust(passport.UID)
	r.written.forget(passport.UID)
	r.held.forget(passport.UID)
	return nil
}

// wakeLater asks for another look without any hurry.
func (r *PassportReconciler) wakeLater(at time.Time) ctrl.Result {
	return ctrl.Result{RequeueAfter: max(at.Sub(r.Clock.Now()), time.Millisecond)}
}
