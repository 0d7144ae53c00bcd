package plugin

import (
	"crypto/ed25519"
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"agentpassport.dev/operator/api/v1alpha1"
)

// botFile is the document of the support bot, as its vendor publishes it.
const botFile = root + "/config/samples/documents/agents/support-bot.yaml"

var _ = Describe("Documents", func() {
	var p *place
	BeforeEach(func(ctx SpecContext) { p = newStrangePlace(ctx) })

	agentNamed := func(name string) *v1alpha1.AgentPassport {
		GinkgoHelper()
		found := &v1alpha1.AgentPassport{}
		Expect(server.Admin().Get(p.ctx, client.ObjectKey{Namespace: p.namespace, Name: name}, found)).To(Succeed())
		return found
	}
	changed := func(name, old, replacement string) string {
		GinkgoHelper()
		text, err := os.ReadFile(botFile)
		Expect(err).NotTo(HaveOccurred())
		path := filepath.Join(p.dir, name)
		Expect(string(text)).To(ContainSubstring(old))
		Expect(os.WriteFile(path, []byte(strings.Replace(string(text), old, replacement, 1)), 0o600)).To(Succeed())
		return path
	}

	It("are imported as new objects, after asking, and exported byte for byte", func() {
		r := p.answering(admin, "no\n", "document", "import", botFile, "--name=helper", "--apply")
		Expect(r.Code).To(Equal(1))
		Expect(r.Err).To(ContainSubstring("Create AgentPassport helper in namespace " + p.namespace + "? [y/N] "))
		Expect(p.good(admin, "document", "import", botFile, "--name=helper", "--apply", "--dry-run")).To(ContainSubstring("(dry run: nothing was changed)"))
		Expect(p.good(admin, "document", "import", botFile, "--name=helper", "--apply", "--yes")).To(
			Equal("AgentPassport helper in namespace " + p.namespace + " created. It has no grants yet.\n"))
		fromFile := p.good(viewer, "document", "export", botFile)
		Expect(p.good(viewer, "document", "export", "agentpassport/helper")).To(Equal(fromFile))
		Expect(p.good(viewer, "document", "export", "apass/helper", "-o", "json")).To(Equal(p.good(viewer, "document", "export", botFile, "-o", "json")))
		Expect(p.good(viewer, "document", "diff", "agentpassport/helper", botFile)).To(BeEmpty())

		const pkg = root + "/config/samples/documents/packages/ticket-digest.yaml"
		Expect(p.good(admin, "document", "import", pkg, "--apply", "--yes")).To(Equal("CapabilityPassport ticket-digest in namespace " + p.namespace + " created.\n"))
		Expect(p.good(admin, "document", "import", pkg, "--apply", "--yes")).To(ContainSubstring("has this document already"))
		Expect(p.good(viewer, "document", "export", "capabilitypassport/ticket-digest")).To(Equal(p.good(viewer, "document", "export", pkg)))
	})

	It("prints a manifest that kubectl takes", func() {
		manifest := p.good(nobody, "document", "import", botFile, "-n", p.namespace, "--name=helper")
		out, err := server.Kubectl(p.ctx, "", manifest, "apply", "--filename=-")
		Expect(err).NotTo(HaveOccurred(), out)
		Expect(p.good(viewer, "document", "diff", botFile, "agentpassport/helper")).To(BeEmpty())
	})

	It("replaces the document of an agent alone, and says what the agent gains and loses", func() {
		before := agentNamed(agent)
		Expect(before.Spec.Grants).NotTo(BeEmpty())
		file := changed("next.yaml", "Refunds and credits", "Refunds over 100 EUR")
		Expect(p.good(admin, "document", "import", botFile, "--apply", "--yes")).To(ContainSubstring("has the new document\n"))
		r := p.answering(admin, "y\n", "document", "import", file, "--apply")
		Expect(r.Code).To(BeZero(), r.Err)
		Expect(r.Err).To(HavePrefix("- capabilities.will_request_approval_for: Refunds and credits\n+ capabilities.will_request_approval_for: Refunds over 100 EUR\n"))
		Expect(r.Err).To(ContainSubstring("Replace the document of AgentPassport support-bot in namespace " + p.namespace + "? [y/N] "))
		after := agentNamed(agent)
		Expect(after.Spec.Grants).To(Equal(before.Spec.Grants))
		Expect(after.Spec.Accountability).To(Equal(before.Spec.Accountability))
		Expect(p.good(viewer, "document", "diff", "agentpassport/support-bot", file)).To(BeEmpty())
		r = p.as(viewer, "document", "diff", "agentpassport/support-bot", botFile)
		Expect(r.Code).To(Equal(1))
		r = p.as(viewer, "document", "import", botFile, "--apply", "--yes")
		Expect(r.Code).To(Equal(1))
		Expect(r.Err).To(ContainSubstring("may not patch agentpassports.agentpassport.dev in namespace " + p.namespace))
	})

	It("are verified against the cluster's VendorKeys, until the key is revoked", func() {
		key := ed25519.NewKeyFromSeed([]byte(p.namespace + strings.Repeat("-", ed25519.SeedSize))[:ed25519.SeedSize])
		der, err := x509.MarshalPKCS8PrivateKey(key)
		Expect(err).NotTo(HaveOccurred())
		private := filepath.Join(p.dir, "vendor.pem")
		Expect(os.WriteFile(private, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600)).To(Succeed())
		open, err := x509.MarshalPKIXPublicKey(key.Public())
		Expect(err).NotTo(HaveOccurred())
		file := changed("own.yaml", "Example Helpdesk", p.namespace+" Robotics")
		jws := strings.TrimSpace(p.good(nobody, "document", "sign", file, "--key="+private))
		Expect(p.good(admin, "document", "import", file, "--name=signed", "--signature="+jws, "--apply", "--yes")).To(ContainSubstring("created"))

		r := p.as(admin, "document", "verify", "agentpassport/signed")
		Expect(r.Code).To(Equal(2), r.Err)
		Expect(r.Out).To(ContainSubstring("not verified (KeyNotTrusted): "))
		trusted := &v1alpha1.VendorKey{
			ObjectMeta: metav1.ObjectMeta{Name: p.namespace},
			Spec: v1alpha1.VendorKeySpec{
				Vendor: strings.ToUpper(p.namespace) + " ROBOTICS",
				Keys:   []v1alpha1.VendorPublicKey{{Name: "first", PublicKey: string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: open}))}},
			},
		}
		Expect(server.Admin().Create(p.ctx, trusted)).To(Succeed())
		DeferCleanup(func() error { return server.Admin().Delete(p.ctx, trusted) })
		Expect(p.good(admin, "document", "verify", "agentpassport/signed")).To(ContainSubstring("verified: signed by key "))
		Expect(p.good(admin, "document", "verify", file, "--signature="+jws)).To(ContainSubstring("first of VendorKey " + p.namespace))
		Eventually(func(g Gomega) { g.Expect(agentNamed("signed").Status.Verified).To(HaveValue(BeTrue())) }).Should(Succeed())

		r = p.as(viewer, "document", "verify", "agentpassport/signed")
		Expect(r.Code).To(Equal(1))
		Expect(r.Err).To(And(ContainSubstring("the trusted keys cannot be read from the cluster; give them with --vendor-key or --public-key: "),
			ContainSubstring("may not list vendorkeys.agentpassport.dev in any namespace")))

		revoked := trusted.DeepCopy()
		revoked.Spec.Keys[0].Revoked = &v1alpha1.KeyRevocation{Reason: "stolen"}
		Expect(server.Admin().Patch(p.ctx, revoked, client.MergeFrom(trusted))).To(Succeed())
		r = p.as(admin, "document", "verify", "agentpassport/signed")
		Expect(r.Code).To(Equal(2), r.Err)
		Expect(r.Out).To(ContainSubstring("not verified (KeyRevoked): "))
		Eventually(func(g Gomega) { g.Expect(agentNamed("signed").Status.Verified).To(HaveValue(BeFalse())) }).Should(Succeed())

		// A new document under the old signature is said to need another.
		next := changed("next.yaml", "Example Helpdesk", p.namespace+" robotics")
		Expect(p.good(admin, "document", "import", next, "--name=signed", "--apply", "--yes")).To(ContainSubstring("Its signature is of the one before"))
	})

	It("says what is missing", func() {
		p.kubectl("apply", "--filename="+writeBare(p))
		r := p.as(viewer, "document", "export", "agentpassport/bare")
		Expect(r.Code).To(Equal(1))
		Expect(r.Err).To(ContainSubstring("has no document. To give it one: kubectl passport document import FILE --name=bare"))
		Expect(p.good(admin, "document", "import", botFile, "--name=bare", "--apply", "--yes")).To(ContainSubstring("has the new document"))
		r = p.as(viewer, "document", "export", "capabilitypassport/nothing")
		Expect(r.Code).To(Equal(1))
		Expect(r.Err).To(ContainSubstring("To see what there is: kubectl get capabilitypassports.agentpassport.dev -A"))
		r = p.as(viewer, "document", "diff", "agentpassport/nothing", botFile)
		Expect(r.Code).To(Equal(2))
		Expect(p.completing(viewer, "document", "export", "agentpassport/").Out).To(ContainSubstring("agentpassport/bare"))
	})
})

// writeBare writes the manifest of an agent without a document.
func writeBare(p *place) string {
	GinkgoHelper()
	path := filepath.Join(p.dir, "bare.yaml")
	Expect(os.WriteFile(path, []byte("apiVersion: agentpassport.dev/v1alpha1\nkind: AgentPassport\nmetadata: {name: bare}\nspec:\n  grants:\n  - service: slack\n    scopes: [chat]\n"), 0o600)).To(Succeed())
	return path
}
