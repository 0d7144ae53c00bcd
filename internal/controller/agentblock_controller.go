package controller

import (
	"context"

	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"agentpassport.dev/operator/api/v1alpha1"
	"agentpassport.dev/operator/internal/lifecycle"
)

// +kubebuilder:rbac:groups=agentpassport.dev,resources=agentblocks/status,verbs=update

// AgentBlockReconciler says on each AgentBlock whether it is in force. What a block does is done by
// the reconcilers of what it stops, which watch blocks themselves.
type AgentBlockReconciler struct {
	// Client reads from the cache and writes.
	client.Client
	// Clock is the API server's.
	Clock clock.PassiveClock
}

// Reconcile writes the Ready condition.
func (r *AgentBlockReconciler) Reconcile(ctx context.Context, request ctrl.Request) (ctrl.Result, error) {
	var block v1alpha1.AgentBlock
	if err := r.Get(ctx, request.NamespacedName, &block); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	status := *block.Status.DeepCopy()
	status.ObservedGeneration = block.Generation
	reason, message := v1alpha1.ReasonBlocking, "every agent of the namespace is blocked"
	if block.Spec.AgentRef != nil {
		message = "agent " + block.Spec.AgentRef.Name + " is blocked"
	}
	if block.Spec.Lifted != nil {
		reason, message = v1alpha1.ReasonLifted, "lifted: "+block.Spec.Lifted.Reason
	}
	lifecycle.SetCondition(&status.Conditions, block.Generation, v1alpha1.ConditionReady, metav1.ConditionTrue, reason, message, r.Clock.Now())
	if equality.Semantic.DeepEqual(status, block.Status) {
		return ctrl.Result{}, nil
	}
	block.Status = status
	return ctrl.Result{}, client.IgnoreNotFound(r.Status().Update(ctx, &block))
}
