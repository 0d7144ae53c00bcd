package e2e

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"

	"agentpassport.dev/operator/internal/audit/audittest"
	"agentpassport.dev/operator/test/gateway"
	"agentpassport.dev/operator/test/process"
)

// What agents run, as its documentation has it, against the real gateway.
var _ = Describe("Agents of the gateway", Ordered, func() {
	var (
		p       *place
		g       *gateway.Gateway
		slack   *service
		keyFile string
		proxies *audittest.Authority
	)

	BeforeAll(func(ctx SpecContext) {
		p = newPlace(context.WithoutCancel(ctx), Default, calm)
		proxies = audittest.NewAuthority(GinkgoTB())
		ca := audittest.File(GinkgoTB(), GinkgoT().TempDir(), "proxies.crt", proxies.PEM)
		g = startGateway(context.WithoutCancel(ctx), "agents-0", func(o *gateway.Options) { o.ProxyCA = ca })
		slack = p.newService("slack")
		p.ready("slack")
		keyFile = filepath.Join(GinkgoT().TempDir(), "token")
		Expect(os.WriteFile(keyFile, []byte(p.key("support-bot")), 0o600)).To(Succeed())
	})

	// ended gives the one Checkout of the place that it has not given yet: verdict, source, outcome and summary. Two of
	// one second have no order.
	given := map[string]bool{}
	ended := func() string {
		GinkgoHelper()
		var found []string
		for line := range strings.Lines(p.kubectl("get", "checkouts", "--output=jsonpath={range .items[*]}"+
			`{.metadata.name} {.status.verdict} {.spec.source} {.spec.outcome} {.spec.summary}{"\n"}{end}`)) {
			name, rest, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
			if !given[name] {
				given[name], found = true, append(found, rest)
			}
		}
		Expect(found).To(HaveLen(1))
		return found[0]
	}

	It("do a whole mission in thirty lines of Python", func(ctx SpecContext) {
		python, err := exec.LookPath("python3")
		if err != nil {
			Skip("there is no python3 here")
		}
		agent := exec.CommandContext(ctx, python, filepath.Join(root, "docs", "agent.py"))
		agent.Env = append(os.Environ(), "GATEWAY_URL="+g.URL, "TOKEN_FILE="+keyFile, "CA_FILE="+g.CAFile, "URL="+slack.url+"/api/api.test")
		out, err := agent.CombinedOutput()
		Expect(err).NotTo(HaveOccurred(), "%s", out)
		Expect(string(out)).To(Equal("the service answered 200\nchecked out: clean\n"))
		Expect(ended()).To(Equal("Clean Agent Succeeded Said hello"))
	})

	It("run any command as a mission, which ends with it", func(ctx SpecContext) {
		missions, err := process.Build(ctx, root, GinkgoT().TempDir(), "mission")
		Expect(err).NotTo(HaveOccurred())
		run := func(command string) (int, string) {
			mission := exec.CommandContext(ctx, missions, "run", "--gateway="+g.URL, "--ca-file="+g.CAFile, "--bearer-file="+keyFile,
				"--agent=support-bot", "--service=slack", "--intent=Say hello", "--", "sh", "-c", command)
			out, err := mission.CombinedOutput()
			if mission.ProcessState == nil {
				Fail(err.Error())
			}
			return mission.ProcessState.ExitCode(), string(out)
		}
		before := len(slack.requests())
		code, out := run(`curl -sS --fail-with-body --cacert ` + g.CAFile + ` -H "Authorization: Bearer $(cat ` + keyFile + `)" ` +
			`-H "X-Passport-Token: $(cat $PASSPORT_TOKEN_FILE)" "$PASSPORT_GATEWAY_URL/proxy/slack/api/chat.postMessage?x=%7E" -d text=done`)
		Expect(code).To(BeZero(), out)
		got := slack.requests()
		Expect(got).To(HaveLen(before + 1))
		Expect(got[before].Method + " " + got[before].RequestURI).To(Equal("POST /api/chat.postMessage?x=%7E"))
		Expect(ended()).To(HavePrefix("Clean Agent Succeeded "))

		code, out = run("exit 3")
		Expect(code).To(Equal(3), out)
		Expect(ended()).To(MatchRegexp(`^\w+ Agent Failed `))
	})

	It("may stand behind an Envoy, which asks by ext_authz", func(ctx SpecContext) {
		m := p.mission(g, p.key("support-bot"))
		authorities, err := os.ReadFile(g.CAFile)
		Expect(err).NotTo(HaveOccurred())
		roots := x509.NewCertPool()
		Expect(roots.AppendCertsFromPEM(authorities)).To(BeTrue())
		ask := func(name string, headers map[string]string) (*authv3.CheckResponse, error) {
			connection, err := grpc.NewClient(g.ExtAuthz, grpc.WithTransportCredentials(credentials.NewTLS(&tls.Config{
				RootCAs: roots, MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{proxies.Pair(GinkgoTB(), name)},
			})))
			Expect(err).NotTo(HaveOccurred())
			defer func() { _ = connection.Close() }()
			return authv3.NewAuthorizationClient(connection).Check(ctx, &authv3.CheckRequest{Attributes: &authv3.AttributeContext{
				ContextExtensions: map[string]string{"service": "slack"},
				Request: &authv3.AttributeContext_Request{Http: &authv3.AttributeContext_HttpRequest{
					Method: "GET", Scheme: "http", Host: strings.TrimPrefix(slack.url, "http://"), Path: "/api/api.test", Headers: headers,
				}},
			}})
		}
		check := func(headers map[string]string) *authv3.CheckResponse {
			answer, err := ask(gateway.Proxy, headers)
			Expect(err).NotTo(HaveOccurred())
			return answer
		}
		allowed := check(map[string]string{"x-passport-token": m.Token, "authorization": "Bearer " + m.key})
		Expect(allowed.GetStatus().GetCode()).To(BeEquivalentTo(codes.OK), "%v", allowed)
		Expect(allowed.GetOkResponse().GetHeadersToRemove()).To(ContainElement("x-passport-token"))
		Expect(allowed.GetOkResponse().GetHeaders()).To(ContainElement(HaveField("Header.Value", "Bearer "+slack.credential)))

		refused := check(map[string]string{"authorization": "Bearer " + m.key})
		Expect(refused.GetStatus().GetCode()).NotTo(BeEquivalentTo(codes.OK))
		Expect(refused.GetDeniedResponse().GetStatus().GetCode()).To(BeEquivalentTo(401))

		By("answering nobody else, since answers hold credentials")
		_, err = ask("support-bot", map[string]string{"x-passport-token": m.Token, "authorization": "Bearer " + m.key})
		Expect(err).To(HaveOccurred())
	})
})
