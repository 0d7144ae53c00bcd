package playground

import (
	"context"
	"path/filepath"

	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// issuer is the playground's `iss`; verifiers reach the keys over loopback instead.
const issuer = "https://agent-passport.playground.internal"

// manager is a running bin/manager.
type manager struct {
	*process
	// jwks is the URL of the published keys.
	jwks string
	// channel is where gateways reach it, and gateway where the gateway is to be: its certificate is for there.
	channel, gateway string
}

// startManager builds the manager and runs it against the API server of cfg, as its own ServiceAccount and
// with nothing else to show. It waits until the manager is ready.
func startManager(ctx context.Context, root, state string, cfg *rest.Config, admin client.Client, log *auditLog) (*manager, error) {
	home := filepath.Join(state, "manager")
	fresh, stop := context.WithCancel(context.WithoutCancel(ctx))
	kubeconfig, err := credentials(fresh, home, managerAccount, cfg, admin)
	if err != nil {
		stop()
		return nil, err
	}
	auditToken := filepath.Join(home, "auditlog-token")
	if err := keepToken(fresh, admin, managerAccount, auditToken, audience); err != nil {
		stop()
		return nil, err
	}
	addresses, err := freeAddresses(ctx, 4)
	if err != nil {
		stop()
		return nil, err
	}
	m := &manager{jwks: "http://" + addresses[1] + "/.well-known/jwks.json", channel: addresses[2], gateway: addresses[3]}
	m.process, err = startProcess(ctx, root, state, "manager", addresses[0], append(log.flags(auditToken),
		"--kubeconfig="+kubeconfig,
		"--namespace="+operatorNamespace,
		"--issuer="+issuer,
		"--issuer-bind-address="+addresses[1],
		"--channel-bind-address="+m.channel,
		"--gateway-url=https://"+m.gateway,
		"--channel-serving-names=127.0.0.1",
		"--gateway-serving-names=127.0.0.1",
		"--health-probe-bind-address="+addresses[0],
		"--metrics-bind-address=0",
		"--leader-elect",
	)...)
	if err != nil {
		stop()
		return nil, err
	}
	m.close = stop
	return m, nil
}
