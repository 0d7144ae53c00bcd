// Package gitops runs what docs/gitops.md tells people to run, on a real API server.
package gitops

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	logf "sigs.k8s.io/controller-runtime/pkg/log"

	"agentpassport.dev/operator/api/v1alpha1"
	"agentpassport.dev/operator/test/apiserver"
)

const (
	root    = "../.."
	samples = root + "/config/samples/gitops/"
)

func TestGitOps(t *testing.T) {
	RegisterFailHandler(Fail)
	RunSpecs(t, "GitOps")
}

var server *apiserver.Server

var _ = BeforeSuite(func(ctx SpecContext) {
	logf.SetLogger(GinkgoLogr)
	var err error
	server, err = apiserver.Start(ctx, root, apiserver.AllPolicies)
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(server.Stop)
})

// built is what kubectl makes of a kustomization.
func built(ctx SpecContext, dir string) []*unstructured.Unstructured {
	GinkgoHelper()
	manifest, err := server.Kubectl(ctx, "", "", "kustomize", dir)
	Expect(err).NotTo(HaveOccurred())
	objects, err := apiserver.Decode([]byte(manifest))
	Expect(err).NotTo(HaveOccurred())
	Expect(objects).NotTo(BeEmpty())
	return objects
}

var _ = Describe("What stands in Git", func() {
	It("is taken by the API server, twice, without a change", func(ctx SpecContext) {
		apply := func() string {
			GinkgoHelper()
			output, err := server.Kubectl(ctx, "", "", "apply", "--server-side", "-k", samples+"agents")
			Expect(err).NotTo(HaveOccurred())
			return output
		}
		apply()
		var agent v1alpha1.AgentPassport
		key := types.NamespacedName{Namespace: "agents", Name: "support-bot"}
		Expect(server.Admin().Get(ctx, key, &agent)).To(Succeed())
		before := agent.ResourceVersion
		apply()
		Expect(server.Admin().Get(ctx, key, &agent)).To(Succeed())
		Expect(agent.ResourceVersion).To(Equal(before), "what admission stamps is no drift")
		difference, err := server.Kubectl(ctx, "", "", "diff", "--server-side", "-k", samples+"agents")
		Expect(err).NotTo(HaveOccurred(), "%s", difference)
	})

	It("is what belongs there", func(ctx SpecContext) {
		for _, object := range built(ctx, samples+"agents") {
			Expect(object.GetKind()).NotTo(BeElementOf("Passport", "Checkpoint", "Checkout", "AgentBlock", "Secret"))
			if object.GetKind() != "Namespace" {
				Expect(object.GetNamespace()).To(Equal("agents"), "%s %s", object.GetKind(), object.GetName())
			}
		}
	})

	DescribeTable("is what the tools apply", func(ctx SpecContext, tool, kind string, path, prune []string) {
		for _, object := range built(ctx, samples+tool) {
			if object.GetKind() != kind {
				continue
			}
			found, _, err := unstructured.NestedString(object.Object, path...)
			Expect(err).NotTo(HaveOccurred())
			Expect(strings.TrimPrefix(found, "./")).To(BeElementOf("operator", "agents"))
			prunes, there, err := unstructured.NestedBool(object.Object, prune...)
			Expect(err).NotTo(HaveOccurred())
			Expect(there).To(BeTrue(), "%s says nothing of pruning", object.GetName())
			Expect(prunes).To(Equal(strings.HasSuffix(found, "agents")), "%s: the CRDs are not pruned", object.GetName())
		}
	},
		Entry("Flux", "flux", "Kustomization", []string{"spec", "path"}, []string{"spec", "prune"}),
		Entry("Argo CD", "argocd", "Application", []string{"spec", "source", "path"}, []string{"spec", "syncPolicy", "automated", "prune"}))
})

var _ = Describe("The health checks of Argo CD", func() {
	It("are merged into its ConfigMap, one for every kind, and leave what else is there", func(ctx SpecContext) {
		admin := server.Admin()
		Expect(admin.Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "argocd"}})).To(Succeed())
		Expect(admin.Create(ctx, &corev1.ConfigMap{
			ObjectMeta: metav1.ObjectMeta{Namespace: "argocd", Name: "argocd-cm"}, Data: map[string]string{"url": "https://argocd.example.com"},
		})).To(Succeed())
		patch, err := server.Kubectl(ctx, "", "", "kustomize", root+"/config/argocd")
		Expect(err).NotTo(HaveOccurred())
		file := filepath.Join(GinkgoT().TempDir(), "argocd-cm.yaml")
		Expect(os.WriteFile(file, []byte(patch), 0o600)).To(Succeed())
		_, err = server.Kubectl(ctx, "", "", "patch", "configmap", "argocd-cm", "-n", "argocd", "--type=merge", "--patch-file="+file)
		Expect(err).NotTo(HaveOccurred())

		var settings corev1.ConfigMap
		Expect(admin.Get(ctx, types.NamespacedName{Namespace: "argocd", Name: "argocd-cm"}, &settings)).To(Succeed())
		Expect(settings.Data).To(HaveKeyWithValue("url", "https://argocd.example.com"))
		delete(settings.Data, "url")
		for _, kind := range kinds() {
			key := "resource.customizations.health.agentpassport.dev_" + kind
			check, err := os.ReadFile(root + "/config/argocd/health/" + strings.ToLower(kind) + ".lua")
			Expect(err).NotTo(HaveOccurred())
			Expect(settings.Data).To(HaveKeyWithValue(key, string(check)))
			delete(settings.Data, key)
		}
		Expect(settings.Data).To(BeEmpty(), "a check of a kind that is not there")
	})
})

// kinds are those that the operator's CRDs define.
func kinds() []string {
	GinkgoHelper()
	files, err := filepath.Glob(root + "/config/crd/bases/*.yaml")
	Expect(err).NotTo(HaveOccurred())
	var found []string
	for _, file := range files {
		manifest, err := os.ReadFile(file)
		Expect(err).NotTo(HaveOccurred())
		objects, err := apiserver.Decode(manifest)
		Expect(err).NotTo(HaveOccurred())
		kind, _, err := unstructured.NestedString(objects[0].Object, "spec", "names", "kind")
		Expect(err).NotTo(HaveOccurred())
		found = append(found, kind)
	}
	slices.Sort(found)
	Expect(found).NotTo(BeEmpty())
	return found
}
