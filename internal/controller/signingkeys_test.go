package controller_test

import (
	"context"
	"fmt"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	clocktesting "k8s.io/utils/clock/testing"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"agentpassport.dev/operator/internal/controller"
	"agentpassport.dev/operator/internal/token"
	"agentpassport.dev/operator/test/apiserver"
)

// keyWorld runs the reconciler of the signing keys alone, as the operator's ServiceAccount.
type keyWorld struct {
	clock    *clocktesting.FakeClock
	keys     *controller.Keyring
	attempts int
	crash    crash
}

// reconcile runs a new reconciler, which knows nothing but what is stored, until it succeeds.
func (w *keyWorld) reconcile(ctx context.Context) {
	GinkgoHelper()
	plain, err := client.NewWithWatch(server.Config(apiserver.Manager), client.Options{Scheme: server.Admin().Scheme()})
	Expect(err).NotTo(HaveOccurred())
	write := func(do func() error) error {
		w.attempts++
		return w.crash.fault(w.attempts, "", do)
	}
	c := interceptor.NewClient(plain, interceptor.Funcs{
		Create: func(ctx context.Context, c client.WithWatch, o client.Object, opts ...client.CreateOption) error {
			return write(func() error { return c.Create(ctx, o, opts...) })
		},
		Update: func(ctx context.Context, c client.WithWatch, o client.Object, opts ...client.UpdateOption) error {
			return write(func() error { return c.Update(ctx, o, opts...) })
		},
	})
	for range 3 {
		w.keys = &controller.Keyring{}
		r := &controller.SigningKeysReconciler{
			Client: c, Clock: w.clock, Recorder: events.NewFakeRecorder(100), Keys: w.keys,
			Namespace: apiserver.OperatorNamespace, Issuer: issuer, Policy: token.DefaultPolicy(24 * time.Hour),
			Trail: controller.NewAuditTrail(ledger, "manager"),
		}
		if _, err = r.Reconcile(ctx, ctrl.Request{}); err == nil {
			return
		}
		w.crash = crash{}
	}
	Expect(err).NotTo(HaveOccurred())
}

func publishedKeys(ctx context.Context) token.PublicKeys {
	GinkgoHelper()
	published := &corev1.ConfigMap{}
	key := types.NamespacedName{Namespace: apiserver.OperatorNamespace, Name: token.ConfigMapName}
	if err := server.Admin().Get(ctx, key, published); apierrors.IsNotFound(err) {
		return nil
	}
	keys, err := token.ParseJWKS([]byte(published.Data["jwks.json"]))
	Expect(err).NotTo(HaveOccurred())
	return keys
}

var _ = Describe("The signing keys", Serial, func() {
	AfterEach(func(ctx context.Context) {
		deleteIfThere(ctx, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: apiserver.OperatorNamespace, Name: controller.KeySecretName}})
		deleteIfThere(ctx, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: apiserver.OperatorNamespace, Name: token.ConfigMapName}})
	})

	for _, when := range []string{"at their making", "at a rotation", "at an emergency"} {
		for at := 1; at <= 3; at++ {
			for _, after := range []bool{false, true} {
				It(fmt.Sprintf("survive a crash %s, at write %d, after=%v", when, at, after), func(ctx context.Context) {
					w := &keyWorld{clock: clocktesting.NewFakeClock(time.Now())}
					if when != "at their making" {
						w.reconcile(ctx)
						w.clock.Step(25 * time.Hour)
					}
					if when == "at an emergency" {
						secret := keySecret(ctx)
						secret.Annotations = map[string]string{controller.AnnotationRotate: "emergency"}
						Expect(server.Admin().Update(ctx, secret)).To(Succeed())
					}
					w.attempts, w.crash = 0, crash{at: at, after: after}
					w.reconcile(ctx)
					w.reconcile(ctx)

					stored, err := token.ParseRing(keySecret(ctx).Data[controller.KeySecretData])
					Expect(err).NotTo(HaveOccurred())
					ring, ok := w.keys.Ring()
					Expect(ok).To(BeTrue())
					Expect(ring.Signing().ID).To(Equal(stored.Signing().ID), "it signs with what is stored")
					Expect(keySecret(ctx).Annotations).NotTo(HaveKey(controller.AnnotationRotate))
					published := publishedKeys(ctx)
					for _, kid := range []string{stored.Current.ID, stored.Next.ID} {
						_, verifies := published.Key(kid)
						Expect(verifies).To(BeTrue(), "both slots are published")
					}
					Expect(stored.Next.PublishedAt).NotTo(BeZero())
					w.attempts = 0
					w.reconcile(ctx)
					Expect(w.attempts).To(BeZero(), "quiet means no writes")
				})
			}
		}
	}
})
