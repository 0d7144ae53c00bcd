package controller_test

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/go-logr/logr"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"agentpassport.dev/operator/api/v1alpha1"
	gatewayclient "agentpassport.dev/operator/internal/channel/client"
	channel "agentpassport.dev/operator/internal/channel/server"
	"agentpassport.dev/operator/internal/channel/wire"
	"agentpassport.dev/operator/internal/controller"
	"agentpassport.dev/operator/internal/servingcert"
	"agentpassport.dev/operator/test/apiserver"
)

// tokenService is the world's; cached is what its cache shows.
func (w *world) tokenService(cached client.Reader) *controller.TokenService {
	return &controller.TokenService{Cached: cached, Live: w.admin, Clock: w.clock, Keys: w.keys}
}

func ask(passport *v1alpha1.Passport) wire.TokenRequest {
	return wire.TokenRequest{Namespace: passport.Namespace, Name: passport.Name, UID: string(passport.UID)}
}

// refused gives the code of an error.
func refused(err error) wire.Code {
	GinkgoHelper()
	var failure *wire.Error
	Expect(errors.As(err, &failure)).To(BeTrue(), "%v", err)
	return failure.Code
}

// frozen is a reader that shows a Passport as it was.
func frozen(w *world, was *v1alpha1.Passport) client.Reader {
	GinkgoHelper()
	plain, err := client.NewWithWatch(server.Config(apiserver.Manager), client.Options{Scheme: w.admin.Scheme()})
	Expect(err).NotTo(HaveOccurred())
	return interceptor.NewClient(plain, interceptor.Funcs{
		Get: func(ctx context.Context, c client.WithWatch, key client.ObjectKey, object client.Object, opts ...client.GetOption) error {
			if passport, ok := object.(*v1alpha1.Passport); ok && key == client.ObjectKeyFromObject(was) {
				was.DeepCopyInto(passport)
				return nil
			}
			return c.Get(ctx, key, object, opts...)
		},
	})
}

// unread is a reader that fails the test where it is used.
type unread struct{ client.Reader }

func (unread) Get(context.Context, client.ObjectKey, client.Object, ...client.GetOption) error {
	return errors.New("nothing is to be read here")
}

var _ = Describe("The token that a gateway asks for", func() {
	It("is that of the Secret, to the byte, by what the cache shows alone", func(ctx context.Context) {
		w := newWorld(ctx)
		issued(w)
		w.settle()
		service := w.tokenService(w.admin)
		service.Live = unread{}
		answer, err := service.Token(ctx, ask(w.mission()))
		Expect(err).NotTo(HaveOccurred())
		secret := &corev1.Secret{}
		Expect(w.get("mission-token", secret)).To(Succeed())
		Expect(answer.Token).To(Equal(string(secret.Data[v1alpha1.SecretKeyToken])))
		Expect(answer.ExpiresAt).To(BeTemporally("==", w.mission().Status.ExpirationTime.Time))
	})

	It("is the newest where the asker knows more than the cache", func(ctx context.Context) {
		w := newWorld(ctx)
		w.clock.Step(-100 * time.Second)
		issued(w)
		w.settle()
		was := w.mission()
		w.clock.Step(100 * time.Second)
		w.checkpoint("report")
		w.settle()
		is := w.mission()
		Expect(is.Status.ExpirationTime.Time).To(BeTemporally(">", was.Status.ExpirationTime.Time))
		service := w.tokenService(frozen(w, was))
		old, err := service.Token(ctx, ask(was))
		Expect(err).NotTo(HaveOccurred())
		Expect(old.ExpiresAt).To(BeTemporally("==", was.Status.ExpirationTime.Time))
		request := ask(was)
		request.ExpiresAt = is.Status.ExpirationTime.Time
		newest, err := service.Token(ctx, request)
		Expect(err).NotTo(HaveOccurred())
		Expect(newest.ExpiresAt).To(BeTemporally("==", is.Status.ExpirationTime.Time))
	})

	It("is read live where the cache does not show it yet", func(ctx context.Context) {
		w := newWorld(ctx)
		issued(w)
		was := w.mission()
		w.settle()
		_, err := w.tokenService(frozen(w, was)).Token(ctx, ask(was))
		Expect(err).NotTo(HaveOccurred())
	})

	It("is refused to what is not there, not issued, revoked, deleted or over", func(ctx context.Context) {
		w := newWorld(ctx)
		w.passport()
		w.settle()
		service := w.tokenService(w.admin)
		token := func(request wire.TokenRequest) error {
			_, err := service.Token(ctx, request)
			return err
		}
		request := ask(w.mission())
		Expect(refused(token(request))).To(Equal(wire.NotActive), "it waits for its agent")
		w.agent()
		w.settle()
		Expect(token(request)).To(Succeed())
		another := request
		another.UID = "another"
		Expect(refused(token(another))).To(Equal(wire.NotFound))
		gone := request
		gone.Name = "gone"
		Expect(refused(token(gone))).To(Equal(wire.NotFound))
		w.revoke()
		Expect(refused(token(request))).To(Equal(wire.NotActive), "its end is asked for")
		w.settle()
		Expect(refused(token(request))).To(Equal(wire.NotActive))
		service.Keys = &controller.Keyring{}
		Expect(refused(token(request))).To(Equal(wire.Unavailable))
	})

	It("is refused at the expiry, before its end is stored", func(ctx context.Context) {
		w := newWorld(ctx)
		issued(w)
		w.settle()
		w.clock.SetTime(w.mission().Status.ExpirationTime.Time)
		_, err := w.tokenService(w.admin).Token(ctx, ask(w.mission()))
		Expect(refused(err)).To(Equal(wire.NotActive))
	})
})

// authority makes one that is stored nowhere else, in a namespace of its own.
func authority(ctx context.Context, now time.Time) *servingcert.Authority {
	GinkgoHelper()
	namespace, err := server.Namespace(ctx, "authority")
	Expect(err).NotTo(HaveOccurred())
	made, err := servingcert.LoadAuthority(ctx, server.Admin(), servingcert.Channel(namespace), rand.Reader, now)
	Expect(err).NotTo(HaveOccurred())
	return made
}

var _ = Describe("A token Secret", func() {
	It("says where the gateway is and who vouches for it, and is written once", func(ctx context.Context) {
		w := newWorld(ctx)
		w.channel, w.gatewayURL = &controller.ChannelAuthority{}, "https://gateway.example.com"
		w.restart()
		issued(w)
		Expect(w.settleUntil(3)).To(MatchError(ContainSubstring("the authority of the channel")))
		Expect(w.phase()).To(BeEmpty(), "the authority is not read yet")
		first := authority(ctx, w.clock.Now())
		w.channel.Set(first)
		w.settle()
		data := func() map[string]string {
			GinkgoHelper()
			secret := &corev1.Secret{}
			Expect(w.get("mission-token", secret)).To(Succeed())
			told := map[string]string{}
			for key, value := range secret.Data {
				if key != v1alpha1.SecretKeyToken && key != v1alpha1.SecretKeyJWKS {
					told[key] = string(value)
				}
			}
			return told
		}
		Expect(data()).To(Equal(map[string]string{"gateway-url": w.gatewayURL, "gateway-ca.crt": string(first.PEM)}))
		w.clock.Step(10 * time.Second) // sums on the agent are written by then
		w.settle()
		w.wrote()
		w.restart()
		w.settle()
		Expect(w.wrote()).To(BeEmpty(), "nothing has changed")

		By("following another authority, another URL, and none")
		second := authority(ctx, w.clock.Now())
		w.channel.Set(second)
		w.restart()
		w.settle()
		Expect(w.wrote()).To(Equal([]string{"update Secret mission-token"}))
		Expect(data()).To(HaveKeyWithValue("gateway-ca.crt", string(second.PEM)))
		w.gatewayURL = ""
		w.restart()
		w.settle()
		Expect(w.wrote()).To(Equal([]string{"update Secret mission-token"}))
		Expect(data()).To(BeEmpty())
	})

	It("is removed at the end of its mission, whether or not anybody vouches for the gateway", func(ctx context.Context) {
		w := newWorld(ctx)
		issued(w)
		w.settle()
		w.channel, w.gatewayURL = &controller.ChannelAuthority{}, "https://gateway.example.com"
		w.restart()
		w.revoke()
		w.settle()
		Expect(w.phase()).To(Equal(v1alpha1.PhaseRevoked))
		Expect(w.secretGone()).To(BeTrue())
	})
})

func operatorObject(ctx context.Context, name string, object client.Object) error {
	return server.Admin().Get(ctx, types.NamespacedName{Namespace: apiserver.OperatorNamespace, Name: name}, object)
}

// leaf reads a certificate in PEM.
func leaf(text []byte) *x509.Certificate {
	GinkgoHelper()
	block, _ := pem.Decode(text)
	Expect(block).NotTo(BeNil())
	read, err := x509.ParseCertificate(block.Bytes)
	Expect(err).NotTo(HaveOccurred())
	return read
}

var _ = Describe("The manager and the gateways' certificates", Serial, func() {
	It("lets a gateway that mounts them have the token of a mission", func(ctx context.Context) {
		w := managed(ctx)
		w.agent()
		w.passport()
		eventually(w, w.phase).Should(Equal(v1alpha1.PhaseActive))
		mounted := &corev1.Secret{}
		eventually(w, func() error { return operatorObject(ctx, servingcert.GatewaySecretName, mounted) }).Should(Succeed())
		dir := GinkgoT().TempDir()
		for name, content := range mounted.Data {
			Expect(os.WriteFile(filepath.Join(dir, name), content, 0o600)).To(Succeed())
		}
		listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
		Expect(err).NotTo(HaveOccurred())
		secured := &channel.TLS{Authority: w.channel.Authority, Names: []string{"127.0.0.1"}, Clock: w.clock}
		serving := channel.HTTP(channel.New(channel.Options{
			Gateway: servingcert.GatewayName(apiserver.OperatorNamespace), Leading: func() bool { return true },
			Tokens: w.tokenService(w.admin), Connections: w.credentials,
		}), logr.Discard())
		go serving.Serve(secured.Listener(listener)) //nolint:errcheck // it is closed
		DeferCleanup(serving.Close)
		gateway, err := gatewayclient.New(gatewayclient.Options{
			URL: "https://" + listener.Addr().String(), Clock: w.clock,
			CAFile: filepath.Join(dir, "ca.crt"), CertFile: filepath.Join(dir, "client.crt"), KeyFile: filepath.Join(dir, "client.key"),
		})
		Expect(err).NotTo(HaveOccurred())
		answer, err := gateway.Token(ctx, ask(w.mission()))
		Expect(err).NotTo(HaveOccurred())
		secret := &corev1.Secret{}
		Expect(w.get("mission-token", secret)).To(Succeed())
		Expect(answer.Token).To(Equal(string(secret.Data[v1alpha1.SecretKeyToken])))
		Expect(string(secret.Data[v1alpha1.SecretKeyGatewayCA])).To(Equal(string(mounted.Data["ca.crt"])))
		connection := w.connection()
		Expect(gateway.Connections(ctx, []wire.Connection{reportOf("gateway-0", connection, v1alpha1.ReasonCredentialRead)})).To(Succeed())
		eventually(w, w.conditions).Should(ConsistOf(served))
	})

	It("makes them, publishes who vouches for them, and makes new ones in time", func(ctx context.Context) {
		w := managed(ctx)
		secret := &corev1.Secret{}
		eventually(w, func() error { return operatorObject(ctx, servingcert.GatewaySecretName, secret) }).Should(Succeed())
		published := &corev1.ConfigMap{}
		Expect(operatorObject(ctx, servingcert.GatewayConfigMapName, published)).To(Succeed())
		Expect(published.Data[servingcert.ConfigMapKey]).To(Equal(string(secret.Data[servingcert.ConfigMapKey])))
		for certificate, key := range map[string]string{"tls.crt": "tls.key", "client.crt": "client.key"} {
			_, err := tls.X509KeyPair(secret.Data[certificate], secret.Data[key])
			Expect(err).NotTo(HaveOccurred(), certificate)
		}
		roots := w.channel.Authority().Pool()
		for _, name := range []string{"agent-passport-gateway." + apiserver.OperatorNamespace + ".svc", "gateway.example.com"} {
			_, err := leaf(secret.Data["tls.crt"]).Verify(x509.VerifyOptions{DNSName: name, Roots: roots, CurrentTime: w.clock.Now()})
			Expect(err).NotTo(HaveOccurred())
		}
		_, err := leaf(secret.Data["client.crt"]).Verify(x509.VerifyOptions{
			Roots: roots, CurrentTime: w.clock.Now(), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
		})
		Expect(err).NotTo(HaveOccurred())

		By("taking what was made by hand away")
		Expect(w.admin.Delete(ctx, secret)).To(Succeed())
		eventuallyBy(w, 20*time.Second, func() error { return operatorObject(ctx, servingcert.GatewaySecretName, secret) }).Should(Succeed())

		By("renewing at two thirds of their life")
		first := secret.Data["client.crt"]
		w.clock.Step(20 * 24 * time.Hour)
		eventuallyBy(w, 20*time.Second, func() []byte {
			Expect(operatorObject(ctx, servingcert.GatewaySecretName, secret)).To(Succeed())
			return secret.Data["client.crt"]
		}).ShouldNot(Equal(first))

		By("beginning with a new authority where the old one is deleted")
		deleteIfThere(ctx, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: apiserver.OperatorNamespace, Name: servingcert.ChannelSecretName}})
		before := string(secret.Data[servingcert.ConfigMapKey])
		eventuallyBy(w, 20*time.Second, func() string {
			Expect(operatorObject(ctx, servingcert.GatewaySecretName, secret)).To(Succeed())
			return string(secret.Data[servingcert.ConfigMapKey])
		}).ShouldNot(Equal(before))
		Expect(leaf(secret.Data["tls.crt"]).CheckSignatureFrom(leaf(secret.Data[servingcert.ConfigMapKey]))).To(Succeed())
	})
})

var _ = Describe("The gateways that live", func() {
	It("are those whose Leases hold", func(ctx context.Context) {
		namespace, err := server.Namespace(ctx, "leases")
		Expect(err).NotTo(HaveOccurred())
		now := time.Now().Truncate(time.Second)
		lease := func(pod, label string, renewed time.Time) {
			GinkgoHelper()
			seconds, at := int32(30), metav1.NewMicroTime(renewed)
			Expect(server.Admin().Create(ctx, &coordinationv1.Lease{
				ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "agent-passport-gateway-" + pod, Labels: map[string]string{v1alpha1.LabelGateway: label}},
				Spec:       coordinationv1.LeaseSpec{HolderIdentity: &pod, LeaseDurationSeconds: &seconds, RenewTime: &at},
			})).To(Succeed())
		}
		lease("b", "true", now)
		lease("a", "true", now.Add(-29*time.Second))
		lease("late", "true", now.Add(-30*time.Second))
		lease("other", "false", now)
		Expect(controller.LiveGateways(server.Admin(), namespace)(ctx, now)).To(Equal([]string{"a", "b"}))
		Expect(controller.LiveGateways(server.Admin(), namespace)(ctx, now.Add(time.Hour))).To(BeEmpty())
	})
})
