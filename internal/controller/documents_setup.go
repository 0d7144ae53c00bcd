package controller

import (
	"context"

	"k8s.io/utils/ptr"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"agentpassport.dev/operator/api/v1alpha1"
	"agentpassport.dev/operator/internal/lifecycle"
)

// packageField is the field that the cache indexes CompatibilityChecks by, beside that of their agent.
const packageField = "spec.packageRef.name"

// checkWorkers is how many CompatibilityChecks are paired at once: one agent may have a thousand.
const checkWorkers = 8

func setupCapabilityPassports(mgr ctrl.Manager, o Options) error {
	r := &CapabilityPassportReconciler{Client: mgr.GetClient(), Clock: o.Clock, Recorder: mgr.GetEventRecorder("agent-passport-manager")}
	return ctrl.NewControllerManagedBy(mgr).Named("capabilitypassport").
		For(&v1alpha1.CapabilityPassport{}, specChanged).
		Watches(&v1alpha1.VendorKey{}, allOf(r.Client, &v1alpha1.CapabilityPassportList{}), specChanged).
		WithOptions(o.controller(2)).
		Complete(retryConflicts{r})
}

func setupVendorKeys(mgr ctrl.Manager, o Options) error {
	r := &VendorKeyReconciler{Client: mgr.GetClient(), Clock: o.Clock, Recorder: mgr.GetEventRecorder("agent-passport-manager")}
	return ctrl.NewControllerManagedBy(mgr).Named("vendorkey").
		For(&v1alpha1.VendorKey{}, specChanged).
		WithOptions(o.controller(1)).
		Complete(retryConflicts{r})
}

func setupCompatibilityChecks(mgr ctrl.Manager, o Options) error {
	r := &CompatibilityCheckReconciler{Client: mgr.GetClient(), Clock: o.Clock, Recorder: mgr.GetEventRecorder("agent-passport-manager")}
	return ctrl.NewControllerManagedBy(mgr).Named("compatibilitycheck").
		For(&v1alpha1.CompatibilityCheck{}, specChanged).
		Watches(&v1alpha1.CapabilityPassport{}, allOf(r.Client, &v1alpha1.CompatibilityCheckList{}, by(packageField)), builder.WithPredicates(packageRead)).
		Watches(&v1alpha1.AgentPassport{}, allOf(r.Client, &v1alpha1.CompatibilityCheckList{}, by(agentField)), builder.WithPredicates(agentRead)).
		Watches(&v1alpha1.PolicyPack{}, allOf(r.Client, &v1alpha1.CompatibilityCheckList{}), specChanged).
		WithOptions(o.controller(checkWorkers)).
		Complete(retryConflicts{r})
}

func setupPolicyPacks(mgr ctrl.Manager, o Options) error {
	r := &PolicyPackReconciler{Client: mgr.GetClient(), Clock: o.Clock, Recorder: mgr.GetEventRecorder("agent-passport-manager")}
	everyPack := allOf(r.Client, &v1alpha1.PolicyPackList{})
	return ctrl.NewControllerManagedBy(mgr).Named("policypack").
		For(&v1alpha1.PolicyPack{}, specChanged).
		Watches(&v1alpha1.CompatibilityCheck{}, everyPack, builder.WithPredicates(summaryChanged)).
		Watches(&v1alpha1.AgentPassport{}, everyPack, builder.WithPredicates(agentRead)).
		Watches(&v1alpha1.CapabilityPassport{}, everyPack, builder.WithPredicates(packageRead)).
		Watches(&v1alpha1.Passport{}, everyPack, builder.WithPredicates(phaseChanged)).
		WithOptions(o.controller(1)).
		Complete(retryConflicts{r})
}

// by selects what refers to an object in a field.
func by(field string) func(client.Object) client.ListOption {
	return func(object client.Object) client.ListOption { return client.MatchingFields{field: object.GetName()} }
}

// allOf enqueues every object of a list's kind in the namespace of what changed, or in all where that is of the
// cluster.
func allOf(reader client.Reader, kind client.ObjectList, selectors ...func(client.Object) client.ListOption) handler.EventHandler {
	return handler.EnqueueRequestsFromMapFunc(func(ctx context.Context, changed client.Object) []reconcile.Request {
		options := make([]client.ListOption, 0, 1+len(selectors))
		options = append(options, client.InNamespace(changed.GetNamespace()))
		for _, selector := range selectors {
			options = append(options, selector(changed))
		}
		return requestsOf(ctx, reader, kind, ownName, options...)
	})
}

// agentRead passes on that the operator has read an agent's document anew, or that the agent is gone. Sums on its
// status are no news.
var agentRead = changed(func(before, after *v1alpha1.AgentPassport) bool {
	return before.Status.ObservedGeneration != after.Status.ObservedGeneration || !ptr.Equal(before.Status.Verified, after.Status.Verified)
})

// packageRead passes on that the operator has read a package's document anew, or that the package is gone.
var packageRead = changed(func(before, after *v1alpha1.CapabilityPassport) bool {
	return before.Status.ObservedGeneration != after.Status.ObservedGeneration || !ptr.Equal(before.Status.Verified, after.Status.Verified)
})

// summaryChanged passes on that another pairing came of a check.
var summaryChanged = changed(func(before, after *v1alpha1.CompatibilityCheck) bool {
	return before.Generation != after.Generation || lifecycle.Covers(before) != lifecycle.Covers(after)
})

// packageName indexes CompatibilityChecks by their package.
func packageName(object client.Object) []string {
	if check, is := object.(*v1alpha1.CompatibilityCheck); is {
		return []string{check.Spec.PackageRef.Name}
	}
	return nil
}
