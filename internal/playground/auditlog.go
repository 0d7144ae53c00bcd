package playground

import (
	"context"
	"errors"
	"os"
	"path/filepath"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"agentpassport.dev/operator/internal/audit/wire"
	"agentpassport.dev/operator/internal/servingcert"
)

// auditLog is a running bin/auditlog.
type auditLog struct {
	*process
	// url of the service, and the file with the authority of its certificate.
	url, caFile string
	// dir is its data directory.
	dir string
}

// startAuditLog builds the audit log and runs it as its own ServiceAccount. Its head is mirrored where the
// cluster goes with the state directory: on another, a visitor would leave a head without a log behind.
func startAuditLog(ctx context.Context, root, state string, cfg *rest.Config, admin client.Client, own bool) (*auditLog, error) {
	home := filepath.Join(state, "auditlog")
	fresh, stop := context.WithCancel(context.WithoutCancel(ctx))
	kubeconfig, err := credentials(fresh, home, auditLogAccount, cfg, admin)
	if err != nil {
		stop()
		return nil, err
	}
	addresses, err := freeAddresses(ctx, 2)
	if err != nil {
		stop()
		return nil, err
	}
	a := &auditLog{url: "https://" + addresses[0], caFile: filepath.Join(home, "ca.crt"), dir: filepath.Join(home, "log")}
	args := []string{
		"serve",
		"--kubeconfig=" + kubeconfig,
		"--namespace=" + operatorNamespace,
		"--data-dir=" + a.dir,
		"--bind-address=" + addresses[0],
		"--health-probe-bind-address=" + addresses[1],
		"--metrics-bind-address=0",
		"--serving-names=127.0.0.1",
	}
	if !own {
		args = append(args, "--mirror=false")
	}
	if a.process, err = startProcess(ctx, root, state, "auditlog", addresses[1], args...); err != nil {
		stop()
		return nil, err
	}
	a.close = stop
	var published corev1.ConfigMap
	key := client.ObjectKey{Namespace: operatorNamespace, Name: servingcert.AuditLogName}
	if err := admin.Get(ctx, key, &published); err != nil {
		return nil, errors.Join(err, a.stop())
	}
	if err := os.WriteFile(a.caFile, []byte(published.Data[servingcert.ConfigMapKey]), 0o600); err != nil {
		return nil, errors.Join(err, a.stop())
	}
	return a, nil
}

// flags are those by which a manager finds the audit log, and shows who it is by a token in a file.
func (a *auditLog) flags(tokenFile string) []string {
	return []string{"--audit-log-url=" + a.url, "--audit-log-ca-file=" + a.caFile, "--audit-log-token-file=" + tokenFile}
}

// audience is what tokens for the audit log are for.
const audience = wire.Audience
