package e2e

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"agentpassport.dev/operator/api/v1alpha1"
	"agentpassport.dev/operator/internal/audit/wire"
)

// row is what the specs look at of a record.
type row struct {
	Action      string `json:"action"`
	Outcome     string `json:"outcome"`
	ErrorCode   string `json:"error_code"`
	PassportJTI string `json:"passport_jti"`
	Replayed    bool   `json:"replayed"`
	Epoch       int    `json:"epoch"`
	Actor       struct {
		Username string `json:"username"`
	} `json:"actor"`
	Facts struct {
		Verdict  string `json:"verdict"`
		Decision string `json:"decision"`
		Reason   string `json:"reason"`
	} `json:"facts"`
}

// auditor makes a ServiceAccount that holds a ClusterRole in the place's namespace, and gives its token for the
// audit log.
func (p *place) auditor(role string) string {
	GinkgoHelper()
	p.kubectl("create", "serviceaccount", role)
	p.kubectl("create", "rolebinding", role, "--clusterrole="+role, "--serviceaccount="+p.namespace+":"+role)
	token, err := p.Token(p.ctx, p.namespace, role, wire.Audience)
	p.g.Expect(err).NotTo(HaveOccurred())
	return token
}

// export reads rows of the audit log, as a person with curl would.
func (p *place) export(token, query string) (status int, body string) {
	GinkgoHelper()
	status, body, err := p.auditLog.Get(p.ctx, "/v1/records?"+query, token)
	p.g.Expect(err).NotTo(HaveOccurred())
	return status, body
}

// trail reads the rows of a passport.
func (p *place) trail(token, jti string) []row {
	GinkgoHelper()
	status, body := p.export(token, url.Values{"namespace": {p.namespace}, "jti": {jti}}.Encode())
	p.g.Expect(status).To(Equal(http.StatusOK), body)
	var answer struct{ Rows []row }
	p.g.Expect(json.Unmarshal([]byte(body), &answer)).To(Succeed())
	return answer.Rows
}

func actions(rows []row) []string {
	var told []string
	for _, row := range rows {
		told = append(told, row.Action+" "+row.Outcome)
	}
	return told
}

var _ = Describe("The audit log", Ordered, func() {
	var p *place
	var token string

	BeforeAll(func(ctx SpecContext) {
		p = newPlace(context.WithoutCancel(ctx), Default, calm)
		token = p.auditor("agent-passport-auditor")
	})

	It("shows an auditor of a namespace its records and no other", func() {
		Eventually(func() int { status, _ := p.export(token, "namespace="+p.namespace); return status }).Should(Equal(http.StatusOK))
		status, body := p.export(token, "")
		Expect(status).To(Equal(http.StatusForbidden))
		Expect(body).To(ContainSubstring("auditrecords"))
		status, _, err := p.auditLog.Post(p.ctx, wire.RecordsPath, token, strings.NewReader(`{"records":[]}`))
		Expect(err).NotTo(HaveOccurred())
		Expect(status).To(Equal(http.StatusForbidden), "nobody but the manager appends")
	})

	It("holds back every new passport while it is down, and no mission that lives", func(ctx SpecContext) {
		p.ask("living")
		p.as(p.bot, "wait", "--for=condition=Ready", "--timeout=30s", "passport/living")
		Expect(p.auditLog.Stop(ctx)).To(Succeed())
		p.ask("waiting")
		Eventually(p.as).WithArguments(p.bot, "get", "passports").Should(MatchRegexp(`\nwaiting +support-bot +Pending +AuditUnavailable `))
		Expect(p.message("passport/waiting", "Ready")).To(ContainSubstring("the log does not take it"))
		Expect(p.kubectl("get", "secrets", "--output=name")).To(Equal("secret/living-token\n"))
		p.checkOut("living", "slack")
		p.as(p.bot, "wait", "--for=condition=Accepted", "--timeout=30s", "checkout/living")

		Expect(p.auditLog.Again(ctx)).To(Succeed())
		p.as(p.bot, "wait", "--for=condition=Ready", "--timeout=60s", "passport/waiting")
		var living v1alpha1.Passport
		p.read(&living, "passport", "living")
		Eventually(func() []string { return actions(p.trail(token, living.Status.JTI)) }).Should(Equal([]string{
			"passport.issue success", "passport.checkout success",
		}), "nothing is lost of the outage")
	})

	It("starts again after a crash with all that it acknowledged", func(ctx SpecContext) {
		var waiting v1alpha1.Passport
		p.read(&waiting, "passport", "waiting")
		before := p.trail(token, waiting.Status.JTI)
		Expect(before).To(HaveLen(1))
		p.auditLog.Kill()
		Expect(p.auditLog.Again(ctx)).To(Succeed())
		Expect(p.trail(token, waiting.Status.JTI)).To(Equal(before))
	})

	It("refuses to go on with less than its mirrored head, until somebody with the right says that it is lost", func(ctx SpecContext) {
		folder := filepath.Join(p.auditLog.Dir, "log")
		Expect(p.auditLog.Stop(ctx)).To(Succeed())
		Expect(os.Rename(folder, folder+".lost")).To(Succeed())
		Expect(p.auditLog.Launch()).To(Succeed())
		begin := func(token string) (int, string) {
			status, body, err := p.auditLog.Post(p.ctx, "/v1/epochs", token, strings.NewReader(`{"reason":"the volume is gone"}`))
			if err != nil {
				return 0, err.Error()
			}
			return status, body
		}
		Eventually(func() string { _, body := p.exportOrError(token); return body }).Should(ContainSubstring("LogUnavailable"))
		status, body := begin(token)
		Expect(status).To(Equal(http.StatusForbidden), body)

		_, err := p.Kubectl(p.ctx, "", "", "create", "serviceaccount", "recoverer", "-n", "agent-passport-system")
		Expect(err).NotTo(HaveOccurred())
		_, err = p.Kubectl(p.ctx, "", "", "create", "rolebinding", "recoverer", "-n", "agent-passport-system",
			"--clusterrole=agent-passport-audit-recoverer", "--serviceaccount=agent-passport-system:recoverer")
		Expect(err).NotTo(HaveOccurred())
		recoverer, err := p.Token(p.ctx, "agent-passport-system", "recoverer", wire.Audience)
		Expect(err).NotTo(HaveOccurred())
		Eventually(func() int { status, body = begin(recoverer); return status }).Should(Equal(http.StatusOK), body)
		Expect(body).To(And(ContainSubstring("epoch.begin"), ContainSubstring("the volume is gone"), ContainSubstring("recoverer")))
		Expect(p.auditLog.Ready(ctx)).To(Succeed())

		// The next step of any mission tells the manager; what the cluster holds is written anew.
		p.ask("after")
		p.as(p.bot, "wait", "--for=condition=Ready", "--timeout=60s", "passport/after")
		var living v1alpha1.Passport
		p.read(&living, "passport", "living")
		Eventually(func() []row { return p.trail(token, living.Status.JTI) }).Should(And(
			HaveLen(2), HaveEach(And(HaveField("Replayed", true), HaveField("Epoch", 2)))))
	})
})

// exportOrError is export of a service that may not listen yet.
func (p *place) exportOrError(token string) (status int, body string) {
	status, body, err := p.auditLog.Get(p.ctx, "/v1/records?namespace="+p.namespace, token)
	if err != nil {
		return 0, err.Error()
	}
	return status, body
}

// jq runs the audit line of the guide over an export.
func jq(ctx context.Context, export, filter string) string {
	GinkgoHelper()
	if _, err := exec.LookPath("jq"); err != nil {
		Skip("jq is not here")
	}
	cmd := exec.CommandContext(ctx, "jq", filter)
	cmd.Stdin = strings.NewReader(export)
	out, err := cmd.CombinedOutput()
	Expect(err).NotTo(HaveOccurred(), string(out))
	return string(out)
}

// day is the query for what happened on the day of a time, as the guide asks for it.
func day(at time.Time) string {
	return url.Values{"from": {at.Add(-time.Hour).UTC().Format(time.RFC3339)}, "to": {at.Add(time.Hour).UTC().Format(time.RFC3339)}}.Encode()
}
