package controller

import (
	"context"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/client-go/tools/events"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"agentpassport.dev/operator/api/v1alpha1"
	"agentpassport.dev/operator/internal/audit/steps"
	"agentpassport.dev/operator/internal/lifecycle"
	"agentpassport.dev/operator/internal/review"
)

// CheckoutReconciler judges a mission that is over, and carries out what a person decides. Which
// Checkout is a mission's own, its Passport says.
type CheckoutReconciler struct {
	// Client reads from the cache and writes.
	client.Client
	// Live reads from the API server itself.
	Live client.Reader
	// Clock is the API server's.
	Clock clock.PassiveClock
	// Recorder makes Events.
	Recorder events.EventRecorder
	// Thresholds of the detectors.
	Thresholds review.Thresholds
	// Username of the operator, in which it acts for reviewers.
	Username string

	trail    *AuditTrail
	observed observations
	written  ownWrites
	held     holds
}

// Reconcile takes one checkout as far as it goes now: refuse, judge, pursue, clean up. It is safe to
// repeat at any point.
func (r *CheckoutReconciler) Reconcile(ctx context.Context, request ctrl.Request) (ctrl.Result, error) {
	var checkout v1alpha1.Checkout
	if err := r.Get(ctx, request.NamespacedName, &checkout); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	if r.written.missingIn(&checkout) {
		return ctrl.Result{}, nil
	}
	ctx = log.IntoContext(ctx, log.FromContext(ctx).WithValues("checkoutUID", checkout.UID))
	if checkout.DeletionTimestamp == nil && !controllerutil.ContainsFinalizer(&checkout, v1alpha1.CheckoutFinalizer) {
		return ctrl.Result{}, changeFinalizers(ctx, r.Client, &r.written, &checkout, v1alpha1.CheckoutFinalizer, controllerutil.AddFinalizer)
	}
	passport, err := passportOfReport(ctx, r.Client, r.Live, checkout.Namespace, checkout.Spec.PassportRef, checkout.Status.PassportUID)
	if err != nil {
		return ctrl.Result{}, err
	}
	if !lifecycle.Judged(&checkout) && !lifecycle.WasRefused(&checkout) {
		settled, again, err := r.judge(ctx, &checkout, passport)
		if again > 0 {
			return ctrl.Result{RequeueAfter: again}, nil
		}
		if err != nil || !settled {
			return r.waitForMission(ctx, &checkout, err)
		}
	}
	for {
		consequence := r.consequence(&checkout)
		if consequence == nil {
			break
		}
		if done, err := r.pursue(ctx, &checkout, consequence); err != nil || !done {
			return ctrl.Result{}, err
		}
	}
	return r.cleanUp(ctx, &checkout, passport)
}

func (r *CheckoutReconciler) consequence(checkout *v1alpha1.Checkout) *lifecycle.Consequence {
	if lifecycle.WasRefused(checkout) {
		return nil
	}
	return lifecycle.Pursue(checkout, r.Username, r.Clock.Now())
}

// judge gives a checkout its verdict, once its mission is over and this is its own, or says why it
// does not count. It says whether either was done; or when to look again, where the verdict waits for
// what gateways saw.
func (r *CheckoutReconciler) judge(
	ctx context.Context, checkout *v1alpha1.Checkout, passport *v1alpha1.Passport,
) (settled bool, again time.Duration, err error) {
	if lifecycle.Refuse(passport, checkout) != nil {
		settled, err = r.refuse(ctx, checkout)
		return settled, 0, err
	}
	its := passport.Status.Checkout
	if !passport.Status.Phase.Finished() || its == nil || its.UID != checkout.UID {
		return false, 0, nil
	}
	agent, err := agentOf(ctx, r.Client, passport)
	if err != nil {
		return false, 0, err
	}
	observed, again := r.observed.of(ctx, checkout, passport, r.Clock.Now())
	if again > 0 {
		return false, again, nil
	}
	status := lifecycle.Judge(passport, checkout, agent, observed, r.Thresholds, r.Clock.Now())
	if err := r.store(ctx, checkout, status); err != nil {
		return false, 0, err
	}
	r.observed.forget(checkout.UID)
	return true, 0, nil
}

// refuse says why a checkout does not count, for good: by the API server's own word, since the cache may
// still show an earlier Passport of the name.
func (r *CheckoutReconciler) refuse(ctx context.Context, checkout *v1alpha1.Checkout) (bool, error) {
	passport, err := find[v1alpha1.Passport](ctx, r.Live, checkout.Namespace, checkout.Spec.PassportRef.Name)
	if err != nil {
		return false, err
	}
	refusal := lifecycle.Refuse(passport, checkout)
	if refusal == nil {
		return false, nil
	}
	return true, r.store(ctx, checkout, lifecycle.Refused(passport, checkout, *refusal, r.Clock.Now()))
}

// waitForMission has the checkout looked at again when its Passport changes. One that is being
// deleted is held for an hour at most, and not in a namespace that is.
func (r *CheckoutReconciler) waitForMission(ctx context.Context, checkout *v1alpha1.Checkout, err error) (ctrl.Result, error) {
	if checkout.DeletionTimestamp == nil {
		return ctrl.Result{}, err
	}
	now := r.Clock.Now()
	hold := r.held.until(checkout, now).Sub(now)
	if hold <= 0 || terminating(ctx, r.Live, checkout.Namespace) {
		return ctrl.Result{}, r.release(ctx, checkout)
	}
	return ctrl.Result{RequeueAfter: hold}, err
}

// pursue does what follows from a verdict or a review: block, lift, status. It says whether the
// checkout read was the newest; else the newest comes by the watch.
func (r *CheckoutReconciler) pursue(ctx context.Context, checkout *v1alpha1.Checkout, c *lifecycle.Consequence) (bool, error) {
	if newest, err := isNewest(ctx, r.Live, checkout); err != nil || !newest {
		return false, err
	}
	if c.Block != nil {
		if err := makeBlock(ctx, r.Client, r.Live, c.Block); err != nil {
			return false, err
		}
	}
	for _, name := range c.Lift {
		if err := r.lift(ctx, checkout.Namespace, name, c.Lifting); err != nil {
			return false, err
		}
	}
	return true, r.store(ctx, checkout, c.Status)
}

// lift lifts a block that is in force.
func (r *CheckoutReconciler) lift(ctx context.Context, namespace, name string, lifting v1alpha1.BlockLift) error {
	block, err := find[v1alpha1.AgentBlock](ctx, r.Live, namespace, name)
	if err != nil || block == nil || block.Spec.Lifted != nil || block.Spec.Cause == nil {
		return err
	}
	before := block.DeepCopy()
	block.Spec.Lifted = &lifting
	patch := client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{})
	return client.IgnoreNotFound(r.Patch(ctx, block, patch))
}

// cleanUp deletes a checkout that does not count an hour after it was made, and one that does once its
// Passport is gone and its time is over. It takes the finalizer off one that is being deleted.
func (r *CheckoutReconciler) cleanUp(ctx context.Context, checkout *v1alpha1.Checkout, passport *v1alpha1.Passport) (ctrl.Result, error) {
	if checkout.DeletionTimestamp != nil {
		if err := r.record(ctx, checkout); err != nil && r.Clock.Now().Before(r.held.until(checkout, r.Clock.Now())) {
			return later(err)
		}
		return ctrl.Result{}, r.release(ctx, checkout)
	}
	until := checkout.CreationTimestamp.Add(orphanRetention)
	if !lifecycle.WasRefused(checkout) {
		if passport != nil || !lifecycle.Decided(checkout) {
			return ctrl.Result{}, nil
		}
		agent, err := find[v1alpha1.AgentPassport](ctx, r.Client, checkout.Namespace, checkout.Spec.AgentRef.Name)
		if err != nil || lifecycle.Feeds(checkout, agent) {
			return ctrl.Result{}, err
		}
		mission := checkout.Status.Mission
		until = lifecycle.KeepUntil(mission.EndTime.Time, checkout.Status.DecidedTime, mission.TTLSecondsAfterFinished)
	}
	if left := until.Sub(r.Clock.Now()); left > 0 {
		return ctrl.Result{RequeueAfter: left}, nil
	}
	if err := r.record(ctx, checkout); err != nil {
		return later(err)
	}
	return ctrl.Result{}, client.IgnoreNotFound(r.Delete(ctx, checkout, client.Preconditions{UID: &checkout.UID}))
}

// record sees to it that what became of a checkout is in the audit log, before it goes.
func (r *CheckoutReconciler) record(ctx context.Context, checkout *v1alpha1.Checkout) error {
	return r.trail.record(ctx, steps.Checkout(checkout, r.Username)...)
}

// store writes the status, if it changed, and then tells of it.
func (r *CheckoutReconciler) store(ctx context.Context, checkout *v1alpha1.Checkout, status v1alpha1.CheckoutStatus) error {
	before := checkout.Status
	if equality.Semantic.DeepEqual(before, status) {
		return nil
	}
	checkout.Status = status
	if err := r.Status().Update(ctx, checkout); err != nil {
		return err
	}
	r.written.record(checkout)
	tellOfCheckout(ctx, r.Recorder, before, checkout)
	return nil
}

func (r *CheckoutReconciler) release(ctx context.Context, checkout *v1alpha1.Checkout) error {
	if err := changeFinalizers(ctx, r.Client, &r.written, checkout, v1alpha1.CheckoutFinalizer, controllerutil.RemoveFinalizer); err != nil {
		return err
	}
	r.written.forget(checkout.UID)
	r.held.forget(checkout.UID)
	r.observed.forget(checkout.UID)
	return nil
}
