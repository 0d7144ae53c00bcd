package controller

import (
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"agentpassport.dev/operator/api/v1alpha1"
	"agentpassport.dev/operator/internal/lifecycle"
	"agentpassport.dev/operator/internal/review"
)

// retryWaiting is how often a passport that waits for a person is tried again, where no watch tells
// that the person has acted.
const retryWaiting = 10 * time.Second

// urgent is the priority of what a passport's life hangs on; a resync has a negative one.
var urgent = 100

// +kubebuilder:rbac:groups=agentpassport.dev,resources=passports,verbs=get;list;watch;patch;delete
// +kubebuilder:rbac:groups=agentpassport.dev,resources=passports/status,verbs=update
// +kubebuilder:rbac:groups=agentpassport.dev,resources=checkpoints,verbs=get;list;watch;delete
// +kubebuilder:rbac:groups=agentpassport.dev,resources=checkpoints/status,verbs=update
// +kubebuilder:rbac:groups=agentpassport.dev,resources=agentpassports,verbs=get;list;watch
// +kubebuilder:rbac:groups=agentpassport.dev,resources=agentblocks,verbs=get;list;watch;create;patch
// +kubebuilder:rbac:groups=agentpassport.dev,resources=checkouts,verbs=get;list;watch;create;patch;delete
// +kubebuilder:rbac:groups=agentpassport.dev,resources=checkouts/status,verbs=update
// +kubebuilder:rbac:groups=agentpassport.dev,resources=passports;checkpoints;checkouts;agentblocks,verbs=attest
// +kubebuilder:rbac:groups="",resources=namespaces,verbs=get
// +kubebuilder:rbac:groups=events.k8s.io,resources=events,verbs=create;patch

// PassportReconciler leads one mission from its issue to its end.
type PassportReconciler struct {
	// Client reads from the cache and writes.
	client.Client
	// Live reads from the API server itself.
	Live client.Reader
	// Clock is the API server's.
	Clock clock.PassiveClock
	// Recorder makes Events.
	Recorder events.EventRecorder
	// Keys that sign tokens.
	Keys *Keyring
	// Authority that issues passports.
	Authority lifecycle.Authority
	// Thresholds of the detectors.
	Thresholds review.Thresholds

	trail   *AuditTrail
	reports *Reports
	secrets *tokenSecrets
	lists   *liveLists
	ended   *endedPassports
	written ownWrites
	held    holds
}

// Reconcile takes one passport as far as it goes now. It is safe to repeat at any point.
func (r *PassportReconciler) Reconcile(ctx context.Context, request ctrl.Request) (ctrl.Result, error) {
	var passport v1alpha1.Passport
	if err := r.Get(ctx, request.NamespacedName, &passport); err != nil {
		r.reports.gone(request.NamespacedName)
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	r.reports.stored(&passport)
	if r.written.missingIn(&passport) {
		return ctrl.Result{}, nil
	}
	ctx = log.IntoContext(ctx, log.FromContext(ctx).WithValues("passportUID", passport.UID))
	ring, ok := r.Keys.Ring()
	if !ok {
		// The keys' arrival brings every passport back.
		return ctrl.Result{}, nil
	}
	if passport.DeletionTimestamp == nil && !controllerutil.ContainsFinalizer(&passport, v1alpha1.PassportFinalizer) {
		return ctrl.Result{}, changeFinalizers(ctx, r.Client, &r.written, &passport, v1alpha1.PassportFinalizer, controllerutil.AddFinalizer)
	}
	switch phase := passport.Status.Phase; {
	case phase.Finished():
		return r.conclude(ctx, &passport)
	case phase == v1alpha1.PhaseActive:
		return r.advance(ctx, &passport, ring)
	case passport.DeletionTimestamp != nil:
		return r.abandon(ctx, &passport, ring)
	default:
		return r.issue(ctx, &passport, ring)
	}
}

// store writes the status, if it changed, and then tells the news. The API server refuses it where
// the passport read was not the newest; the newest comes by the watch.
func (r *PassportReconciler) store(
	ctx context.Context, passport *v1alpha1.Passport, status v1alpha1.PassportStatus, news []lifecycle.News,
) error {
	if equality.Semantic.DeepEqual(passport.Status, status) {
		return nil
	}
	passport.Status = status
	if err := r.Status().Update(ctx, passport); err != nil {
		return err
	}
	r.written.record(passport)
	r.reports.stored(passport)
	tell(r.Recorder, passport, news)
	for _, item := range news {
		log.FromContext(ctx).Info(string(item.Kind), "jti", status.JTI, "phase", status.Phase, "reason", item.Reason, "message", item.Message)
	}
	return nil
}

// wake asks for another look at a time, ahead of resyncs.
func (r *PassportReconciler) wake(at time.Time) ctrl.Result {
	if at.IsZero() {
		return ctrl.Result{}
	}
	return ctrl.Result{RequeueAfter: max(at.Sub(r.Clock.Now()), time.Millisecond), Priority: &urgent}
}

// blocks gives the AgentBlocks of a namespace, from the cache or live.
func blocks(ctx context.Context, reader client.Reader, namespace string) ([]v1alpha1.AgentBlock, error) {
	var list v1alpha1.AgentBlockList
	err := reader.List(ctx, &list, client.InNamespace(namespace))
	return list.Items, err
}

// makeBlock makes an AgentBlock, unless it is there already. A namespace that is going takes none.
func makeBlock(ctx context.Context, c client.Client, live client.Reader, block *v1alpha1.AgentBlock) error {
	err := c.Create(ctx, block)
	if client.IgnoreAlreadyExists(err) != nil && !terminating(ctx, live, block.Namespace) {
		return err
	}
	return nil
}

// passportOfReport gives the Passport that a report names, and was judged for, where it was; nil where
// there is none.
func passportOfReport(
	ctx context.Context, cached, live client.Reader, namespace string, names v1alpha1.PassportReference, judged types.UID,
) (*v1alpha1.Passport, error) {
	return findCertainly(ctx, cached, live, namespace, names.Name, func(passport *v1alpha1.Passport) bool {
		return judged == "" || judged == passport.UID
	})
}

// agentOf gives a passport's AgentPassport, nil where the reader has none.
func agentOf(ctx context.Context, reader client.Reader, passport *v1alpha1.Passport) (*v1alpha1.AgentPassport, error) {
	return find[v1alpha1.AgentPassport](ctx, reader, passport.Namespace, passport.Spec.AgentRef.Name)
}

// checkpointsOf gives the Checkpoints that name a passport.
func checkpointsOf(ctx context.Context, reader client.Reader, namespace, passport string) ([]v1alpha1.Checkpoint, error) {
	var list v1alpha1.CheckpointList
	err := reader.List(ctx, &list, client.InNamespace(namespace), client.MatchingFields{passportField: passport})
	return list.Items, err
}

// checkoutsOf gives the Checkouts that name a passport.
func checkoutsOf(ctx context.Context, reader client.Reader, namespace, passport string) ([]v1alpha1.Checkout, error) {
	var list v1alpha1.CheckoutList
	err := reader.List(ctx, &list, client.InNamespace(namespace), client.MatchingFields{passportField: passport})
	return list.Items, err
}

// terminating says whether a namespace is being deleted.
func terminating(ctx context.Context, reader client.Reader, namespace string) bool {
	var ns corev1.Namespace
	err := reader.Get(ctx, client.ObjectKey{Name: namespace}, &ns)
	return apierrors.IsNotFound(err) || (err == nil && ns.DeletionTimestamp != nil)
}

// asProblem gives the deliveryProblem in an error, nil where there is none.
func asProblem(err error) *deliveryProblem {
	var problem *deliveryProblem
	if errors.As(err, &problem) {
		return problem
	}
	return nil
}

func describe(passport *v1alpha1.Passport) string {
	return fmt.Sprintf("passport %s/%s", passport.Namespace, passport.Name)
}
