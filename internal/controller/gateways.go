package controller

import (
	"context"
	"errors"
	"slices"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"agentpassport.dev/operator/api/v1alpha1"
	"agentpassport.dev/operator/internal/gateway/presence"
)

// LiveGateways gives the function that names the gateways that live, for Options.
func LiveGateways(reader client.Reader, namespace string) func(ctx context.Context, at time.Time) ([]string, error) {
	return func(ctx context.Context, at time.Time) ([]string, error) {
		return liveGateways(ctx, reader, namespace, at)
	}
}

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

// gatewayAccess is what token Secrets say of the gateway; the zero value: nothing.
type gatewayAccess struct {
	url       string
	authority *ChannelAuthority
}

// errNoAuthority keeps token Secrets from being written twice, and nothing else from being done.
var errNoAuthority = errors.New("no token Secret is written yet: the authority of the channel to the gateways is not loaded")

// check gives an error where what is to be said is not known yet. Its arrival brings every passport back.
func (g gatewayAccess) check() error {
	if g.url != "" && g.authority.Authority() == nil {
		return errNoAuthority
	}
	return nil
}

// data is what goes into a Secret.
func (g gatewayAccess) data() map[string][]byte {
	data := map[string][]byte{}
	if g.url == "" || g.check() != nil {
		return data
	}
	data[v1alpha1.SecretKeyGatewayURL] = []byte(g.url)
	data[v1alpha1.SecretKeyGatewayCA] = g.authority.Authority().PEM
	return data
}
