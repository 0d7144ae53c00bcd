package e2e

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"agentpassport.dev/operator/api/v1alpha1"
	"agentpassport.dev/operator/test/gateway"
)

// startGateway starts a gateway on the calm cluster, under a name of its own; with may change how.
func startGateway(ctx context.Context, name string, with ...func(*gateway.Options)) *gateway.Gateway {
	GinkgoHelper()
	options := gateway.Options{
		Binary: gatewayBinary, Name: name, Dir: GinkgoT().TempDir(), Server: calm.Server, AuditLog: calm.auditLog,
		Issuer: calm.issuer, Channel: calm.addresses.Channel, Log: calm.log,
	}
	for _, change := range with {
		change(&options)
	}
	g, err := gateway.Start(ctx, options)
	Expect(err).NotTo(HaveOccurred())
	// One that is killed leaves a Lease, for which verdicts wait.
	DeferCleanup(func(ctx context.Context) { _ = g.Stop(ctx) })
	return g
}

// service is an outside service: it keeps what reaches it.
type service struct {
	url, credential string

	mu  sync.Mutex
	got []*http.Request
}

// newService starts one and connects it to the place, under its name, with its credential in a Secret that the
// gateway may read.
func (p *place) newService(name string) *service {
	GinkgoHelper()
	s := &service{credential: "credential-of-" + name}
	server := httptest.NewServer(s)
	DeferCleanup(server.Close)
	s.url = server.URL
	p.kubectl("create", "secret", "generic", name+"-credential", "--from-literal=token="+s.credential)
	p.connect(&v1alpha1.ServiceConnection{Spec: v1alpha1.ServiceConnectionSpec{
		BaseURL: s.url, AllowedAddresses: []v1alpha1.AddressRange{v1alpha1.RangeLoopback},
		Credential: &v1alpha1.ServiceCredential{SecretName: name + "-credential"},
	}}, name)
	p.letGatewayRead(name + "-credential")
	return s
}

func (p *place) connect(connection *v1alpha1.ServiceConnection, name string) {
	GinkgoHelper()
	connection.Namespace, connection.Name = p.namespace, name
	p.g.Expect(p.Admin().Create(p.ctx, connection)).To(Succeed())
}

// letGatewayRead makes the Role that the connection asks for.
func (p *place) letGatewayRead(secret string) {
	GinkgoHelper()
	p.kubectl("create", "role", "gateway-"+secret, "--verb=get,list,watch", "--resource=secrets", "--resource-name="+secret)
	p.kubectl("create", "rolebinding", "gateway-"+secret, "--role=gateway-"+secret, "--serviceaccount=agent-passport-system:agent-passport-gateway")
}

// ready waits until a connection is Ready.
func (p *place) ready(name string) {
	GinkgoHelper()
	p.g.Eventually(p.ctx, func(g Gomega) {
		var connection v1alpha1.ServiceConnection
		g.Expect(p.Admin().Get(p.ctx, client.ObjectKey{Namespace: p.namespace, Name: name}, &connection)).To(Succeed())
		g.Expect(connection.Status.Conditions).To(ContainElement(And(HaveField("Type", "Ready"), HaveField("Status", BeEquivalentTo("True")))))
	}).Should(Succeed())
}

// ServeHTTP implements http.Handler.
func (s *service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.got = append(s.got, r)
	s.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	_, _ = fmt.Fprintln(w, `{"ok":true}`)
}

// requests are those that reached it so far.
func (s *service) requests() []*http.Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.got)
}

// key is a token of a ServiceAccount of the place for the gateway, as `kubectl create token` gives it.
func (p *place) key(account string) string {
	GinkgoHelper()
	return trimmed(p.kubectl("create", "token", account, "--audience="+gateway.Audience))
}
