package upgrade

import (
	"bytes"
	"context"
	"io"
	"os"
	"path/filepath"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"agentpassport.dev/operator/api/v1alpha1"
	"agentpassport.dev/operator/test/apiserver"
	"agentpassport.dev/operator/test/auditlog"
	"agentpassport.dev/operator/test/manager"
)

var _ = Describe("A mission that is alive", func() {
	for _, release := range releases() {
		It("lives on when the CRDs of "+filepath.Base(release)+" are upgraded", func(ctx SpecContext) {
			m := begin(ctx, withNewKinds(filepath.Join(release, "crds")))
			issued := m.active(ctx, "issued")
			m.checkpoint(ctx, "before")

			apply(ctx, m.server, today)

			after := m.active(ctx, "after the upgrade")
			Expect(after.UID).To(Equal(issued.UID))
			Expect(after.Status.JTI).To(Equal(issued.Status.JTI))
			Expect(after.Status.IssueTime).To(Equal(issued.Status.IssueTime))
			m.checkpoint(ctx, "after")

			checkout := &v1alpha1.Checkout{
				ObjectMeta: metav1.ObjectMeta{Namespace: m.namespace, Name: mission},
				Spec:       v1alpha1.CheckoutSpec{PassportRef: m.passport(), AgentRef: m.agent(), ServicesUsed: []v1alpha1.ServiceName{"slack"}},
			}
			Expect(m.server.Admin().Create(ctx, checkout)).To(Succeed())
			Eventually(ctx, func() (v1alpha1.Verdict, error) {
				err := m.server.Admin().Get(ctx, client.ObjectKeyFromObject(checkout), checkout)
				return checkout.Status.Verdict, err
			}).Should(Equal(v1alpha1.VerdictClean))
			Expect(m.read(ctx).Status.JTI).To(Equal(issued.Status.JTI))
			Expect(m.read(ctx).Status.Phase).To(Equal(v1alpha1.PhaseCheckedOut))
		}, NodeTimeout(4*time.Minute))
	}
})

var _ = Describe("A manager that is upgraded before its CRDs", func() {
	It("ends, and says what to do", func(ctx SpecContext) {
		server, err := apiserver.StartWithCRDs(ctx, root, filepath.Join(releases()[0], "crds"), apiserver.AllPolicies)
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(func() error { return server.Stop() })
		dir, log := GinkgoT().TempDir(), &bytes.Buffer{}
		running := started(ctx, server, dir, log, "--audit-log-url=https://127.0.0.1:1")
		Expect(running.Ready(ctx)).To(MatchError(ContainSubstring("it has ended")))
		Expect(log.String()).To(ContainSubstring("apply the CRDs of this version before the manager of this version"))
	}, NodeTimeout(2*time.Minute))
})

// withNewKinds gives a directory with the CRDs of a release, and those of the kinds that it had not: the manager of today,
// which stands for the release's, needs them.
func withNewKinds(release string) string {
	GinkgoHelper()
	dir := GinkgoT().TempDir()
	for _, from := range []string{today, release} {
		files, err := filepath.Glob(filepath.Join(from, "*.yaml"))
		Expect(err).NotTo(HaveOccurred())
		for _, file := range files {
			text, err := os.ReadFile(file)
			Expect(err).NotTo(HaveOccurred())
			Expect(os.WriteFile(filepath.Join(dir, filepath.Base(file)), text, 0o600)).To(Succeed())
		}
	}
	return dir
}

// mission is the name of the passport of the mission.
const mission = "answer-ticket"

// living is a mission on an API server with the real manager and audit log.
type living struct {
	server    *apiserver.Server
	namespace string
}

// begin starts all that a mission takes, on CRDs of a release, and asks for its passport.
func begin(ctx SpecContext, crds string) *living {
	GinkgoHelper()
	server, err := apiserver.StartWithCRDs(ctx, root, crds, apiserver.AllPolicies)
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(func() error { return server.Stop() })
	dir := GinkgoT().TempDir()
	logBinary, err := auditlog.Build(ctx, root, dir)
	Expect(err).NotTo(HaveOccurred())
	log, err := auditlog.Start(ctx, logBinary, dir, server, GinkgoWriter)
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(log.Kill)
	Expect(started(ctx, server, dir, GinkgoWriter, log.ManagerFlags()...).Ready(ctx)).To(Succeed())

	m := &living{server: server}
	m.namespace, err = server.Namespace(ctx, "living")
	Expect(err).NotTo(HaveOccurred())
	agent := &v1alpha1.AgentPassport{
		ObjectMeta: metav1.ObjectMeta{Namespace: m.namespace, Name: m.agent().Name},
		Spec:       v1alpha1.AgentPassportSpec{Grants: []v1alpha1.ServiceGrant{{Service: "slack"}}},
	}
	Expect(server.Admin().Create(ctx, agent)).To(Succeed())
	Expect(server.Admin().Create(ctx, &v1alpha1.Passport{
		ObjectMeta: metav1.ObjectMeta{Namespace: m.namespace, Name: mission},
		Spec: v1alpha1.PassportSpec{
			AgentRef: m.agent(),
			Intent:   &v1alpha1.Intent{Summary: "Answer one ticket", Services: []v1alpha1.ServiceName{"slack"}},
		},
	})).To(Succeed())
	return m
}

// started builds the manager into a directory and starts it. It may not be ready yet.
func started(ctx context.Context, server *apiserver.Server, dir string, log io.Writer, flags ...string) *manager.Manager {
	GinkgoHelper()
	binary, err := manager.Build(ctx, root, dir)
	Expect(err).NotTo(HaveOccurred())
	kubeconfig := filepath.Join(dir, "manager.kubeconfig")
	Expect(server.ManagerKubeconfig(ctx, kubeconfig)).To(Succeed())
	addresses, err := manager.FreeAddresses()
	Expect(err).NotTo(HaveOccurred())
	running, err := manager.Start(binary, kubeconfig, addresses, log, flags...)
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(running.Kill)
	return running
}

func (m *living) agent() v1alpha1.AgentReference { return v1alpha1.AgentReference{Name: "support-bot"} }

func (m *living) passport() v1alpha1.PassportReference {
	return v1alpha1.PassportReference{Name: mission}
}

func (m *living) read(ctx context.Context) *v1alpha1.Passport {
	GinkgoHelper()
	passport := &v1alpha1.Passport{}
	Expect(m.server.Admin().Get(ctx, client.ObjectKey{Namespace: m.namespace, Name: mission}, passport)).To(Succeed())
	return passport
}

// active waits until the passport is.
func (m *living) active(ctx context.Context, when string) *v1alpha1.Passport {
	GinkgoHelper()
	Eventually(ctx, func() v1alpha1.Phase { return m.read(ctx).Status.Phase }).Should(Equal(v1alpha1.PhaseActive), when)
	return m.read(ctx)
}

// checkpoint has the agent report, and waits until that has moved the expiry.
func (m *living) checkpoint(ctx context.Context, name string) {
	GinkgoHelper()
	report := &v1alpha1.Checkpoint{
		ObjectMeta: metav1.ObjectMeta{Namespace: m.namespace, Name: name},
		Spec:       v1alpha1.CheckpointSpec{PassportRef: m.passport(), AgentRef: m.agent(), Summary: "Read the ticket"},
	}
	Expect(m.server.Admin().Create(ctx, report)).To(Succeed())
	Eventually(ctx, func() (*metav1.Time, error) {
		err := m.server.Admin().Get(ctx, client.ObjectKeyFromObject(report), report)
		return report.Status.ExpirationTime, err
	}).ShouldNot(BeNil(), "checkpoint "+name)
	Expect(m.read(ctx).Status.ExpirationTime.Time).To(BeTemporally(">=", report.Status.ExpirationTime.Time))
}
