package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// AccountabilityMode is how closely the missions of an agent are held to account.
//
// +kubebuilder:validation:Enum=Enforced;Logged;Standard
type AccountabilityMode string

// The accountability modes.
const (
	// ModeEnforced needs an intent, and a checkpoint in every interval: a missed one is the end.
	ModeEnforced AccountabilityMode = "Enforced"
	// ModeLogged needs an intent; checkpoints are recorded, and a missed one raises a signal.
	ModeLogged AccountabilityMode = "Logged"
	// ModeStandard has neither checkpoints nor checkout; the passport ends at its expiry.
	ModeStandard AccountabilityMode = "Standard"
)

// Escalation is what happens to the agent when a flag or a signal of some severity is raised.
//
// +kubebuilder:validation:Enum=Notify;Block
type Escalation string

// The escalations.
const (
	// EscalateNotify records it and leaves the agent alone.
	EscalateNotify Escalation = "Notify"
	// EscalateBlock makes an AgentBlock for the agent at that moment.
	EscalateBlock Escalation = "Block"
)

// UndeclaredServices is what a passport does with granted services that its intent leaves out.
//
// +kubebuilder:validation:Enum=Flag;Refuse
type UndeclaredServices string

// The ways to treat granted services that an intent leaves out.
const (
	// UndeclaredFlag issues the passport with every granted service, whatever the intent names.
	UndeclaredFlag UndeclaredServices = "Flag"
	// UndeclaredRefuse issues the passport with the intent's services alone: a service that the
	// intent leaves out is refused as if it were not granted.
	UndeclaredRefuse UndeclaredServices = "Refuse"
)

// StandingException lets one type of flag or signal pass for a time: it is kept as information,
// says so, and neither revokes nor blocks.
type StandingException struct {
	// type of the flag or signal, such as credential_outside_scope.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^[a-z][a-z_]*$`
	Type string `json:"type,omitempty"`

	// service that the exception is for; absent: any.
	// +optional
	Service ServiceName `json:"service,omitempty"`

	// until is when the exception ends, an RFC 3339 time.
	// +required
	Until metav1.Time `json:"until,omitempty,omitzero"`

	// reason for the exception, for whoever reads it later. At most 500 characters.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=500
	Reason string `json:"reason,omitempty"`
}

// Accountability is how the agent's missions are held to account.
type Accountability struct {
	// mode is Enforced (an intent, and a checkpoint in every interval or the passport dies), Logged
	// (an intent; a missed checkpoint is a signal) or Standard (neither checkpoints nor checkout).
	// +optional
	// +kubebuilder:default=Enforced
	Mode AccountabilityMode `json:"mode,omitempty"`

	// onWarning is what happens to the agent at a flag or signal of severity warning: Notify or Block.
	// +optional
	// +kubebuilder:default=Notify
	OnWarning Escalation `json:"onWarning,omitempty"`

	// onCritical is what happens to the agent at a flag or signal of severity critical: Notify or Block.
	// +optional
	// +kubebuilder:default=Block
	OnCritical Escalation `json:"onCritical,omitempty"`

	// undeclaredServices is Flag (the passport carries every granted service) or Refuse (only those
	// that the intent names).
	// +optional
	// +kubebuilder:default=Flag
	UndeclaredServices UndeclaredServices `json:"undeclaredServices,omitempty"`

	// maxLifetimeSeconds bounds a whole mission, in seconds from its issue, whatever checkpoints
	// say. 60 to 2592000 (30 days).
	// +optional
	// +kubebuilder:default=86400
	// +kubebuilder:validation:Minimum=60
	// +kubebuilder:validation:Maximum=2592000
	MaxLifetimeSeconds int32 `json:"maxLifetimeSeconds,omitempty"`

	// accept lists standing exceptions, at most 64.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=64
	Accept []StandingException `json:"accept,omitempty"`
}

// AgentPassportSpec declares one agent: what it can do, what it is granted, and how it is held to
// account.
type AgentPassportSpec struct {
	// document is the agent's Agent Passport document v0.1, verbatim: a published YAML can be pasted
	// in. Unknown fields are kept and nothing is defaulted.
	// +optional
	Document *AgentDocument `json:"document,omitempty"`

	// codes say the document once more, for machines.
	// +optional
	Codes *CapabilityCodes `json:"codes,omitempty"`

	// signature is the vendor's, over the document.
	// +optional
	Signature *DocumentSignature `json:"signature,omitempty"`

	// accountability is how the agent's missions are held to account.
	// +optional
	// +kubebuilder:default={}
	Accountability Accountability `json:"accountability,omitzero"`

	// grants are the services that the agent's passports may carry, at most 64.
	// +optional
	// +listType=map
	// +listMapKey=service
	// +kubebuilder:validation:MaxItems=64
	Grants []ServiceGrant `json:"grants,omitempty"`

	// suspend is the switch in Git: while it is true the agent gets no passport, and those that it
	// has are revoked.
	// +optional
	Suspend bool `json:"suspend,omitempty"`
}

// AgentPassportStatus is what the operator knows of an agent.
type AgentPassportStatus struct {
	// conditions are Ready (read and accepted; the reason says whether the agent is Suspended or
	// Blocked), Blocked, Documented, Verified where there is a document, and, only while they are true,
	// HiddenCharacters, UnknownFields, SandboxContradiction, WritesBeyondSandbox, UnprovenClaim and
	// GrantOutsideDocument.
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

	// livePassports counts the agent's passports in phase Active; it may lag by ten seconds.
	// +optional
	// +kubebuilder:validation:Minimum=0
	LivePassports *int32 `json:"livePassports,omitempty"`

	// documentDigest is the SHA-256 of the document's canonical JSON (RFC 8785), in hex.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	DocumentDigest string `json:"documentDigest,omitempty"`

	DocumentProof `json:",inline"`

	// baseline is what the agent's missions are like; absent before the first that was Clean or
	// Approved.
	// +optional
	Baseline *Baseline `json:"baseline,omitempty"`

	// blockedBy names the AgentBlocks in force for the agent, the first 10 in the order of names.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=10
	// +kubebuilder:validation:items:MaxLength=253
	BlockedBy []string `json:"blockedBy,omitempty"`
}

// AgentPassport registers one agent: the document that says what it can do, the services it is
// granted, and how its missions are held to account.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:shortName=apass,categories=agentpassport-all
// +kubebuilder:printcolumn:name="Vendor",type=string,JSONPath=`.spec.document.agent.vendor`
// +kubebuilder:printcolumn:name="Mode",type=string,JSONPath=`.spec.accountability.mode`
// +kubebuilder:printcolumn:name="Live",type=integer,JSONPath=`.status.livePassports`
// +kubebuilder:printcolumn:name="Blocked",type=string,JSONPath=`.status.conditions[?(@.type=="Blocked")].status`
// +kubebuilder:printcolumn:name="Reason",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].reason`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:printcolumn:name="Verified",type=boolean,priority=1,JSONPath=`.status.verified`
// +kubebuilder:printcolumn:name="Agent",type=string,priority=1,JSONPath=`.spec.document.agent.name`
// +kubebuilder:printcolumn:name="Blocked-By",type=string,priority=1,JSONPath=`.status.blockedBy`
// +kubebuilder:validation:XValidation:rule="size(self.metadata.name) <= 63",message="metadata.name of an AgentPassport has at most 63 characters"
type AgentPassport struct {
	metav1.TypeMeta `json:",inline"`

	// metadata is the standard object's metadata.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitzero"`

	// spec declares the agent.
	// +required
	Spec AgentPassportSpec `json:"spec,omitzero"`

	// status is written by the operator.
	// +optional
	Status AgentPassportStatus `json:"status,omitzero"`
}

// AgentPassportList is a list of AgentPassports.
//
// +kubebuilder:object:root=true
type AgentPassportList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []AgentPassport `json:"items"`
}
