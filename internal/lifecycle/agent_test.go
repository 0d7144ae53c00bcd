package lifecycle

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"agentpassport.dev/operator/api/v1alpha1"
	"agentpassport.dev/operator/internal/capability"
	"agentpassport.dev/operator/internal/signature"
)

func TestAgent(t *testing.T) {
	finding := capability.Finding{Condition: v1alpha1.ConditionUnprovenClaim, Reason: v1alpha1.ReasonNoProof, Message: "unproven"}
	documented := func(a *v1alpha1.AgentPassport) {
		a.Spec.Document = &v1alpha1.AgentDocument{Agent: v1alpha1.DocumentAgent{Name: "Bot", Version: "2", Vendor: "Example"}}
	}
	suspended := func(a *v1alpha1.AgentPassport) { a.Spec.Suspend = true }
	one, two := []v1alpha1.AgentBlock{block(0, "stop", "bot")}, []v1alpha1.AgentBlock{block(0, "stop", "bot"), block(1, "also", "")}
	for name, tc := range map[string]struct {
		agent    *v1alpha1.AgentPassport
		blocking []v1alpha1.AgentBlock
		reading  *Reading
		want     []string
		blocked  []string
	}{
		"plain": {agent: agent(), want: []string{
			"Ready True Registered: the agent can get passports", "Blocked False NotBlocked: neither blocked nor suspended",
			"Documented False NoDocument: spec.document is empty: nothing says what the agent can do; paste its Agent Passport document in",
		}},
		"documented, with a finding": {agent: agent(documented), reading: unsigned(finding), want: []string{
			"Ready True Registered: the agent can get passports", "Blocked False NotBlocked: neither blocked nor suspended",
			"Documented True DocumentPresent: Bot 2 by Example", "Verified False NotSigned: unsigned", "UnprovenClaim True NoProof: unproven",
		}},
		"blocked": {agent: agent(documented), blocking: one, blocked: []string{"stop"}, want: []string{
			"Ready True Blocked: AgentBlock stop: odd", "Blocked True Blocked: AgentBlock stop: odd", "Documented True DocumentPresent: Bot 2 by Example",
		}},
		"blocked twice": {agent: agent(documented), blocking: two, blocked: []string{"also", "stop"}, want: []string{
			"Ready True Blocked: AgentBlock stop: odd; and 1 more", "Blocked True Blocked: AgentBlock stop: odd; and 1 more",
			"Documented True DocumentPresent: Bot 2 by Example",
		}},
		"suspended and blocked": {agent: agent(documented, suspended), blocking: one, blocked: []string{"stop"}, want: []string{
			"Ready True Suspended: spec.suspend is true: no new passports, and the live ones are revoked",
			"Blocked True Suspended: spec.suspend is true: no new passports, and the live ones are revoked",
			"Documented True DocumentPresent: Bot 2 by Example",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			got := Agent(tc.agent, tc.blocking, tc.reading, noon)
			var conditions []string
			for _, c := range got.Conditions {
				conditions = append(conditions, fmt.Sprintf("%s %s %s: %s", c.Type, c.Status, c.Reason, c.Message))
				if c.ObservedGeneration != 7 {
					t.Errorf("%s observed generation %d", c.Type, c.ObservedGeneration)
				}
			}
			if diff := cmp.Diff(tc.want, conditions); diff != "" {
				t.Error(diff)
			}
			if diff := cmp.Diff(tc.blocked, got.BlockedBy); diff != "" {
				t.Error(diff)
			}
			if (got.DocumentDigest == "digest") != (tc.reading != nil) || (got.Verified == nil) != (tc.reading == nil) || got.ObservedGeneration != 7 {
				t.Errorf("%+v", got)
			}
		})
	}
}

// unsigned is what is read of a document that nobody signed.
func unsigned(findings ...capability.Finding) *Reading {
	return &Reading{Digest: "digest", Findings: findings, Proof: signature.Result{Reason: v1alpha1.ReasonNotSigned, Message: "unsigned"}}
}

func TestAgentForgetsTheDocumentThatIsGone(t *testing.T) {
	was := agent()
	was.Status = Agent(was, nil, unsigned(capability.Finding{Condition: v1alpha1.ConditionGrantOutsideDocument, Reason: v1alpha1.ReasonServiceNotInDocument, Message: "x"}), noon)
	if diff := cmp.Diff(Agent(agent(), nil, nil, noon), Agent(was, nil, nil, after(60))); diff != "" {
		t.Error(diff)
	}
}

func TestAgentForgetsAFindingThatIsMended(t *testing.T) {
	odd := agent()
	live := int32(3)
	odd.Status.LivePassports = &live
	finding := capability.Finding{Condition: v1alpha1.ConditionUnknownFields, Reason: v1alpha1.ReasonFieldsNotInSchema, Message: "x"}
	odd.Status = Agent(odd, nil, unsigned(finding), noon)
	mended := Agent(odd, nil, unsigned(), after(60))
	want := Agent(agent(), nil, unsigned(), noon)
	want.LivePassports = &live
	if diff := cmp.Diff(want, mended); diff != "" {
		t.Error(diff)
	}
}

func TestAgentNamesTenBlocks(t *testing.T) {
	var blocking []v1alpha1.AgentBlock
	for i := range 12 {
		blocking = append(blocking, block(i, fmt.Sprintf("block-%02d", 11-i), "bot"))
	}
	got := Agent(agent(), blocking, nil, noon)
	if len(got.BlockedBy) != 10 || got.BlockedBy[0] != "block-00" || got.BlockedBy[9] != "block-09" {
		t.Errorf("%v", got.BlockedBy)
	}
	if blocked := got.Conditions[1]; blocked.Status != metav1.ConditionTrue || blocked.Message != "AgentBlock block-11: odd; and 11 more" {
		t.Errorf("%+v", blocked)
	}
}
