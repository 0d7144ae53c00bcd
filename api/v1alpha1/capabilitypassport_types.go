package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// CapabilityPassportSpec declares what a package will do.
type CapabilityPassportSpec struct {
	// document is the package's Capability Passport document v0.1, verbatim: a published YAML can be pasted in.
	// Unknown fields are kept and nothing is defaulted.
	// +required
	Document PackageDocument `json:"document"`

	// codes say the document once more, for machines.
	// +optional
	Codes *CapabilityCodes `json:"codes,omitempty"`

	// signature is the publisher's, over the document.
	// +optional
	Signature *DocumentSignature `json:"signature,omitempty"`
}

// CapabilityPassportStatus is what the operator knows of a package's document.
type CapabilityPassportStatus struct {
	// conditions are Ready (read, and paired by the CompatibilityChecks that name it), Verified, and, only while they
	// are true, HiddenCharacters, UnknownFields and UnprovenClaim.
	// +optional
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=32
	// +patchStrategy=merge
	// +patchMergeKey=type
	Conditions []metav1.Condition `json:"conditions,omitempty" patchStrategy:"merge" patchMergeKey:"type"`

	// observedGeneration is the generation of the spec that this status was made from.
	// +optional
	// +kubebuilder:validation:Minimum=0
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`

	// documentDigest is the SHA-256 of the document's canonical JSON (RFC 8785), in hex.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	DocumentDigest string `json:"documentDigest,omitempty"`

	DocumentProof `json:",inline"`
}

// CapabilityPassport is a package's document: what the package will read, write, access, spend, expose, and need
// approval for.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:shortName=cpass,categories=agentpassport-all
// +kubebuilder:printcolumn:name="Package",type=string,JSONPath=`.spec.document.package`
// +kubebuilder:printcolumn:name="Version",type=string,JSONPath=`.spec.document.package_version`
// +kubebuilder:printcolumn:name="Publisher",type=string,JSONPath=`.spec.document.publisher`
// +kubebuilder:printcolumn:name="Risk",type=string,JSONPath=`.spec.document.risk_level`
// +kubebuilder:printcolumn:name="Verified",type=boolean,JSONPath=`.status.verified`
// +kubebuilder:printcolumn:name="Reason",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].reason`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:validation:XValidation:rule="size(self.metadata.name) <= 200",message="metadata.name of a CapabilityPassport has at most 200 characters"
type CapabilityPassport struct {
	metav1.TypeMeta `json:",inline"`

	// metadata is the standard object's metadata.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitzero"`

	// spec declares the package.
	// +required
	Spec CapabilityPassportSpec `json:"spec,omitzero"`

	// status is written by the operator.
	// +optional
	Status CapabilityPassportStatus `json:"status,omitzero"`
}

// CapabilityPassportList is a list of CapabilityPassports.
//
// +kubebuilder:object:root=true
type CapabilityPassportList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []CapabilityPassport `json:"items"`
}
