package capability

import "agentpassport.dev/operator/api/v1alpha1"

// PackageFindings gives what is odd about a package's document, in a fixed order, at most one finding a condition.
func PackageFindings(document *v1alpha1.PackageDocument) []Finding {
	var findings []Finding
	for _, find := range []func(*v1alpha1.PackageDocument) (Finding, bool){packageUnknownFields, unprovenPublisher} {
		if finding, found := find(document); found {
			findings = append(findings, finding)
		}
	}
	return findings
}

// PackageFindingConditions lists every condition that PackageFindings may raise.
func PackageFindingConditions() []v1alpha1.ConditionType {
	return []v1alpha1.ConditionType{v1alpha1.ConditionUnknownFields, v1alpha1.ConditionUnprovenClaim}
}

func packageUnknownFields(document *v1alpha1.PackageDocument) (Finding, bool) {
	return unknownFields(v1alpha1.PackageDocumentSchema, document.Raw, packageFields)
}

func unprovenPublisher(document *v1alpha1.PackageDocument) (Finding, bool) {
	if !document.PublisherVerified {
		return Finding{}, false
	}
	return Finding{
		Condition: v1alpha1.ConditionUnprovenClaim,
		Reason:    v1alpha1.ReasonNoProof,
		Message:   "the document says publisher_verified: true, and nothing proves it: no signature of the publisher was checked; treat the document as self-declared",
	}, true
}
