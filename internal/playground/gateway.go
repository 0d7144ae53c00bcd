package playground

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

const (
	gatewayAccount = "agent-passport-gateway"
	// gatewayAudience is what the tokens of its callers are for.
	gatewayAudience = "agent-passport-gateway"
	// gatewaySecret holds its certificates, which the manager makes.
	gatewaySecret = "agent-passport-gateway-tls"
	// remount is how often its certificates are written again, as the kubelet does.
	remount = time.Minute
)

// gateway is a running bin/gateway.
type gateway struct {
	*process
	// url of its HTTP API and proxies, and the file with the authority of its certificate.
	url, caFile string
}

// startGateway builds the gateway and runs it as its own ServiceAccount, at an address that the manager has
// signed its certificate for.
func startGateway(ctx context.Context, root, state string, cfg *rest.Config, admin client.Client, m *manager, log *auditLog) (*gateway, error) {
	home := filepath.Join(state, "gateway")
	fresh, stop := context.WithCancel(context.WithoutCancel(ctx))
	kubeconfig, err := credentials(fresh, home, gatewayAccount, cfg, admin)
	if err != nil {
		stop()
		return nil, err
	}
	auditToken := filepath.Join(home, "auditlog-token")
	if err := keepToken(fresh, admin, gatewayAccount, auditToken, audience); err != nil {
		stop()
		return nil, err
	}
	certificates := filepath.Join(home, "tls")
	if err := keepMounted(fresh, admin, certificates); err != nil {
		stop()
		return nil, err
	}
	addresses, err := freeAddresses(ctx, 1)
	if err != nil {
		stop()
		return nil, err
	}
	g := &gateway{url: "https://" + m.gateway, caFile: filepath.Join(certificates, "ca.crt")}
	g.process, err = startProcess(ctx, root, state, "gateway", addresses[0], append(log.flags(auditToken),
		"--kubeconfig="+kubeconfig,
		"--name=gateway-0",
		"--namespace="+operatorNamespace,
		"--issuer="+issuer,
		"--tls-dir="+certificates,
		"--spool-dir="+filepath.Join(home, "spool"),
		"--channel-url=https://"+m.channel,
		"--bind-address="+m.gateway,
		"--health-probe-bind-address="+addresses[0],
		"--metrics-bind-address=0",
	)...)
	if err != nil {
		stop()
		return nil, err
	}
	g.close = stop
	return g, nil
}

// keepMounted writes the gateway's certificates into a directory, and writes them again until ctx is over.
func keepMounted(ctx context.Context, admin client.Client, dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	err := eventually(ctx, patience, "Secret "+gatewaySecret+", which the manager makes", func(ctx context.Context) (string, error) {
		if err := mount(ctx, admin, dir); err != nil {
			return err.Error(), client.IgnoreNotFound(err)
		}
		return "", nil
	})
	if err != nil {
		return err
	}
	go func() {
		for {
			select {
			case <-ctx.Done():
				return
			case <-time.After(remount):
				_ = mount(ctx, admin, dir) // what is there holds for weeks
			}
		}
	}()
	return nil
}

func mount(ctx context.Context, admin client.Client, dir string) error {
	var secret corev1.Secret
	if err := admin.Get(ctx, client.ObjectKey{Namespace: operatorNamespace, Name: gatewaySecret}, &secret); err != nil {
		return err
	}
	for name, data := range secret.Data {
		next := filepath.Join(dir, "."+name)
		if err := os.WriteFile(next, data, 0o600); err != nil {
			return fmt.Errorf("write %s: %w", name, err)
		}
		if err := os.Rename(next, filepath.Join(dir, name)); err != nil {
			return err
		}
	}
	return nil
}
