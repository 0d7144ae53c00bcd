package playground

import (
	"strings"
	"text/template"

	"agentpassport.dev/operator/api/v1alpha1"
)

var nextCommands = template.Must(template.New("").Parse(`
Your turn, in another terminal (in {{.Here}}):

{{if .Kubeconfig}}
  export KUBECONFIG={{.Kubeconfig}}
{{- end}}
{{- if .Path}}
  export PATH={{.Path}}:$PATH
{{- end}}
  kubectl get passports{{.Namespace}} -w            # {{.Passport}} dies of silence at {{.Expiry}}

  1. The story of this mission, step by step:
       kubectl describe passport {{.Passport}}{{.Namespace}}

  2. A longer mission of your own, and its token verified with nothing but the published keys:
       kubectl create -f config/samples/passport.yaml
       kubectl wait --for=condition=Ready passport/{{.Sample}}{{.Namespace}}
       kubectl get secret {{.Sample}}-token{{.Namespace}} -o jsonpath='{.data.token}' | base64 -d |
         bin/playground verify {{.JWKS}}

  3. The kill switch: the agent is blocked, what it has is revoked, and it gets no more:
       kubectl create -f config/samples/agentblock.yaml
       kubectl get passports,agentpassports{{.Namespace}}
`))

// nextCommands is what a person types next.
func (s *Session) nextCommands(passport *v1alpha1.Passport) string {
	values := struct {
		Here, Kubeconfig, Path, Namespace, Passport, Sample, Expiry, JWKS string
	}{
		Here:       s.Root,
		Kubeconfig: s.kubectl.kubeconfig,
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
