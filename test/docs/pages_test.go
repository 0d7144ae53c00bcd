//go:build linux

package docs

import (
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

// reading is a page, or a section of it, and what its reader has done before.
type reading struct {
	// page from the root of the project, and section; all of the page where it is empty.
	page, section string
	// before is typed first: it makes what the page takes for granted.
	before string
	// open are the words that the page leaves for its reader to fill in.
	open map[string]string
	// after is typed last.
	after string
	// says is what has to stand, as regular expressions, in what all of that prints.
	says []string
}

// known are the commands that the readers share. A mission is of the support bot's.
const known = `
ready() {
  for workload in deployment/agent-passport-manager statefulset/agent-passport-auditlog statefulset/agent-passport-gateway; do
    kubectl rollout status -n agent-passport-system "$workload" --timeout=3m
  done
}
afresh() {
  kubectl delete agentblocks,checkouts,passports --all -n agents
}
mission() {
  sed "s/answer-ticket-4711/$1/" config/samples/passport.yaml | kubectl create -f -
  kubectl wait -n agents --for=condition=Ready "passport/$1" --timeout=1m
}
flagged() {
  mission "$1"
  sed "s/answer-ticket-4711/$1/; s/\[slack, github\]/[slack, github, notion]/" config/samples/checkout.yaml | kubectl create -f -
  kubectl wait -n agents --for=condition=Ready "checkout/$1" --timeout=1m
}
jti() {
  kubectl get passport -n agents "$1" -o 'jsonpath={.status.jti}'
}
# crd has the API server take objects of a kind that others define, whatever is in them.
crd() {
  local singular=$(echo "$3" | tr '[:upper:]' '[:lower:]')
  local plural=$(echo "${singular}s" | sed 's/ys$/ies/')
  kubectl create -f - <<YAML
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: $plural.$1}
spec:
  group: $1
  scope: Namespaced
  names: {kind: $3, plural: $plural, singular: $singular}
  versions: [{name: $2, served: true, storage: true, schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}}]
YAML
  kubectl wait --for=condition=Established "crd/$plural.$1" --timeout=1m
}
log_key() {
  kubectl get configmap -n agent-passport-system agent-passport-auditlog -o 'jsonpath={.data.keys\.json}' | jq -r '.keys[-1].key'
}
# volume is where the node keeps the volume of the audit log.
volume() {
  local name
  name=$(kubectl get persistentvolumeclaim -n agent-passport-system log-agent-passport-auditlog-0 -o 'jsonpath={.spec.volumeName}')
  echo "${VOLUMES:?}/${name:?}"
}
copied() {
  local from
  from=$(volume)
  mkdir copy && cp -r "${from:?}"/epoch-* "$from"/keys.json copy
}
# lose empties the volume of the audit log, and waits until the log says so.
lose() {
  pkill -f 'kubectl port-forward' || true
  kubectl scale statefulset -n agent-passport-system agent-passport-auditlog --replicas=0
  kubectl wait -n agent-passport-system --for=delete pod/agent-passport-auditlog-0 --timeout=1m
  local emptied
  emptied=$(volume)
  rm -rf "${emptied:?}"/epoch-* "$emptied"/keys.json "$emptied"/index.db
  kubectl scale statefulset -n agent-passport-system agent-passport-auditlog --replicas=1
  until kubectl logs -n agent-passport-system agent-passport-auditlog-0 2>/dev/null | grep 'begins a new epoch'; do sleep 0.2; done
}
`

// gateway is what somebody in the cluster has who calls it.
const gateway = `
export GATEWAY_URL=https://agent-passport-gateway.agent-passport-system.svc CA_FILE=$PWD/ca.crt TOKEN_FILE=$PWD/bearer
kubectl get configmap -n agent-passport-system agent-passport-gateway-ca -o 'jsonpath={.data.ca\.crt}' > ca.crt
kubectl create token support-bot -n agents --audience=agent-passport-gateway > bearer
`

var readings = []reading{
	{
		page: "docs/install.md", section: "Without Helm",
		// .ci/run makes an image, where there is a tool for that. The node takes the binaries for one.
		open: map[string]string{"make image ": ": make image "},
		// The admission policies learn of the CRDs some seconds later.
		after: `ready; until kubectl apply -k config/samples; do sleep 0.2; done
kubectl wait -n agents --for=condition=Ready agentpassport/support-bot --timeout=1m`,
	},
	{
		page:   "docs/concepts.md",
		before: "mission first-mission; mission answer-ticket-4711; flagged noted",
		open: map[string]string{
			"agentblock NAME": "$(kubectl get agentblocks -n agents -o name)",
			"checkout NAME":   "checkout noted",
		},
		after: "kubectl get passports,checkouts,agentblocks -n agents -o wide",
		says:  []string{`/first-mission +support-bot +Revoked `, `/noted .* Approved `, ` Lifted `},
	},
	{
		page: "docs/detectors.md",
		before: `afresh; flagged first-mission
printf '#!/bin/sh\nsed -i "s/anomalySigmas: 3/anomalySigmas: 4/" "$1"\n' > editor && chmod +x editor && export EDITOR=$PWD/editor`,
		after: "ready; kubectl get configmap -n agent-passport-system agent-passport-config -o yaml",
		says:  []string{`first-mission .* Flagged +undeclared_service `, `anomalySigmas: 4`, `successfully rolled out`},
	},
	{
		page:   "docs/tokens.md",
		before: "afresh; mission first-mission; export JWKS=http://agent-passport-issuer.agent-passport-system.svc/.well-known/jwks.json",
		after: `curl -sS --fail-with-body --retry 5 --retry-connrefused http://127.0.0.1:8082/.well-known/jwks.json
until kubectl get events -n agent-passport-system -o custom-columns=R:.reason | grep KeyDropped; do sleep 0.2; done`,
		says: []string{`\nvalid: signed by a key of http://agent-passport-issuer`, `"keys": ?\[`},
	},
	{page: "docs/audit.md"},
	{
		page: "docs/audit-api.md",
		before: `afresh; mission audited; export JTI=$(jti audited)
kubectl create clusterrolebinding auditor --clusterrole=agent-passport-auditor --serviceaccount=agents:auditor
kubectl create clusterrolebinding writing-auditor --clusterrole=agent-passport-audit-writer --serviceaccount=agents:auditor
kubectl create rolebinding recovering-auditor -n agent-passport-system --clusterrole=agent-passport-audit-recoverer --serviceaccount=agents:auditor`,
		open: map[string]string{
			"pp_8f3a": "$JTI", "ar_5d2c0f5f3c1d4e0b8a7e6f5d4c3b2a19": "$ID",
			// To append a record again changes nothing.
			`audit -X POST "$LOG/v1/records"`: `ID=$(audit "$LOG/v1/records?jti=$JTI" | jq -r '.rows[0].id')
audit "$LOG/v1/records/$ID" | jq '{records: [.record]}' > records.json
audit -X POST "$LOG/v1/records"`,
			"&from=100": "&from=3",
			// Only a log that lost something begins anew; then the port is forwarded to another Pod.
			`audit -X POST "$LOG/v1/epochs"`: `lose; kubectl port-forward -n agent-passport-system pod/agent-passport-auditlog-0 8443 &
sleep 1
audit -X POST "$LOG/v1/epochs"`,
			"/log/1/": "/log/2/",
		},
		says: []string{`"ok": ?true`, `"epoch": ?2`},
	},
	{
		page: "docs/gateway.md",
		before: gateway + `afresh; kubectl create secret generic slack-credential -n agents --from-literal=bot-token=xoxb-1
kubectl create secret generic github-credential -n agents --from-literal=token=ghp-1
# The message of the condition has the command.
for connection in slack github; do
  kubectl wait -n agents "serviceconnection/$connection" --for='jsonpath={.status.conditions[?(@.type=="CredentialReadable")].reason}=CredentialForbidden' --timeout=1m
  kubectl get serviceconnection "$connection" -n agents -o 'jsonpath={.status.conditions[?(@.type=="CredentialReadable")].message}' > message
  sed 's/.* runs: //' message | sh
  kubectl wait -n agents "serviceconnection/$connection" --for=condition=Ready --timeout=1m
done
mission calling
export TOKEN=$(kubectl get secret -n agents calling-token -o 'jsonpath={.data.token}' | base64 -d) API_KEY=$(cat bearer)`,
	},
	{page: "docs/agents.md", before: gateway + "afresh; printf 'print(1)' > answer.py"},
	{
		page: "docs/http-api.md",
		before: `afresh; flagged noted; kubectl create serviceaccount runner -n agents
kubectl create rolebinding runner-uses -n agents --role=use-support-bot --serviceaccount=agents:runner
for role in agent reviewer responder; do
  kubectl create rolebinding "runner-$role" -n agents --clusterrole="agent-passport-$role" --serviceaccount=agents:runner
done
kubectl create clusterrolebinding runner --clusterrole=agent-passport-auditor --serviceaccount=agents:runner`,
		// The mission of before has ended by then.
		open: map[string]string{"api $GATEWAY/v1/passports/$JTI/revoke": "mission another; JTI=$(jti another)\napi $GATEWAY/v1/passports/$JTI/revoke"},
	},
	{
		page: "README.md", section: "Agents over HTTP", before: gateway + "afresh",
		open: map[string]string{"https://127.0.0.1:41869": "$GATEWAY_URL", ".playground/gateway/tls/ca.crt": "ca.crt"},
	},
	{page: "docs/security.md", before: "kubectl delete rolebinding -n agents agent-passport-secrets"},
	{
		page: "docs/audit-proof.md", before: "export KEY=$(log_key); copied",
		open: map[string]string{
			"head-2026-08-01.yaml --head head-2026-09-01.yaml":                                         "head-$(date +%F).yaml",
			"--from 2026-08-01 --to 2026-09-01":                                                        "--from $(date +%F) --to $(date -d tomorrow +%F)",
			"kubectl exec -n agent-passport-system agent-passport-auditlog-0 -- /auditlog begin-epoch": "lose\nkubectl exec -n agent-passport-system agent-passport-auditlog-0 -- /auditlog begin-epoch",
		},
		after: "ready",
	},
	{page: "README.md", section: "kubectl passport", before: "afresh; flagged waits", says: []string{`support-bot +undeclared_service +notion .* waits`}},
	{
		page: "docs/pipelines.md", section: "What the gate says",
		before: "afresh; mission clean; sed 's/answer-ticket-4711/clean/' config/samples/checkout.yaml | kubectl create -f -",
		open:   map[string]string{"PASSPORT": "clean", "checkout/NAME": "checkout/clean"},
	},
	{page: "docs/pipelines.md", section: "kubectl wait alone", open: map[string]string{"checkout/NAME": "checkout/clean"}},
	{
		page: "docs/gitops.md",
		before: `crd kustomize.toolkit.fluxcd.io v1 Kustomization; crd source.toolkit.fluxcd.io v1 GitRepository
crd argoproj.io v1alpha1 Application; kubectl create namespace flux-system; kubectl create namespace argocd
kubectl create configmap argocd-cm -n argocd`,
		after: "kubectl get configmap argocd-cm -n argocd -o yaml",
		says:  []string{`resource\.customizations`},
	},
	{page: "docs/operations.md", section: "Logs", says: []string{`"jti":"pp_`, `"msg":"the log is open"`}},
	{page: "docs/operations.md", section: "Reviews that wait", before: "afresh; flagged waits", says: []string{`waits .* AwaitingReview`}},
	{
		page: "docs/operations.md", section: "The audit log",
		open:  map[string]string{"kubectl create serviceaccount auditlog-recoverer": "lose\nkubectl create serviceaccount auditlog-recoverer"},
		after: "ready",
		says:  []string{`persistentvolumeclaim/log-agent-passport-auditlog-0 patched`, `auditlog-copy condition met`, `"action":"epoch.begin"`},
	},
	{
		page: "docs/operations.md", section: "Troubleshooting",
		before: `afresh; mission held; flagged hangs
kubectl scale deployment -n agent-passport-system agent-passport-manager --replicas=0
kubectl wait -n agent-passport-system --for=delete pod -l app.kubernetes.io/component=manager --timeout=1m
kubectl delete -n agents passport/held checkout/hangs --wait=false`,
		open: map[string]string{"passport NAME": "passport held", "checkout NAME": "checkout hangs"},
		after: `kubectl wait -n agents --for=delete passport/held checkout/hangs --timeout=1m
kubectl scale deployment -n agent-passport-system agent-passport-manager --replicas=2; ready`,
	},
	{page: "docs/operations.md", section: "Upgrade", before: "afresh; mission lives", after: "ready; kubectl get passports -n agents", says: []string{`lives +support-bot +Active `}},
	{
		page: "docs/operations.md", section: "Uninstall",
		after: "kubectl get namespaces; kubectl get crds; kubectl get persistentvolumes",
		says:  []string{`\nagents +Active`, `Released +agent-passport-system/log-agent-passport-auditlog-0`},
	},
	// The cluster is empty again, and Helm comes to it.
	{
		page: "README.md", section: "From an empty cluster to a reviewed mission",
		before: "kubectl delete namespace agents",
		// The admission policies learn of the CRDs some seconds later.
		open: map[string]string{"kubectl create namespace agents": `kubectl create namespace agents
until kubectl create --dry-run=server -f config/samples/agentpassport.yaml; do sleep 0.2; done`},
		says: []string{
			`\nfirst-mission +support-bot +Active +Issued `,
			`\nfirst-mission +first-mission +support-bot +Flagged +undeclared_service +True +Approved `,
		},
	},
	{page: "docs/install.md", section: "What Helm installs", says: []string{`agent-passport-gateway-1 +1/1 +Running`}},
	{page: "docs/install.md", section: "Upgrade", after: "ready; kubectl get pods -n agent-passport-system", says: []string{`agent-passport-gateway-2 +1/1 +Running`}},
	{
		page: "docs/install.md", section: "Uninstall",
		before: `sed 's/answer-ticket-4711/lives/; s/github/notion/' config/samples/passport.yaml | kubectl create -f -
kubectl wait -n agents --for=condition=Ready passport/lives --timeout=1m`,
		after: "kubectl get crds -l app.kubernetes.io/part-of=agent-passport",
		says:  []string{`release "passports" uninstalled`, `No resources found`},
	},
}

// runbooks are read where something waits for a review, and nothing is wrong.
func runbooks() []reading {
	pages, err := filepath.Glob("../../docs/runbooks/Agent*.md")
	if err != nil {
		panic(err)
	}
	var all []reading
	for _, page := range pages {
		all = append(all, reading{
			page: strings.TrimPrefix(filepath.ToSlash(page), "../../"),
			// Nothing that is found is an answer too.
			before: `afresh; flagged waits; grep() { command grep "$@" || test $? -eq 1; }
kubectl get crd servicemonitors.monitoring.coreos.com 2>/dev/null || crd monitoring.coreos.com v1 ServiceMonitor`,
			open: map[string]string{"NAMESPACE": "agents", "NAME": "waits"},
		})
	}
	return all
}

var _ = Describe("A reader", Ordered, func() {
	for _, one := range everything() {
		It("reads "+strings.TrimSpace(one.page+" "+one.section), func(ctx SpecContext) {
			r := sits()
			r.types(ctx, one.before)
			said := ""
			for _, script := range blocks(one.page, one.section) {
				script = one.filledIn(script)
				By(script)
				said += r.types(ctx, waiting.ReplaceAllString(script, "$1 &\nsleep 1"))
			}
			said += r.types(ctx, one.after)
			for _, line := range one.says {
				Expect(said).To(MatchRegexp(line))
			}
		}, NodeTimeout(long))
	}
})

// everything is what is read, in its order: first what installs the operator.
func everything() []reading { return slices.Concat(readings[:1], runbooks(), readings[1:]) }

// filledIn puts values in the place of what a page leaves open. The longest words go first.
func (r reading) filledIn(script string) string {
	words := slices.SortedFunc(maps.Keys(r.open), func(a, b string) int { return len(b) - len(a) })
	var pairs []string
	for _, word := range words {
		pairs = append(pairs, word, r.open[word])
	}
	return strings.NewReplacer(pairs...).Replace(script)
}

// waiting is a command that goes on until the reader ends it.
var waiting = regexp.MustCompile(`(?m)^(kubectl port-forward .*[^&\n])$`)
