package e2e

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/lestrrat-go/jwx/v3/jwk"
	"github.com/lestrrat-go/jwx/v3/jwt"
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"

	"agentpassport.dev/operator/test/gateway"
)

var _ = Describe("A token", Ordered, func() {
	var p *place
	var token, jwksURL string

	BeforeAll(func(ctx SpecContext) {
		p = newPlace(context.WithoutCancel(ctx), Default, calm)
		p.issue()
		token = p.token()
		jwksURL = discover(ctx, calm.issuer)
	})

	It("verifies from the JWKS that its issuer serves", func(ctx SpecContext) {
		keys, err := jwk.Fetch(ctx, jwksURL)
		Expect(err).NotTo(HaveOccurred())
		verified, err := jwt.ParseString(token, jwt.WithKeySet(keys), jwt.WithIssuer(calm.issuer), jwt.WithAudience(gateway.Audience))
		Expect(err).NotTo(HaveOccurred())
		jti, _ := verified.JwtID()
		subject, _ := verified.Subject()
		Expect(jti).To(Equal(p.passport().Status.JTI))
		Expect(subject).To(Equal("spiffe://cluster.local/ns/" + p.namespace + "/agent/support-bot"))

		_, err = jwt.ParseString(token, jwt.WithKeySet(keys), jwt.WithAudience("someone-else"))
		Expect(err).To(MatchError(jwt.InvalidAudienceError()))
		_, err = jwt.ParseString(forged(token), jwt.WithKeySet(keys))
		Expect(err).To(MatchError(ContainSubstring("verif")))
	})

	It("verifies from the ConfigMap, which every ServiceAccount may read", func(ctx SpecContext) {
		out, err := calm.Kubectl(ctx, p.bot, "", "get", "configmap", "agent-passport-jwks",
			"--namespace=agent-passport-system", "--output=json")
		Expect(err).NotTo(HaveOccurred(), out)
		var published corev1.ConfigMap
		Expect(json.Unmarshal([]byte(out), &published)).To(Succeed())

		keys, err := jwk.ParseString(published.Data["jwks.json"])
		Expect(err).NotTo(HaveOccurred())
		_, err = jwt.ParseString(token, jwt.WithKeySet(keys), jwt.WithIssuer(calm.issuer), jwt.WithAudience(gateway.Audience))
		Expect(err).NotTo(HaveOccurred())
		Expect(published.Data["openid-configuration"]).To(ContainSubstring(jwksURL))
	})

	It("verifies under Node, with jose", func(ctx SpecContext) {
		verifier := nodeVerifier(ctx)
		claims, err := verifier(ctx, token, jwksURL, gateway.Audience, calm.issuer)
		Expect(err).NotTo(HaveOccurred())
		Expect(claims).To(MatchJSON(p.content().Claims))

		_, err = verifier(ctx, token, jwksURL, "someone-else", calm.issuer)
		Expect(err).To(MatchError(ContainSubstring("ERR_JWT_CLAIM_VALIDATION_FAILED")))
		_, err = verifier(ctx, forged(token), jwksURL, gateway.Audience, calm.issuer)
		Expect(err).To(MatchError(ContainSubstring("ERR_JWS_SIGNATURE_VERIFICATION_FAILED")))
	})
})

// discover reads where an issuer's JWKS is out of its OpenID configuration.
func discover(ctx context.Context, issuer string) (jwksURL string) {
	GinkgoHelper()
	status, body, err := get(ctx, issuer+"/.well-known/openid-configuration", "")
	Expect(err).NotTo(HaveOccurred())
	Expect(status).To(Equal(200))
	var configuration struct {
		Issuer  string `json:"issuer"`
		JWKSURI string `json:"jwks_uri"`
	}
	Expect(json.Unmarshal([]byte(body), &configuration)).To(Succeed())
	Expect(configuration.Issuer).To(Equal(issuer))
	return configuration.JWKSURI
}

// forged gives the token with another signature.
func forged(token string) string {
	dot := strings.LastIndex(token, ".") + 1
	return token[:dot] + token[dot+1:] + token[dot:dot+1]
}

// nodeVerifier makes test/node ready, and gives a function that runs it. It skips the spec where there
// is no Node, but not in CI.
func nodeVerifier(ctx context.Context) func(ctx context.Context, token string, args ...string) (claims string, err error) {
	GinkgoHelper()
	if _, err := exec.LookPath("node"); err != nil && os.Getenv("CI") == "" {
		Skip("there is no node on this machine")
	}
	dir := GinkgoT().TempDir()
	Expect(os.CopyFS(dir, os.DirFS(filepath.Join("..", "node")))).To(Succeed())
	install := exec.CommandContext(ctx, "npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund")
	install.Dir = dir
	out, err := install.CombinedOutput()
	Expect(err).NotTo(HaveOccurred(), "%s", out)

	return func(ctx context.Context, token string, args ...string) (string, error) {
		node := exec.CommandContext(ctx, "node", append([]string{"verify.mjs"}, args...)...)
		node.Dir, node.Stdin = dir, strings.NewReader(token)
		var complaint strings.Builder
		node.Stderr = &complaint
		claims, err := node.Output()
		if err != nil {
			return "", &refusal{complaint.String()}
		}
		return string(claims), nil
	}
}

// refusal is what a verifier said that did not take a token.
type refusal struct{ message string }

func (r *refusal) Error() string { return r.message }
