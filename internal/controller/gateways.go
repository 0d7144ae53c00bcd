package controller

import (
	"context"
	"slices"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"agentpassport.dev/operator/api/v1alpha1"
	"agentpassport.dev/operator/internal/gateway/presence"
)

// liveGateways gives the names (of their Pods, sorted) of the gateways that live at a time by the API
// server's clock: those whose Lease in the operator's namespace holds.
func liveGateways(ctx context.Context, reader client.Reader, namespace string, at time.Time) ([]string, error) {
	var leases coordinationv1.LeaseList
	err := reader.List(ctx, &leases, client.InNamespace(namespace), client.MatchingLabels{v1alpha1.LabelGateway: "true"}, client.UnsafeDisableDeepCopy)
	if err != nil {
		return nil, err
	}
	var live []string
	for i := range leases.Items {
		if lease := &leases.Items[i]; presence.Lives(lease, at) {
			live = append(live, *lease.Spec.HolderIdentity)
		}
	}
	slices.Sort(live)
	return live, nil
}
