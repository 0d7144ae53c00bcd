package controller

import (
	"context"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
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
		list, ok := kind.DeepCopyObject().(client.ObjectList)
		if !ok {
			return nil
		}
		options := []client.ListOption{client.InNamespace(changed.GetNamespace()), client.UnsafeDisableDeepCopy}
		for _, selector := range selectors {
			options = append(options, selector(changed))
		}
		if err := reader.List(ctx, list, options...); err != nil {
			return nil
		}
		var requests []reconcile.Request
		_ = meta.EachListItem(list, func(item runtime.Object) error {
			if object, is := item.(client.Object); is {
				requests = append(requests, reconcile.Request{NamespacedName: types.NamespacedName{Namespace: object.GetNamespace(), Name: object.GetName()}})
			}
			return nil
		})
		return requests
	})
}

// agentRead passes on that the operator has read an agent's document anew, or that the agent is gone. Sums on its
// status are no news.
var agentRead = changed(func(before, after *v1alpha1.AgentPassport) bool {
	return before.Status.ObservedGeneration != after.Status.ObservedGeneration || verified(before.Status.DocumentProof) != verified(after.Status.DocumentProof)
})

// packageRead passes on that the operator has read a package's document anew, or that the package is gone.
var packageRead = changed(func(before, after *v1alpha1.CapabilityPassport) bool {
	return before.Status.ObservedGeneration != after.Status.ObservedGeneration || verified(before.Status.DocumentProof) != verified(after.Status.DocumentProof)
})

// summaryChanged passes on that another pairing came of a check.
var summaryChanged = changed(func(before, after *v1alpha1.CompatibilityCheck) bool {
	return before.Generation != after.Generation || lifecycle.Covers(before) != lifecycle.Covers(after)
})

func verified(proof v1alpha1.DocumentProof) bool { return proof.Verified != nil && *proof.Verified }

// packageName indexes CompatibilityChecks by their package.
func packageName(object client.Object) []string {
	if check, is := object.(*v1alpha1.CompatibilityCheck); is {
		return []string{check.Spec.PackageRef.Name}
	}
	return nil
}
