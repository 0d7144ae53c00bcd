package v1alpha1

// AgentReference names an AgentPassport in the same namespace.
type AgentReference struct {
	// name of the AgentPassport, in the namespace of the object that refers to it.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$`
	Name string `json:"name,omitempty"`
}

// PassportReference names a Passport in the same namespace.
type PassportReference struct {
	// name of the Passport, in the namespace of the object that refers to it.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=200
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$`
	Name string `json:"name,omitempty"`
}

// Actor is who did something, as the API server authenticated them. Admission fills it from the
// request; whoever holds the verb `attest` may name another, and is then named in via.
type Actor struct {
	// username of the authenticated user or ServiceAccount that acted.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=512
	Username string `json:"username,omitempty"`

	// via is the username of the holder of `attest` that wrote the object on behalf of username.
	// Absent when username wrote it.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=512
	Via string `json:"via,omitempty"`
}
