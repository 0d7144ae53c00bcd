package capability_test

import (
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"agentpassport.dev/operator/api/v1alpha1"
	"agentpassport.dev/operator/internal/capability"
)

func TestCodes(t *testing.T) {
	for _, tc := range []struct{ needs, has, comes string }{
		{"read:git", "read:git", "Covered codes"},
		{"read:git", "read:fs", "Outside codes"},
		{"read:git", "read:git:history", "Outside codes"},
		{"read:git:history", "read:git", "Outside codes"},
		{"read:git:history", "read:git:*", "Covered codes"},
		{"read:git", "read:git:*", "Outside codes"},
		{"read:a:b:c", "read:*", "Covered codes"},
		{"read:a:b:c", "read:*:b:c", "Covered codes"},
		{"read:a:b:c", "read:*:c", "Outside codes"},
		{"read:a:b:c", "read:a:*:c", "Covered codes"},
		{"read:*", "read:*", "Covered codes"},
		{"read:*", "read:a", "Outside codes"},
		{"read:a:*", "read:*:*", "Covered codes"},
		{"read:*:a", "read:b:a", "Outside codes"},
		{"read:*:a", "read:*:a", "Covered codes"},
		{"read:a:*", "read:*:b", "Outside codes"},
		{"read:api.slack.com", "read:*.slack.com", "Covered codes"},
		{"read:a.b.slack.com", "read:*.slack.com", "Covered codes"},
		{"read:slack.com", "read:*.slack.com", "Outside codes"},
		{"read:evilslack.com", "read:*.slack.com", "Outside codes"},
		{"read:*.api.slack.com", "read:*.slack.com", "Covered codes"},
		{"read:*.slack.com", "read:*.slack.com", "Covered codes"},
		{"read:*.slack.com", "read:api.slack.com", "Outside codes"},
		{"read:*.slack.com", "read:*", "Covered codes"},
		{"read:none", "read:none", "Covered no_need"},
		{"read:none", "read:git", "Covered no_need"},
		{"read:git", "read:none", "Outside codes"},
		{"read:none:git", "read:none", "Outside codes"},
		{"read:git", "write:git", "Outside codes"},
		{"read:Git", "read:*", "Unclear codes"},
		{"read:", "read:*", "Unclear codes"},
		{"read:a*", "read:*", "Unclear codes"},
		{"read", "read:*", "Unclear codes"},
		{"read:*.", "read:*", "Unclear codes"},
		{"read:git", "nonsense", "Outside codes"},
		{"read:" + strings.Repeat("a", 252), "read:*", "Unclear codes"},
	} {
		pkg, agent := pairOf(t, v1alpha1.FieldReads, []v1alpha1.Statement{"Git history"}, []v1alpha1.Statement{"Mail"})
		pkg.Codes = &v1alpha1.CapabilityCodes{Reads: []v1alpha1.CapabilityCode{v1alpha1.CapabilityCode(tc.needs)}}
		agent.Codes = &v1alpha1.CapabilityCodes{Reads: []v1alpha1.CapabilityCode{"read:zzz", v1alpha1.CapabilityCode(tc.has)}}
		if diff := gocmp.Diff([]string{"reads " + tc.needs + " " + tc.comes}, say(capability.Pair(pkg, agent, local).Declarations)); diff != "" {
			t.Errorf("%s with %s: %s", tc.needs, tc.has, diff)
		}
	}
}

func TestCodesDecideWhereBothSidesHaveThemAlone(t *testing.T) {
	pkg, agent := pairOf(t, v1alpha1.FieldWrites, []v1alpha1.Statement{"Production tables"}, nil)
	pkg.Codes = &v1alpha1.CapabilityCodes{Writes: []v1alpha1.CapabilityCode{"write:fs:cwd"}, Reads: []v1alpha1.CapabilityCode{"read:git"}}
	agent.Codes = &v1alpha1.CapabilityCodes{Writes: []v1alpha1.CapabilityCode{"write:fs:*"}, Approvals: []v1alpha1.CapabilityCode{"approve:production"}}
	agent.Document.InstallModesSupported = []v1alpha1.InstallMode{local, cloud}

	if diff := gocmp.Diff([]string{"writes write:fs:cwd Covered codes"}, say(capability.Pair(pkg, agent, local).Declarations)); diff != "" {
		t.Error(diff)
	}
	if diff := gocmp.Diff([]string{"sandbox write:fs:cwd Outside sandbox"}, say(capability.Pair(pkg, agent, cloud).Declarations)); diff != "" {
		t.Error(diff)
	}

	agent.Codes.Writes = nil // one side alone: the text is compared, and the gate is in the codes
	if diff := gocmp.Diff([]string{"writes Production tables Outside none_declared"}, say(capability.Pair(pkg, agent, local).Declarations)); diff != "" {
		t.Error(diff)
	}
	agent.Codes = nil
	want := []string{"approvals Production tables Outside gate", "writes Production tables Outside none_declared"}
	if diff := gocmp.Diff(want, say(capability.Pair(pkg, agent, local).Declarations)); diff != "" {
		t.Error(diff)
	}
}

func TestGatesOfCodes(t *testing.T) {
	pkg, agent := pairOf(t, v1alpha1.FieldWrites, nil, nil)
	pkg.Codes = &v1alpha1.CapabilityCodes{Writes: []v1alpha1.CapabilityCode{"write:production:db", "write:productions", "write:none"}}
	agent.Codes = &v1alpha1.CapabilityCodes{Writes: []v1alpha1.CapabilityCode{"write:*"}, Approvals: []v1alpha1.CapabilityCode{"approve:purchase"}}
	var got []string
	for _, said := range say(capability.Pair(pkg, agent, local).Declarations) {
		if strings.HasPrefix(said, "approvals ") {
			got = append(got, said)
		}
	}
	if diff := gocmp.Diff([]string{"approvals write:production:db Outside gate"}, got); diff != "" {
		t.Error(diff)
	}
	agent.Codes.Approvals = append(agent.Codes.Approvals, "approve:*")
	if capability.Pair(pkg, agent, local).ApprovalMissing() {
		t.Error("approve:* gates on everything")
	}
}
