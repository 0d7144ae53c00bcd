// Package manager runs cmd/manager for test suites.
package manager

import (
	"context"
	"io"

	"agentpassport.dev/operator/test/process"
)

// Build builds cmd/manager of the project at root into dir, and returns the binary's path.
func Build(ctx context.Context, root, dir string) (string, error) {
	return process.Build(ctx, root, dir, "manager")
}

// Addresses are where one manager listens, on loopback.
type Addresses struct {
	// Issuer serves the JWKS and the OpenID configuration over HTTP.
	Issuer string
	// Metrics serves metrics over HTTPS.
	Metrics string
	// Probes serves /healthz and /readyz over HTTP.
	Probes string
	// Channel takes gateways.
	Channel string
}

// FreeAddresses finds addresses that nobody listens on. A manager that is started again can take the
// ones that it had.
func FreeAddresses() (Addresses, error) {
	found, err := process.FreeAddresses(4)
	if err != nil {
		return Addresses{}, err
	}
	return Addresses{Issuer: found[0], Metrics: found[1], Probes: found[2], Channel: found[3]}, nil
}

// Manager is one process.
type Manager struct {
	*process.Process
	// Addresses where it listens.
	Addresses Addresses
}

// Start starts a manager with the credentials of a kubeconfig and with further flags, those for its audit
// log among them. What it logs goes to log.
func Start(binary, kubeconfig string, addresses Addresses, log io.Writer, flags ...string) (*Manager, error) {
	started, err := process.Start(binary, addresses.Probes, log, append([]string{
		"--kubeconfig=" + kubeconfig,
		"--issuer-bind-address=" + addresses.Issuer,
		"--metrics-bind-address=" + addresses.Metrics,
		"--health-probe-bind-address=" + addresses.Probes,
		"--channel-bind-address=" + addresses.Channel,
		"--channel-serving-names=127.0.0.1",
		"--gateway-serving-names=127.0.0.1",
	}, flags...)...)
	if err != nil {
		return nil, err
	}
	return &Manager{Process: started, Addresses: addresses}, nil
}
