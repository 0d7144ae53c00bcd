package bench

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"agentpassport.dev/operator/api/v1alpha1"
	"agentpassport.dev/operator/test/auditlog"
	"agentpassport.dev/operator/test/manager"
)

// operated is a world where the operator's real binary runs.
type operated struct {
	world
	binary    string
	addresses manager.Addresses
	// log is what the manager and the audit log tell.
	log *os.File
	// trail is the audit log's own binary, with its storage on disk.
	trail   *auditlog.AuditLog
	manager *manager.Manager
	// last is the namespace of the last round.
	last string
}

func newOperated(ctx context.Context, b *testing.B) *operated {
	b.Helper()
	o := &operated{world: newWorld(ctx, b)}
	var err error
	o.binary, err = manager.Build(ctx, root, b.TempDir())
	check(b, err)
	o.addresses, err = manager.FreeAddresses()
	check(b, err)
	o.log, err = os.Create(filepath.Join(b.TempDir(), "manager.log"))
	check(b, err)
	b.Cleanup(func() { check(b, o.log.Close()) })
	logBinary, err := auditlog.Build(ctx, root, b.TempDir())
	check(b, err)
	o.trail, err = auditlog.Start(ctx, logBinary, b.TempDir(), o.server, o.log)
	check(b, err)
	b.Cleanup(func() { check(b, o.trail.Stop(context.WithoutCancel(ctx))) })
	o.start(ctx, b, o.trail.ManagerFlags())
	b.Cleanup(func() { check(b, o.manager.Stop(context.WithoutCancel(ctx))) })
	return o
}

// start starts the manager with the flags that name its audit log, and returns once it is ready.
func (o *operated) start(ctx context.Context, b *testing.B, logFlags []string) {
	b.Helper()
	flags := append(slices.Clone(logFlags), "--leader-elect", fmt.Sprintf("--passport-workers=%d", *workers))
	var err error
	o.manager, err = manager.Start(o.binary, o.kubeconfig, o.addresses, o.log, flags...)
	check(b, err)
	check(b, o.manager.Ready(ctx))
}

// restart gives the manager another audit log, and returns once it has told that log all that the cluster
// holds, and is warm.
func (o *operated) restart(ctx context.Context, b *testing.B, logFlags []string) {
	b.Helper()
	check(b, o.manager.Stop(ctx))
	o.start(ctx, b, logFlags)
	o.round(ctx, b, 100, spread(100, 16))
	check(b, quiet(ctx, "manager", "auditlog"))
}

// round asks for n passports, and leaves the rest to the operator.
func (o *operated) round(ctx context.Context, b *testing.B, n int, load load) measurement {
	b.Helper()
	o.last = o.namespace(ctx, b)
	return o.measure(ctx, b, o.last, n, load, func(i int, _ <-chan struct{}) error {
		return o.asker.Create(ctx, passport(o.last, i))
	})
}

// alone asks for n passports, each once the one before it is Active.
func (o *operated) alone(ctx context.Context, b *testing.B, n int) measurement {
	b.Helper()
	o.last = o.namespace(ctx, b)
	return o.measure(ctx, b, o.last, n, spread(n, 1), func(i int, active <-chan struct{}) error {
		if err := o.asker.Create(ctx, passport(o.last, i)); err != nil {
			return err
		}
		select {
		case <-active:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	})
}

// example gives what the operator wrote for a passport of the last round.
func (o *operated) example(ctx context.Context, b *testing.B) example {
	b.Helper()
	var one v1alpha1.Passport
	check(b, o.asker.Get(ctx, client.ObjectKey{Namespace: o.last, Name: nameOf(1)}, &one))
	var secret corev1.Secret
	check(b, o.asker.Get(ctx, client.ObjectKey{Namespace: o.last, Name: one.Status.Issued.SecretName}, &secret))
	return example{status: one.Status, secret: secret}
}
