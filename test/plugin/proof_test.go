package plugin

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"agentpassport.dev/operator/test/apiserver"
)

var _ = Describe("Proof", func() {
	var p *place
	BeforeEach(func(ctx SpecContext) { p = newPlace(ctx) })

	token := func(passport string) string {
		secret := &corev1.Secret{}
		Expect(server.Admin().Get(p.ctx, client.ObjectKey{Namespace: p.namespace, Name: passport + "-token"}, secret)).To(Succeed())
		return string(secret.Data["token"])
	}
	published := func(key string) string {
		keys := &corev1.ConfigMap{}
		Expect(server.Admin().Get(p.ctx, client.ObjectKey{Namespace: apiserver.OperatorNamespace, Name: "agent-passport-jwks"}, keys)).To(Succeed())
		return keys.Data[key]
	}
	file := func(name, content string) string {
		path := filepath.Join(p.dir, name)
		Expect(os.WriteFile(path, []byte(content), 0o600)).To(Succeed())
		return path
	}

	It("says of a token that it is valid, from a file, standard input or the command line, and never prints it", func() {
		p.issue("ticket")
		raw := token("ticket")
		for _, r := range []result{
			p.as(viewer, "verify", file("token", raw+"\n")), p.answering(viewer, raw, "verify"), p.answering(viewer, raw, "verify", "-"), p.as(viewer, "verify", raw),
		} {
			Expect(r.Code).To(BeZero(), "%s%s", r.Out, r.Err)
			Expect(r.Out).To(And(
				MatchRegexp(`(?m)^iss +http://\S+  ok$`), MatchRegexp(`(?m)^aud +agent-passport-gateway  ok$`), MatchRegexp(`(?m)^exp +\S+Z \(in 4m\d+s\)  ok$`),
				ContainSubstring(p.passport("ticket").Status.JTI), MatchRegexp(`(?m)^status +passport ticket in namespace %s is Active$`, p.namespace), HaveSuffix("\nvalid\n"),
			))
			Expect(r.Out + r.Err).NotTo(ContainSubstring("eyJ"))
		}
	})

	It("says why a token is not valid, every reason at once", func() {
		p.issue("ticket")
		raw := token("ticket")
		r := p.answering(viewer, raw, "verify", "--audience=ticket-service", "--issuer=https://other.example.com")
		Expect(r.Code).To(Equal(2))
		Expect(r.Out).To(HaveSuffix("\nnot valid: it is not from https://other.example.com; it is not for audience ticket-service\n"))
		half := len(raw) / 2
		flipped := raw[:half] + string('A'+(raw[half]-'A'+1)%26) + raw[half+1:]
		r = p.answering(viewer, flipped, "verify")
		Expect(r.Code).To(Equal(2))
		Expect(r.Out).To(HavePrefix("not valid: token "))
		r = p.answering(viewer, "no token", "verify")
		Expect(r.Code).To(Equal(2))
		Expect(r.Out).To(ContainSubstring("not valid: token is malformed"))
		p.good(responder, "revoke", "ticket", "--reason=x", "--yes")
		Eventually(func() result { return p.answering(viewer, raw, "verify") }).Should(And(
			HaveField("Code", 2), HaveField("Out", HaveSuffix("\nnot valid: passport ticket in namespace "+p.namespace+" is Revoked\n"))))
	})

	It("verifies offline with the issuer's keys, and says what that cannot see", func() {
		p.issue("ticket")
		raw, jwks := token("ticket"), file("jwks.json", published("jwks.json"))
		p.kubeconfigs["nowhere"] = filepath.Join(p.dir, "nowhere")
		r := p.answering("nowhere", raw, "verify", "--jwks="+jwks)
		Expect(r.Code).To(BeZero(), r.Err)
		Expect(r.Out).To(And(ContainSubstring("not checked: offline"), ContainSubstring("(not checked: give --issuer)")))
		r = p.answering("nowhere", raw, "verify", "--jwks="+file("empty.json", `{"keys": []}`))
		Expect(r.Code).To(Equal(2))
		Expect(r.Out).To(ContainSubstring("signed with an unknown key"))
		r = p.answering("nowhere", raw, "verify", "--jwks="+file("broken.json", `nonsense`))
		Expect(r.Code).To(Equal(1))
		r = p.as("nowhere", "verify", filepath.Join(p.dir, "nothing"), "--jwks="+jwks)
		Expect(r.Code).To(Equal(1))
	})

	// log are the flags by which the plugin finds the audit log and shows who asks.
	log := func(who string) []string {
		authority := &corev1.ConfigMap{}
		Expect(server.Admin().Get(p.ctx, client.ObjectKey{Namespace: apiserver.OperatorNamespace, Name: "agent-passport-auditlog-ca"}, authority)).To(Succeed())
		bearer, err := server.Token(p.ctx, p.namespace, who, "agent-passport-auditlog")
		Expect(err).NotTo(HaveOccurred())
		return []string{
			"--audit-log=" + auditLog.URL, "--audit-ca-file=" + file("ca.crt", authority.Data["ca.crt"]), "--audit-token-file=" + file(who+".token", bearer),
		}
	}

	It("reads a mission's trail, who used a service, and exports", func() {
		checkout := p.flagged("ticket")
		p.good(reviewer, "review", "approve", checkout.Name, "--notes=Notion was part of the task", "--yes")
		jti := p.passport("ticket").Status.JTI
		flags := log(auditor)
		Eventually(func() result { return p.as(auditor, append([]string{"audit", "trail", jti}, flags...)...) }).Should(HaveField("Out", And(
			MatchRegexp(`(?m)^TIME +ACTION +OUTCOME +BY +WHAT *$`),
			MatchRegexp(`(?m) passport.issue +success +`+p.user(agent)+` +Answer one customer ticket`),
			MatchRegexp(`(?m) passport.checkout +\w+ +`+p.user(agent)+` .*Flagged, undeclared_service`),
			MatchRegexp(`(?m) passport.review_decide +success +`+p.user(reviewer)+` .*Notion was part of the task`),
		)))
		var rows []map[string]any
		Expect(json.Unmarshal([]byte(p.good(auditor, append([]string{"audit", "trail", jti, "-o", "json"}, flags...)...)), &rows)).To(Succeed())
		Expect(rows).To(HaveLen(3))
		// By name, as an admin, with a token that the plugin asks for itself.
		Expect(p.good(admin, "audit", "trail", "ticket", "--service-account=auditor", "--audit-log="+auditLog.URL, "-o", "wide")).To(ContainSubstring("passport.issue"))
		Expect(p.good(admin, "describe", "ticket", "--audit", "--service-account=auditor", "--audit-log="+auditLog.URL)).To(MatchRegexp(`(?m)^trail +\S+  passport.issue success by `))

		Expect(p.good(auditor, append([]string{"audit", "who-used", "notion"}, flags...)...)).To(MatchRegexp(`(?m)^%s +support-bot +0 +0 +1 +1 `, p.namespace))
		Expect(p.as(auditor, append([]string{"audit", "who-used", "stripe"}, flags...)...).Err).To(ContainSubstring("nobody used stripe"))
		r := p.as(auditor, append([]string{"audit", "who-used", "notion", "-A"}, flags...)...)
		Expect(r.Code).To(Equal(1))
		Expect(r.Err).To(ContainSubstring("agent-passport-auditor"))

		exported := filepath.Join(p.dir, "trail.csv")
		export := append([]string{"audit", "export", "--format=csv", "--agent=support-bot", "--file=" + exported, "--from=" + time.Now().Add(-time.Hour).UTC().Format(time.RFC3339)}, flags...)
		p.good(auditor, export...)
		content, err := os.ReadFile(exported)
		Expect(err).NotTo(HaveOccurred())
		Expect(strings.Count(string(content), jti)).To(BeNumerically(">=", 3))
		Expect(p.as(auditor, export...).Err).To(ContainSubstring("--file: "), "what is there is not written over")
		Expect(p.good(auditor, append([]string{"audit", "export", "--format=ndjson", "--action=passport.issue"}, flags...)...)).To(ContainSubstring(jti))
	})

	It("says who may read the log, and how it is reached", func() {
		r := p.as(admin, append([]string{"audit", "trail", "pp_0", "-n", p.namespace}, log(nobody)...)...)
		Expect(r.Code).To(Equal(1))
		Expect(r.Err).To(And(ContainSubstring("auditrecords"), ContainSubstring("ClusterRole agent-passport-auditor")))
		r = p.as(admin, "audit", "trail", "pp_0", "--audit-log="+auditLog.URL)
		Expect(r.Code).To(Equal(1))
		Expect(r.Err).To(ContainSubstring("--service-account=NAME"))
		r = p.as(admin, "audit", "trail", "pp_0", "--service-account=auditor", "--connect-to=127.0.0.1:1")
		Expect(r.Code).To(Equal(1))
		Expect(r.Err).To(ContainSubstring("kubectl port-forward -n agent-passport-system service/agent-passport-auditlog 8443"))
		Expect(p.as(admin, "audit", "trail", "pp_0", "--service-account=auditor", "--audit-log="+auditLog.URL).Code).To(Equal(4))
	})

	It("checks the log, by the service's word and by a copy", func() {
		p.issue("ticket")
		p.kubectl("create", "clusterrolebinding", p.namespace, "--clusterrole=agent-passport-auditor", "--serviceaccount="+p.namespace+":auditor")
		Eventually(func() result { return p.as(auditor, append([]string{"audit", "verify"}, log(auditor)...)...) }).Should(And(
			HaveField("Code", 0), HaveField("Out", MatchRegexp(`^holds: \d+ records, by the word of the service`))))

		key := auditKey(p)
		copied := filepath.Join(p.dir, "copy")
		Expect(os.CopyFS(copied, os.DirFS(filepath.Join(auditLog.Dir, "log")))).To(Succeed())
		Expect(p.good(nobody, "audit", "verify", copied, "--key="+key)).To(ContainSubstring("records"))
		packed := filepath.Join(p.dir, "support-bot.bundle")
		day := time.Now().UTC()
		Expect(p.good(nobody, "audit", "bundle", "--agent=support-bot", "-n", p.namespace, "--from="+day.Add(-time.Hour).Format(time.RFC3339),
			"--to="+day.Add(time.Hour).Format(time.RFC3339), "--data-dir="+copied, "--key="+key, "-o", packed)).To(ContainSubstring("It proves:"))
		Expect(p.good(nobody, "audit", "verify", packed, "--key="+key)).To(ContainSubstring(p.passport("ticket").Status.JTI))

		content, err := os.ReadFile(packed)
		Expect(err).NotTo(HaveOccurred())
		Expect(os.WriteFile(packed, []byte(strings.Replace(string(content), "Answer one", "Answer two", 1)), 0o600)).To(Succeed())
		r := p.as(nobody, "audit", "verify", packed, "--key="+key)
		Expect(r.Code).To(Equal(2), r.Err)
		Expect(p.as(nobody, "audit", "verify", filepath.Join(p.dir, "nothing"), "--key="+key).Code).To(Equal(1))
	})
})

// auditKey is the newest public key of the audit log, as whoever installed it keeps it.
func auditKey(p *place) string {
	GinkgoHelper()
	var mirrored struct {
		Keys []struct {
			Key string `json:"key"`
		} `json:"keys"`
	}
	Eventually(func() error {
		head := &corev1.ConfigMap{}
		if err := server.Admin().Get(p.ctx, client.ObjectKey{Namespace: apiserver.OperatorNamespace, Name: "agent-passport-auditlog"}, head); err != nil {
			return err
		}
		return json.Unmarshal([]byte(head.Data["keys.json"]), &mirrored)
	}).Should(Succeed())
	Expect(mirrored.Keys).NotTo(BeEmpty())
	return mirrored.Keys[len(mirrored.Keys)-1].Key
}
