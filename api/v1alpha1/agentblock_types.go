package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// BlockCause is the object that made the operator block an agent.
type BlockCause struct {
	// kind of the object, such as Passport.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	Kind string `json:"kind,omitempty"`

	// name of the object, in the block's namespace.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name,omitempty"`

	// uid of the object.
	// +required
	UID types.UID `json:"uid,omitempty"` //nolint:kubeapilinter // controller-gen takes no length marker on types.UID
}

// BlockLift ends a block.
type BlockLift struct {
	// reason for lifting the block. At most 500 characters.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=500
	Reason string `json:"reason,omitempty"`

	// by is who lifted the block; filled in at admission.
	// +optional
	By *Actor `json:"by,omitempty"`
}

// AgentBlockSpec blocks an agent, or a namespace. It is immutable, but for lifted, which is set once.
//
// +kubebuilder:validation:XValidation:rule="has(self.agentRef) == has(oldSelf.agentRef) && has(self.by) == has(oldSelf.by) && has(self.cause) == has(oldSelf.cause)",message="an AgentBlock does not change: create another (only spec.lifted can be set, once)"
// +kubebuilder:validation:XValidation:rule="!has(oldSelf.lifted) || has(self.lifted)",message="spec.lifted is set once and does not change"
type AgentBlockSpec struct {
	// agentRef names the AgentPassport that is blocked. Absent: every agent of the namespace.
	// +optional
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="an AgentBlock does not change: create another (only spec.lifted can be set, once)"
	AgentRef *AgentReference `json:"agentRef,omitempty"`

	// reason for the block, for whoever reads it later. At most 500 characters.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=500
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="an AgentBlock does not change: create another (only spec.lifted can be set, once)"
	Reason string `json:"reason,omitempty"`

	// by is who blocked; filled in at admission.
	// +optional
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="an AgentBlock does not change: create another (only spec.lifted can be set, once)"
	By *Actor `json:"by,omitempty"`

	// cause is the object for which the operator made the block; absent where a person did.
	// +optional
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="an AgentBlock does not change: create another (only spec.lifted can be set, once)"
	Cause *BlockCause `json:"cause,omitempty"`

	// lifted ends the block. Set once.
	// +optional
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="spec.lifted is set once and does not change"
	Lifted *BlockLift `json:"lifted,omitempty"`
}

// AgentBlockStatus is what the operator knows of a block.
type AgentBlockStatus struct {
	// conditions are Ready, True with reason Blocking or Lifted once the operator acts on the block.
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
}

// AgentBlock stops an agent, or every agent of its namespace: no new passports, and the live ones
// are revoked. An agent is blocked while one of its blocks is not lifted.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:shortName=ablock,categories=agentpassport-all
// +kubebuilder:printcolumn:name="Agent",type=string,JSONPath=`.spec.agentRef.name`
// +kubebuilder:printcolumn:name="Reason",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].reason`
// +kubebuilder:printcolumn:name="By",type=string,JSONPath=`.spec.by.username`
// +kubebuilder:printcolumn:name="Why",type=string,JSONPath=`.spec.reason`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:printcolumn:name="Lifted-By",type=string,priority=1,JSONPath=`.spec.lifted.by.username`
// +kubebuilder:printcolumn:name="Lifted-Why",type=string,priority=1,JSONPath=`.spec.lifted.reason`
// +kubebuilder:printcolumn:name="Cause",type=string,priority=1,JSONPath=`.spec.cause.name`
type AgentBlock struct {
	metav1.TypeMeta `json:",inline"`

	// metadata is the standard object's metadata.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitzero"`

	// spec says who is blocked, and why.
	// +required
	Spec AgentBlockSpec `json:"spec,omitzero"`

	// status is written by the operator.
	// +optional
	Status AgentBlockStatus `json:"status,omitzero"`
}

// AgentBlockList is a list of AgentBlocks.
//
// +kubebuilder:object:root=true
type AgentBlockList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []AgentBlock `json:"items"`
}
