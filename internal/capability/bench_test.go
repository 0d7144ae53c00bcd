package capability_test

import (
	"fmt"
	"testing"

	"agentpassport.dev/operator/api/v1alpha1"
	"agentpassport.dev/operator/internal/capability"
)

// BenchmarkPair pairs documents as they are published, and two that are as full as they may be, with nothing exact
// between them: statements in plain words, and paths and hosts, where each is held against each.
func BenchmarkPair(b *testing.B) {
	b.Run("published", func(b *testing.B) {
		pkg, agent := packageFixture(b, "prompt-preflight-starter"), agentFixture(b, "claude-code")
		for b.Loop() {
			capability.Pair(pkg, agent, local)
		}
	})
	for name, forms := range map[string][2]string{
		"full of words": {"Customer record number %d of the archive", "Invoices of the customer %d in the store"},
		"full of paths": {"/srv/data/%d/**/report.json", "/srv/data/**/%d/*.json"},
		"full of hosts": {"api%d.example.com", "*.n%d.example.com"},
	} {
		b.Run(name, func(b *testing.B) {
			pkg, agent := &v1alpha1.PackageDocument{}, document(b, "")
			declares, has := make([]v1alpha1.Statement, 1000), make([]v1alpha1.Statement, 1000)
			for i := range 1000 {
				declares[i], has[i] = v1alpha1.Statement(fmt.Sprintf(forms[0], i)), v1alpha1.Statement(fmt.Sprintf(forms[1], i))
			}
			pkg.Reads, pkg.Writes, pkg.Accesses, pkg.Spends, pkg.Exposes, pkg.ApprovalsRequired = declares, declares, declares, declares, declares, declares
			for _, list := range agentLists(agent) {
				*list = has
			}
			for b.Loop() {
				capability.Pair(capability.Package{Document: pkg}, capability.Agent{Document: agent}, local)
			}
		})
	}
}
