package chart

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/onsi/gomega/gbytes"
	appsv1 "k8s.io/api/apps/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"agentpassport.dev/operator/api/v1alpha1"
	"agentpassport.dev/operator/test/apiserver"
	"agentpassport.dev/operator/test/gateway"
)

const (
	// watchedNamespace is the one that the operator works in, otherNamespace has the same agent in it.
	watchedNamespace = "agents"
	otherNamespace   = "others"

	managerUser = apiserver.Manager
	gatewayUser = "system:serviceaccount:" + namespace + ":agent-passport-gateway"
)

// Manager and gateway run with the rights of the release and no others: whoever lists across the cluster is refused.
var _ = Describe("A release for one namespace", Ordered, func() {
	running := &operator{}
	logs := gbytes.NewBuffer()
	var (
		front *gateway.Gateway
		left  v1alpha1.Passport
	)

	BeforeAll(func(ctx SpecContext) {
		startEmpty()
		DeferCleanup(running.stop)
		for _, name := range []string{watchedNamespace, otherNamespace} {
			Expect(server.Admin().Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}})).To(Succeed())
		}
		install(ctx, chart(), "{watchNamespaces: ["+watchedNamespace+"], consent: {allNamespaces: true}, uninstall: {patience: 60s}}")
		inForce(ctx)
		for _, name := range []string{watchedNamespace, otherNamespace} {
			applyIn(ctx, name, "agentpassport.yaml")
			applyIn(ctx, name, "rbac-agent.yaml")
		}
		running.logs = logs
		running.start(ctx, "--zap-log-level=debug", flagOf[appsv1.Deployment](ctx, "agent-passport-manager"))
		binary, err := gateway.Build(ctx, root, GinkgoT().TempDir())
		Expect(err).NotTo(HaveOccurred())
		front, err = gateway.Start(ctx, gateway.Options{
			Binary: binary, Name: "gateway-0", Dir: GinkgoT().TempDir(), Server: server, AuditLog: running.auditLog,
			Issuer: issuer, Channel: running.manager.Addresses.Channel, Log: logs,
			Flags: []string{"--zap-log-level=debug", flagOf[appsv1.StatefulSet](ctx, "agent-passport-gateway")},
		})
		Expect(err).NotTo(HaveOccurred())
		DeferCleanup(func(ctx context.Context) { _ = front.Stop(ctx) })
	}, NodeTimeout(3*time.Minute))

	// ask calls the gateway as the agent of a namespace.
	ask := func(ctx context.Context, from, method, path, body string) (int, map[string]any) {
		GinkgoHelper()
		bearer, err := server.Token(ctx, from, "support-bot", gateway.Audience)
		Expect(err).NotTo(HaveOccurred())
		status, answer, err := front.Ask(ctx, method, path, bearer, http.Header{"Content-Type": {"application/json"}}, body)
		Expect(err).NotTo(HaveOccurred())
		var read map[string]any
		Expect(json.Unmarshal([]byte(answer), &read)).To(Succeed(), answer)
		return status, read
	}
	const wish = `{"agent_id": "support-bot", "intent": {"summary": "Answer one ticket", "services": ["slack"]}}`

	It("does whole missions there, over HTTP too", func(ctx SpecContext) {
		status, issued := ask(ctx, watchedNamespace, http.MethodPost, "/v1/passports/issue", wish)
		Expect(status).To(Equal(http.StatusOK), "%v", issued)
		mission := fmt.Sprintf("/v1/passports/%s/", issued["jti"])
		report := `{"services_used": ["slack", "notion"], "actions_count": 1, "summary": "Read the ticket"}`
		status, answer := ask(ctx, watchedNamespace, http.MethodPost, mission+"checkpoint", report)
		Expect(status).To(Equal(http.StatusOK), "%v", answer)
		status, answer = ask(ctx, watchedNamespace, http.MethodPost, mission+"checkout", report)
		Expect(status).To(Equal(http.StatusOK), "%v", answer)
		Expect(answer).To(HaveKeyWithValue("checkout_status", "flagged"))
		status, answer = ask(ctx, watchedNamespace, http.MethodGet, "/v1/passports/reviews", "")
		Expect(status).To(Equal(http.StatusOK), "%v", answer)
		Expect(answer).To(HaveKeyWithValue("reviews", HaveLen(1)), "the agent's own namespace")
		status, answer = ask(ctx, watchedNamespace, http.MethodGet, "/v1/audit/export?namespace="+otherNamespace, "")
		Expect(status).To(Equal(http.StatusForbidden), "%v", answer)
	})

	It("leaves what is in others alone", func(ctx SpecContext) {
		left = mission(otherNamespace, "left-alone")
		Expect(server.Admin().Create(ctx, &left)).To(Succeed())
		Expect(left.Finalizers).To(BeEmpty(), "nobody would take them off")
		seen := mission(watchedNamespace, "seen")
		Expect(server.Admin().Create(ctx, &seen)).To(Succeed())
		Expect(seen.Finalizers).To(ConsistOf(v1alpha1.PassportFinalizer))
		Eventually(ctx, func() (v1alpha1.Phase, error) {
			err := server.Admin().Get(ctx, client.ObjectKeyFromObject(&seen), &seen)
			return seen.Status.Phase, err
		}).Should(Equal(v1alpha1.PhaseActive))
		Expect(server.Admin().Get(ctx, client.ObjectKeyFromObject(&left), &left)).To(Succeed())
		Expect(left.Status).To(BeZero(), "it is as old as one that was issued")

		status, answer := ask(ctx, otherNamespace, http.MethodPost, "/v1/passports/issue", wish)
		Expect(status).To(Equal(http.StatusForbidden), "%v", answer)
		Expect(fmt.Sprint(answer)).To(ContainSubstring("this gateway serves " + watchedNamespace))
	})

	It("hands out status lists: its watches are heard", func(ctx SpecContext) {
		var passports v1alpha1.PassportList
		Expect(server.Admin().List(ctx, &passports, client.InNamespace(watchedNamespace))).To(Succeed())
		listed := passports.Items[0].Status.Issued.StatusList
		response, err := http.Get(fmt.Sprintf("http://%s/statuslists/%d/%d", running.manager.Addresses.Issuer, listed.Epoch, *listed.List))
		Expect(err).NotTo(HaveOccurred())
		Expect(response.Body.Close()).To(Succeed())
		Expect(response.StatusCode).To(Equal(http.StatusOK))
	})

	It("gives no right on anything in others", func(ctx SpecContext) {
		asking := []string{"create subjectaccessreviews", "create tokenreviews"}
		for user, may := range map[string][]string{
			// To append to the log is of the cluster: a record of a signing key has no namespace. VendorKeys have none either.
			managerUser: append(slices.Clone(asking), "create auditrecords",
				"get vendorkeys", "list vendorkeys", "watch vendorkeys", "update vendorkeys/status"),
			gatewayUser: append(slices.Clone(asking), "create auditrecords"),
			"system:serviceaccount:" + namespace + ":agent-passport-auditlog": asking,
		} {
			Expect(rightsIn(ctx, user, otherNamespace)).To(ConsistOf(may), user)
		}
		Expect(rightsIn(ctx, managerUser, watchedNamespace)).To(ContainElements("watch passports", "update passports/status", "get secrets", "get namespaces"))
		Expect(rightsIn(ctx, gatewayUser, watchedNamespace)).To(ContainElements("watch passports", "attest passports", "list auditrecords"))
	})

	It("was refused nothing that it tried", func(ctx SpecContext) {
		Expect(front.Stop(ctx)).To(Succeed())
		Expect(string(logs.Contents())).To(ContainSubstring(`"msg":"Issued"`), "this looks at the logs")
		for line := range strings.Lines(string(logs.Contents())) {
			Expect(line).NotTo(Or(ContainSubstring("forbidden"), ContainSubstring("did not say how far it is")))
		}
	})

	It("ends the missions there alone when it is uninstalled", func(ctx SpecContext) {
		uninstall(ctx)
		Expect(missions(ctx)).To(ConsistOf(HaveField("GetUID()", left.UID)))
		Expect(server.Admin().Delete(ctx, &left)).To(Succeed())
		Expect(missions(ctx)).To(BeEmpty())
	})
})

// issuer is that of a manager that is told no other.
const issuer = "http://agent-passport-issuer.agent-passport-system.svc"

// flagOf is the flag by which the release names the namespaces to a workload.
func flagOf[T any, O interface {
	*T
	client.Object
}](ctx context.Context, name string) string {
	GinkgoHelper()
	workload := O(new(T))
	Expect(server.Admin().Get(ctx, client.ObjectKey{Namespace: namespace, Name: name}, workload)).To(Succeed())
	text, err := json.Marshal(workload)
	Expect(err).NotTo(HaveOccurred())
	var read struct {
		Spec appsv1.DeploymentSpec `json:"spec"`
	}
	Expect(json.Unmarshal(text, &read)).To(Succeed())
	for _, arg := range read.Spec.Template.Spec.Containers[0].Args {
		if strings.HasPrefix(arg, "--watch-namespaces=") {
			return arg
		}
	}
	Fail(name + " is not told which namespaces it works in")
	return ""
}

// applyIn applies a sample in a namespace.
func applyIn(ctx context.Context, where, file string) {
	GinkgoHelper()
	content, err := os.ReadFile(sample(file))
	Expect(err).NotTo(HaveOccurred())
	moved := strings.ReplaceAll(string(content), "namespace: agents\n", "namespace: "+where+"\n")
	out, err := server.Kubectl(ctx, "", moved, "apply", "--filename=-")
	Expect(err).NotTo(HaveOccurred(), out)
}

// rightsIn are the rights of a user in a namespace, those of everybody left out.
func rightsIn(ctx context.Context, user, where string) []string {
	GinkgoHelper()
	all := func(user string) map[string]bool {
		review := &authorizationv1.SelfSubjectRulesReview{Spec: authorizationv1.SelfSubjectRulesReviewSpec{Namespace: where}}
		Expect(server.As(user, nil).Create(ctx, review)).To(Succeed())
		Expect(review.Status.EvaluationError).To(BeEmpty())
		found := map[string]bool{}
		for _, rule := range review.Status.ResourceRules {
			for _, verb := range rule.Verbs {
				for _, resource := range rule.Resources {
					found[verb+" "+resource] = true
				}
			}
		}
		return found
	}
	everybody := all("system:serviceaccount:" + namespace + ":nobody")
	var rights []string
	for right := range all(user) {
		if !everybody[right] {
			rights = append(rights, right)
		}
	}
	return rights
}
