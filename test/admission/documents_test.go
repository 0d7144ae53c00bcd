package admission

import (
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"agentpassport.dev/operator/api/v1alpha1"
)

var _ = Describe("The schema", func() {
	var p place
	BeforeEach(func(ctx SpecContext) { p = newPlace(ctx) })

	DescribeTable("of a PolicyPack refuses", func(ctx SpecContext, message string, spoil func(*v1alpha1.PolicyPack)) {
		pack := p.pack()
		spoil(pack)
		err := as(namespaceAdmin).Create(ctx, pack)
		Expect(err).To(Satisfy(apierrors.IsInvalid))
		Expect(err).To(MatchError(ContainSubstring(message)))
	},
		Entry("a rule that would match everything", "a rule gives packages, agents, grants or compatibility to match",
			func(p *v1alpha1.PolicyPack) { p.Spec.Rules[0].Agents = nil }),
		Entry("a match that would", "spec.rules[0].agents", func(p *v1alpha1.PolicyPack) { p.Spec.Rules[0].Agents = &v1alpha1.AgentMatch{} }),
		Entry("packages at the issue", "packages and compatibility are known at Install alone",
			func(p *v1alpha1.PolicyPack) {
				p.Spec.Rules[0].Packages = &v1alpha1.PackageMatch{Verified: ptr.To(false)}
			}),
		Entry("compatibility at the issue", "packages and compatibility are known at Install alone",
			func(p *v1alpha1.PolicyPack) {
				p.Spec.Rules[0].Compatibility = []v1alpha1.Coverage{v1alpha1.CoverageOutside}
			}),
		Entry("a rule twice", "Duplicate value", func(p *v1alpha1.PolicyPack) { p.Spec.Rules = append(p.Spec.Rules, p.Spec.Rules[0]) }),
		Entry("no rule", "Required value", func(p *v1alpha1.PolicyPack) { p.Spec.Rules = nil }),
	)

	DescribeTable("of a VendorKey refuses", func(ctx SpecContext, message string, spoil func(*v1alpha1.VendorPublicKey)) {
		key := p.vendorKey()
		spoil(&key.Spec.Keys[0])
		err := as(clusterAdmin).Create(ctx, key)
		Expect(err).To(Satisfy(apierrors.IsInvalid))
		Expect(err).To(MatchError(ContainSubstring(message)))
	},
		Entry("what is no PEM", "publicKey", func(k *v1alpha1.VendorPublicKey) { k.PublicKey = "MCowBQYDK2VwAyEA" }),
		Entry("a private key", "publicKey", func(k *v1alpha1.VendorPublicKey) { k.PublicKey = strings.ReplaceAll(publicKey, "PUBLIC", "PRIVATE") }),
		Entry("an end before the beginning", "notBefore is before notAfter", func(k *v1alpha1.VendorPublicKey) {
			now := metav1.Now()
			k.NotBefore, k.NotAfter = &metav1.Time{Time: now.Add(1e9)}, &now
		}),
	)

	DescribeTable("of codes refuses", func(ctx SpecContext, message string, codes v1alpha1.CapabilityCodes) {
		pkg := p.packaged()
		pkg.Spec.Codes = &codes
		err := as(namespaceAdmin).Create(ctx, pkg)
		Expect(err).To(Satisfy(apierrors.IsInvalid))
		Expect(err).To(MatchError(ContainSubstring(message)))
	},
		Entry("none at all", "spec.codes", v1alpha1.CapabilityCodes{}),
		Entry("a verb of another field", "a code in reads begins with read:", v1alpha1.CapabilityCodes{Reads: []v1alpha1.CapabilityCode{"write:git"}}),
		Entry("capitals", "spec.codes.reads", v1alpha1.CapabilityCodes{Reads: []v1alpha1.CapabilityCode{"read:Git"}}),
		Entry("a wildcard inside a segment", "spec.codes.reads", v1alpha1.CapabilityCodes{Reads: []v1alpha1.CapabilityCode{"read:g*t"}}),
		Entry("a code twice", "Duplicate value", v1alpha1.CapabilityCodes{Reads: []v1alpha1.CapabilityCode{"read:git", "read:git"}}),
	)

	It("takes codes with wildcards, and none", func(ctx SpecContext) {
		pkg := p.packaged()
		pkg.Spec.Codes = &v1alpha1.CapabilityCodes{
			Reads: []v1alpha1.CapabilityCode{"read:git", "read:fs:*"}, Accesses: []v1alpha1.CapabilityCode{"access:net:*.example.com"},
			Spends: []v1alpha1.CapabilityCode{"spend:none"},
		}
		Expect(as(namespaceAdmin).Create(ctx, pkg)).To(Succeed())
	})

	It("of a package's document keeps what it does not know", func(ctx SpecContext) {
		_, err := server.Kubectl(ctx, namespaceAdmin, `
apiVersion: agentpassport.dev/v1alpha1
kind: CapabilityPassport
metadata: {name: tool, namespace: `+p.namespace+`}
spec:
  document:
    schema: apai.passport.v0.1
    package: tool
    package_version: "1"
    publisher: example
    publisher_verified: false
    risk_level: low
    reads: []
    writes: []
    accesses: []
    homepage: https://example.com
    scanner: {status: clean, findings: [{id: 1, deep: [true]}]}
`, "apply", "-f", "-")
		Expect(err).NotTo(HaveOccurred())
		output, err := server.Kubectl(ctx, namespaceAdmin, "", "get", "cpass", "tool", "-n", p.namespace, "-o", "jsonpath={.spec.document.homepage} {.spec.document.scanner.findings[0].deep[0]}")
		Expect(err).NotTo(HaveOccurred())
		Expect(output).To(Equal("https://example.com true"))
	})
})
