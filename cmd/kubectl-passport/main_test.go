package main

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// The plugin reads audit logs and writes none. What writes one does not compile for Windows.
func TestThePluginOnlyReads(t *testing.T) {
	told, err := exec.CommandContext(t.Context(), "go", "list", "-deps", ".").Output()
	if err != nil {
		t.Fatal(err)
	}
	packages := strings.Fields(string(told))
	if !slices.Contains(packages, "agentpassport.dev/operator/internal/audit/tlog") {
		t.Fatal("it does not read audit logs at all")
	}
	for _, writes := range []string{
		"agentpassport.dev/operator/internal/audit/writer", "agentpassport.dev/operator/internal/audit/tlog/posix",
		"github.com/transparency-dev/tessera/storage/posix",
	} {
		if slices.Contains(packages, writes) {
			t.Errorf("it links %s: go list -deps ./cmd/kubectl-passport", writes)
		}
	}
}
