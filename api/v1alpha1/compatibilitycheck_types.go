package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// CapabilityField is one of the six fields that a package and an agent are paired by (Agent Passport v0.1,
// section 4), by its name on the package's side, or what is looked at beside them.
//
// +kubebuilder:validation:Enum=reads;writes;accesses;spends;exposes;approvals;install_mode;sandbox
type CapabilityField string

// The fields.
const (
	// FieldReads pairs reads with can_read.
	FieldReads CapabilityField = "reads"
	// FieldWrites pairs writes with can_write.
	FieldWrites CapabilityField = "writes"
	// FieldAccesses pairs accesses with can_access.
	FieldAccesses CapabilityField = "accesses"
	// FieldSpends pairs spends with can_spend.
	FieldSpends CapabilityField = "spends"
	// FieldExposes pairs exposes with can_expose.
	FieldExposes CapabilityField = "exposes"
	// FieldApprovals pairs approvals_required, and what a package does that needs a gate, with
	// will_request_approval_for.
	FieldApprovals CapabilityField = "approvals"
	// FieldInstallMode is the mode of the install, which the agent has to support.
	FieldInstallMode CapabilityField = "install_mode"
	// FieldSandbox is what no cloud-sandbox agent can do (Agent Passport v0.1, section 5).
	FieldSandbox CapabilityField = "sandbox"
)

// Coverage says whether an agent's document speaks of what a package needs.
//
// +kubebuilder:validation:Enum=Covered;Outside;Unclear
type Coverage string

// The coverages.
const (
	// CoverageCovered: the agent's document has it, or it is no need.
	CoverageCovered Coverage = "Covered"
	// CoverageOutside: the agent's document does not have it.
	CoverageOutside Coverage = "Outside"
	// CoverageUnclear: the two documents do not say it in words that a rule can compare; a person has to.
	CoverageUnclear Coverage = "Unclear"
)

// CompatibilityFinding is one declaration of a package, held against the agent's document.
type CompatibilityFinding struct {
	// field that the declaration stands in.
	// +required
	Field CapabilityField `json:"field,omitempty"`

	// declaration of the package, in its own words or codes.
	// +required
	// +kubebuilder:validation:MinLength=0
	// +kubebuilder:validation:MaxLength=2048
	Declaration *string `json:"declaration,omitempty"`

	// coverage is Outside or Unclear.
	// +required
	Coverage Coverage `json:"coverage,omitempty"`

	// rule that decided, such as exact, path, host, codes or sandbox.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	Rule string `json:"rule,omitempty"`

	// message says why, for people.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	Message string `json:"message,omitempty"`
}

// CompatibilityEnforcement is what becomes of a check that finds something.
//
// +kubebuilder:validation:Enum=Inform;Block
type CompatibilityEnforcement string

// The enforcements.
const (
	// EnforcementInform says it and leaves the check Ready.
	EnforcementInform CompatibilityEnforcement = "Inform"
	// EnforcementBlock makes the check's Ready False while Compatible is not True.
	EnforcementBlock CompatibilityEnforcement = "Block"
)

// CapabilityPassportReference names a CapabilityPassport in the same namespace.
type CapabilityPassportReference struct {
	// name of the CapabilityPassport, in the namespace of the object that refers to it.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=200
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$`
	Name string `json:"name,omitempty"`
}

// CompatibilityCheckSpec names a package and an agent, and how the one is to be installed into the other.
type CompatibilityCheckSpec struct {
	// packageRef names the CapabilityPassport of the package.
	// +required
	PackageRef CapabilityPassportReference `json:"packageRef,omitzero"`

	// agentRef names the AgentPassport of the agent.
	// +required
	AgentRef AgentReference `json:"agentRef,omitzero"`

	// installMode is how the package is to be installed: local-tool, cloud-sandbox or remote-connector.
	// +required
	InstallMode InstallMode `json:"installMode,omitempty"`

	// enforcement is Inform (what falls outside is said, and nothing else) or Block (Ready is False while Compatible
	// is not True, so that what waits for the check does not go on).
	// +optional
	// +kubebuilder:default=Inform
	Enforcement CompatibilityEnforcement `json:"enforcement,omitempty"`
}

// CompatibilitySummary counts a package's declarations by what came of them.
type CompatibilitySummary struct {
	// declarations is how many the package has, those that say that there is nothing included.
	// +required
	// +kubebuilder:validation:Minimum=0
	Declarations *int32 `json:"declarations,omitempty"`

	// covered is how many the agent's document covers.
	// +required
	// +kubebuilder:validation:Minimum=0
	Covered *int32 `json:"covered,omitempty"`

	// outside is how many fall outside the agent's envelope.
	// +required
	// +kubebuilder:validation:Minimum=0
	Outside *int32 `json:"outside,omitempty"`

	// unclear is how many a person has to compare.
	// +required
	// +kubebuilder:validation:Minimum=0
	Unclear *int32 `json:"unclear,omitempty"`
}

// CompatibilityCheckStatus is what falls outside.
type CompatibilityCheckStatus struct {
	// conditions are Ready and Compatible: True where the agent covers all that the package declares, False where
	// something falls outside, Unknown where nothing does but a person has to compare, or a document is not there.
	// PolicyWarning is there, and True, while a PolicyPack warns.
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

	// packageDigest is the SHA-256 of the package's document that was paired, in hex.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	PackageDigest string `json:"packageDigest,omitempty"`

	// agentDigest is the SHA-256 of the agent's document that was paired, in hex.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	AgentDigest string `json:"agentDigest,omitempty"`

	// summary counts the declarations; absent while a document is not there.
	// +optional
	Summary *CompatibilitySummary `json:"summary,omitempty"`

	// findings are the declarations that fall outside or are unclear: approvals first, then what a sandbox and the
	// install mode forbid, then the other fields in the order of the document. The first 100.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=100
	Findings []CompatibilityFinding `json:"findings,omitempty"`

	// policy is what PolicyPacks say of the install, the first 32: what blocks before what warns.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=32
	Policy []PolicyFinding `json:"policy,omitempty"`
}

// CompatibilityCheck pairs a package with an agent for one install mode. It informs; it keeps nothing from running.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:shortName=compat,categories=agentpassport-all
// +kubebuilder:printcolumn:name="Package",type=string,JSONPath=`.spec.packageRef.name`
// +kubebuilder:printcolumn:name="Agent",type=string,JSONPath=`.spec.agentRef.name`
// +kubebuilder:printcolumn:name="Install-Mode",type=string,JSONPath=`.spec.installMode`
// +kubebuilder:printcolumn:name="Compatible",type=string,JSONPath=`.status.conditions[?(@.type=="Compatible")].status`
// +kubebuilder:printcolumn:name="Outside",type=integer,JSONPath=`.status.summary.outside`
// +kubebuilder:printcolumn:name="Unclear",type=integer,JSONPath=`.status.summary.unclear`
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Reason",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].reason`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type CompatibilityCheck struct {
	metav1.TypeMeta `json:",inline"`

	// metadata is the standard object's metadata.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitzero"`

	// spec names what is paired.
	// +required
	Spec CompatibilityCheckSpec `json:"spec,omitzero"`

	// status is written by the operator.
	// +optional
	Status CompatibilityCheckStatus `json:"status,omitzero"`
}

// CompatibilityCheckList is a list of CompatibilityChecks.
//
// +kubebuilder:object:root=true
type CompatibilityCheckList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []CompatibilityCheck `json:"items"`
}
