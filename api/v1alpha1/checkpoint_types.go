package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// CheckpointSpec is one progress report of an agent. It is immutable.
//
// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="a Checkpoint is a report and does not change: create another"
type CheckpointSpec struct {
	// passportRef names the Passport that the report is for.
	// +required
	PassportRef PassportReference `json:"passportRef,omitzero"`

	// agentRef names the AgentPassport that reports; it must be the Passport's own. Creating the
	// Checkpoint needs the verb `use` on it.
	// +required
	AgentRef AgentReference `json:"agentRef,omitzero"`

	// servicesUsed lists every service that was used since the checkpoint before, at most 64.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=64
	ServicesUsed []ServiceName `json:"servicesUsed,omitempty"`

	// actionsCount is how many actions were taken since the checkpoint before, 0 to 1000000.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=1000000
	ActionsCount int32 `json:"actionsCount,omitempty"`

	// summary of what was done. At most 1000 characters.
	// +optional
	// +kubebuilder:validation:MaxLength=1000
	Summary string `json:"summary,omitempty"`

	// submittedBy is who submitted the report; filled in at admission.
	// +optional
	SubmittedBy *Actor `json:"submittedBy,omitempty"`
}

// CheckpointStatus is what became of a report.
type CheckpointStatus struct {
	// conditions are Ready (True with reason Accepted; False with the reason of its rejection), and
	// Stalled, True where it was rejected.
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

	// passportUID is the UID of the Passport that the report was judged for.
	// +optional
	PassportUID types.UID `json:"passportUID,omitempty"`

	// expirationTime is the expiry of the passport after this report; absent where it was rejected.
	// +optional
	ExpirationTime *metav1.Time `json:"expirationTime,omitempty"`
}

// Checkpoint is an agent's progress report. An accepted one keeps an Enforced passport alive for
// another interval. The operator keeps the last three accepted and the last three rejected ones of a
// passport and deletes the others.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:shortName=ckpt,categories=agentpassport-all
// +kubebuilder:selectablefield:JSONPath=`.spec.passportRef.name`
// +kubebuilder:printcolumn:name="Passport",type=string,JSONPath=`.spec.passportRef.name`
// +kubebuilder:printcolumn:name="Accepted",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Reason",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].reason`
// +kubebuilder:printcolumn:name="Expires",type=string,JSONPath=`.status.expirationTime`
// +kubebuilder:printcolumn:name="Actions",type=integer,JSONPath=`.spec.actionsCount`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:printcolumn:name="Submitted-By",type=string,priority=1,JSONPath=`.spec.submittedBy.username`
// +kubebuilder:printcolumn:name="Summary",type=string,priority=1,JSONPath=`.spec.summary`
type Checkpoint struct {
	metav1.TypeMeta `json:",inline"`

	// metadata is the standard object's metadata.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitzero"`

	// spec is the report.
	// +required
	Spec CheckpointSpec `json:"spec,omitzero"`

	// status is written by the operator.
	// +optional
	Status CheckpointStatus `json:"status,omitzero"`
}

// CheckpointList is a list of Checkpoints.
//
// +kubebuilder:object:root=true
type CheckpointList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []Checkpoint `json:"items"`
}
