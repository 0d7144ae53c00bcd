package lifecycle

import (
	"fmt"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"agentpassport.dev/operator/api/v1alpha1"
	"agentpassport.dev/operator/internal/capability"
	"agentpassport.dev/operator/internal/scope"
	"agentpassport.dev/operator/internal/signature"
	"agentpassport.dev/operator/internal/token"
)

// Reading is what is known of a document.
type Reading struct {
	// Digest of the document: see token.DocumentDigest.
	Digest string
	// Findings are what is odd about it.
	Findings []capability.Finding
	// Proof is what its signature says.
	Proof signature.Result
}

// ReadAgent reads the document of an agent, and holds its grants against it. It is nil where there is none.
func ReadAgent(agent *v1alpha1.AgentPassport, keys []v1alpha1.VendorKey, now time.Time) (*Reading, error) {
	document := agent.Spec.Document
	if document == nil {
		return nil, nil
	}
	findings := capability.Findings(document)
	if finding, found := grantsOutside(agent); found {
		findings = append(findings, finding)
	}
	return read(document.Raw, agent.Spec.Signature, document.Agent.Vendor, findings, keys, now)
}

// ReadPackage reads the document of a package.
func ReadPackage(pkg *v1alpha1.CapabilityPassport, keys []v1alpha1.VendorKey, now time.Time) (*Reading, error) {
	document := &pkg.Spec.Document
	return read(document.Raw, pkg.Spec.Signature, document.Publisher, capability.PackageFindings(document), keys, now)
}

func read(
	document []byte, signed *v1alpha1.DocumentSignature, vendor string, findings []capability.Finding, keys []v1alpha1.VendorKey, now time.Time,
) (*Reading, error) {
	digest, err := token.DocumentDigest(document)
	if err != nil {
		return nil, err
	}
	jws := ""
	if signed != nil {
		jws = signed.JWS
	}
	reading := &Reading{Digest: digest, Findings: findings, Proof: signature.Verify(document, jws, vendor, keys, now)}
	if reading.Proof.Verified {
		reading.Findings = slices.DeleteFunc(findings, func(f capability.Finding) bool { return f.Condition == v1alpha1.ConditionUnprovenClaim })
	}
	return reading, nil
}

// grantsOutside finds services that are granted and that the document does not speak of.
func grantsOutside(agent *v1alpha1.AgentPassport) (capability.Finding, bool) {
	var outside []v1alpha1.ServiceName
	for i := range agent.Spec.Grants {
		service := agent.Spec.Grants[i].Service
		if capability.SpeaksOf(agent.Spec.Document, service) != v1alpha1.CoverageCovered {
			outside = append(outside, service)
		}
	}
	if len(outside) == 0 {
		return capability.Finding{}, false
	}
	return capability.Finding{
		Condition: v1alpha1.ConditionGrantOutsideDocument,
		Reason:    v1alpha1.ReasonServiceNotInDocument,
		Message: fmt.Sprintf("spec.grants grants %s, which can_access of the document does not name; the grant counts all the same: "+
			"take it out, or have the document name it", scope.Join(outside)),
	}, true
}

// setReading sets the conditions of a document and its proof, and takes away those that hold no longer. The
// reading is nil where there is no document.
func setReading(
	conditions *[]metav1.Condition, proof *v1alpha1.DocumentProof, digest *string, generation int64, reading *Reading, now time.Time,
) {
	if reading == nil {
		*proof, *digest = v1alpha1.DocumentProof{}, ""
		meta.RemoveStatusCondition(conditions, string(v1alpha1.ConditionVerified))
		reading = &Reading{}
	} else {
		verified := reading.Proof.Verified
		*digest = reading.Digest
		*proof = v1alpha1.DocumentProof{Verified: &verified, Fingerprint: reading.Proof.Fingerprint, VendorKey: reading.Proof.VendorKey}
		SetCondition(conditions, generation, v1alpha1.ConditionVerified, conditionStatus(verified), reading.Proof.Reason, reading.Proof.Message, now)
	}
	for _, kind := range append(capability.FindingConditions(), v1alpha1.ConditionGrantOutsideDocument) {
		i := slices.IndexFunc(reading.Findings, func(f capability.Finding) bool { return f.Condition == kind })
		if i < 0 {
			meta.RemoveStatusCondition(conditions, string(kind))
			continue
		}
		SetCondition(conditions, generation, kind, metav1.ConditionTrue, reading.Findings[i].Reason, reading.Findings[i].Message, now)
	}
}

func conditionStatus(so bool) metav1.ConditionStatus {
	if so {
		return metav1.ConditionTrue
	}
	return metav1.ConditionFalse
}
