package bench

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
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
	// last is the namespace of the last round.
	last string
}

func newOperated(ctx context.Context, b *testing.B) *operated {
	b.Helper()
	o := &operated{world: newWorld(ctx, b)}
	binary, err := manager.Build(ctx, root, b.TempDir())
	check(b, err)
	addresses, err := manager.FreeAddresses()
	check(b, err)
	log, err := os.Create(filepath.Join(b.TempDir(), "manager.log"))
	check(b, err)
	logBinary, err := auditlog.Build(ctx, root, b.TempDir())
	check(b, err)
	trail, err := auditlog.Start(ctx, logBinary, b.TempDir(), o.server, log)
	check(b, err)
	b.Cleanup(func() { check(b, trail.Stop(context.WithoutCancel(ctx))) })
	flags := append(trail.ManagerFlags(), "--leader-elect", fmt.Sprintf("--passport-workers=%d", *workers))
	m, err := manager.Start(binary, o.kubeconfig, addresses, log, flags...)
	check(b, err)
	b.Cleanup(func() {
		check(b, m.Stop(context.WithoutCancel(ctx)))
		check(b, log.Close())
	})
	check(b, m.Ready(ctx))
	return o
}

// round asks for n passports, and leaves the rest to the operator.
func (o *operated) round(ctx context.Context, b *testing.B, n int, load load) measurement {
	b.Helper()
	o.last = o.namespace(ctx, b)
	return o.measure(ctx, b, o.last, n, load, func(i int) error {
		return o.asker.Create(ctx, passport(o.last, i))
	})
}

// example gives what the operator wrote for a passport of the last round.
func (o *operated) example(ctx context.Context, b *testing.B) example {
	b.Helper()
	var one v1alpha1.Passport
	check(b, o.asker.Get(ctx, client.ObjectKey{Namespace: o.last, Name: "ticket-1"}, &one))
	var secret corev1.Secret
	check(b, o.asker.Get(ctx, client.ObjectKey{Namespace: o.last, Name: one.Status.Issued.SecretName}, &secret))
	return example{status: one.Status, secret: secret}
}
