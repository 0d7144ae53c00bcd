package badinput

import (
	"os"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/json"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"agentpassport.dev/operator/api/v1alpha1"
)

// The example of the Agent Passport specification v0.1, section 2, as it stands there.
var _ = Describe("A published Agent Passport document", func() {
	var published, namespace string
	BeforeEach(func(ctx SpecContext) {
		text, err := os.ReadFile("testdata/document.yaml")
		Expect(err).NotTo(HaveOccurred())
		published, namespace = string(text), newNamespace(ctx)
	})

	// pasted is an AgentPassport with the document under spec.document, indented and otherwise verbatim.
	pasted := func(document string) string {
		return "apiVersion: agentpassport.dev/v1alpha1\nkind: AgentPassport\nmetadata: {name: claude-code}\nspec:\n" +
			"  document:\n    " + strings.ReplaceAll(strings.TrimSpace(document), "\n", "\n    ") + "\n"
	}
	stored := func(ctx SpecContext) map[string]any {
		GinkgoHelper()
		object := &unstructured.Unstructured{}
		object.SetGroupVersionKind(v1alpha1.GroupVersion.WithKind("AgentPassport"))
		Expect(admin.Get(ctx, client.ObjectKey{Namespace: namespace, Name: "claude-code"}, object)).To(Succeed())
		document, found, err := unstructured.NestedMap(object.Object, "spec", "document")
		Expect(err).NotTo(HaveOccurred())
		Expect(found).To(BeTrue())
		return document
	}
	parsed := func(document string) map[string]any {
		GinkgoHelper()
		data, err := yaml.YAMLToJSON([]byte(document))
		Expect(err).NotTo(HaveOccurred())
		var fields map[string]any
		Expect(json.Unmarshal(data, &fields)).To(Succeed())
		return fields
	}
	// withUnknown adds a field that v0.1 does not know at each level.
	withUnknown := func(document string) string {
		return strings.NewReplacer(
			"\nagent:\n", "\nx_top: {deep: [1, {deeper: true}]}\nagent:\n  x_agent: kept\n",
			"\ncapabilities:\n", "\ncapabilities:\n  x_can: [kept]\n",
		).Replace(document)
	}

	for way, args := range map[string][]string{
		"server-side": {"apply", "--server-side", "-f", "-"},
		"client-side": {"apply", "-f", "-"},
	} {
		It("applies verbatim, "+way+", and twice is once", func(ctx SpecContext) {
			apply := func(document string) string {
				GinkgoHelper()
				out, err := server.Kubectl(ctx, "", pasted(document), append(args, "-n", namespace)...)
				Expect(err).NotTo(HaveOccurred(), out)
				Expect(out).NotTo(ContainSubstring("Warning"))
				return out
			}
			apply(published)
			Expect(stored(ctx)).To(Equal(parsed(published)))

			agent := &v1alpha1.AgentPassport{}
			key := client.ObjectKey{Namespace: namespace, Name: "claude-code"}
			Expect(admin.Get(ctx, key, agent)).To(Succeed())
			before := agent.ResourceVersion
			apply(published)
			Expect(admin.Get(ctx, key, agent)).To(Succeed())
			Expect(agent.ResourceVersion).To(Equal(before))
		})

		It("keeps fields that v0.1 does not know at every level, "+way, func(ctx SpecContext) {
			document := withUnknown(published)
			Expect(parsed(document)).To(HaveKey("x_top"))
			Expect(parsed(document)["agent"]).To(HaveKey("x_agent"))
			Expect(parsed(document)["capabilities"]).To(HaveKey("x_can"))
			out, err := server.Kubectl(ctx, "", pasted(document), append(args, "-n", namespace)...)
			Expect(err).NotTo(HaveOccurred(), out)
			Expect(stored(ctx)).To(Equal(parsed(document)))
		})
	}

	It("keeps unknown fields through the typed client", func(ctx SpecContext) {
		document := withUnknown(published)
		out, err := server.Kubectl(ctx, "", pasted(document), "create", "-n", namespace, "-f", "-")
		Expect(err).NotTo(HaveOccurred(), out)

		agent := &v1alpha1.AgentPassport{}
		Expect(admin.Get(ctx, client.ObjectKey{Namespace: namespace, Name: "claude-code"}, agent)).To(Succeed())
		Expect(agent.Spec.Document.Agent.Vendor).To(Equal("Anthropic"))
		agent.Spec.Suspend = true
		Expect(admin.Update(ctx, agent)).To(Succeed())
		Expect(stored(ctx)).To(Equal(parsed(document)))
	})
})
