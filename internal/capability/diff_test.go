package capability_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"agentpassport.dev/operator/internal/capability"
)

func TestDiffSaysWhatAnAgentGainedAndLost(t *testing.T) {
	before := capability.Document{Agent: document(t, `,"capabilities":{"can_read":["a","b","b"],"can_write":["x"],"can_access":[],"can_spend":[],"can_expose":[],
		"will_request_approval_for":["deploys"],"note":"n"},"extra":{"deep":1.0,"gone":true}`)}
	after := capability.Document{Agent: document(t, `,"agent":{"name":"Bot","version":"2","vendor":"Example"},"capabilities":{"can_read":["b","c","a"],
		"can_write":["x"],"can_access":["slack.com"],"can_spend":[],"can_expose":[],"will_request_approval_for":[]},"extra":{"deep":1,"new":[2]},
		"install_modes_supported":["local-tool","remote-connector"]`)}
	want := []capability.Change{
		{Path: "capabilities.can_read", Kind: capability.Lost, Before: "b"},
		{Path: "capabilities.can_read", Kind: capability.Gained, After: "c"},
		{Path: "capabilities.can_access", Kind: capability.Gained, After: "slack.com"},
		{Path: "capabilities.will_request_approval_for", Kind: capability.Lost, Before: "deploys"},
		{Path: "agent.version", Kind: capability.Changed, Before: `"1"`, After: `"2"`},
		{Path: "capabilities.note", Kind: capability.Removed, Before: `"n"`},
		{Path: "install_modes_supported", Kind: capability.Changed, Before: `["local-tool"]`, After: `["local-tool","remote-connector"]`},
		{Path: "extra.gone", Kind: capability.Removed, Before: `true`},
		{Path: "extra.new", Kind: capability.Added, After: `[2]`},
	}
	if diff := cmp.Diff(want, capability.Diff(before, after)); diff != "" {
		t.Error(diff)
	}
	if changes := capability.Diff(after, after); len(changes) > 0 {
		t.Error(changes)
	}
}

func TestDiffOfAPackage(t *testing.T) {
	before, err := capability.Read(fixture(t, "packages/coding-safe-mode.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	after, err := capability.Read(fixture(t, "packages/private-workspace-policy.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	want := []capability.Change{
		{Path: "accesses", Kind: capability.Lost, Before: "No network access required"},
		{Path: "accesses", Kind: capability.Gained, After: "No network access required."},
		{Path: "spends", Kind: capability.Lost, Before: "None"},
		{Path: "spends", Kind: capability.Gained, After: "Blocks paid API calls and purchases"},
		{Path: "exposes", Kind: capability.Lost, Before: "The log stays local"},
		{Path: "package", Kind: capability.Changed, Before: `"coding-safe-mode"`, After: `"private-workspace-policy"`},
		{
			Path: "rollback", Kind: capability.Changed,
			Before: `"Remove the policy pack. The log stays until somebody deletes it."`, After: `"Remove the policy pack."`,
		},
	}
	if diff := cmp.Diff(want, capability.Diff(before, after)); diff != "" {
		t.Error(diff)
	}
}
