package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// KeyRevocation ends the trust in a key, for good.
type KeyRevocation struct {
	// reason for the revocation, for whoever reads it later. At most 500 characters.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=500
	Reason string `json:"reason,omitempty"`
}

// VendorPublicKey is one public key of a vendor.
//
// +kubebuilder:validation:XValidation:rule="!has(self.notBefore) || !has(self.notAfter) || self.notBefore < self.notAfter",message="notBefore is before notAfter"
// +kubebuilder:validation:XValidation:rule="!has(oldSelf.revoked) || has(self.revoked)",message="a revocation is for good: add another key under another name"
// +kubebuilder:validation:XValidation:rule="self.publicKey == oldSelf.publicKey",message="publicKey cannot be changed: add another key under another name"
type VendorPublicKey struct {
	// name of the key, unique in the VendorKey.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`
	Name string `json:"name,omitempty"`

	// publicKey is an Ed25519 public key in PEM (SubjectPublicKeyInfo, RFC 8410), as `openssl pkey -pubout` gives it.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=512
	// +kubebuilder:validation:Pattern=`^-----BEGIN PUBLIC KEY-----\n[A-Za-z0-9+/=\n]+-----END PUBLIC KEY-----\n?$`
	PublicKey string `json:"publicKey,omitempty"`

	// notBefore is when the key begins to count, an RFC 3339 time; absent: it counts already.
	// +optional
	NotBefore *metav1.Time `json:"notBefore,omitempty"`

	// notAfter is when the key ceases to count, an RFC 3339 time, and what it signed ceases to be verified; absent: never.
	// +optional
	NotAfter *metav1.Time `json:"notAfter,omitempty"`

	// revoked ends the trust in the key, and in all that it ever signed. It cannot be taken back.
	// +optional
	Revoked *KeyRevocation `json:"revoked,omitempty"`
}

// VendorKeySpec says which keys speak for a vendor.
type VendorKeySpec struct {
	// vendor that the keys speak for, as documents name it: agent.vendor of an Agent Passport document, publisher of a
	// Capability Passport document. Case and Unicode form do not count.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=256
	Vendor string `json:"vendor,omitempty"`

	// keys of the vendor, 1 to 16. One that is taken out is no longer trusted.
	// +required
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=16
	Keys []VendorPublicKey `json:"keys,omitempty"`
}

// VendorKeyState is whether a key counts.
//
// +kubebuilder:validation:Enum=Valid;NotYetValid;Expired;Revoked;Invalid
type VendorKeyState string

// The states of a key.
const (
	// KeyValid: what the key signed is verified.
	KeyValid VendorKeyState = "Valid"
	// KeyNotYetValid: notBefore is to come.
	KeyNotYetValid VendorKeyState = "NotYetValid"
	// KeyExpired: notAfter is over.
	KeyExpired VendorKeyState = "Expired"
	// KeyRevoked: the key is revoked.
	KeyRevoked VendorKeyState = "Revoked"
	// KeyInvalid: publicKey is no Ed25519 public key.
	KeyInvalid VendorKeyState = "Invalid"
)

// VendorKeyEntry is what the operator knows of one key.
type VendorKeyEntry struct {
	// name of the key.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	Name string `json:"name,omitempty"`

	// fingerprint is the key's JWK thumbprint (RFC 7638, SHA-256), in base64url. Absent where the key cannot be read.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	Fingerprint string `json:"fingerprint,omitempty"`

	// state is whether the key counts.
	// +required
	State VendorKeyState `json:"state,omitempty"`
}

// VendorKeyStatus is what the operator knows of a vendor's keys.
type VendorKeyStatus struct {
	// conditions are Ready: True while a key is valid.
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

	// keys in the order of the spec.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=16
	Keys []VendorKeyEntry `json:"keys,omitempty"`
}

// VendorKey holds the public keys that speak for a vendor. It belongs to the cluster: whoever may write one decides
// whose documents are verified.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:scope=Cluster,shortName=vkey,categories=agentpassport-all
// +kubebuilder:printcolumn:name="Vendor",type=string,JSONPath=`.spec.vendor`
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Reason",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].reason`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type VendorKey struct {
	metav1.TypeMeta `json:",inline"`

	// metadata is the standard object's metadata.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitzero"`

	// spec holds the keys.
	// +required
	Spec VendorKeySpec `json:"spec,omitzero"`

	// status is written by the operator.
	// +optional
	Status VendorKeyStatus `json:"status,omitzero"`
}

// VendorKeyList is a list of VendorKeys.
//
// +kubebuilder:object:root=true
type VendorKeyList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []VendorKey `json:"items"`
}
