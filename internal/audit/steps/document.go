package steps

import (
	"fmt"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"agentpassport.dev/operator/api/v1alpha1"
	"agentpassport.dev/operator/internal/audit"
)

// AgentVerified is the record of what the operator last found of the signature of an agent's document; none where it
// has no signature, or nobody has looked at it yet.
func AgentVerified(agent *v1alpha1.AgentPassport, operator string) []audit.Record {
	records := verified("AgentPassport", agent, agent.Status.Conditions, agent.Status.DocumentProof, agent.Status.DocumentDigest, operator)
	for i := range records {
		records[i].Agent = aboutAgent(agent)
	}
	return records
}

// PackageVerified is the same of a package's document.
func PackageVerified(pkg *v1alpha1.CapabilityPassport, operator string) []audit.Record {
	return verified("CapabilityPassport", pkg, pkg.Status.Conditions, pkg.Status.DocumentProof, pkg.Status.DocumentDigest, operator)
}

func verified(
	kind string, object metav1.Object, conditions []metav1.Condition, proof v1alpha1.DocumentProof, digest, operator string,
) []audit.Record {
	found := meta.FindStatusCondition(conditions, string(v1alpha1.ConditionVerified))
	if found == nil || found.Reason == string(v1alpha1.ReasonNotSigned) {
		return nil
	}
	// The same document may be verified, not be any more, and be again.
	which := fmt.Sprintf("%s/%s/%d", digest, found.Reason, found.LastTransitionTime.Unix())
	record := record(kind, object, audit.DocumentVerify, which, found.LastTransitionTime.Time)
	record.Layer, record.Actor = audit.System, audit.Actor{Username: operator}
	record.Facts = &audit.Facts{Digest: digest, KeyID: proof.Fingerprint}
	if found.Status != metav1.ConditionTrue {
		record.Outcome, record.ErrorCode = audit.Failure, errorCode(v1alpha1.Reason(found.Reason))
		record.Facts.Reason = found.Message
	}
	return []audit.Record{record}
}
