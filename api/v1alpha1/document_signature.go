package v1alpha1

// DocumentSignature is a vendor's signature over its document (Agent Passport v0.1, section 6).
type DocumentSignature struct {
	// jws is a JWS in compact form with its payload left out (RFC 7515, appendix F): HEADER..SIGNATURE. The payload
	// is the document's canonical JSON (RFC 8785), the algorithm Ed25519, and the header's kid the key's JWK
	// thumbprint (RFC 7638). `kubectl passport document sign` makes one.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=2048
	// +kubebuilder:validation:Pattern=`^[A-Za-z0-9_-]+\.\.[A-Za-z0-9_-]+$`
	JWS string `json:"jws,omitempty"`
}

// DocumentProof is what the operator knows of who stands behind a document.
type DocumentProof struct {
	// verified is true where the signature was made by a key that a VendorKey trusts for the document's vendor, and
	// that is valid now.
	// +optional
	Verified *bool `json:"verified,omitempty"`

	// fingerprint is the JWK thumbprint (RFC 7638, SHA-256) of the key that verified the document, in base64url.
	// Absent while it is not verified.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=64
	Fingerprint string `json:"fingerprint,omitempty"`

	// vendorKey names the VendorKey that the key stands in.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	VendorKey string `json:"vendorKey,omitempty"`
}
