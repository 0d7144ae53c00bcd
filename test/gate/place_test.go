package gate

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/onsi/gomega/gexec"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"agentpassport.dev/operator/api/v1alpha1"
)

// The ServiceAccounts of a place.
const (
	// pipeline starts missions of the agent, checks out, and runs the gate.
	pipeline = "pipeline"
	// reviewer had no part in any of it.
	reviewer = "reviewer"
	// stranger has no rights.
	stranger = "stranger"
)

// The agents of a place.
const (
	supportBot = "support-bot"
	// otherBot is another agent, that the pipeline may use too.
	otherBot = "other-bot"
	// futureBot is one that the pipeline may use, and that is not there yet.
	futureBot = "future-bot"
)

// place is a namespace that has consented, with two agents and those who deal with them.
type place struct {
	ctx       context.Context
	namespace string
	// pipeline is a client that acts as the pipeline.
	pipeline client.Client
}

func newPlace(ctx context.Context) *place {
	GinkgoHelper()
	namespace, err := server.Namespace(ctx, "gate")
	Expect(err).NotTo(HaveOccurred())
	p := &place{ctx: ctx, namespace: namespace}
	p.pipeline = server.As(p.user(pipeline), nil)
	for _, name := range []string{pipeline, reviewer, stranger} {
		p.create(&corev1.ServiceAccount{ObjectMeta: p.named(name)})
	}
	for _, name := range []string{supportBot, otherBot} {
		p.create(&v1alpha1.AgentPassport{
			ObjectMeta: p.named(name),
			Spec: v1alpha1.AgentPassportSpec{
				Grants: []v1alpha1.ServiceGrant{{Service: "github"}, {Service: "notion"}, {Service: "slack"}},
			},
		})
	}
	p.create(&rbacv1.Role{
		ObjectMeta: p.named("use-agents"),
		Rules: []rbacv1.PolicyRule{{
			APIGroups: []string{v1alpha1.GroupVersion.Group}, Resources: []string{"agentpassports"},
			ResourceNames: []string{supportBot, otherBot, futureBot}, Verbs: []string{"use"},
		}},
	})
	p.bind(pipeline, "Role", "use-agents")
	p.bind(pipeline, "ClusterRole", "agent-passport-agent")
	p.bind(reviewer, "ClusterRole", "agent-passport-reviewer")
	p.may(pipeline, "use", "agentpassports/"+futureBot)
	p.may(pipeline, "create", "checkouts")
	p.may(reviewer, "review", "checkouts")
	return p
}

func (p *place) named(name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: p.namespace, Name: name}
}

func (p *place) user(account string) string {
	return "system:serviceaccount:" + p.namespace + ":" + account
}

// create makes an object as an administrator.
func (p *place) create(object client.Object) {
	GinkgoHelper()
	Expect(server.Admin().Create(p.ctx, object)).To(Succeed())
}

// bind gives a ServiceAccount a role, and returns the binding.
func (p *place) bind(account, kind, role string) *rbacv1.RoleBinding {
	GinkgoHelper()
	binding := &rbacv1.RoleBinding{
		ObjectMeta: p.named(account + "-" + role),
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: kind, Name: role},
		Subjects:   []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: p.namespace, Name: account}},
	}
	p.create(binding)
	return binding
}

// may waits until RBAC, which the API server loads in its own time, gives a ServiceAccount a right.
func (p *place) may(account, verb, what string) {
	GinkgoHelper()
	Eventually(p.ctx, func() (string, error) {
		return server.Kubectl(p.ctx, p.user(account), "", "auth", "can-i", verb, what, "--namespace="+p.namespace)
	}).Should(ContainSubstring("yes"))
}

// passport has the pipeline ask for a Passport; with may change it first.
func (p *place) passport(name string, with ...func(*v1alpha1.PassportSpec)) {
	GinkgoHelper()
	passport := &v1alpha1.Passport{
		ObjectMeta: p.named(name),
		Spec: v1alpha1.PassportSpec{
			AgentRef: v1alpha1.AgentReference{Name: supportBot},
			Intent: &v1alpha1.Intent{
				Summary: "Answer one customer ticket and post a resolution", Services: []v1alpha1.ServiceName{"slack", "github"},
			},
		},
	}
	for _, change := range with {
		change(&passport.Spec)
	}
	Expect(p.pipeline.Create(p.ctx, passport)).To(Succeed())
}

// issue has the pipeline ask for a Passport, and waits until it is Active.
func (p *place) issue(name string) {
	GinkgoHelper()
	p.passport(name)
	p.reaches(name, v1alpha1.PhaseActive)
}

// reaches waits until a Passport is in a phase.
func (p *place) reaches(name string, phase v1alpha1.Phase) {
	GinkgoHelper()
	Eventually(p.ctx, func() (v1alpha1.Phase, error) {
		var passport v1alpha1.Passport
		err := p.pipeline.Get(p.ctx, client.ObjectKey{Namespace: p.namespace, Name: name}, &passport)
		return passport.Status.Phase, err
	}).Should(Equal(phase))
}

// What a mission did, by the services that it reports.
var (
	asDeclared = []v1alpha1.ServiceName{"slack", "github"}
	undeclared = []v1alpha1.ServiceName{"slack", "notion"}
	ungranted  = []v1alpha1.ServiceName{"slack", "stripe"}
)

// checkOut has the pipeline check out of a Passport, in the name of an agent.
func (p *place) checkOut(name, passport, agent string, used []v1alpha1.ServiceName) {
	GinkgoHelper()
	Expect(p.pipeline.Create(p.ctx, &v1alpha1.Checkout{
		ObjectMeta: p.named(name),
		Spec: v1alpha1.CheckoutSpec{
			PassportRef: v1alpha1.PassportReference{Name: passport}, AgentRef: v1alpha1.AgentReference{Name: agent}, ServicesUsed: used,
		},
	})).To(Succeed())
}

// finish leads a mission to its verdict: Passport and Checkout have one name.
func (p *place) finish(name string, used []v1alpha1.ServiceName) {
	GinkgoHelper()
	p.issue(name)
	p.checkOut(name, name, supportBot, used)
	p.says(name, v1alpha1.ConditionReady, v1alpha1.ReasonJudged)
}

// says waits until a condition of a Checkout has a reason.
func (p *place) says(checkout string, condition v1alpha1.ConditionType, reason v1alpha1.Reason) {
	GinkgoHelper()
	Eventually(p.ctx, func() (v1alpha1.Reason, error) {
		var read v1alpha1.Checkout
		err := p.pipeline.Get(p.ctx, client.ObjectKey{Namespace: p.namespace, Name: checkout}, &read)
		if found := meta.FindStatusCondition(read.Status.Conditions, string(condition)); found != nil {
			return v1alpha1.Reason(found.Reason), err
		}
		return "", err
	}).Should(Equal(reason))
}

// decide has the reviewer decide a Checkout.
func (p *place) decide(checkout string, decision v1alpha1.Decision, notes string) {
	GinkgoHelper()
	decided := &v1alpha1.Checkout{ObjectMeta: p.named(checkout)}
	c := server.As(p.user(reviewer), nil)
	Expect(c.Get(p.ctx, client.ObjectKeyFromObject(decided), decided)).To(Succeed())
	patch := client.MergeFrom(decided.DeepCopy())
	decided.Spec.Review = &v1alpha1.Review{Decision: decision, Notes: notes}
	Expect(c.Patch(p.ctx, decided, patch)).To(Succeed())
}

// shell runs a program as a ServiceAccount of the place, which the kubeconfig names with the namespace.
func (p *place) shell(account, dir string, command ...string) *run {
	GinkgoHelper()
	config := server.Config("")
	token, err := server.Token(p.ctx, p.namespace, account)
	Expect(err).NotTo(HaveOccurred())
	const name = "envtest"
	kubeconfig := clientcmdapi.NewConfig()
	kubeconfig.Clusters[name] = &clientcmdapi.Cluster{Server: config.Host, CertificateAuthorityData: config.CAData}
	kubeconfig.AuthInfos[name] = &clientcmdapi.AuthInfo{Token: token}
	kubeconfig.Contexts[name] = &clientcmdapi.Context{Cluster: name, AuthInfo: name, Namespace: p.namespace}
	kubeconfig.CurrentContext = name
	path := filepath.Join(GinkgoT().TempDir(), "kubeconfig")
	Expect(clientcmd.WriteToFile(*kubeconfig, path)).To(Succeed())
	return start(dir, "KUBECONFIG="+path, command...)
}

// gate runs the gate as the pipeline.
func (p *place) gate(args ...string) *run {
	GinkgoHelper()
	return p.gateAs(pipeline, args...)
}

func (p *place) gateAs(account string, args ...string) *run {
	GinkgoHelper()
	return p.shell(account, root, append([]string{"sh", script}, args...)...)
}

// script is the gate, from the root.
const script = "docs/gate.sh"

// run is a program that runs, or ran.
type run struct {
	session *gexec.Session
	asked   string
}

func start(dir, env string, command ...string) *run {
	GinkgoHelper()
	r := &run{asked: filepath.Join(GinkgoT().TempDir(), "asked")}
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), env, "ASKED="+r.asked, "PATH="+tools+string(os.PathListSeparator)+os.Getenv("PATH"))
	var err error
	r.session, err = gexec.Start(cmd, GinkgoWriter, GinkgoWriter)
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(r.session.Kill)
	return r
}

// ends waits until the gate ends with a code, and gives its one line.
func (r *run) ends(ctx context.Context, code int) string {
	GinkgoHelper()
	Eventually(r.session).WithContext(ctx).Should(gexec.Exit(code))
	line := string(r.session.Out.Contents())
	Expect(line).To(MatchRegexp(`^gate: [^\n]+\n$`), "one line")
	return line
}

// questions gives what kubectl was asked about a kind so far.
func (r *run) questions(kind string) []string {
	GinkgoHelper()
	noted, err := os.ReadFile(r.asked)
	if !os.IsNotExist(err) {
		Expect(err).NotTo(HaveOccurred())
	}
	var found []string
	for line := range strings.Lines(string(noted)) {
		if strings.HasPrefix(line, "get "+kind+".agentpassport.dev ") {
			found = append(found, line)
		}
	}
	return found
}

// waits returns once the gate has asked about a kind, and found that it has to go on.
func (r *run) waits(ctx context.Context, kind string) {
	GinkgoHelper()
	Eventually(r.questions).WithArguments(kind).WithContext(ctx).Should(HaveLen(2), "it asks again")
	Expect(r.session.ExitCode()).To(Equal(-1), "it goes on")
}
