package controller_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/util/workqueue"
	clocktesting "k8s.io/utils/clock/testing"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"agentpassport.dev/operator/api/v1alpha1"
	"agentpassport.dev/operator/internal/controller"
	"agentpassport.dev/operator/internal/servingcert"
	"agentpassport.dev/operator/internal/token"
	"agentpassport.dev/operator/test/apiserver"
)

// managed is a world in which the whole manager runs, with its caches, watches and queues, and is
// ready; the queues keep the time of the world's clock. Each change is made to the manager's config.
func managed(ctx context.Context, changes ...func(*rest.Config)) *world {
	GinkgoHelper()
	w := unready(ctx, changes...)
	eventually(w, func() bool {
		ring, loaded := w.keys.Ring()
		return loaded && !ring.Next.PublishedAt.IsZero() && w.channel.Authority() != nil
	}).Should(BeTrue(), "the keys are loaded and published, and so is the authority of the channel")
	return w
}

// unready is a managed world whose manager may have nothing to sign with.
func unready(ctx context.Context, changes ...func(*rest.Config)) *world {
	GinkgoHelper()
	w := newWorld(ctx)
	w.keys = &controller.Keyring{}
	config := server.Config(apiserver.Manager)
	for _, change := range changes {
		change(config)
	}
	// What other specs have left behind is none of this manager's business.
	caches := controller.CacheOptions(apiserver.OperatorNamespace, []string{w.namespace})
	mgr, err := ctrl.NewManager(config, ctrl.Options{
		Scheme: server.Admin().Scheme(),
		Cache:  caches,
		Client: controller.ClientOptions(),
		NewClient: func(config *rest.Config, options client.Options) (client.Client, error) {
			plain, err := client.NewWithWatch(config, options)
			return w.observed(plain), err
		},
		Metrics: metricsserver.Options{BindAddress: "0"},
	})
	Expect(err).NotTo(HaveOccurred())
	w.channel, w.gatewayURL = &controller.ChannelAuthority{}, "https://gateway.example.com"
	w.credentials = controller.NewConnectionReports(mgr.GetClient(), mgr.GetAPIReader(), w.clock)
	running, stop := context.WithCancel(context.WithoutCancel(ctx))
	options := controller.Options{
		Clock: w.clock, Keys: w.keys, Namespace: apiserver.OperatorNamespace, ServiceAccount: apiserver.ManagerServiceAccount,
		Issuer: issuer, TrustDomain: "example.org", GatewayAudience: "gateway",
		RotationInterval: 24 * time.Hour, PassportWorkers: 4, Registry: prometheus.NewRegistry(), NewQueue: steppedQueue(w.clock),
		Channel: w.channel, GatewayURL: w.gatewayURL, GatewayNames: []string{"gateway.example.com"}, Connections: w.credentials,
	}
	options.Trail = controller.NewAuditTrail(w.log, options.Username())
	Expect(controller.Setup(running, mgr, options)).To(Succeed())
	ended := make(chan error, 1)
	go func() { ended <- mgr.Start(running) }()
	DeferCleanup(func(ctx context.Context) {
		stop()
		Eventually(ended).Should(Receive(BeNil()))
		deleteIfThere(ctx, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: apiserver.OperatorNamespace, Name: controller.KeySecretName}})
		deleteIfThere(ctx, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: apiserver.OperatorNamespace, Name: token.ConfigMapName}})
		for _, secret := range []string{servingcert.ChannelSecretName, servingcert.GatewaySecretName} {
			deleteIfThere(ctx, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: apiserver.OperatorNamespace, Name: secret}})
		}
		deleteIfThere(ctx, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: apiserver.OperatorNamespace, Name: servingcert.GatewayConfigMapName}})
	})
	return w
}

// tick is how far the clock goes at a poll, and how long a poll takes at least. So the clock never
// outruns real time, and a mission lives as long on a slow machine as on a fast one.
const tick = 100 * time.Millisecond

// eventually is Eventually while the clock ticks on.
func eventually[T any](w *world, poll func() T) AsyncAssertion {
	GinkgoHelper()
	return eventuallyBy(w, tick, poll)
}

// eventuallyBy goes on by a longer step at a poll: towards what comes at its time and does not pass.
func eventuallyBy[T any](w *world, step time.Duration, poll func() T) AsyncAssertion {
	GinkgoHelper()
	return Eventually(func() T {
		w.clock.Step(step)
		return poll()
	}).WithPolling(tick)
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

// countReads counts the reads of Secrets of this name that a manager makes.
func countReads(name string, reads *atomic.Int32) func(*rest.Config) {
	return func(config *rest.Config) {
		config.Wrap(func(next http.RoundTripper) http.RoundTripper {
			return roundTripper(func(request *http.Request) (*http.Response, error) {
				if request.Method == http.MethodGet && strings.HasSuffix(request.URL.Path, "/secrets/"+name) {
					reads.Add(1)
				}
				return next.RoundTrip(request)
			})
		})
	}
}

type roundTripper func(*http.Request) (*http.Response, error)

// RoundTrip implements http.RoundTripper.
func (r roundTripper) RoundTrip(request *http.Request) (*http.Response, error) { return r(request) }

// phase reads the mission's phase.
func (w *world) phase() v1alpha1.Phase {
	GinkgoHelper()
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

// rotate asks for a rotation of the signing keys.
func rotate(ctx context.Context, how string) {
	GinkgoHelper()
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: apiserver.OperatorNamespace, Name: controller.KeySecretName}}
	asked := fmt.Appendf(nil, `{"metadata":{"annotations":{%q:%q}}}`, controller.AnnotationRotate, how)
	Expect(server.Admin().Patch(ctx, secret, client.RawPatch(types.MergePatchType, asked))).To(Succeed())
}

var _ = Describe("The manager", Serial, func() {
	It("leads a mission from apply to its death of silence", func(ctx context.Context) {
		w := managed(ctx)
		w.passport()
		w.agent()
		eventually(w, w.phase).Should(Equal(v1alpha1.PhaseActive))
		w.checkpoint("first")
		eventually(w, func() v1alpha1.Reason { return w.judged("first") }).Should(Equal(v1alpha1.ReasonAccepted))
		eventuallyBy(w, 30*time.Second, w.phase).Should(Equal(v1alpha1.PhaseExpired))
		eventually(w, w.secretGone).Should(BeTrue())
		eventually(w, func() []string { return w.storedEvents("mission") }).
			Should(ContainElements("Issued", "CheckpointAccepted", "CheckpointSilence", "Expired"))
	})

	It("ends every live passport of an agent when it is blocked, and counts what lives", func(ctx context.Context) {
		w := managed(ctx)
		w.agent()
		w.passport()
		w.passport(named("other"))
		live := func() int32 {
			agent := &v1alpha1.AgentPassport{}
			Expect(w.get("support-bot", agent)).To(Succeed())
			if agent.Status.LivePassports == nil {
				return -1
			}
			return *agent.Status.LivePassports
		}
		both := func() []v1alpha1.Phase {
			other := &v1alpha1.Passport{}
			Expect(w.get("other", other)).To(Succeed())
			return []v1alpha1.Phase{w.phase(), other.Status.Phase}
		}
		// A sum is written ten seconds after the last, at the earliest.
		eventually(w, both).Should(HaveEach(v1alpha1.PhaseActive))
		w.clock.Step(10 * time.Second)
		eventually(w, live).Should(Equal(int32(2)))
		w.block("stop")
		eventually(w, both).Should(HaveEach(v1alpha1.PhaseRevoked))
		w.clock.Step(10 * time.Second)
		eventually(w, live).Should(BeZero())
	})

	It("records what is changed and deleted while the audit log is away", func(ctx context.Context) {
		w := managed(ctx)
		agent := w.agent()
		eventually(w, w.log.configured).Should(ContainElement(HavePrefix("config.change/1")))
		w.log.set(true)
		block := w.block("stop")
		eventually(w, func() v1alpha1.Reason {
			Expect(w.get("stop", block)).To(Succeed())
			return ready(block.Status.Conditions)
		}).Should(Equal(v1alpha1.ReasonBlocking))
		Expect(w.admin.Delete(ctx, block)).To(Succeed())
		for _, suspend := range []bool{true, false} {
			Expect(w.get("support-bot", agent)).To(Succeed())
			before := client.MergeFrom(agent.DeepCopy())
			agent.Spec.Suspend = suspend
			Expect(w.admin.Patch(ctx, agent, before)).To(Succeed())
		}
		Expect(w.admin.Delete(ctx, agent)).To(Succeed())
		w.clock.Step(time.Minute)
		w.log.set(false)
		eventuallyBy(w, time.Second, w.log.configured).Should(ContainElements(
			"agent.block success by admin", "config.change/2 success by admin", "config.change/3 success by admin",
			"config.change/deleted success by unknown (deleted)"))
	})

	It("ends missions at once while many wait for an audit log that does not answer", func(ctx context.Context) {
		w := managed(ctx)
		w.agent()
		w.passport()
		eventually(w, w.phase).Should(Equal(v1alpha1.PhaseActive))
		w.log.hang(true)
		const waiting = 12 // three times as many as there are workers
		for i := range waiting {
			w.passport(named(fmt.Sprintf("waiting-%d", i)))
		}
		eventually(w, func() []v1alpha1.Reason {
			var reasons []v1alpha1.Reason
			for i := range waiting {
				passport := &v1alpha1.Passport{}
				Expect(w.get(fmt.Sprintf("waiting-%d", i), passport)).To(Succeed())
				reasons = append(reasons, ready(passport.Status.Conditions))
			}
			return reasons
		}).Should(HaveEach(v1alpha1.ReasonAuditUnavailable))
		eventually(w, w.log.nowWaiting).Should(BeNumerically("<=", 1), "those who asked before it was known are done")
		w.log.hang(true) // counts anew
		w.revoke()
		eventually(w, w.phase).Should(Equal(v1alpha1.PhaseRevoked))
		Expect(w.log.mostWaiting()).To(BeNumerically("<=", 1), "one worker asks whether it is back")
		w.log.hang(false)
		eventuallyBy(w, time.Second, func() v1alpha1.Phase {
			passport := &v1alpha1.Passport{}
			Expect(w.get("waiting-0", passport)).To(Succeed())
			return passport.Status.Phase
		}).Should(Equal(v1alpha1.PhaseActive))
	})

	It("writes a trail of its keys, and notices while nothing happens that the log has lost it", func(ctx context.Context) {
		w := managed(ctx)
		w.agent()
		ring, _ := w.keys.Ring()
		eventually(w, w.log.configured).Should(ContainElements(
			"key.rotate/"+ring.Signing().ID+" success by agent-passport-manager", "config.change/1 success by admin"))
		w.log.begin(2)
		eventuallyBy(w, 10*time.Second, func() int { return w.log.repeated("config.change/1") }).Should(BeNumerically(">", 0))
	})

	It("brings a Secret back at once that is deleted or edited by hand", func(ctx context.Context) {
		w := managed(ctx)
		w.agent()
		w.passport()
		eventually(w, w.phase).Should(Equal(v1alpha1.PhaseActive))
		before := w.claims()
		secret := &corev1.Secret{}
		Expect(w.get("mission-token", secret)).To(Succeed())
		Expect(w.admin.Delete(ctx, secret)).To(Succeed())
		eventually(w, w.secretGone).Should(BeFalse())
		Expect(w.claims()).To(Equal(before))

		Expect(w.get("mission-token", secret)).To(Succeed())
		secret.Data = map[string][]byte{"token": []byte("forged")}
		Expect(w.admin.Update(ctx, secret)).To(Succeed())
		eventually(w, func() string {
			Expect(w.get("mission-token", secret)).To(Succeed())
			return string(secret.Data["token"])
		}).ShouldNot(Equal("forged"))
		Expect(w.claims()).To(Equal(before))
	})

	It("publishes its keys before it uses them, and keeps the old while their tokens live", func(ctx context.Context) {
		w := managed(ctx)
		first, _ := w.keys.Ring()
		rotate(ctx, "now")
		eventually(w, func() map[string]string { return keySecret(ctx).Annotations }).ShouldNot(HaveKey(controller.AnnotationRotate))
		eventuallyBy(w, 30*time.Second, func() string {
			ring, _ := w.keys.Ring()
			return ring.Signing().ID
		}).Should(Equal(first.Next.ID))
		Expect(w.clock.Since(first.Next.PublishedAt)).To(BeNumerically(">=", 10*time.Minute), "published for ten minutes first")
		stands := func() bool {
			ring, _ := w.keys.Ring()
			_, stands := ring.Key(first.Signing().ID)
			return stands
		}
		Expect(stands()).To(BeTrue(), "the retired key still verifies")
		eventuallyBy(w, 5*time.Minute, stands).Should(BeFalse(), "and goes once its tokens are dead")
	})

	It("drops a key in an emergency and signs every live token again", func(ctx context.Context) {
		w := managed(ctx)
		w.agent()
		w.passport()
		eventually(w, w.phase).Should(Equal(v1alpha1.PhaseActive))
		before := w.claims()
		old, _ := w.keys.Ring()
		rotate(ctx, "emergency")
		eventually(w, func() error {
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
		eventually(w, func() string {
			published := &corev1.ConfigMap{}
			key := types.NamespacedName{Namespace: apiserver.OperatorNamespace, Name: token.ConfigMapName}
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
		var reads atomic.Int32
		w := unready(ctx, countReads(controller.KeySecretName, &reads))
		eventually(w, reads.Load).Should(BeNumerically(">", 5), "it has read them, and come back")
		Expect(keySecret(ctx).Data).To(HaveKeyWithValue(controller.KeySecretData, []byte("{}")))
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
