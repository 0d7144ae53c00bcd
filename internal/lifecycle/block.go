package lifecycle

import (
	"fmt"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"agentpassport.dev/operator/api/v1alpha1"
)

// Blocking gives the blocks in force for an agent: those that name it or its whole namespace and
// are not lifted, the oldest first, in the order of UIDs within one second.
func Blocking(blocks []v1alpha1.AgentBlock, agent string) []v1alpha1.AgentBlock {
	var active []v1alpha1.AgentBlock
	for _, block := range blocks {
		if Blocks(&block, agent) {
			active = append(active, block)
		}
	}
	slices.SortFunc(active, func(a, b v1alpha1.AgentBlock) int {
		return older(&a, &b)
	})
	return active
}

// Blocks says whether a block is in force for an agent: it names it or its whole namespace, and is not lifted.
func Blocks(block *v1alpha1.AgentBlock, agent string) bool {
	return block.Spec.Lifted == nil && (block.Spec.AgentRef == nil || block.Spec.AgentRef.Name == agent)
}

// blockFor is the AgentBlock that a finding on a passport makes. Its name derives from the
// passport's UID and the finding's type, so that a repeat makes no second one.
func blockFor(passport *v1alpha1.Passport, finding, message string) v1alpha1.AgentBlock {
	cause := v1alpha1.BlockCause{Kind: "Passport", Name: passport.Name, UID: passport.UID}
	return newBlock(passport.Namespace, passport.Spec.AgentRef.Name, finding, cause,
		fmt.Sprintf("%s on passport %s: %s", finding, passport.Name, message))
}

func newBlock(namespace, agent, finding string, cause v1alpha1.BlockCause, reason string) v1alpha1.AgentBlock {
	return v1alpha1.AgentBlock{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: blockName(agent, cause.UID, finding)},
		Spec: v1alpha1.AgentBlockSpec{
			AgentRef: &v1alpha1.AgentReference{Name: agent},
			Reason:   clipReason(reason),
			Cause:    &cause,
		},
	}
}

// blockName is the name of the block of an agent that a finding on an object makes.
func blockName(agent string, cause types.UID, finding string) string {
	return agent + "-" + derived(cause, finding)
}
