package controller_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"agentpassport.dev/operator/api/v1alpha1"
	"agentpassport.dev/operator/internal/channel/wire"
	"agentpassport.dev/operator/internal/controller"
	"agentpassport.dev/operator/internal/gateway/presence"
	"agentpassport.dev/operator/internal/servingcert"
	"agentpassport.dev/operator/test/apiserver"
)

// connection makes a ServiceConnection named github with a credential; with may change it first.
func (w *world) connection(with ...func(*v1alpha1.ServiceConnection)) *v1alpha1.ServiceConnection {
	GinkgoHelper()
	connection := &v1alpha1.ServiceConnection{
		ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: "github"},
		Spec: v1alpha1.ServiceConnectionSpec{
			BaseURL:    "https://api.example.com",
			Credential: &v1alpha1.ServiceCredential{SecretName: "github-credential"},
		},
	}
	for _, change := range with {
		change(connection)
	}
	Expect(w.admin.Create(w.ctx, connection)).To(Succeed())
	return connection
}

// showsNone is a cache that lags behind all that there is.
type showsNone struct{ client.Client }

// Get implements client.Reader.
func (showsNone) Get(_ context.Context, key client.ObjectKey, _ client.Object, _ ...client.GetOption) error {
	return apierrors.NewNotFound(v1alpha1.GroupVersion.WithResource("serviceconnections").GroupResource(), key.Name)
}

func open(c *v1alpha1.ServiceConnection) { c.Spec.Credential = nil }

// says has a gateway report on a connection.
func (w *world) says(gateway string, connection *v1alpha1.ServiceConnection, reason v1alpha1.Reason) {
	GinkgoHelper()
	// The queue takes news in once a manager runs; here it does not, and what is said is kept all the same.
	ctx, cancel := context.WithCancel(w.ctx)
	defer cancel()
	said := make(chan error, 1)
	go func() {
		said <- w.connections.Reports.Report(ctx, []wire.Connection{reportOf(gateway, connection, reason)})
	}()
	Eventually(w.connections.Reports.News()).Should(Receive())
	Expect(<-said).To(Succeed())
}

func reportOf(gateway string, connection *v1alpha1.ServiceConnection, reason v1alpha1.Reason) wire.Connection {
	return wire.Connection{
		Gateway: gateway, Namespace: connection.Namespace, Name: connection.Name, UID: string(connection.UID),
		Generation: connection.Generation, Reason: string(reason),
	}
}

// conditions tells the conditions of the connection, such as "Ready=True Served".
func (w *world) conditions() []string {
	GinkgoHelper()
	connection := &v1alpha1.ServiceConnection{}
	Expect(w.get("github", connection)).To(Succeed())
	var told []string
	for _, condition := range connection.Status.Conditions {
		Expect(condition.ObservedGeneration).To(Equal(connection.Status.ObservedGeneration), condition.Type)
		told = append(told, fmt.Sprintf("%s=%s %s", condition.Type, condition.Status, condition.Reason))
	}
	return told
}

// command is what a message has people run.
func command(message string) string {
	GinkgoHelper()
	_, command, found := strings.Cut(message, " runs: ")
	Expect(found).To(BeTrue(), message)
	return command
}

func (w *world) edit(change func(*v1alpha1.ServiceConnection)) *v1alpha1.ServiceConnection {
	GinkgoHelper()
	connection := &v1alpha1.ServiceConnection{}
	Expect(w.get("github", connection)).To(Succeed())
	before := client.MergeFrom(connection.DeepCopy())
	change(connection)
	Expect(w.admin.Patch(w.ctx, connection, before)).To(Succeed())
	return connection
}

var (
	served      = []string{"CredentialReadable=True CredentialRead", "Ready=True Served"}
	unknown     = []string{"CredentialReadable=Unknown NoGatewayYet", "Ready=Unknown NoGatewayYet"}
	isForbidden = []string{"CredentialReadable=False CredentialForbidden", "Ready=False CredentialForbidden"}
)

var _ = Describe("A ServiceConnection", func() {
	It("is served at once without a credential, by one write", func(ctx context.Context) {
		w := newWorld(ctx)
		w.connection(open)
		w.settle()
		Expect(w.conditions()).To(ConsistOf("Ready=True Served"))
		Expect(w.wrote()).To(Equal([]string{"update status ServiceConnection github"}))
	})

	It("is served once gateways read its credential, and keeps that over a restart of the manager", func(ctx context.Context) {
		w := newWorld(ctx)
		connection := w.connection()
		w.settle()
		Expect(w.conditions()).To(ConsistOf(unknown))
		w.says("gateway-0", connection, v1alpha1.ReasonCredentialRead)
		w.settle()
		Expect(w.conditions()).To(ConsistOf(served))
		w.wrote()
		w.restart()
		w.settle()
		Expect(w.wrote()).To(BeEmpty(), "what nobody contradicts stays")
		Expect(w.conditions()).To(ConsistOf(served))

		By("forgetting it where the spec is another")
		connection = w.edit(func(c *v1alpha1.ServiceConnection) { c.Spec.Credential.SecretName = "other" })
		w.settle()
		Expect(w.conditions()).To(ConsistOf(unknown))
		w.says("gateway-0", connection, v1alpha1.ReasonCredentialRead)
		w.settle()
		Expect(w.conditions()).To(ConsistOf(served))

		By("saying nothing of a credential that is no more")
		w.edit(open)
		w.settle()
		Expect(w.conditions()).To(ConsistOf("Ready=True Served"))
	})

	It("is not served while one gateway that lives cannot read its credential", func(ctx context.Context) {
		w := newWorld(ctx)
		connection := w.connection()
		w.says("gateway-0", connection, v1alpha1.ReasonCredentialRead)
		w.says("gateway-1", connection, v1alpha1.ReasonCredentialForbidden)
		w.settle()
		Expect(w.conditions()).To(ConsistOf(isForbidden))
		w.clock.Step(presence.Duration)
		w.settle()
		Expect(w.conditions()).To(ConsistOf(isForbidden), "nobody else has said anything since")
		w.says("gateway-0", connection, v1alpha1.ReasonCredentialRead)
		w.settle()
		Expect(w.conditions()).To(ConsistOf(served), "gateway-1 is gone: it has no Lease")
	})

	It("tells what to do, and it helps", func(ctx context.Context) {
		w := newWorld(ctx)
		connection := w.connection()
		w.says("gateway-0", connection, v1alpha1.ReasonCredentialForbidden)
		w.settle()
		message := func() string {
			GinkgoHelper()
			Expect(w.get("github", connection)).To(Succeed())
			return meta.FindStatusCondition(connection.Status.Conditions, string(v1alpha1.ConditionCredentialReadable)).Message
		}
		gateway := server.As(servingcert.GatewayName(apiserver.OperatorNamespace), nil)
		read := func() error {
			return gateway.Get(ctx, types.NamespacedName{Namespace: w.namespace, Name: "github-credential"}, &corev1.Secret{})
		}
		Expect(read()).To(MatchError(ContainSubstring("forbidden")))
		out, err := server.Shell(ctx, command(message()))
		Expect(err).NotTo(HaveOccurred(), out)
		Eventually(read).Should(MatchError(ContainSubstring("not found")))
		role := &rbacv1.Role{}
		Expect(w.get("gateway-github", role)).To(Succeed())
		Expect(role.Rules).To(Equal([]rbacv1.PolicyRule{{
			APIGroups: []string{""}, Resources: []string{"secrets"}, ResourceNames: []string{"github-credential"}, Verbs: []string{"get", "list", "watch"},
		}}))
		w.says("gateway-0", connection, v1alpha1.ReasonCredentialNotFound)
		w.settle()
		Expect(message()).To(ContainSubstring("kubectl create secret generic github-credential -n " + w.namespace + " --from-file=token=./token"))
	})

	It("takes no word for another of its name, or of nobody", func(ctx context.Context) {
		w := newWorld(ctx)
		connection := w.connection()
		foreign := reportOf("gateway-0", connection, v1alpha1.ReasonCredentialRead)
		foreign.UID = "another"
		gone := reportOf("gateway-0", connection, v1alpha1.ReasonCredentialRead)
		gone.Name = "gone"
		nobody := reportOf("", connection, v1alpha1.ReasonCredentialRead)
		invented := reportOf("gateway-0", connection, "Served")
		Expect(w.connections.Reports.Report(ctx, []wire.Connection{foreign, gone, nobody, invented})).To(Succeed())
		w.settle()
		Expect(w.conditions()).To(ConsistOf(unknown))
	})

	It("says again what nobody heard", func(ctx context.Context) {
		w := newWorld(ctx)
		connection := w.connection()
		hurried, cancel := context.WithCancel(ctx)
		cancel()
		report := []wire.Connection{reportOf("gateway-0", connection, v1alpha1.ReasonCredentialRead)}
		err := w.connections.Reports.Report(hurried, report)
		Expect(errors.Is(err, context.Canceled)).To(BeTrue(), "%v", err)
		w.says("gateway-0", connection, v1alpha1.ReasonCredentialRead)
	})

	It("keeps what was said of one that was made again, while the cache shows none of the name", func(ctx context.Context) {
		w := newWorld(ctx)
		connection := w.connection()
		w.says("gateway-0", connection, v1alpha1.ReasonCredentialRead)
		behind := controller.NewServiceConnectionReconciler(showsNone{w.client}, w.client, w.options)
		behind.Reports = w.connections.Reports
		_, err := behind.Reconcile(ctx, reconcile.Request{NamespacedName: client.ObjectKeyFromObject(connection)})
		Expect(err).NotTo(HaveOccurred())
		w.settle()
		Expect(w.conditions()).To(ConsistOf(served))
	})

	It("is in the audit log with every change, who made it, and its end", func(ctx context.Context) {
		w := newWorld(ctx)
		w.connection()
		w.settle()
		Expect(w.log.configured()).To(ConsistOf("config.change/1 success by admin"))
		w.edit(open)
		w.settle()
		Expect(w.log.configured()).To(ConsistOf("config.change/1 success by admin", "config.change/2 success by admin"))
	})
})

var _ = Describe("The manager and ServiceConnections", Serial, func() {
	It("takes in what a gateway says, and records a deletion", func(ctx context.Context) {
		w := managed(ctx)
		connection := w.connection()
		eventually(w, w.conditions).Should(ConsistOf(unknown))
		Expect(w.credentials.Report(ctx, []wire.Connection{reportOf("gateway-0", connection, v1alpha1.ReasonCredentialForbidden)})).To(Succeed())
		eventually(w, w.conditions).Should(ConsistOf(isForbidden))
		eventually(w, func() []string { return w.storedEvents("github") }).Should(ContainElement("CredentialForbidden"))
		Expect(w.admin.Delete(ctx, connection)).To(Succeed())
		eventuallyBy(w, time.Second, w.log.configured).Should(ContainElement("config.change/deleted success by unknown (deleted)"))
	})
})
