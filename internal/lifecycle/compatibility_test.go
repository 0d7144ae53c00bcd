package lifecycle

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"agentpassport.dev/operator/api/v1alpha1"
)

// tool is a package that needs what is given, in codes; for what it accesses alone.
func tool(needs ...v1alpha1.CapabilityCode) *v1alpha1.CapabilityPassport {
	return &v1alpha1.CapabilityPassport{
		ObjectMeta: metav1.ObjectMeta{Name: "tool", Namespace: "support"},
		Spec: v1alpha1.CapabilityPassportSpec{
			Document: v1alpha1.PackageDocument{Package: "tool", PackageVersion: "1", Publisher: "example"},
			Codes:    &v1alpha1.CapabilityCodes{Accesses: needs},
		},
		Status: v1alpha1.CapabilityPassportStatus{DocumentDigest: "of the package"},
	}
}

// reaching is an agent that runs as a local tool and reaches what is given, in codes.
func reaching(codes ...v1alpha1.CapabilityCode) *v1alpha1.AgentPassport {
	its := agent()
	its.Spec.Document = &v1alpha1.AgentDocument{InstallModesSupported: []v1alpha1.InstallMode{v1alpha1.InstallLocalTool}}
	its.Spec.Codes = &v1alpha1.CapabilityCodes{Accesses: codes}
	its.Status.DocumentDigest = "of the agent"
	return its
}

func pairingOf(enforcement v1alpha1.CompatibilityEnforcement) *v1alpha1.CompatibilityCheck {
	return &v1alpha1.CompatibilityCheck{
		ObjectMeta: metav1.ObjectMeta{Name: "check", Namespace: "support", Generation: 3},
		Spec: v1alpha1.CompatibilityCheckSpec{
			PackageRef: v1alpha1.CapabilityPassportReference{Name: "tool"}, AgentRef: v1alpha1.AgentReference{Name: "bot"},
			InstallMode: v1alpha1.InstallLocalTool, Enforcement: enforcement,
		},
	}
}

func packThat(action v1alpha1.PolicyAction, coverage v1alpha1.Coverage) []v1alpha1.PolicyPack {
	return []v1alpha1.PolicyPack{{
		ObjectMeta: metav1.ObjectMeta{Name: "pack"},
		Spec: v1alpha1.PolicyPackSpec{Mode: v1alpha1.PolicyEnforce, Rules: []v1alpha1.PolicyRule{{
			ID: "rule", Action: action, At: []v1alpha1.PolicyPoint{v1alpha1.PolicyAtInstall}, Compatibility: []v1alpha1.Coverage{coverage},
		}}},
	}}
}

func TestCompatibility(t *testing.T) {
	const inform, block = v1alpha1.EnforcementInform, v1alpha1.EnforcementBlock
	for name, tc := range map[string]struct {
		enforcement v1alpha1.CompatibilityEnforcement
		pkg         *v1alpha1.CapabilityPassport
		agent       *v1alpha1.AgentPassport
		packs       []v1alpha1.PolicyPack
		// want are the conditions, the first words of each.
		want []string
	}{
		"without a package":      {inform, nil, reaching(), nil, []string{"Compatible Unknown PackageNotFound", "Ready False PackageNotFound"}},
		"without an agent":       {inform, tool(), nil, nil, []string{"Compatible Unknown AgentNotFound", "Ready False AgentNotFound"}},
		"without a document":     {inform, tool(), agent(), nil, []string{"Compatible Unknown NoDocument", "Ready False NoDocument"}},
		"covered":                {block, tool("access:net:a"), reaching("access:net:*"), nil, []string{"Compatible True Covered", "Ready True Paired"}},
		"outside":                {inform, tool("access:net:a"), reaching("access:net:b"), nil, []string{"Compatible False OutsideEnvelope", "Ready True Paired"}},
		"outside, blocked":       {block, tool("access:net:a"), reaching("access:net:b"), nil, []string{"Compatible False OutsideEnvelope", "Ready False NotCompatible"}},
		"outside, and a warning": {inform, tool("access:net:a"), reaching("access:net:b"), packThat(v1alpha1.PolicyWarn, "Outside"), []string{"Compatible False OutsideEnvelope", "PolicyWarning True PolicyWarned", "Ready True Paired"}},
		"outside, and refused":   {inform, tool("access:net:a"), reaching("access:net:b"), packThat(v1alpha1.PolicyBlock, "Outside"), []string{"Compatible False OutsideEnvelope", "Ready False PolicyRefused"}},
		"a pack for another":     {inform, tool("access:net:a"), reaching("access:net:a"), packThat(v1alpha1.PolicyBlock, "Outside"), []string{"Compatible True Covered", "Ready True Paired"}},
		"a pack before the rest": {block, tool("access:net:a"), reaching("access:net:b"), packThat(v1alpha1.PolicyBlock, "Outside"), []string{"Compatible False OutsideEnvelope", "Ready False PolicyRefused"}},
	} {
		t.Run(name, func(t *testing.T) {
			check := pairingOf(tc.enforcement)
			got := Compatibility(check, tc.pkg, tc.agent, tc.packs, noon)
			var conditions []string
			for _, c := range got.Conditions {
				conditions = append(conditions, fmt.Sprintf("%s %s %s", c.Type, c.Status, c.Reason))
				if c.ObservedGeneration != 3 || c.Message == "" {
					t.Errorf("%+v", c)
				}
			}
			if diff := cmp.Diff(tc.want, conditions); diff != "" {
				t.Error(diff)
			}
			if paired := !strings.Contains(tc.want[0], "Unknown"); paired != (got.Summary != nil) || paired != (got.AgentDigest == "of the agent" && got.PackageDigest == "of the package") {
				t.Errorf("%+v", got)
			}
			check.Status = got
			if diff := cmp.Diff(got, Compatibility(check, tc.pkg, tc.agent, tc.packs, noon.Add(time.Hour))); diff != "" {
				t.Errorf("it changes with the time alone: %s", diff)
			}
		})
	}
}

func TestCompatibilityForgetsWhatIsMended(t *testing.T) {
	check := pairingOf(v1alpha1.EnforcementInform)
	check.Status = Compatibility(check, tool("access:net:a"), reaching("access:net:b"), packThat(v1alpha1.PolicyWarn, "Outside"), noon)
	if len(check.Status.Findings) != 1 || len(check.Status.Policy) != 1 {
		t.Fatalf("%+v", check.Status)
	}
	mended := Compatibility(check, tool("access:net:a"), reaching("access:net:a"), packThat(v1alpha1.PolicyWarn, "Outside"), noon)
	if len(mended.Findings) > 0 || len(mended.Policy) > 0 || len(mended.Conditions) != 2 {
		t.Errorf("%+v", mended)
	}
	check.Status = mended
	if gone := Compatibility(check, nil, reaching(), nil, noon); gone.Summary != nil || gone.PackageDigest != "" || gone.Conditions[0].Status != metav1.ConditionUnknown {
		t.Errorf("%+v", gone)
	}
}

func TestCompatibilityListsAHundredFindings(t *testing.T) {
	var needs []v1alpha1.CapabilityCode
	for i := range 120 {
		needs = append(needs, v1alpha1.CapabilityCode(fmt.Sprintf("access:net:host-%d", i)))
	}
	got := Compatibility(pairingOf(""), tool(needs...), reaching("access:none"), nil, noon)
	if len(got.Findings) != 100 || *got.Summary.Outside != 120 {
		t.Errorf("%d findings of %d", len(got.Findings), *got.Summary.Outside)
	}
}

func TestTryPackHoldsItAgainstWhatWasPairedAndIssued(t *testing.T) {
	pack := &packThat(v1alpha1.PolicyBlock, "Outside")[0]
	pack.Generation = 2
	pack.Spec.Mode = v1alpha1.PolicyDryRun
	pack.Spec.Rules = append(pack.Spec.Rules, v1alpha1.PolicyRule{
		ID: "slack", Action: v1alpha1.PolicyWarn, At: []v1alpha1.PolicyPoint{v1alpha1.PolicyAtIssue},
		Grants: &v1alpha1.GrantMatch{Services: []v1alpha1.ServiceName{"slack"}},
	})
	outside, unpaired := pairingOf(""), pairingOf("")
	outside.Status = Compatibility(outside, tool("access:net:a"), reaching("access:net:b"), nil, noon)
	unpaired.Name = "unpaired"
	carries := func(name string, services ...v1alpha1.ServiceName) v1alpha1.Passport {
		its := *requested()
		its.Name = name
		its.Status.Issued = &v1alpha1.IssuedTerms{}
		for _, service := range services {
			its.Status.Issued.Services = append(its.Status.Issued.Services, v1alpha1.IssuedService{Service: service})
		}
		return its
	}
	pending := *requested()
	orphan := carries("orphan", "slack")
	orphan.Spec.AgentRef.Name = "gone"
	trial := TryPack(pack, []v1alpha1.AgentPassport{*reaching("access:net:b")}, []v1alpha1.CapabilityPassport{*tool("access:net:a")},
		[]v1alpha1.CompatibilityCheck{*outside, *unpaired},
		[]v1alpha1.Passport{pending, carries("with", "github", "slack"), carries("without", "github"), orphan})
	got := Pack(pack, trial, noon)
	want := []v1alpha1.PolicyHit{
		{Kind: "CompatibilityCheck", Name: "check", Rule: "rule", Action: v1alpha1.PolicyBlock},
		{Kind: "Passport", Name: "with", Rule: "slack", Action: v1alpha1.PolicyWarn},
	}
	if diff := cmp.Diff(want, got.Hits); diff != "" {
		t.Error(diff)
	}
	if *got.Refused != 1 || *got.Warned != 1 || got.ObservedGeneration != 2 || got.Conditions[0].Reason != "DryRun" {
		t.Errorf("%+v", got)
	}
	pack.Spec.Mode = v1alpha1.PolicyEnforce
	if reason := Pack(pack, trial, noon).Conditions[0].Reason; reason != "Enforcing" {
		t.Error(reason)
	}
}

func TestDecideAsksThePacks(t *testing.T) {
	rules := Rules{Packs: []v1alpha1.PolicyPack{{
		ObjectMeta: metav1.ObjectMeta{Name: "pack"},
		Spec: v1alpha1.PolicyPackSpec{Mode: v1alpha1.PolicyEnforce, Rules: []v1alpha1.PolicyRule{{
			ID: "slack", Action: v1alpha1.PolicyBlock, At: []v1alpha1.PolicyPoint{v1alpha1.PolicyAtIssue}, Message: "not here",
			Grants: &v1alpha1.GrantMatch{Services: []v1alpha1.ServiceName{"slack"}},
		}}},
	}}}
	got := Decide(requested(), agent(), rules, authority, noon)
	if got.Verdict != VerdictReject || got.Reason != v1alpha1.ReasonPolicyRefused ||
		got.Message != "rule slack of PolicyPack pack (not here): have whoever keeps the pack change it, or create a Passport that it does not match" {
		t.Errorf("%+v", got)
	}
	rules.Packs[0].Spec.Rules[0].Action = v1alpha1.PolicyWarn
	if got := Decide(requested(), agent(), rules, authority, noon); got.Verdict != VerdictIssue {
		t.Errorf("%+v", got)
	}
}
