package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// PolicyMode is whether a pack's rules count.
//
// +kubebuilder:validation:Enum=Enforce;DryRun
type PolicyMode string

// The modes of a pack.
const (
	// PolicyEnforce has the rules count.
	PolicyEnforce PolicyMode = "Enforce"
	// PolicyDryRun lists in the pack's status what the rules would refuse, and does nothing else.
	PolicyDryRun PolicyMode = "DryRun"
)

// PolicyAction is what a rule does.
//
// +kubebuilder:validation:Enum=Block;Warn
type PolicyAction string

// The actions of a rule.
const (
	// PolicyBlock refuses: the CompatibilityCheck is not Ready, the Passport is Rejected.
	PolicyBlock PolicyAction = "Block"
	// PolicyWarn says so in a condition and an Event.
	PolicyWarn PolicyAction = "Warn"
)

// PolicyPoint is when a rule is asked.
//
// +kubebuilder:validation:Enum=Install;Issue
type PolicyPoint string

// The points.
const (
	// PolicyAtInstall is a CompatibilityCheck.
	PolicyAtInstall PolicyPoint = "Install"
	// PolicyAtIssue is a Passport that is about to be issued.
	PolicyAtIssue PolicyPoint = "Issue"
)

// PackageMatch finds packages. All that is given has to hold, of a list one entry.
//
// +kubebuilder:validation:MinProperties=1
type PackageMatch struct {
	// packages are slugs of packages. At most 64.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=256
	Packages []string `json:"packages,omitempty"`

	// publishers are slugs of publishers. At most 64.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=256
	Publishers []string `json:"publishers,omitempty"`

	// riskLevels are low, medium, high or unknown.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=4
	RiskLevels []RiskLevel `json:"riskLevels,omitempty"`

	// verified is whether the operator has verified the document. What the document itself claims does not count.
	// +optional
	Verified *bool `json:"verified,omitempty"`
}

// AgentMatch finds agents. All that is given has to hold, of a list one entry.
//
// +kubebuilder:validation:MinProperties=1
type AgentMatch struct {
	// names of AgentPassports. At most 64.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=63
	Names []string `json:"names,omitempty"`

	// vendors as the documents name them. At most 64.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=256
	Vendors []string `json:"vendors,omitempty"`

	// modes are accountability modes: Enforced, Logged or Standard.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=3
	Modes []AccountabilityMode `json:"modes,omitempty"`

	// documented is whether the agent has a document.
	// +optional
	Documented *bool `json:"documented,omitempty"`

	// sandboxed is whether the document says that the agent runs in its provider's sandbox.
	// +optional
	Sandboxed *bool `json:"sandboxed,omitempty"`

	// verified is whether the operator has verified the document. What the document itself claims does not count.
	// +optional
	Verified *bool `json:"verified,omitempty"`
}

// GrantMatch finds grants: at install those of the agent, at issue those that the passport would carry. One grant has
// to have all that is given, of a list one entry.
//
// +kubebuilder:validation:MinProperties=1
type GrantMatch struct {
	// services that are granted. At most 64.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	Services []ServiceName `json:"services,omitempty"`

	// scopes that are granted. At most 64.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	Scopes []Scope `json:"scopes,omitempty"`
}

// PolicyRule warns of, or blocks, what it matches. It matches where all that it gives does.
//
// +kubebuilder:validation:XValidation:rule="has(self.packages) || has(self.agents) || has(self.grants) || has(self.compatibility)",message="a rule gives packages, agents, grants or compatibility to match"
// +kubebuilder:validation:XValidation:rule="!('Issue' in self.at) || !(has(self.packages) || has(self.compatibility))",message="packages and compatibility are known at Install alone: take Issue out of at, or make a rule of its own for it"
type PolicyRule struct {
	// id of the rule, unique in the pack.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`
	ID string `json:"id,omitempty"`

	// action is Block or Warn.
	// +required
	Action PolicyAction `json:"action,omitempty"`

	// at is when the rule is asked: Install (a CompatibilityCheck), Issue (a Passport), or both.
	// +required
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=2
	At []PolicyPoint `json:"at,omitempty"`

	// packages that the rule is about.
	// +optional
	Packages *PackageMatch `json:"packages,omitempty"`

	// agents that the rule is about.
	// +optional
	Agents *AgentMatch `json:"agents,omitempty"`

	// grants that the rule is about.
	// +optional
	Grants *GrantMatch `json:"grants,omitempty"`

	// compatibility that the rule is about: Outside (something falls outside the agent's envelope), Unclear (something
	// has to be compared by a person), Covered (neither).
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=3
	Compatibility []Coverage `json:"compatibility,omitempty"`

	// message for whoever meets the rule: why it is there, and what to do. At most 500 characters.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=500
	Message string `json:"message,omitempty"`
}

// PolicyPackSpec is a set of rules.
type PolicyPackSpec struct {
	// mode is Enforce (the rules count) or DryRun (the status lists what they would refuse).
	// +optional
	// +kubebuilder:default=Enforce
	Mode PolicyMode `json:"mode,omitempty"`

	// summary of the pack, for people. At most 500 characters.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=500
	Summary string `json:"summary,omitempty"`

	// appliesTo are the install modes that the pack's rules at Install are for; absent: all.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=3
	AppliesTo []InstallMode `json:"appliesTo,omitempty"`

	// rules of the pack, 1 to 64. All that match count, and of all packs of the namespace the strictest.
	// +required
	// +listType=map
	// +listMapKey=id
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	Rules []PolicyRule `json:"rules,omitempty"`
}

// PolicyFinding is a rule of a pack that matched.
type PolicyFinding struct {
	// pack that the rule stands in: the name of a PolicyPack in the same namespace.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Pack string `json:"pack,omitempty"`

	// rule that matched: its id.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	Rule string `json:"rule,omitempty"`

	// action of the rule.
	// +required
	Action PolicyAction `json:"action,omitempty"`

	// message of the rule.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=500
	Message string `json:"message,omitempty"`
}

// PolicyHit is an object that a rule of a pack matches.
type PolicyHit struct {
	// kind of the object: CompatibilityCheck, or Passport.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	Kind string `json:"kind,omitempty"`

	// name of the object.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name,omitempty"`

	// rule that matches: its id.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	Rule string `json:"rule,omitempty"`

	// action of the rule.
	// +required
	Action PolicyAction `json:"action,omitempty"`
}

// PolicyPackStatus is what a pack does, or would do.
type PolicyPackStatus struct {
	// conditions are Ready: the rules count (reason Enforcing), or are tried (reason DryRun).
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

	// refused counts the objects that the pack's rules match to refuse, or would if it were not a dry run: the
	// CompatibilityChecks of the namespace, and its Passports that were issued, with their agents as they are now. What
	// was issued before the pack lives on.
	// +optional
	// +kubebuilder:validation:Minimum=0
	Refused *int32 `json:"refused,omitempty"`

	// warned counts the objects that the pack's rules warn of, in the same way.
	// +optional
	// +kubebuilder:validation:Minimum=0
	Warned *int32 `json:"warned,omitempty"`

	// hits are those objects, the first 100: what is refused before what is warned of, then by kind and name.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=100
	Hits []PolicyHit `json:"hits,omitempty"`
}

// PolicyPack holds rules that warn or block, at install and at issue.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:shortName=ppack,categories=agentpassport-all
// +kubebuilder:printcolumn:name="Mode",type=string,JSONPath=`.spec.mode`
// +kubebuilder:printcolumn:name="Refused",type=integer,JSONPath=`.status.refused`
// +kubebuilder:printcolumn:name="Warned",type=integer,JSONPath=`.status.warned`
// +kubebuilder:printcolumn:name="Reason",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].reason`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:printcolumn:name="Summary",type=string,priority=1,JSONPath=`.spec.summary`
type PolicyPack struct {
	metav1.TypeMeta `json:",inline"`

	// metadata is the standard object's metadata.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitzero"`

	// spec holds the rules.
	// +required
	Spec PolicyPackSpec `json:"spec,omitzero"`

	// status is written by the operator.
	// +optional
	Status PolicyPackStatus `json:"status,omitzero"`
}

// PolicyPackList is a list of PolicyPacks.
//
// +kubebuilder:object:root=true
type PolicyPackList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []PolicyPack `json:"items"`
}
