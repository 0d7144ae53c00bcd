package plugin

import (
	"bytes"
	"context"
	"path/filepath"
	"strings"
	"sync"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"agentpassport.dev/operator/api/v1alpha1"
	"agentpassport.dev/operator/internal/plugin"
	"agentpassport.dev/operator/test/apiserver"
)

// The people of a place. Each is a ServiceAccount in its namespace with the ClusterRole of the same name;
// the agent may use support-bot, and the admin is the cluster's.
const (
	agent     = "support-bot"
	reviewer  = "reviewer"
	responder = "responder"
	auditor   = "auditor"
	viewer    = "viewer"
	nobody    = "nobody"
	admin     = ""
)

// place is a namespace where one spec plays.
type place struct {
	ctx         context.Context
	namespace   string
	dir         string
	kubeconfigs map[string]string
}

// newPlace makes a namespace that has consented, with the support bot and all people in it.
func newPlace(ctx context.Context) *place {
	GinkgoHelper()
	p := newStrangePlace(ctx)
	Expect(apiserver.Consent(ctx, server.Admin(), p.namespace)).To(Succeed())
	return p
}

// newStrangePlace makes a namespace that has not consented.
func newStrangePlace(ctx context.Context) *place {
	GinkgoHelper()
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "place-"}}
	Expect(server.Admin().Create(ctx, namespace)).To(Succeed())
	return peopled(ctx, namespace.Name)
}

// peopled puts the support bot and the people into a namespace.
func peopled(ctx context.Context, namespace string) *place {
	GinkgoHelper()
	p := &place{ctx: context.WithoutCancel(ctx), namespace: namespace, dir: GinkgoT().TempDir(), kubeconfigs: map[string]string{}}
	p.kubectl("apply", "--filename=testdata/support-bot.yaml")
	for _, who := range []string{reviewer, responder, auditor, viewer, nobody} {
		p.kubectl("create", "serviceaccount", who)
		if who != nobody {
			p.kubectl("create", "rolebinding", who, "--clusterrole=agent-passport-"+who, "--serviceaccount="+namespace+":"+who)
		}
	}
	p.kubeconfigs[admin] = p.writeKubeconfig("admin", func(user *clientcmdapi.AuthInfo) {
		config := server.Config("")
		user.ClientCertificateData, user.ClientKeyData = config.CertData, config.KeyData
	})
	for _, who := range []string{agent, reviewer, responder, auditor, viewer, nobody} {
		token, err := server.Token(ctx, namespace, who)
		Expect(err).NotTo(HaveOccurred())
		p.kubeconfigs[who] = p.writeKubeconfig(who, func(user *clientcmdapi.AuthInfo) { user.Token = token })
	}
	p.may(agent, "use", "agentpassports/"+agent)
	p.may(agent, "create", "passports")
	p.may(reviewer, "review", "checkouts")
	p.may(responder, "revoke", "passports")
	p.may(viewer, "list", "passports")
	return p
}

func (p *place) writeKubeconfig(name string, credential func(*clientcmdapi.AuthInfo)) string {
	GinkgoHelper()
	config := server.Config("")
	written := clientcmdapi.NewConfig()
	written.Clusters["envtest"] = &clientcmdapi.Cluster{Server: config.Host, CertificateAuthorityData: config.CAData}
	user := clientcmdapi.NewAuthInfo()
	credential(user)
	written.AuthInfos[name] = user
	written.Contexts["envtest"] = &clientcmdapi.Context{Cluster: "envtest", AuthInfo: name, Namespace: p.namespace}
	written.CurrentContext = "envtest"
	path := filepath.Join(p.dir, name+".kubeconfig")
	Expect(clientcmd.WriteToFile(*written, path)).To(Succeed())
	return path
}

// user is the name that the API server knows somebody by.
func (p *place) user(who string) string { return "system:serviceaccount:" + p.namespace + ":" + who }

// may waits until RBAC, which the API server loads in its own time, gives somebody a right.
func (p *place) may(who, verb, what string) {
	GinkgoHelper()
	Eventually(p.ctx, func() (string, error) {
		return server.Kubectl(p.ctx, p.user(who), "", "auth", "can-i", verb, what, "--namespace="+p.namespace)
	}).Should(ContainSubstring("yes"))
}

// kubectl runs kubectl in the namespace as an administrator.
func (p *place) kubectl(args ...string) string {
	GinkgoHelper()
	out, err := server.Kubectl(p.ctx, "", "", append([]string{"--namespace=" + p.namespace}, args...)...)
	Expect(err).NotTo(HaveOccurred(), out)
	return out
}

// result is what a run of the plugin left.
type result struct {
	Code     int
	Out, Err string
}

// as runs the plugin as somebody.
func (p *place) as(who string, args ...string) result { return p.answering(who, "", args...) }

// answering runs the plugin as somebody who types input.
func (p *place) answering(who, input string, args ...string) result {
	GinkgoHelper()
	var out, err bytes.Buffer
	code := p.run(p.ctx, who, plugin.Options{Streams: genericiooptions.IOStreams{In: strings.NewReader(input), Out: &out, ErrOut: &err}}, args...)
	return result{code, out.String(), err.String()}
}

// run runs the plugin with streams of the caller's.
func (p *place) run(ctx context.Context, who string, options plugin.Options, args ...string) int {
	GinkgoHelper()
	Expect(p.kubeconfigs).To(HaveKey(who))
	options.Clock, options.Version = clock.RealClock{}, "test"
	args = append(args, "--kubeconfig="+p.kubeconfigs[who], "--cache-dir="+filepath.Join(p.dir, "cache"))
	return plugin.Run(ctx, options, args)
}

// completing asks the plugin what may come last, as a shell does.
func (p *place) completing(who string, args ...string) result {
	GinkgoHelper()
	var out, err bytes.Buffer
	options := plugin.Options{
		Streams: genericiooptions.IOStreams{In: strings.NewReader(""), Out: &out, ErrOut: &err}, Clock: clock.RealClock{}, Version: "test",
	}
	code := plugin.Run(p.ctx, options, append([]string{"__complete", "--kubeconfig=" + p.kubeconfigs[who]}, args...))
	return result{code, out.String(), err.String()}
}

// good runs the plugin as somebody, and gives what it printed. It has to exit with 0.
func (p *place) good(who string, args ...string) string {
	GinkgoHelper()
	r := p.as(who, args...)
	Expect(r.Code).To(BeZero(), "%s\n%s", r.Out, r.Err)
	return r.Out
}

// issue has the agent ask for a passport.
func (p *place) issue(name string, more ...string) *v1alpha1.Passport {
	GinkgoHelper()
	p.good(agent, append([]string{
		"issue", name, "--agent=" + agent, "--summary=Answer one customer ticket", "--services=slack,github", "--timeout=" + soon.String(),
	}, more...)...)
	return p.passport(name)
}

func (p *place) passport(name string) *v1alpha1.Passport {
	GinkgoHelper()
	passport := &v1alpha1.Passport{}
	Expect(server.Admin().Get(p.ctx, client.ObjectKey{Namespace: p.namespace, Name: name}, passport)).To(Succeed())
	return passport
}

// flagged has the agent run a mission that used a service which the intent leaves out, and gives its Checkout.
func (p *place) flagged(name string) *v1alpha1.Checkout {
	GinkgoHelper()
	p.issue(name)
	r := p.as(agent, "checkout", name, "--services=slack,notion", "--actions=3", "--timeout="+soon.String())
	Expect(r.Code).To(Equal(3), "%s\n%s", r.Out, r.Err)
	return p.checkout(p.passport(name).Status.Checkout.Name)
}

func (p *place) checkout(name string) *v1alpha1.Checkout {
	GinkgoHelper()
	checkout := &v1alpha1.Checkout{}
	Expect(server.Admin().Get(p.ctx, client.ObjectKey{Namespace: p.namespace, Name: name}, checkout)).To(Succeed())
	return checkout
}

// buffer is written to and read at once.
type buffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

// Write implements io.Writer.
func (b *buffer) Write(text []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(text)
}

// String gives all that was written.
func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}
