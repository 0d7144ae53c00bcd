package admission

import (
	. "github.com/onsi/gomega"
	gomegatypes "github.com/onsi/gomega/types"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// BeRefusedBy matches the error of a request that one of our validating policies refused, with a
// message that holds every part.
func BeRefusedBy(policy string, parts ...string) gomegatypes.GomegaMatcher {
	matchers := []gomegatypes.GomegaMatcher{
		Satisfy(apierrors.IsForbidden),
		MatchError(ContainSubstring("ValidatingAdmissionPolicy 'agent-passport-" + policy + "'")),
		// A message that fails to evaluate is replaced by the expression.
		Not(MatchError(ContainSubstring("failed expression"))),
	}
	for _, part := range parts {
		matchers = append(matchers, MatchError(ContainSubstring(part)))
	}
	return And(matchers...)
}

// BeInvalid matches the error of a request that the schema refused, with a message that holds part.
func BeInvalid(part string) gomegatypes.GomegaMatcher {
	return And(Satisfy(apierrors.IsInvalid), MatchError(ContainSubstring(part)))
}
