package v1alpha1

// CapabilityCode is one capability that a machine can compare: a verb and segments, with colons between them, such
// as read:git, write:fs:cwd or access:net:*.example.com. At most 256 characters. A segment `*` stands for any one
// segment, and at the end for all that follow; one that begins with `*.` for the names below a domain. The code
// VERB:none says that there is nothing.
//
// +kubebuilder:validation:MinLength=3
// +kubebuilder:validation:MaxLength=256
// +kubebuilder:validation:Pattern=`^(read|write|access|spend|expose|approve)(:(\*|(\*\.)?[a-z0-9][a-z0-9._/-]*))+$`
type CapabilityCode string

// CapabilityCodes say a document's statements once more, for machines. Where the package and the agent have codes
// for the same field, these decide, and the field's free text is not compared.
//
// +kubebuilder:validation:MinProperties=1
type CapabilityCodes struct {
	// reads are codes that begin with read. Of an agent: what it can read. At most 256.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=256
	// +kubebuilder:validation:XValidation:rule="self.all(code, code.startsWith('read:'))",message="a code in reads begins with read:"
	Reads []CapabilityCode `json:"reads,omitempty"`

	// writes are codes that begin with write. Of an agent: where it can write. At most 256.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=256
	// +kubebuilder:validation:XValidation:rule="self.all(code, code.startsWith('write:'))",message="a code in writes begins with write:"
	Writes []CapabilityCode `json:"writes,omitempty"`

	// accesses are codes that begin with access. Of an agent: what it can reach. At most 256.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=256
	// +kubebuilder:validation:XValidation:rule="self.all(code, code.startsWith('access:'))",message="a code in accesses begins with access:"
	Accesses []CapabilityCode `json:"accesses,omitempty"`

	// spends are codes that begin with spend. Of an agent: what it can spend. At most 256.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=256
	// +kubebuilder:validation:XValidation:rule="self.all(code, code.startsWith('spend:'))",message="a code in spends begins with spend:"
	Spends []CapabilityCode `json:"spends,omitempty"`

	// exposes are codes that begin with expose. Of an agent: what it can send outside. At most 256.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=256
	// +kubebuilder:validation:XValidation:rule="self.all(code, code.startsWith('expose:'))",message="a code in exposes begins with expose:"
	Exposes []CapabilityCode `json:"exposes,omitempty"`

	// approvals are codes that begin with approve. Of a package: what needs approval. Of an agent: what it asks
	// approval for. At most 256.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=256
	// +kubebuilder:validation:XValidation:rule="self.all(code, code.startsWith('approve:'))",message="a code in approvals begins with approve:"
	Approvals []CapabilityCode `json:"approvals,omitempty"`
}
