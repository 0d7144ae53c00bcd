package plugin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"agentpassport.dev/operator/api/v1alpha1"
	"agentpassport.dev/operator/internal/token"
)

const (
	// gatewayAudience is the audience that every token has, unless the operator was told another.
	gatewayAudience = "agent-passport-gateway"
	// stdin is the argument that means standard input.
	stdin = "-"
)

type verifyCommand struct {
	*session
	jwks, issuer, audience string
	leeway                 time.Duration
}

func (s *session) newVerify() *cobra.Command {
	v := &verifyCommand{session: s}
	cmd := &cobra.Command{
		Use:   "verify [FILE | TOKEN | -]",
		Short: "Say of a token whether it is a good passport, claim by claim",
		Long: `Say of a token whether it is a good passport, claim by claim. The token comes from a file, from standard input,
or, which leaves it in the shell's history, from the command line. It is never printed.

With --jwks it asks no cluster. Without, it takes the keys from the cluster, and asks whether the passport is over
before its time.

It exits with 0 where the token is valid, with 2 where it is not, and with 1 where that cannot be said.`,
		Example: `  kubectl get secret answer-ticket-4711-token -n agents -o jsonpath='{.data.token}' | base64 -d | kubectl passport verify
  kubectl passport verify token.txt --jwks=jwks.json --issuer=https://passports.example.com --audience=ticket-service`,
		GroupID: groupProof,
		Args:    between(0, 1, "one token at most"),
		RunE:    func(cmd *cobra.Command, args []string) error { return v.run(cmd.Context(), args) },
	}
	cmd.Flags().StringVar(&v.jwks, "jwks", "", "A file with the issuer's keys (JWKS), to verify offline.")
	cmd.Flags().StringVar(&v.issuer, "issuer", "", "The issuer that the token has to be of (default: the cluster's; with --jwks, any).")
	cmd.Flags().StringVar(&v.audience, "audience", gatewayAudience, "The audience that the token has to be for.")
	cmd.Flags().DurationVar(&v.leeway, "leeway", 0, "How far clocks may differ, a minute at most.")
	must(cmd.MarkFlagFilename("jwks", "json"))
	return cmd
}

func (v *verifyCommand) run(ctx context.Context, args []string) error {
	if v.leeway < 0 || v.leeway > time.Minute {
		return misuse("--leeway=%s: 0 to 1m", v.leeway)
	}
	raw, err := v.read(args)
	if err != nil {
		return err
	}
	var c *cluster
	if v.jwks == "" {
		if c, err = v.connect(); err != nil {
			return err
		}
	}
	keys, issuer, err := v.keys(ctx, c)
	if err != nil {
		return err
	}
	p := &page{out: v.Out}
	claims, err := token.VerifySignature(raw, keys)
	if err != nil {
		p.line("not valid: %s", whyRefused(err))
		return errors.Join(p.err, ended(exitBad))
	}
	now := v.clock.Now()
	if c == nil {
		now = v.local.Now()
	}
	wrong := v.print(p, claims, issuer, now)
	over, note := v.over(ctx, c, claims)
	if over != "" {
		wrong = append(wrong, over)
	}
	p.row("status", "%s", note)
	if len(wrong) == 0 {
		p.line("valid")
		return p.err
	}
	p.line("not valid: %s", strings.Join(wrong, "; "))
	if p.err != nil {
		return p.err
	}
	return ended(exitBad)
}

// read gives the token. A file is one that is there; a token has two dots, and no file has its name.
func (v *verifyCommand) read(args []string) (string, error) {
	var raw []byte
	var err error
	switch {
	case len(args) == 0 || args[0] == stdin:
		raw, err = io.ReadAll(io.LimitReader(v.In, token.MaxTokenBytes+2))
	case looksLikeToken(args[0]):
		return args[0], nil
	default:
		if raw, err = os.ReadFile(args[0]); err != nil {
			return "", fmt.Errorf("the argument is neither a token nor a file that can be read: %w", errors.Unwrap(err))
		}
	}
	text := strings.TrimSpace(string(raw))
	if err == nil && text == "" {
		err = misuse("there is no token: give it on standard input, or name a file")
	}
	return text, err
}

// looksLikeToken says whether a text is a compact JWS whose header is a JSON object.
func looksLikeToken(text string) bool {
	return strings.HasPrefix(text, "eyJ") && strings.Count(text, ".") == 2
}

// keys are the issuer's, and the issuer that tokens have to be of; empty for any.
func (v *verifyCommand) keys(ctx context.Context, c *cluster) (token.PublicKeys, string, error) {
	if c == nil {
		raw, err := os.ReadFile(v.jwks)
		if err != nil {
			return nil, "", fmt.Errorf("--jwks: %w", err)
		}
		keys, err := token.ParseJWKS(raw)
		if err != nil {
			return nil, "", fmt.Errorf("--jwks %s: %w", v.jwks, err)
		}
		return keys, v.issuer, nil
	}
	published := &corev1.ConfigMap{}
	if err := c.Get(ctx, client.ObjectKey{Namespace: v.operatorNamespace, Name: token.ConfigMapName}, published); err != nil {
		return nil, "", fmt.Errorf("the issuer's keys cannot be read from the cluster; give them with --jwks: %w", err)
	}
	keys, err := token.ParseJWKS([]byte(published.Data[v1alpha1.SecretKeyJWKS]))
	if err != nil {
		return nil, "", fmt.Errorf("ConfigMap %s in namespace %s: %w", token.ConfigMapName, v.operatorNamespace, err)
	}
	issuer := v.issuer
	if issuer == "" {
		var discovery struct {
			Issuer string `json:"issuer"`
		}
		if err := json.Unmarshal([]byte(published.Data[token.ConfigMapKeyDiscovery]), &discovery); err != nil {
			return nil, "", fmt.Errorf("ConfigMap %s in namespace %s: %s: %w", token.ConfigMapName, v.operatorNamespace, token.ConfigMapKeyDiscovery, err)
		}
		issuer = discovery.Issuer
	}
	return keys, issuer, nil
}

// print says each claim that matters, and gives why the token is not valid.
func (v *verifyCommand) print(p *page, claims *token.Claims, issuer string, now time.Time) (wrong []string) {
	told := func(name, value, problem string) {
		mark := "ok"
		if problem != "" {
			mark = "NOT OK: " + problem
			wrong = append(wrong, problem)
		}
		p.row(name, "%s  %s", value, mark)
	}
	p.row("signature", "by a key of the issuer  ok")
	switch {
	case issuer == "":
		p.row("iss", "%s  (not checked: give --issuer)", claims.Issuer)
	case claims.Issuer != issuer:
		told("iss", claims.Issuer, "it is not from "+issuer)
	default:
		told("iss", claims.Issuer, "")
	}
	told("aud", strings.Join(claims.Audience, ", "), problem(!slices.Contains(claims.Audience, v.audience), "it is not for audience "+v.audience))
	begins, expires := time.Unix(claims.NotBefore, 0), time.Unix(claims.Expiry, 0)
	told("nbf", stamp(begins), problem(now.Add(v.leeway).Before(begins), "it is not valid before "+stamp(begins)+"; it is "+stamp(now)+" now"))
	ago := "it expired at " + stamp(expires) + ", " + span(now.Sub(expires)) + " ago"
	left := ""
	if now.Before(expires) {
		left = " (in " + countdown(expires.Sub(now)) + ")"
	}
	told("exp", stamp(expires)+left, problem(!now.Add(-v.leeway).Before(expires), ago))
	passport := claims.Passport
	p.row("sub", "%s", claims.Subject)
	p.row("jti", "%s, session %s", claims.ID, passport.SessionID)
	p.row("agent", "%s in namespace %s (%s)", passport.Agent.Name, passport.Agent.Namespace, passport.Accountability)
	if intent := passport.Intent; intent != nil {
		p.row("mission", "%s", intent.Summary)
	}
	for _, service := range passport.Services {
		p.row("service", "%s: %s, %s", service.Name, orNone(strings.Join(service.Scopes, " ")), counted(len(service.Constraints), "constraint", "constraints"))
	}
	p.row("at most until", "%s", stamp(time.Unix(claims.Mission.Deadline, 0)))
	return wrong
}

func problem(is bool, what string) string {
	if is {
		return what
	}
	return ""
}

// over asks the cluster whether the passport is over before its exp, and says what came of that.
func (v *verifyCommand) over(ctx context.Context, c *cluster, claims *token.Claims) (over, note string) {
	if c == nil {
		return "", "not checked: offline, nobody knows whether the passport was revoked or checked out"
	}
	agent := claims.Passport.Agent
	found, err := listed[*v1alpha1.Passport](ctx, c, &v1alpha1.PassportList{}, client.InNamespace(agent.Namespace))
	if err != nil {
		return "", "not checked: " + explain(err)
	}
	for _, passport := range found {
		if passport.Status.JTI != claims.ID {
			continue
		}
		this := fmt.Sprintf("passport %s in namespace %s is %s", passport.Name, passport.Namespace, phaseOf(passport))
		if passport.Status.Phase.Finished() {
			return this, this
		}
		return "", this
	}
	return "its passport was deleted", "no passport in namespace " + agent.Namespace + " has this jti: it was deleted"
}

// whyRefused says why a token is none, and what may be behind that.
func whyRefused(err error) string {
	switch {
	case errors.Is(err, token.ErrUnknownKey):
		return err.Error() + ": another issuer's, or its key is no longer published; fetch the keys again"
	case errors.Is(err, token.ErrType):
		return err.Error() + ": its typ is not " + token.Type
	default:
		return err.Error()
	}
}
