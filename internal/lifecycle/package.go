package lifecycle

import (
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"agentpassport.dev/operator/api/v1alpha1"
)

// Package gives the status of a CapabilityPassport.
func Package(pkg *v1alpha1.CapabilityPassport, reading *Reading, now time.Time) v1alpha1.CapabilityPassportStatus {
	status := *pkg.Status.DeepCopy()
	status.ObservedGeneration = pkg.Generation
	document := &pkg.Spec.Document
	SetCondition(&status.Conditions, pkg.Generation, v1alpha1.ConditionReady, metav1.ConditionTrue, v1alpha1.ReasonDocumentRead,
		fmt.Sprintf("%s %s by %s", document.Package, document.PackageVersion, document.Publisher), now)
	setReading(&status.Conditions, &status.DocumentProof, &status.DocumentDigest, pkg.Generation, reading, now)
	return status
}
