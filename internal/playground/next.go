package playground

import (
	"strings"
	"text/template"

	"agentpassport.dev/operator/api/v1alpha1"
)

// samplePassport is the name in config/samples/passport.yaml.
const samplePassport = "answer-ticket-4711"

var nextCommands = template.Must(template.New("").Parse(`
Your turn, in another terminal (in {{.Here}}):
{{if .Kubeconfig}}
  export KUBECONFIG={{.Kubeconfig}}
{{- end}}
{{- if .Path}}
  export PATH={{.Path}}:$PATH
{{- end}}
  kubectl get passports{{.Namespace}} -w            # {{.Passport}} dies of silence at {{.Expiry}}

  1. What came of the missions; one is flagged, and waits for a review:
       kubectl get checkouts{{.Namespace}}
       kubectl describe checkout {{.Checkout}}{{.Namespace}}

  2. Decide it: Approved lets it pass; with Blocked, {{.Agent}} gets no more passports:
       kubectl patch checkout {{.Checkout}}{{.Namespace}} --type=merge \
         -p '{"spec":{"review":{"decision":"Approved","notes":"Notion was part of the task"}}}'
       kubectl get checkouts{{.Namespace}}

  3. A mission of your own, and its token verified with nothing but the published keys:
       kubectl create -f config/samples/passport.yaml
       kubectl wait --for=condition=Ready passport/{{.Sample}}{{.Namespace}} --timeout=30s
       kubectl get secret {{.Sample}}-token{{.Namespace}} -o jsonpath='{.data.token}' | base64 -d |
         bin/playground verify {{.JWKS}}

  4. Its end: a checkout with nothing to flag is accepted at once:
       kubectl create -f config/samples/checkout.yaml
       kubectl wait --for=condition=Accepted checkout/{{.Sample}}{{.Namespace}} --timeout=30s
       kubectl describe passport {{.Sample}}{{.Namespace}}

  5. The kill switch: the agent is blocked, what it has is revoked, and it gets no more:
       kubectl create -f config/samples/agentblock.yaml
       kubectl get passports,agentpassports,agentblocks{{.Namespace}}

  6. The trail of all that, as an auditor of the namespace reads it:
       curl -s --cacert {{.AuditCA}} \
         -H "Authorization: Bearer $(kubectl create token {{.Auditor}}{{.Namespace}} --audience={{.Audience}})" \
         '{{.AuditLog}}/v1/records?namespace={{.AgentNamespace}}' | jq '.rows[] | {time, action, outcome, passport_jti}'

  7. A mission over HTTP, whose call shows up here:
       api() { curl -sS --cacert {{.GatewayCA}} -H 'Content-Type: application/json' \
         -H "Authorization: Bearer $(kubectl create token {{.Agent}}{{.Namespace}} --audience={{.GatewayAudience}})" "$@"; }
       issued=$(api {{.Gateway}}/v1/passports/issue -d '{"agent_id": "{{.Agent}}",
         "intent": {"summary": "Answer one customer ticket", "services": ["slack"]}}'); echo "$issued" | jq 'del(.token)'
       api {{.Gateway}}/proxy/slack/api/test -H "X-Passport-Token: $(echo "$issued" | jq -r .token)"
`))

// nextCommands is what a person types next: a checkout waits for their review, a passport lives.
func (s *Session) nextCommands(checkout *v1alpha1.Checkout, passport *v1alpha1.Passport) string {
	values := struct {
		Here, Kubeconfig, Path, Namespace, Agent, Checkout, Passport, Sample, Expiry, JWKS string
		AuditLog, AuditCA, Auditor, Audience, AgentNamespace                               string
		Gateway, GatewayCA, GatewayAudience                                                string
	}{
		Gateway: s.gateway.url, GatewayCA: s.gateway.caFile, GatewayAudience: gatewayAudience,
		AuditLog: s.auditLog.url, AuditCA: s.auditLog.caFile, Auditor: auditorName, Audience: audience, AgentNamespace: agentNamespace,
		Here:       s.Root,
		Kubeconfig: s.kubectl.kubeconfig,
		Agent:      agentName,
		Checkout:   checkout.Name,
		Passport:   passport.Name,
		Sample:     samplePassport,
		Expiry:     at(passport.Status.ExpirationTime),
		JWKS:       s.manager.jwks,
	}
	if s.Cluster == CurrentCluster {
		values.Namespace = " -n " + agentNamespace
	} else {
		values.Path = strings.TrimSuffix(s.kubectl.path, "/kubectl")
	}
	var out strings.Builder
	if err := nextCommands.Execute(&out, values); err != nil {
		return err.Error()
	}
	return out.String()
}
