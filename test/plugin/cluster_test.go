package plugin

import (
	"os"
	"path/filepath"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	appsv1 "k8s.io/api/apps/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	"agentpassport.dev/operator/api/v1alpha1"
	"agentpassport.dev/operator/test/apiserver"
)

var _ = Describe("The cluster", func() {
	var p *place
	BeforeEach(func(ctx SpecContext) { p = newStrangePlace(ctx) })

	It("prints a consent that kubectl takes", func() {
		manifest := p.good(nobody, "enable", p.namespace, "--credential=github-credential")
		out, err := server.Kubectl(p.ctx, "", manifest, "apply", "--filename=-")
		Expect(err).NotTo(HaveOccurred(), out)
		Expect(out).To(And(
			ContainSubstring("rolebinding.rbac.authorization.k8s.io/agent-passport-secrets created"),
			ContainSubstring("role.rbac.authorization.k8s.io/gateway-secret-github-credential created"),
			ContainSubstring("rolebinding.rbac.authorization.k8s.io/gateway-secret-github-credential created"),
		))
		p.issue("ticket")
		const gateway = "system:serviceaccount:agent-passport-system:agent-passport-gateway"
		Eventually(func() (string, error) {
			return server.Kubectl(p.ctx, gateway, "", "auth", "can-i", "watch", "secret/github-credential", "--namespace="+p.namespace)
		}).Should(ContainSubstring("yes"))
		out, _ = server.Kubectl(p.ctx, gateway, "", "auth", "can-i", "get", "secret/other", "--namespace="+p.namespace)
		Expect(out).To(ContainSubstring("no"))
	})

	It("applies a consent, after asking, and again", func() {
		r := p.answering(admin, "no\n", "enable", p.namespace, "--apply")
		Expect(r.Code).To(Equal(1))
		Expect(r.Err).To(ContainSubstring("Open every Secret of namespace " + p.namespace + " to the operator? [y/N] "))
		Expect(p.good(admin, "enable", p.namespace, "--apply", "--dry-run")).To(ContainSubstring("(dry run: nothing was changed)"))
		for range 2 {
			Expect(p.good(admin, "enable", p.namespace, "--apply", "--yes")).To(Equal("RoleBinding agent-passport-secrets applied in namespace " + p.namespace + "\n"))
		}
		p.issue("ticket")
		r = p.as(viewer, "enable", p.namespace, "--apply", "--yes")
		Expect(r.Code).To(Equal(1))
		Expect(r.Err).To(ContainSubstring("may not patch rolebindings.rbac.authorization.k8s.io in namespace " + p.namespace))
	})

	// The keys are the cluster's: no two specs rotate at once.
	It("rotates the signing keys, also in an emergency, after saying what will happen", Serial, func() {
		signing := func() *corev1.Secret {
			secret := &corev1.Secret{}
			Expect(server.Admin().Get(p.ctx, client.ObjectKey{Namespace: apiserver.OperatorNamespace, Name: "agent-passport-signing-keys"}, secret)).To(Succeed())
			return secret
		}
		before := signing().ResourceVersion
		r := p.answering(admin, "n\n", "keys", "rotate")
		Expect(r.Code).To(Equal(1))
		Expect(r.Err).To(And(MatchRegexp(`(?m)^signs +\S+, since `), MatchRegexp(`(?m)^so +the next key signs from .* no token is cut short$`), ContainSubstring("Rotate the signing key? [y/N] ")))
		p.good(admin, "keys", "rotate", "--dry-run")
		Expect(signing().ResourceVersion).To(Equal(before))
		Expect(p.good(admin, "keys", "rotate", "--yes")).To(MatchRegexp(`^rotation now taken: \S+ signs, \S+ is next\n$`))
		r = p.as(admin, "keys", "rotate", "--emergency", "--yes")
		Expect(r.Code).To(BeZero(), r.Err)
		Expect(r.Err).To(ContainSubstring("every live token is signed again"))
		Expect(r.Out).To(MatchRegexp(`^rotation emergency taken: `))
		Expect(r.Out + r.Err).NotTo(ContainSubstring(`"d"`))
		r = p.as(viewer, "keys", "rotate", "--yes")
		Expect(r.Code).To(Equal(1))
		Expect(r.Err).To(And(ContainSubstring("takes get and patch on Secret agent-passport-signing-keys"), ContainSubstring("may not get secrets in namespace agent-passport-system")))
	})

	It("says what is wrong with the set-up, and the command that mends it, until nothing is", Serial, func() {
		r := p.as(admin, "status")
		Expect(r.Code).To(Equal(1))
		Expect(r.Out).To(And(
			MatchRegexp(`(?m)^ok +CRDs: all 10 there$`),
			MatchRegexp(`(?m)^ok +validating admission policies: all \d+ there$`),
			MatchRegexp(`(?m)^ok +mutating admission policies: all \d+ there$`),
			MatchRegexp(`(?m)^WRONG +manager: deployment agent-passport-manager is not in namespace agent-passport-system\n +-> install the operator`),
			MatchRegexp(`(?m)^ok +leader: `),
			MatchRegexp(`(?m)^warning +live gateways: none`),
			MatchRegexp(`(?m)^ok +published keys: \d keys? verif`),
			MatchRegexp(`(?m)^ok +signing key: \S+ signs since `),
			MatchRegexp(`(?m)^WRONG +consent of namespace %[1]s: .*\n +-> kubectl passport enable %[1]s --apply$`, p.namespace),
			MatchRegexp(`(?m)^ok +reviews: `),
		))
		Expect(r.Err).To(ContainSubstring("things are wrong: each line above says what mends it"))

		// What no controller of this control plane does: the workloads run.
		run := func(object client.Object, status func()) {
			object.SetNamespace(apiserver.OperatorNamespace)
			Expect(server.Admin().Create(p.ctx, object)).To(Succeed())
			DeferCleanup(func() error { return server.Admin().Delete(p.ctx, object) })
			status()
			Expect(server.Admin().Status().Update(p.ctx, object)).To(Succeed())
		}
		selector := metav1.LabelSelector{MatchLabels: map[string]string{"app": "x"}}
		pod := corev1.PodTemplateSpec{
			ObjectMeta: metav1.ObjectMeta{Labels: selector.MatchLabels},
			Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "x", Image: "x"}}},
		}
		deployment := &appsv1.Deployment{
			ObjectMeta: metav1.ObjectMeta{Name: "agent-passport-manager"},
			Spec:       appsv1.DeploymentSpec{Replicas: ptr.To(int32(2)), Selector: &selector, Template: pod},
		}
		run(deployment, func() { deployment.Status.Replicas, deployment.Status.ReadyReplicas = 2, 1 })
		for _, name := range []string{"agent-passport-gateway", "agent-passport-auditlog"} {
			set := &appsv1.StatefulSet{ObjectMeta: metav1.ObjectMeta{Name: name}, Spec: appsv1.StatefulSetSpec{Selector: &selector, Template: pod}}
			run(set, func() { set.Status.Replicas, set.Status.ReadyReplicas = 1, 1 })
		}
		lease := &coordinationv1.Lease{
			ObjectMeta: metav1.ObjectMeta{Namespace: apiserver.OperatorNamespace, Name: "agent-passport-gateway-0", Labels: map[string]string{v1alpha1.LabelGateway: "true"}},
			Spec:       coordinationv1.LeaseSpec{HolderIdentity: ptr.To("0"), LeaseDurationSeconds: ptr.To(int32(600)), RenewTime: ptr.To(metav1.NowMicro())},
		}
		Expect(server.Admin().Create(p.ctx, lease)).To(Succeed())
		DeferCleanup(func() error { return server.Admin().Delete(p.ctx, lease) })
		// Specs of before leave agents behind; their namespaces have consented all but those that this suite made strange.
		var agents v1alpha1.AgentPassportList
		Expect(server.Admin().List(p.ctx, &agents)).To(Succeed())
		for _, registered := range agents.Items {
			p.good(admin, "enable", registered.Namespace, "--apply", "--yes")
		}

		r = p.as(admin, "status")
		Expect(r.Code).To(BeZero(), r.Out)
		Expect(r.Out).To(And(
			MatchRegexp(`(?m)^warning +manager: 1 of 2 ready\n +-> see why: kubectl describe pods -n agent-passport-system`),
			MatchRegexp(`(?m)^ok +live gateways: 1$`), MatchRegexp(`(?m)^ok +consent of namespace %s: given$`, p.namespace),
		))

		connection := &v1alpha1.ServiceConnection{
			ObjectMeta: metav1.ObjectMeta{Namespace: p.namespace, Name: "github"},
			Spec: v1alpha1.ServiceConnectionSpec{
				BaseURL: "https://api.github.com", Credential: &v1alpha1.ServiceCredential{SecretName: "github-credential", Type: v1alpha1.CredentialBearer},
			},
		}
		Expect(server.Admin().Create(p.ctx, connection)).To(Succeed())
		Eventually(func() string { return p.as(admin, "status").Out }).Should(MatchRegexp(
			`(?m)^(unknown|warning) +credential of connection github in namespace %s: `, p.namespace))
	})

	It("says what it may not see, and which right is missing", func() {
		r := p.as(viewer, "status")
		Expect(r.Out).To(And(
			MatchRegexp(`(?m)^ok +CRDs: all 10 there$`),
			MatchRegexp(`(?m)^unknown +manager: .* may not get deployments.apps in namespace agent-passport-system`),
			MatchRegexp(`(?m)^unknown +reviews: .*--clusterrole=agent-passport-viewer`),
		))
		Expect(r.Out).NotTo(ContainSubstring("WRONG"))
		Expect(r.Code).To(BeZero())
	})

	It("says that the API server cannot be reached", func() {
		began := time.Now()
		r := p.as(admin, "status", "--server=https://127.0.0.1:1")
		Expect(time.Since(began)).To(BeNumerically("<", soon))
		Expect(r.Code).To(Equal(1))
		Expect(r.Err).To(ContainSubstring("the API server cannot be reached: "))
		p.kubeconfigs["broken"] = "/nonexistent/kubeconfig"
		r = p.as("broken", "list")
		Expect(r.Code).To(Equal(1))
		Expect(r.Err).To(ContainSubstring("the kubeconfig cannot be used"))
	})

	It("says that the operator is not installed, where it is not", func() {
		bare := &envtest.Environment{ControlPlaneStartTimeout: 3 * time.Minute}
		config, err := bare.Start()
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(bare.Stop)
		kubeconfig := filepath.Join(p.dir, "bare")
		Expect(os.WriteFile(kubeconfig, bare.KubeConfig, 0o600)).To(Succeed())
		Expect(config.Host).NotTo(BeEmpty())
		p.kubeconfigs["bare"] = kubeconfig
		r := p.as("bare", "status")
		Expect(r.Code).To(Equal(1))
		Expect(r.Out).To(And(
			MatchRegexp(`(?m)^WRONG +CRDs: missing: agentblocks, agentpassports, capabilitypassports, checkouts, .*\n +-> install the operator: `),
			MatchRegexp(`(?m)^WRONG +validating admission policies: missing: agent-passport-author, `),
			MatchRegexp(`(?m)^WRONG +leader: no manager leads`),
		))
		for _, args := range [][]string{{"list"}, {"review", "list"}, {"wait", "ticket"}, {"issue", "--agent=support-bot"}} {
			r = p.as("bare", args...)
			Expect(r.Code).To(Equal(1))
			Expect(r.Err).To(ContainSubstring("The operator is not installed in this cluster"), "%v", args)
		}
	})
})
