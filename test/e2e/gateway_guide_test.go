package e2e

import (
	"context"
	"encoding/json"
	"maps"
	"os/exec"
	"slices"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"agentpassport.dev/operator/test/gateway"
)

// The guide as it stands, command by command, with curl: only address, key and ids are filled in.
var _ = Describe("The guide over HTTP", Ordered, func() {
	var (
		p        *place
		g        *gateway.Gateway
		slack    *service
		jti      string
		token    string
		review   string
		expiry   time.Time
		bot      string
		reviewer string
	)

	step := func(name, key string, with map[string]string) map[string]any {
		GinkgoHelper()
		return answer(p.guide(g, name, key, with))
	}

	BeforeAll(func(ctx SpecContext) {
		if _, err := exec.LookPath("curl"); err != nil {
			Skip("there is no curl here")
		}
		p = newPlace(context.WithoutCancel(ctx), Default, calm)
		g = startGateway(context.WithoutCancel(ctx), "guide-0")
		slack = p.newService("slack")
		for _, who := range []string{"reviewer", "auditor"} {
			p.kubectl("create", "serviceaccount", who)
			p.kubectl("create", "rolebinding", who, "--clusterrole=agent-passport-"+who, "--serviceaccount="+p.namespace+":"+who)
		}
		p.ready("slack")
		bot, reviewer = p.key("support-bot"), p.key("reviewer")
	})

	It("1. issues", func() {
		issued := step("issue", bot, nil)
		Expect(slices.Sorted(maps.Keys(issued))).To(ContainElements("expires_at", "jti", "token"))
		jti, token = text(issued, "jti"), text(issued, "token")
		Expect(jti).To(HavePrefix("pp_"))
		Expect(token).To(HavePrefix("eyJhbGciOi"))
		var err error
		expiry, err = time.Parse(time.RFC3339, text(issued, "expires_at"))
		Expect(err).NotTo(HaveOccurred())
		Expect(time.Until(expiry)).To(BeNumerically("~", 300*time.Second, 30*time.Second))
	})

	It("2. lets the call out with the credential, and without the passport", func() {
		called := step("proxy", bot, map[string]string{"TOKEN": token, "SERVICE": "slack", "UPSTREAM": slack.url + "/api/conversations.list?limit=2"})
		Expect(called).To(HaveKeyWithValue("status", BeEquivalentTo(200)))
		Expect(called["body"]).To(ContainSubstring(`{"ok":true}`))
		got := slack.requests()
		Expect(got).To(HaveLen(1))
		Expect(got[0].RequestURI).To(Equal("/api/conversations.list?limit=2"))
		Expect(got[0].Header.Values("Authorization")).To(Equal([]string{"Bearer " + slack.credential}))
		Expect(got[0].Header).NotTo(HaveKey("X-Passport-Token"))
	})

	It("3. takes the checkpoint, and gives a token that lives an interval longer", func() {
		extended := step("checkpoint", bot, map[string]string{"JTI": jti})
		Expect(extended).To(And(HaveKeyWithValue("jti", jti), HaveKeyWithValue("accepted", true)))
		until, err := time.Parse(time.RFC3339, text(extended, "expires_at"))
		Expect(err).NotTo(HaveOccurred())
		// In the second of the issue it is the same.
		Expect(until).To(BeTemporally(">=", expiry))
		Expect(text(extended, "token")).To(HavePrefix("eyJhbGciOi"))
	})

	It("4. checks out, and is flagged for counting other than the gateway", func() {
		ended := step("checkout", bot, map[string]string{"JTI": jti})
		Expect(ended).To(And(HaveKeyWithValue("jti", jti), HaveKeyWithValue("checkout_status", "flagged")))
		Expect(ended["flags"]).To(ContainElement(And(
			HaveKeyWithValue("type", "actions_mismatch"), HaveKeyWithValue("severity", "warning"), HaveKey("message"))))
	})

	It("4. refuses the next call", func() {
		refused := step("proxy", bot, map[string]string{"TOKEN": token, "SERVICE": "slack", "UPSTREAM": slack.url + "/"})
		Expect(refused).To(HaveKeyWithValue("error", HaveKeyWithValue("code", "PASSPORT_REVOKED")))
		Expect(slack.requests()).To(HaveLen(1))
	})

	It("5. lists what waits for a review, to a reviewer", func() {
		listed := step("reviews", reviewer, nil)
		waiting, ok := listed["reviews"].([]any)
		Expect(ok).To(BeTrue(), "%v", listed)
		for _, one := range waiting {
			if its, ok := one.(map[string]any); ok && its["jti"] == jti {
				review = text(its, "id")
			}
		}
		Expect(review).To(HavePrefix("cout_"))
	})

	It("5. lets nobody decide on their own mission", func() {
		Expect(step("decide", bot, map[string]string{"REVIEW": review})).To(HaveKey("error"))
	})

	It("5. takes the decision", func() {
		Expect(step("decide", reviewer, map[string]string{"REVIEW": review})).NotTo(HaveKey("error"))
		reviewed := p.kubectl("get", "checkouts", "--output=jsonpath={.items[0].spec.review}")
		Expect(reviewed).To(And(ContainSubstring("Notion use was ancillary; accept"), ContainSubstring(p.namespace+":reviewer"),
			ContainSubstring(`"via":"system:serviceaccount:agent-passport-system:agent-passport-gateway"`)))
	})

	It("6. exports the trail into the guide's jq line", func(ctx SpecContext) {
		if _, err := exec.LookPath("jq"); err != nil {
			Skip("there is no jq here")
		}
		var told []row
		Eventually(ctx, func() []string {
			out := p.guide(g, "audit", p.key("auditor"), map[string]string{
				"JTI": jti, "FROM": time.Now().Add(-time.Hour).UTC().Format(time.RFC3339), "TO": time.Now().Add(time.Hour).UTC().Format(time.RFC3339),
			})
			told = nil
			for decoder := json.NewDecoder(strings.NewReader(out)); decoder.More(); {
				var one row
				Expect(decoder.Decode(&one)).To(Succeed(), out)
				told = append(told, one)
			}
			return actions(told)
		}).Should(ContainElements(
			"passport.issue success", "credential.proxy success", "passport.checkpoint success", "passport.seen success",
			"passport.checkout pending", "passport.review_decide success"))
		for _, one := range told {
			Expect(one.PassportJTI).To(Equal(jti))
		}
	})
})

// guide runs one command of testdata/guide.sh with curl, and gives what it printed.
func (p *place) guide(g *gateway.Gateway, step, key string, with map[string]string) string {
	GinkgoHelper()
	command := exec.CommandContext(p.ctx, "sh", "testdata/guide.sh", step)
	command.Env = append(command.Environ(), "GATEWAY_URL="+g.URL, "GATEWAY_CA="+g.CAFile, "STACK_API_KEY="+key)
	for name, value := range with {
		command.Env = append(command.Env, name+"="+value)
	}
	out, err := command.CombinedOutput()
	p.g.Expect(err).NotTo(HaveOccurred(), "%s", out)
	return string(out)
}

// answer reads a JSON object.
func answer(body string) (object map[string]any) {
	GinkgoHelper()
	Expect(json.Unmarshal([]byte(body), &object)).To(Succeed(), body)
	return object
}

func text(object map[string]any, name string) string {
	GinkgoHelper()
	value, ok := object[name].(string)
	Expect(ok).To(BeTrue(), "%s in %v", name, object)
	return value
}

func trimmed(out string) string { return strings.TrimSpace(out) }
