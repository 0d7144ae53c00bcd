package chart

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"helm.sh/helm/v4/pkg/action"
	chartv2 "helm.sh/helm/v4/pkg/chart/v2"
	"helm.sh/helm/v4/pkg/chart/v2/loader"
	"helm.sh/helm/v4/pkg/kube"
	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"agentpassport.dev/operator/api/v1alpha1"
	"agentpassport.dev/operator/test/apiserver"
)

const releaseName = "passports"

var _ = Describe("A release", Ordered, func() {
	running := &operator{}
	var live v1alpha1.Passport

	BeforeAll(func() {
		startEmpty()
		DeferCleanup(running.stop)
	})

	It("has nothing to end where nothing is installed", func(ctx SpecContext) {
		out, err := exec.CommandContext(ctx, binary, "end-missions", "--kubeconfig="+server.AdminKubeconfig()).CombinedOutput()
		Expect(err).NotTo(HaveOccurred(), string(out))
	})

	It("is installed into an empty cluster", func(ctx SpecContext) {
		installed := install(ctx, olderChart(), "")
		Expect(len(installed)).To(BeNumerically(">", 60))
		for _, object := range installed {
			Expect(exists(ctx, object)).To(BeTrue(), keyOf(object))
		}
	})

	It("gives a manager the rights to issue a passport", func(ctx SpecContext) {
		running.start(ctx)
		kubectl(ctx, "apply", "--filename="+sample("namespace.yaml"))
		kubectl(ctx, "apply", "--filename="+sample("consent.yaml"))
		kubectl(ctx, "apply", "--filename="+sample("agentpassport.yaml"))
		live = passport(ctx, "living")
	})

	It("is upgraded, with its CRDs, under a mission that lives on", func(ctx SpecContext) {
		Expect(shortNames(ctx, "checkpoints.agentpassport.dev")).To(ConsistOf("ckptold"))
		upgrade(ctx, `
manager: {replicas: 3}
gateway: {autoscaling: {enabled: true}}
networkPolicy: {enabled: false}
uninstall: {patience: 60s}
`)
		Expect(shortNames(ctx, "checkpoints.agentpassport.dev")).To(ConsistOf("ckpt"))
		var deployment appsv1.Deployment
		Expect(server.Admin().Get(ctx, client.ObjectKey{Namespace: namespace, Name: "agent-passport-manager"}, &deployment)).To(Succeed())
		Expect(*deployment.Spec.Replicas).To(BeEquivalentTo(3))
		Expect(server.Admin().Get(ctx, client.ObjectKey{Namespace: namespace, Name: "agent-passport-gateway"}, &autoscalingv2.HorizontalPodAutoscaler{})).To(Succeed())
		policies := &unstructured.UnstructuredList{}
		policies.SetAPIVersion("networking.k8s.io/v1")
		policies.SetKind("NetworkPolicyList")
		Expect(server.Admin().List(ctx, policies, client.InNamespace(namespace))).To(Succeed())
		Expect(policies.Items).To(BeEmpty())

		var after v1alpha1.Passport
		Expect(server.Admin().Get(ctx, client.ObjectKeyFromObject(&live), &after)).To(Succeed())
		Expect(after.UID).To(Equal(live.UID))
		Expect(after.Status.Phase).To(Equal(v1alpha1.PhaseActive))
		Expect(after.Status.JTI).To(Equal(live.Status.JTI))
	})

	It("is uninstalled with the operator's help: missions end, agents stay", func(ctx SpecContext) {
		installed := uninstall(ctx)
		Expect(missions(ctx)).To(BeEmpty())
		secret := corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: live.Namespace, Name: live.Name + "-token"}}
		Expect(apierrors.IsNotFound(server.Admin().Get(ctx, client.ObjectKeyFromObject(&secret), &secret))).To(BeTrue(), "the token is revoked")

		for _, object := range installed {
			Expect(exists(ctx, object)).To(Equal(object.GetKind() == "CustomResourceDefinition"), keyOf(object))
		}
		var agents v1alpha1.AgentPassportList
		Expect(server.Admin().List(ctx, &agents)).To(Succeed())
		Expect(agents.Items).To(HaveLen(1))
		running.stop()
	})

	It("says what it leaves in the operator's namespace", func(ctx SpecContext) {
		left := append(names(ctx, "v1", "SecretList"), names(ctx, "v1", "ConfigMapList")...)
		Expect(left).To(ContainElements("agent-passport-signing-keys", "agent-passport-jwks", "agent-passport-auditlog-keys"))
		guide, err := os.ReadFile(root + "/docs/install.md")
		Expect(err).NotTo(HaveOccurred())
		for _, name := range left {
			Expect(string(guide)).To(ContainSubstring("`"+name+"`"), "docs/install.md says nothing of "+name)
		}
		for _, kind := range []string{"ServiceAccountList", "ServiceList"} {
			Expect(names(ctx, "v1", kind)).NotTo(ContainElement(HavePrefix("agent-passport")), kind)
		}
	})

	It("is installed again over what it left", func(ctx SpecContext) {
		install(ctx, chart(), "{crds: {keep: false}, uninstall: {patience: 1s}}")
		inForce(ctx)
	})

	It("is uninstalled without the operator's help, and with its CRDs: nothing hangs", func(ctx SpecContext) {
		kubectl(ctx, "create", "--filename="+sample("passport.yaml"))
		kubectl(ctx, "create", "--filename="+sample("checkout.yaml"))
		Expect(missions(ctx)).To(ConsistOf(HaveField("GetFinalizers()", HaveLen(1)), HaveField("GetFinalizers()", HaveLen(1))))
		installed := uninstall(ctx)
		for _, object := range installed {
			Eventually(ctx, exists).WithArguments(object).Should(BeFalse(), keyOf(object))
		}
	})

	It("takes over what `make deploy` installed", func(ctx SpecContext) {
		rendered, err := server.Kubectl(ctx, "", "", "kustomize", root+"/config/default")
		Expect(err).NotTo(HaveOccurred(), rendered)
		out, err := server.Kubectl(ctx, "", rendered, "apply", "--server-side", "--force-conflicts", "--filename=-")
		Expect(err).NotTo(HaveOccurred(), out)
		install := newInstall()
		install.TakeOwnership, install.ForceConflicts = true, true
		_, err = install.RunWithContext(ctx, chart(), nil)
		Expect(err).NotTo(HaveOccurred())
		for _, object := range stored() {
			got := object.DeepCopy()
			Expect(server.Admin().Get(ctx, client.ObjectKeyFromObject(object), got)).To(Succeed())
			Expect(got.GetLabels()).To(HaveKeyWithValue("app.kubernetes.io/managed-by", "Helm"), keyOf(object))
		}
	})

	It("is removed by `make undeploy`, which takes off no finalizer but the operator's", func(ctx SpecContext) {
		inForce(ctx)
		held := mission("agents", "held")
		held.Finalizers = []string{"example.com/backup"}
		Expect(server.Admin().Create(ctx, &held)).To(Succeed())
		Expect(held.Finalizers).To(ConsistOf("example.com/backup", v1alpha1.PassportFinalizer))
		kubectl(ctx, "create", "--filename="+sample("checkout.yaml"))

		// The namespace stays: where no controller is, it would never be gone.
		installed, err := server.Kubectl(ctx, "", "", "kustomize", root+"/config/default")
		Expect(err).NotTo(HaveOccurred(), installed)
		objects, err := apiserver.Decode([]byte(installed))
		Expect(err).NotTo(HaveOccurred())
		installer := filepath.Join(GinkgoT().TempDir(), "install.yaml")
		var documents []string
		for _, object := range objects {
			if object.GetKind() != "Namespace" {
				text, err := yaml.Marshal(object)
				Expect(err).NotTo(HaveOccurred())
				documents = append(documents, string(text))
			}
		}
		Expect(os.WriteFile(installer, []byte(strings.Join(documents, "---\n")), 0o600)).To(Succeed())
		undeployed := make(chan error, 1)
		go func() {
			out, err := server.Shell(ctx, root+"/hack/undeploy.sh kubectl "+installer+" "+binary+" --patience=1s")
			if err != nil {
				err = fmt.Errorf("%w: %s", err, out)
			}
			undeployed <- err
		}()
		Eventually(ctx, func() ([]string, error) {
			err := server.Admin().Get(ctx, client.ObjectKeyFromObject(&held), &held)
			return held.Finalizers, err
		}).Should(ConsistOf("example.com/backup"))
		Consistently(undeployed, "2s").ShouldNot(Receive(), "somebody else holds it")
		held.Finalizers = nil
		Expect(server.Admin().Update(ctx, &held)).To(Succeed())
		Eventually(ctx, undeployed, 2*time.Minute).Should(Receive(Succeed()))
		for _, object := range objects {
			Expect(exists(ctx, object)).To(Equal(object.GetKind() == "Namespace"), keyOf(object))
		}
	}, NodeTimeout(4*time.Minute))
})

// chart is the project's.
func chart() *chartv2.Chart {
	GinkgoHelper()
	loaded, err := loader.Load(chartPath)
	Expect(err).NotTo(HaveOccurred())
	return loaded
}

// olderChart is one with another short name for Checkpoints.
func olderChart() *chartv2.Chart {
	GinkgoHelper()
	older := chart()
	changed := 0
	for _, template := range older.Templates {
		if strings.HasSuffix(template.Name, "agentpassport.dev-checkpoints.yaml") {
			before := string(template.Data)
			template.Data = []byte(strings.Replace(before, "- ckpt\n", "- ckptold\n", 1))
			if string(template.Data) != before {
				changed++
			}
		}
	}
	Expect(changed).To(Equal(1))
	return older
}

// install installs a chart as `helm install --create-namespace` does, and gives what it installed.
func install(ctx context.Context, of *chartv2.Chart, values string) map[string]*unstructured.Unstructured {
	GinkgoHelper()
	_, err := newInstall().RunWithContext(ctx, of, parsed(values))
	Expect(err).NotTo(HaveOccurred())
	return stored()
}

func newInstall() *action.Install {
	GinkgoHelper()
	install := action.NewInstall(helm())
	install.ReleaseName, install.Namespace, install.CreateNamespace = releaseName, namespace, true
	install.WaitStrategy, install.Timeout = kube.HookOnlyStrategy, time.Minute
	return install
}

func upgrade(ctx context.Context, values string) {
	GinkgoHelper()
	upgrade := action.NewUpgrade(helm())
	upgrade.Namespace, upgrade.WaitStrategy, upgrade.Timeout = namespace, kube.HookOnlyStrategy, time.Minute
	_, err := upgrade.RunWithContext(ctx, releaseName, chart(), parsed(values))
	Expect(err).NotTo(HaveOccurred())
}

// uninstall uninstalls the release with its hooks, and gives what was installed.
func uninstall(ctx context.Context) map[string]*unstructured.Unstructured {
	GinkgoHelper()
	installed := stored()
	played := make(chan error, 1)
	hook, cancel := context.WithTimeout(ctx, 3*time.Minute)
	defer cancel()
	go func() {
		defer GinkgoRecover()
		played <- playJob(hook)
	}()
	uninstall := action.NewUninstall(helm())
	uninstall.WaitStrategy, uninstall.Timeout = kube.HookOnlyStrategy, 3*time.Minute
	_, err := uninstall.Run(releaseName)
	Expect(err).NotTo(HaveOccurred())
	Expect(<-played).To(Succeed())
	for _, object := range hooks() {
		Expect(exists(ctx, object)).To(BeFalse(), "the hook's "+keyOf(object))
	}
	return installed
}

// playJob does what a cluster does with the Job of the uninstall: it runs its command with the credentials of its
// ServiceAccount, and marks it complete.
func playJob(ctx context.Context) error {
	job := &batchv1.Job{}
	Eventually(ctx, func() error {
		return server.Admin().Get(ctx, client.ObjectKey{Namespace: namespace, Name: "agent-passport-uninstall"}, job)
	}, time.Minute).Should(Succeed())
	dir, err := os.MkdirTemp("", "uninstall-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	kubeconfig := filepath.Join(dir, "kubeconfig")
	if err := server.Kubeconfig(ctx, job.Spec.Template.Spec.ServiceAccountName, kubeconfig); err != nil {
		return err
	}
	args := job.Spec.Template.Spec.Containers[0].Args
	command := exec.CommandContext(ctx, binary, append(args, "--kubeconfig="+kubeconfig)...)
	command.Stdout, command.Stderr = GinkgoWriter, GinkgoWriter
	begun := metav1.Now()
	if err := command.Run(); err != nil {
		return err
	}
	ended := metav1.Now()
	before := job.DeepCopy()
	job.Status = batchv1.JobStatus{Succeeded: 1, StartTime: &begun, CompletionTime: &ended, UncountedTerminatedPods: &batchv1.UncountedTerminatedPods{}}
	for _, condition := range []batchv1.JobConditionType{batchv1.JobSuccessCriteriaMet, batchv1.JobComplete} {
		job.Status.Conditions = append(job.Status.Conditions, batchv1.JobCondition{Type: condition, Status: corev1.ConditionTrue, LastTransitionTime: ended})
	}
	return server.Admin().Status().Patch(ctx, job, client.MergeFrom(before))
}

// stored is what the release has installed, as Helm knows it.
func stored() map[string]*unstructured.Unstructured {
	GinkgoHelper()
	objects := map[string]*unstructured.Unstructured{}
	Expect(collect(releaseOf().Manifest, objects)).To(Succeed())
	return objects
}

// hooks are those of the chart, which have the same names whatever the values are.
func hooks() map[string]*unstructured.Unstructured {
	GinkgoHelper()
	made, err := render(here, "")
	Expect(err).NotTo(HaveOccurred())
	Expect(made.hooks).To(HaveLen(4))
	return made.hooks
}

func parsed(values string) map[string]any {
	GinkgoHelper()
	var given map[string]any
	Expect(yaml.UnmarshalStrict([]byte(values), &given)).To(Succeed())
	return given
}

func kubectl(ctx context.Context, args ...string) {
	GinkgoHelper()
	out, err := server.Kubectl(ctx, "", "", args...)
	Expect(err).NotTo(HaveOccurred(), out)
}

func sample(file string) string { return root + "/config/samples/" + file }

// passport gets a passport for a mission of the sample agent.
func passport(ctx context.Context, name string) v1alpha1.Passport {
	GinkgoHelper()
	p := mission("agents", name)
	Expect(server.Admin().Create(ctx, &p)).To(Succeed())
	Eventually(ctx, func() (v1alpha1.Phase, error) {
		err := server.Admin().Get(ctx, client.ObjectKeyFromObject(&p), &p)
		return p.Status.Phase, err
	}).Should(Equal(v1alpha1.PhaseActive))
	return p
}

// mission is one of the sample agent.
func mission(where, name string) v1alpha1.Passport {
	return v1alpha1.Passport{
		ObjectMeta: metav1.ObjectMeta{Namespace: where, Name: name},
		Spec: v1alpha1.PassportSpec{
			AgentRef: v1alpha1.AgentReference{Name: "support-bot"},
			Intent:   &v1alpha1.Intent{Summary: "Answer one ticket", Services: []v1alpha1.ServiceName{"slack"}},
		},
	}
}

// inForce waits until the API server obeys the mutating policies of the chart.
func inForce(ctx context.Context) {
	GinkgoHelper()
	Eventually(ctx, func() (*v1alpha1.Actor, error) {
		probe := &v1alpha1.AgentBlock{
			ObjectMeta: metav1.ObjectMeta{Namespace: "agents", GenerateName: "probe-"},
			Spec:       v1alpha1.AgentBlockSpec{Reason: "A dry run."},
		}
		err := server.Admin().Create(ctx, probe, client.DryRunAll)
		return probe.Spec.By, err
	}).ShouldNot(BeNil())
}

// missions are all Passports and Checkouts.
func missions(ctx context.Context) []client.Object {
	GinkgoHelper()
	var passports v1alpha1.PassportList
	var checkouts v1alpha1.CheckoutList
	Expect(server.Admin().List(ctx, &passports)).To(Succeed())
	Expect(server.Admin().List(ctx, &checkouts)).To(Succeed())
	var all []client.Object
	for i := range passports.Items {
		all = append(all, &passports.Items[i])
	}
	for i := range checkouts.Items {
		all = append(all, &checkouts.Items[i])
	}
	return all
}

func exists(ctx context.Context, object *unstructured.Unstructured) bool {
	GinkgoHelper()
	err := server.Admin().Get(ctx, client.ObjectKeyFromObject(object), object.DeepCopy())
	if !apierrors.IsNotFound(err) {
		Expect(err).NotTo(HaveOccurred())
	}
	return err == nil
}

// names are those of all objects of a kind in the operator's namespace, without what Kubernetes and Helm have there.
func names(ctx context.Context, version, list string) []string {
	GinkgoHelper()
	objects := &unstructured.UnstructuredList{}
	objects.SetAPIVersion(version)
	objects.SetKind(list)
	Expect(server.Admin().List(ctx, objects, client.InNamespace(namespace))).To(Succeed())
	var found []string
	for i := range objects.Items {
		if name := objects.Items[i].GetName(); name != "kube-root-ca.crt" && !strings.HasPrefix(name, "sh.helm.release") {
			found = append(found, name)
		}
	}
	return found
}

func shortNames(ctx context.Context, crd string) []string {
	GinkgoHelper()
	object := &unstructured.Unstructured{}
	object.SetGroupVersionKind(apiextensionsv1.SchemeGroupVersion.WithKind("CustomResourceDefinition"))
	Expect(server.Admin().Get(ctx, client.ObjectKey{Name: crd}, object)).To(Succeed())
	found, _, err := unstructured.NestedStringSlice(object.Object, "spec", "names", "shortNames")
	Expect(err).NotTo(HaveOccurred())
	return found
}
