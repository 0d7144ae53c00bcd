package bench

import (
	"context"
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"agentpassport.dev/operator/api/v1alpha1"
	"agentpassport.dev/operator/internal/token"
)

// plain is a world without an operator: whoever asks for passports makes the operator's writes too, with
// the manager's credentials, since policies let nobody else write status.
type plain struct {
	world
	manager  client.Client
	template example
}

// example is what the operator wrote for one passport.
type example struct {
	status v1alpha1.PassportStatus
	secret corev1.Secret
}

func newPlain(ctx context.Context, b *testing.B) *plain {
	b.Helper()
	p := &plain{world: newWorld(ctx, b)}
	config, err := clientcmd.BuildConfigFromFlags("", p.kubeconfig)
	check(b, err)
	p.manager = p.client(b, config)
	return p
}

// round makes the three writes of n passports.
func (p *plain) round(ctx context.Context, b *testing.B, n int, load load) measurement {
	b.Helper()
	namespace := p.namespace(ctx, b)
	return p.measure(ctx, b, namespace, n, load, func(i int, _ <-chan struct{}) error {
		one := passport(namespace, i)
		if err := p.asker.Create(ctx, one); err != nil {
			return err
		}
		if err := p.manager.Create(ctx, p.template.secretOf(one)); err != nil {
			return err
		}
		one.Status = *p.template.status.DeepCopy()
		one.Status.JTI = token.JTI(string(one.UID))
		return p.manager.Status().Update(ctx, one)
	})
}

// secretOf gives a passport's Secret, of the size that the operator's have.
func (e example) secretOf(one *v1alpha1.Passport) *corev1.Secret {
	secret := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: one.Namespace, Name: one.Name + "-token",
			Labels:          map[string]string{v1alpha1.LabelPassportUID: string(one.UID)},
			OwnerReferences: slices.Clone(e.secret.OwnerReferences),
		},
		Type: e.secret.Type, Data: e.secret.Data,
	}
	secret.OwnerReferences[0].Name, secret.OwnerReferences[0].UID = one.Name, one.UID
	return secret
}
