package upgrade

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"

	"github.com/google/go-cmp/cmp"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/pruning"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	celconfig "k8s.io/apiserver/pkg/apis/cel"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"agentpassport.dev/operator/api/v1alpha1"
	"agentpassport.dev/operator/test/apiserver"
)

var _ = Describe("Objects that a release has stored", func() {
	for _, release := range releases() {
		It("are all there, and valid, since "+filepath.Base(release), func(ctx SpecContext) {
			server, err := apiserver.StartEmpty()
			Expect(err).NotTo(HaveOccurred())
			DeferCleanup(func() error { return server.Stop() })
			apply(ctx, server, filepath.Join(release, "crds"))
			stored := store(ctx, server, filepath.Join(release, "objects.yaml"))
			Expect(kindsAndPhases(stored)).To(ContainElements(everyKindAndPhase()))

			apply(ctx, server, today)
			is, err := crds(today)
			Expect(err).NotTo(HaveOccurred())
			Expect(problems(ctx, server, is, stored)).To(BeEmpty())

			By("finding what a narrower CRD would break")
			for _, narrower := range []func(*apiextensionsv1.JSONSchemaProps){
				func(spec *apiextensionsv1.JSONSchemaProps) { spec.Required = append(spec.Required, "purpose") },
				func(spec *apiextensionsv1.JSONSchemaProps) { delete(spec.Properties, "intent") },
				func(spec *apiextensionsv1.JSONSchemaProps) {
					spec.XValidations = append(spec.XValidations, apiextensionsv1.ValidationRule{Rule: "size(self.intent.summary) < 3"})
				},
			} {
				is, err := crds(today)
				Expect(err).NotTo(HaveOccurred())
				passports := is["passports.agentpassport.dev"]
				spec := passports.Spec.Versions[0].Schema.OpenAPIV3Schema.Properties["spec"]
				narrower(&spec)
				passports.Spec.Versions[0].Schema.OpenAPIV3Schema.Properties["spec"] = spec
				Expect(problems(ctx, server, is, stored)).NotTo(BeEmpty())
			}
		})
	}
})

// everyKindAndPhase is what a release has to have stored.
func everyKindAndPhase() []string {
	return []string{
		"AgentPassport", "AgentBlock", "ServiceConnection", "Checkpoint/True", "Checkpoint/False",
		"Passport/Pending", "Passport/Active", "Passport/CheckedOut", "Passport/Expired", "Passport/Revoked", "Passport/Rejected",
		"Checkout/Clean", "Checkout/Flagged", "Checkout/Blocked",
	}
}

func kindsAndPhases(objects []*unstructured.Unstructured) []string {
	found := map[string]bool{}
	for _, object := range objects {
		what := object.GetKind()
		for _, field := range []string{"phase", "verdict"} {
			if phase, has, _ := unstructured.NestedString(object.Object, "status", field); has {
				what += "/" + phase
			}
		}
		if object.GetKind() == "Checkpoint" {
			conditions, _, _ := unstructured.NestedSlice(object.Object, "status", "conditions")
			for _, condition := range conditions {
				if of, ok := condition.(map[string]any); ok && of["type"] == string(v1alpha1.ConditionReady) {
					what += fmt.Sprint("/", of["status"])
				}
			}
		}
		found[what] = true
	}
	return slices.Sorted(maps.Keys(found))
}

// store stores the objects of a file with their status, and gives them as they are stored.
func store(ctx context.Context, server *apiserver.Server, file string) []*unstructured.Unstructured {
	GinkgoHelper()
	text, err := os.ReadFile(file)
	Expect(err).NotTo(HaveOccurred())
	objects, err := apiserver.Decode(text)
	Expect(err).NotTo(HaveOccurred())
	admin := server.Admin()
	for _, object := range objects {
		namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: object.GetNamespace()}}
		Expect(client.IgnoreAlreadyExists(admin.Create(ctx, namespace))).To(Succeed())
		status := object.Object["status"]
		Expect(admin.Create(ctx, object)).To(Succeed(), object.GetKind()+" "+object.GetName())
		if status != nil {
			object.Object["status"] = status
			Expect(admin.Status().Update(ctx, object)).To(Succeed(), object.GetKind()+" "+object.GetName())
			Expect(object.Object["status"]).To(Equal(status), "what was cut when it was stored: "+object.GetKind()+" "+object.GetName())
		}
	}
	return objects
}

// problems says of which stored objects something is lost, or not valid any more by these CRDs.
func problems(ctx context.Context, server *apiserver.Server, is map[string]*apiextensionsv1.CustomResourceDefinition, stored []*unstructured.Unstructured) []string {
	GinkgoHelper()
	var found []string
	for _, before := range stored {
		name := before.GetKind() + " " + before.GetName()
		after := before.DeepCopy()
		if err := server.Admin().Get(ctx, client.ObjectKeyFromObject(before), after); err != nil {
			found = append(found, fmt.Sprintf("%s cannot be read: %v", name, err))
			continue
		}
		if diff := cmp.Diff(before.Object, after.Object); diff != "" {
			found = append(found, name+" is not what was stored:\n"+diff)
		}
		found = append(found, invalid(ctx, name, is, after)...)
		if err := known(after); err != nil {
			found = append(found, fmt.Sprintf("%s has what the operator does not know: %v", name, err))
		}
		after.SetLabels(map[string]string{"touched": "true"})
		if err := server.Admin().Update(ctx, after.DeepCopy(), client.DryRunAll); err != nil {
			found = append(found, fmt.Sprintf("%s cannot be updated: %v", name, err))
		}
		if err := server.Admin().Status().Update(ctx, after.DeepCopy(), client.DryRunAll); err != nil {
			found = append(found, fmt.Sprintf("the status of %s cannot be updated: %v", name, err))
		}
	}
	return found
}

// invalid says what the schema of its kind has against an object as a whole. The API server overlooks at an update what was
// wrong before.
func invalid(ctx context.Context, name string, is map[string]*apiextensionsv1.CustomResourceDefinition, object *unstructured.Unstructured) []string {
	GinkgoHelper()
	var crd *apiextensionsv1.CustomResourceDefinition
	for _, one := range is {
		if one.Spec.Names.Kind == object.GetKind() {
			crd = one
		}
	}
	if crd == nil {
		return []string{name + " has no CRD any more"}
	}
	var props apiextensions.JSONSchemaProps
	Expect(apiextensionsv1.Convert_v1_JSONSchemaProps_To_apiextensions_JSONSchemaProps(
		crd.Spec.Versions[0].Schema.OpenAPIV3Schema, &props, nil)).To(Succeed())
	validator, _, err := validation.NewSchemaValidator(&props)
	Expect(err).NotTo(HaveOccurred())
	structural, err := schema.NewStructural(&props)
	Expect(err).NotTo(HaveOccurred())

	problems := validation.ValidateCustomResource(nil, object.Object, validator)
	rules, _ := cel.NewValidator(structural, true, celconfig.PerCallLimit).
		Validate(ctx, nil, structural, object.Object, nil, celconfig.RuntimeCELCostBudget)
	var found []string
	for _, problem := range append(problems, rules...) {
		found = append(found, name+" is not valid any more: "+problem.Error())
	}
	tracked := schema.UnknownFieldPathOptions{TrackUnknownFieldPaths: true}
	for _, path := range pruning.PruneWithOptions(object.DeepCopy().Object, structural, true, tracked) {
		found = append(found, name+" would lose "+path)
	}
	return found
}

// known says whether the operator's own types have every field of an object.
func known(object *unstructured.Unstructured) error {
	scheme := runtime.NewScheme()
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		return err
	}
	typed, err := scheme.New(object.GroupVersionKind())
	if err != nil {
		return err
	}
	return runtime.DefaultUnstructuredConverter.FromUnstructuredWithValidation(object.Object, typed, true)
}
