package controller

import (
	"context"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"agentpassport.dev/operator/api/v1alpha1"
	"agentpassport.dev/operator/internal/gateway/presence"
	"agentpassport.dev/operator/internal/lifecycle"
	"agentpassport.dev/operator/internal/servingcert"
)

// +kubebuilder:rbac:groups=agentpassport.dev,resources=serviceconnections,verbs=get;list;watch
// +kubebuilder:rbac:groups=agentpassport.dev,resources=serviceconnections/status,verbs=update

// ownWriteWait is how long the cache takes to show a write, or a little more.
const ownWriteWait = 100 * time.Millisecond

// ServiceConnectionReconciler says on each ServiceConnection whether the gateways can serve it. They serve
// it by what they see themselves; nothing waits for this.
type ServiceConnectionReconciler struct {
	// Client reads from the cache and writes.
	client.Client
	// Clock is the API server's.
	Clock clock.PassiveClock
	// Recorder makes Events.
	Recorder events.EventRecorder
	// Reports are what gateways say.
	Reports *ConnectionReports
	// Namespace of the operator, where the gateways run.
	Namespace string

	written ownWrites
}

// Reconcile writes the conditions, once, where they changed.
func (r *ServiceConnectionReconciler) Reconcile(ctx context.Context, request ctrl.Request) (ctrl.Result, error) {
	connection, err := find[v1alpha1.ServiceConnection](ctx, r.Client, request.Namespace, request.Name)
	if err != nil {
		return ctrl.Result{}, err
	}
	if connection == nil {
		return ctrl.Result{}, r.Reports.forget(ctx, request.NamespacedName)
	}
	if connection.DeletionTimestamp != nil {
		return ctrl.Result{}, nil
	}
	if r.written.missingIn(connection) {
		// The watch brings no status back here: what a gateway has said meanwhile is looked at again.
		return ctrl.Result{RequeueAfter: ownWriteWait}, nil
	}
	now := r.Clock.Now()
	names, err := liveGateways(ctx, r.Client, r.Namespace, now)
	if err != nil {
		return ctrl.Result{}, err
	}
	live := make(map[string]bool, len(names))
	for _, name := range names {
		live[name] = true
	}
	account := types.NamespacedName{Namespace: r.Namespace, Name: servingcert.GatewayServiceAccount}
	status := lifecycle.Connection(connection, r.Reports.of(connection, live), account, now)
	if err := r.store(ctx, connection, status); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	if meta.IsStatusConditionTrue(status.Conditions, string(v1alpha1.ConditionReady)) {
		return ctrl.Result{}, nil
	}
	// The gateway that could not read the credential may be gone.
	return ctrl.Result{RequeueAfter: presence.Duration}, nil
}

func (r *ServiceConnectionReconciler) store(
	ctx context.Context, connection *v1alpha1.ServiceConnection, status v1alpha1.ServiceConnectionStatus,
) error {
	if equality.Semantic.DeepEqual(status, connection.Status) {
		return nil
	}
	before := meta.FindStatusCondition(connection.Status.Conditions, string(v1alpha1.ConditionReady))
	connection.Status = status
	if err := r.Status().Update(ctx, connection); err != nil {
		return err
	}
	r.written.record(connection)
	after := meta.FindStatusCondition(status.Conditions, string(v1alpha1.ConditionReady))
	if before != nil && before.Reason == after.Reason {
		return nil
	}
	kind := corev1.EventTypeNormal
	if after.Status == metav1.ConditionFalse {
		kind = corev1.EventTypeWarning
	}
	r.Recorder.Eventf(connection, nil, kind, after.Reason, "Serve", "%s", note(after.Message))
	return nil
}
