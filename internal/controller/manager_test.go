package controller_test

import (
	"context"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/workqueue"
	clocktesting "k8s.io/utils/clock/testing"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"agentpassport.dev/operator/api/v1alpha1"
	"agentpassport.dev/operator/internal/controller"
	"agentpassport.dev/operator/internal/token"
	"agentpassport.dev/operator/test/apiserver"
)

// managed is a world in which the whole manager runs, with its caches, watches and queues; the
// queues keep the time of the world's clock.
func managed(ctx context.Context) *world {
	GinkgoHelper()
	w := newWorld(ctx)
	w.keys = &controller.Keyring{}
	mgr, err := ctrl.NewManager(server.Config(apiserver.Manager), ctrl.Options{
		Scheme:  server.Admin().Scheme(),
		Cache:   controller.CacheOptions(apiserver.OperatorNamespace),
		Client:  controller.ClientOptions(),
		Metrics: metricsserver.Options{BindAddress: "0"},
	})
	Expect(err).NotTo(HaveOccurred())
	running, stop := context.WithCancel(context.WithoutCancel(ctx))
	Expect(controller.Setup(running, mgr, controller.Options{
		Clock: w.clock, Keys: w.keys, Namespace: apiserver.OperatorNamespace, ServiceAccount: apiserver.ManagerServiceAccount,
		Issuer: issuer, TrustDomain: "example.org", GatewayAudience: "gateway",
		RotationInterval: 24 * time.Hour, PassportWorkers: 4, Registry: prometheus.NewRegistry(), NewQueue: steppedQueue(w.clock),
	})).To(Succeed())
	ended := make(chan error, 1)
	go func() { ended <- mgr.Start(running) }()
	DeferCleanup(func(ctx context.Context) {
		stop()
		Eventually(ended).WithTimeout(30 * time.Second).Should(Receive(BeNil()))
		deleteIfThere(ctx, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: apiserver.OperatorNamespace, Name: controller.KeySecretName}})
		deleteIfThere(ctx, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: apiserver.OperatorNamespace, Name: controller.JWKSConfigMapName}})
	})
	return w
}

func deleteIfThere(ctx context.Context, object client.Object) {
	GinkgoHelper()
	Expect(client.IgnoreNotFound(server.Admin().Delete(ctx, object))).To(Succeed())
}

func steppedQueue(clock *clocktesting.FakeClock) func(string, workqueue.TypedRateLimiter[reconcile.Request]) workqueue.TypedRateLimitingInterface[reconcile.Request] {
	return func(name string, limiter workqueue.TypedRateLimiter[reconcile.Request]) workqueue.TypedRateLimitingInterface[reconcile.Request] {
		return workqueue.NewTypedRateLimitingQueueWithConfig(limiter, workqueue.TypedRateLimitingQueueConfig[reconcile.Request]{Name: name, Clock: clock})
	}
}

// phase polls the mission's phase while the clock ticks on, a second a poll.
func (w *world) phase() v1alpha1.Phase {
	GinkgoHelper()
	w.clock.Step(time.Second)
	return w.mission().Status.Phase
}

// keySecret reads the signing keys' Secret.
func keySecret(ctx context.Context) *corev1.Secret {
	GinkgoHelper()
	secret := &corev1.Secret{}
	key := types.NamespacedName{Namespace: apiserver.OperatorNamespace, Name: controller.KeySecretName}
	Expect(server.Admin().Get(ctx, key, secret)).To(Succeed())
	return secret
}

var _ = Describe("The manager", Serial, func() {
	It("leads a mission from apply to its death of silence", func(ctx context.Context) {
		w := managed(ctx)
		w.passport()
		w.agent()
		Eventually(w.phase).Should(Equal(v1alpha1.PhaseActive))
		w.checkpoint("first")
		Eventually(func() v1alpha1.Reason { return w.judged("first") }).Should(Equal(v1alpha1.ReasonAccepted))
		Eventually(func() v1alpha1.Phase {
			w.clock.Step(30 * time.Second)
			return w.mission().Status.Phase
		}).Should(Equal(v1alpha1.PhaseExpired))
		Eventually(w.secretGone).Should(BeTrue())
		Eventually(func() []string { return w.storedEvents("mission") }).Should(ContainElements("Issued", "CheckpointAccepted", "CheckpointSilence", "Expired"))
	})

	It("ends every live passport of an agent when it is blocked, and counts what lives", func(ctx context.Context) {
		w := managed(ctx)
		w.agent()
		w.passport()
		w.passport(func(p *v1alpha1.Passport) { p.Name = "other" })
		live := func() int32 {
			w.clock.Step(10 * time.Second)
			agent := &v1alpha1.AgentPassport{}
			Expect(w.get("support-bot", agent)).To(Succeed())
			if agent.Status.LivePassports == nil {
				return -1
			}
			return *agent.Status.LivePassports
		}
		Eventually(live).Should(Equal(int32(2)))
		w.block("stop")
		Eventually(w.phase).Should(Equal(v1alpha1.PhaseRevoked))
		Eventually(live).Should(BeZero())
	})

	It("brings a Secret back at once that is deleted or edited by hand", func(ctx context.Context) {
		w := managed(ctx)
		w.agent()
		w.passport()
		Eventually(w.phase).Should(Equal(v1alpha1.PhaseActive))
		before := w.claims()
		secret := &corev1.Secret{}
		Expect(w.get("mission-token", secret)).To(Succeed())
		Expect(w.admin.Delete(ctx, secret)).To(Succeed())
		Eventually(w.secretGone).Should(BeFalse())
		Expect(w.claims()).To(Equal(before))

		Expect(w.get("mission-token", secret)).To(Succeed())
		secret.Data = map[string][]byte{"token": []byte("forged")}
		Expect(w.admin.Update(ctx, secret)).To(Succeed())
		Eventually(func() string {
			Expect(w.get("mission-token", secret)).To(Succeed())
			return string(secret.Data["token"])
		}).ShouldNot(Equal("forged"))
		Expect(w.claims()).To(Equal(before))
	})

	It("publishes its keys before it uses them, and keeps the old while their tokens live", func(ctx context.Context) {
		w := managed(ctx)
		var first token.Ring
		Eventually(func() bool {
			var ok bool
			first, ok = w.keys.Ring()
			return ok && !first.Next.PublishedAt.IsZero()
		}).Should(BeTrue())
		secret := keySecret(ctx)
		secret.Annotations = map[string]string{controller.AnnotationRotate: "now"}
		Expect(w.admin.Update(ctx, secret)).To(Succeed())
		Eventually(func() map[string]string { return keySecret(ctx).Annotations }).ShouldNot(HaveKey(controller.AnnotationRotate))
		current := func() string {
			w.clock.Step(30 * time.Second)
			ring, _ := w.keys.Ring()
			return ring.Signing().ID
		}
		start := w.clock.Now()
		Eventually(current).Should(Equal(first.Next.ID))
		Expect(w.clock.Since(start)).To(BeNumerically(">=", 9*time.Minute), "published for ten minutes first")
		ring, _ := w.keys.Ring()
		_, stands := ring.Key(first.Signing().ID)
		Expect(stands).To(BeTrue(), "the retired key still verifies")
		Eventually(func() bool {
			w.clock.Step(5 * time.Minute)
			ring, _ := w.keys.Ring()
			_, stands := ring.Key(first.Signing().ID)
			return stands
		}).Should(BeFalse(), "and goes once its tokens are dead")
	})

	It("drops a key in an emergency and signs every live token again", func(ctx context.Context) {
		w := managed(ctx)
		w.agent()
		w.passport()
		Eventually(w.phase).Should(Equal(v1alpha1.PhaseActive))
		before := w.claims()
		old, _ := w.keys.Ring()
		secret := keySecret(ctx)
		secret.Annotations = map[string]string{controller.AnnotationRotate: "emergency"}
		Expect(w.admin.Update(ctx, secret)).To(Succeed())
		Eventually(func() error {
			ring, _ := w.keys.Ring()
			held := &corev1.Secret{}
			Expect(w.get("mission-token", held)).To(Succeed())
			if _, stands := ring.Key(old.Signing().ID); stands {
				return token.ErrUnknownKey
			}
			_, err := token.VerifySignature(string(held.Data["token"]), ring)
			return err
		}).Should(Succeed())
		Expect(w.claims()).To(Equal(before))
		Eventually(func() string {
			published := &corev1.ConfigMap{}
			key := types.NamespacedName{Namespace: apiserver.OperatorNamespace, Name: controller.JWKSConfigMapName}
			Expect(w.admin.Get(ctx, key, published)).To(Succeed())
			return published.Data["jwks.json"]
		}).ShouldNot(ContainSubstring(old.Signing().ID))
	})

	It("begins with the keys that are stored, and never writes over what it cannot read", func(ctx context.Context) {
		broken := &corev1.Secret{
			ObjectMeta: metav1.ObjectMeta{Namespace: apiserver.OperatorNamespace, Name: controller.KeySecretName},
			Data:       map[string][]byte{controller.KeySecretData: []byte("{}")},
		}
		Expect(server.Admin().Create(ctx, broken)).To(Succeed())
		w := managed(ctx)
		Consistently(func() map[string][]byte { return keySecret(ctx).Data }).
			Should(HaveKeyWithValue(controller.KeySecretData, []byte("{}")))
		_, ok := w.keys.Ring()
		Expect(ok).To(BeFalse())
	})
})

// storedEvents gives the reasons of the Events about an object.
func (w *world) storedEvents(name string) []string {
	GinkgoHelper()
	list := &corev1.EventList{}
	Expect(w.admin.List(w.ctx, list, inNamespace(w))).To(Succeed())
	var reasons []string
	for i := range list.Items {
		if list.Items[i].InvolvedObject.Name == name {
			reasons = append(reasons, list.Items[i].Reason)
		}
	}
	return reasons
}
