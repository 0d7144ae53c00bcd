package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// PassportFinalizer keeps a Passport until it is revoked in status and its token Secret is gone.
const PassportFinalizer = "agentpassport.dev/passport"

const (
	// SecretTypePassportToken is the type of every Secret that holds a passport's token.
	SecretTypePassportToken = "agentpassport.dev/passport-token"
	// SecretKeyToken is the data key of the token, a compact JWS.
	SecretKeyToken = "token"
	// SecretKeyJWKS is the data key of the JWKS (RFC 7517) that verifies the token.
	SecretKeyJWKS = "jwks.json"
	// SecretKeyGatewayURL is the data key of the gateway's URL; absent where the operator knows of none.
	SecretKeyGatewayURL = "gateway-url"
	// SecretKeyGatewayCA is the data key of the authority of the gateway's certificate, PEM; beside the
	// URL, and only there.
	SecretKeyGatewayCA = "gateway-ca.crt"
	// LabelPassportUID on a token Secret holds the UID of its Passport.
	LabelPassportUID = "agentpassport.dev/passport-uid"
	// LabelExcludeFromBackup on missions and their Secrets has Velero leave them out: a mission that
	// is over does not come back to life from a backup.
	LabelExcludeFromBackup = "velero.io/exclude-from-backup"
	// LabelGateway is "true" on the Lease that a gateway keeps while it lives.
	LabelGateway = "agentpassport.dev/gateway"
	// AnnotationChangedBy on an AgentPassport or a ServiceConnection names who changed its spec last.
	AnnotationChangedBy = "agentpassport.dev/changed-by"
)

// Phase is where a passport stands. A terminal phase never changes.
//
// +kubebuilder:validation:Enum=Pending;Active;CheckedOut;Expired;Revoked;Rejected
type Phase string

// The phases of a passport: Pending → Active → CheckedOut, Expired or Revoked; or Rejected.
const (
	// PhasePending waits for something that the Ready condition names.
	PhasePending Phase = "Pending"
	// PhaseActive has a token, and is within its expiry.
	PhaseActive Phase = "Active"
	// PhaseCheckedOut was ended by its agent.
	PhaseCheckedOut Phase = "CheckedOut"
	// PhaseExpired ran out: by silence, or at the end of its time.
	PhaseExpired Phase = "Expired"
	// PhaseRevoked was ended by a person, a block, a suspension, a deletion or a detector.
	PhaseRevoked Phase = "Revoked"
	// PhaseRejected was never issued.
	PhaseRejected Phase = "Rejected"
)

// Finished says whether the phase is terminal.
func (p Phase) Finished() bool {
	switch p {
	case PhaseCheckedOut, PhaseExpired, PhaseRevoked, PhaseRejected:
		return true
	default:
		return false
	}
}

// TokenDelivery is how an agent gets its token.
//
// +kubebuilder:validation:Enum=Secret;None
type TokenDelivery string

// The ways to deliver a token.
const (
	// DeliverySecret writes the token into a Secret in the passport's namespace.
	DeliverySecret TokenDelivery = "Secret"
	// DeliveryNone writes no Secret.
	DeliveryNone TokenDelivery = "None"
)

// Intent is what a mission is for, in its requester's words.
type Intent struct {
	// summary of the mission. At most 500 characters. Needed where the agent is Enforced or Logged.
	// +optional
	// +kubebuilder:validation:MaxLength=500
	Summary string `json:"summary,omitempty"`

	// services that the mission is going to use, at most 64; each must be granted to the agent.
	// At least one is needed where the agent is Enforced or Logged.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=64
	Services []ServiceName `json:"services,omitempty"`

	// estimatedDurationSeconds is how long the mission is expected to take, in seconds, 1 to 2592000.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=2592000
	EstimatedDurationSeconds int32 `json:"estimatedDurationSeconds,omitempty"`

	// willDelegate says that the mission is going to hand work to other agents.
	// +optional
	WillDelegate bool `json:"willDelegate,omitempty"`
}

// Revocation ends a passport at once.
type Revocation struct {
	// reason for the revocation. At most 500 characters.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=500
	Reason string `json:"reason,omitempty"`

	// by is who revoked; filled in at admission.
	// +optional
	By *Actor `json:"by,omitempty"`
}

// PassportSpec is one mission of an agent. It is immutable, but for revocation, which is set once.
//
// +kubebuilder:validation:XValidation:rule="has(self.intent) == has(oldSelf.intent) && has(self.activeDeadlineSeconds) == has(oldSelf.activeDeadlineSeconds) && has(self.audience) == has(oldSelf.audience) && has(self.services) == has(oldSelf.services) && has(self.secretName) == has(oldSelf.secretName) && has(self.requestedBy) == has(oldSelf.requestedBy)",message="a Passport is one mission and does not change: create another (only spec.revocation can be set, once)"
// +kubebuilder:validation:XValidation:rule="!has(oldSelf.revocation) || has(self.revocation)",message="spec.revocation is set once and does not change"
// +kubebuilder:validation:XValidation:rule="!has(self.secretName) || self.tokenDelivery == 'Secret'",message="secretName goes with tokenDelivery: Secret"
type PassportSpec struct {
	// agentRef names the AgentPassport that the mission is for. Creating the Passport needs the verb
	// `use` on it.
	// +required
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="a Passport is one mission and does not change: create another (only spec.revocation can be set, once)"
	AgentRef AgentReference `json:"agentRef,omitzero"`

	// intent is what the mission is for. Needed, with summary and services, where the agent is
	// Enforced or Logged.
	// +optional
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="a Passport is one mission and does not change: create another (only spec.revocation can be set, once)"
	Intent *Intent `json:"intent,omitempty"`

	// ttlSeconds is how long the token lives from its issue, in seconds, 60 to 3600. Where the agent
	// is Enforced, checkpointIntervalSeconds bounds it too, and checkpoints extend it.
	// +optional
	// +kubebuilder:default=900
	// +kubebuilder:validation:Minimum=60
	// +kubebuilder:validation:Maximum=3600
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="a Passport is one mission and does not change: create another (only spec.revocation can be set, once)"
	TTLSeconds int32 `json:"ttlSeconds,omitempty"`

	// checkpointIntervalSeconds is how often the agent has to checkpoint, in seconds, 60 to 3600.
	// Under 200 with a mounted Secret, the kubelet may bring the fresh token too late.
	// +optional
	// +kubebuilder:default=300
	// +kubebuilder:validation:Minimum=60
	// +kubebuilder:validation:Maximum=3600
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="a Passport is one mission and does not change: create another (only spec.revocation can be set, once)"
	CheckpointIntervalSeconds int32 `json:"checkpointIntervalSeconds,omitempty"`

	// activeDeadlineSeconds bounds the whole mission, in seconds from its issue: 60 to the agent's
	// maxLifetimeSeconds, which is the default.
	// +optional
	// +kubebuilder:validation:Minimum=60
	// +kubebuilder:validation:Maximum=2592000
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="a Passport is one mission and does not change: create another (only spec.revocation can be set, once)"
	ActiveDeadlineSeconds int32 `json:"activeDeadlineSeconds,omitempty"`

	// issueDeadlineSeconds is how long the Passport may stay Pending, in seconds from its creation,
	// before it is Rejected. 1 to 86400.
	// +optional
	// +kubebuilder:default=600
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=86400
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="a Passport is one mission and does not change: create another (only spec.revocation can be set, once)"
	IssueDeadlineSeconds int32 `json:"issueDeadlineSeconds,omitempty"`

	// audience lists who else the token is for, at most 16; the gateway's own audience is always in.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=16
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=256
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="a Passport is one mission and does not change: create another (only spec.revocation can be set, once)"
	Audience []string `json:"audience,omitempty"`

	// services narrows the agent's grants to these services, scopes and constraints, at most 64.
	// Absent: all that the agent is granted. Constraints are added to the grant's; an absent scopes
	// list means the grant's.
	// +optional
	// +listType=map
	// +listMapKey=service
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="a Passport is one mission and does not change: create another (only spec.revocation can be set, once)"
	Services []ServiceGrant `json:"services,omitempty"`

	// secretName is the Secret that receives the token. Absent: the Passport's name and "-token".
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$`
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="a Passport is one mission and does not change: create another (only spec.revocation can be set, once)"
	SecretName string `json:"secretName,omitempty"`

	// tokenDelivery is Secret (the token is kept fresh in a Secret) or None.
	// +optional
	// +kubebuilder:default=Secret
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="a Passport is one mission and does not change: create another (only spec.revocation can be set, once)"
	TokenDelivery TokenDelivery `json:"tokenDelivery,omitempty"`

	// ttlSecondsAfterFinished is how long a mission is kept once it is over and decided, in seconds,
	// 0 to 31536000. A mission whose Checkout awaits its review is kept however long that takes.
	// +optional
	// +kubebuilder:default=86400
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=31536000
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="a Passport is one mission and does not change: create another (only spec.revocation can be set, once)"
	TTLSecondsAfterFinished *int32 `json:"ttlSecondsAfterFinished,omitempty"`

	// requestedBy is who asked for the passport; filled in at admission.
	// +optional
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="a Passport is one mission and does not change: create another (only spec.revocation can be set, once)"
	RequestedBy *Actor `json:"requestedBy,omitempty"`

	// revocation ends the passport at once. Set once, by whoever holds the verb `revoke`.
	// +optional
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="spec.revocation is set once and does not change"
	Revocation *Revocation `json:"revocation,omitempty"`
}

// Severity of a flag or a signal.
//
// +kubebuilder:validation:Enum=info;warning;critical
type Severity string

// The severities, in rising order.
const (
	SeverityInfo     Severity = "info"
	SeverityWarning  Severity = "warning"
	SeverityCritical Severity = "critical"
)

// Signal is something that a detector saw while the mission ran. There is one entry a type.
type Signal struct {
	// type of the signal, such as checkpoint_silence.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	Type string `json:"type,omitempty"`

	// severity is info, warning or critical: the highest that the signal had.
	// +required
	Severity Severity `json:"severity,omitempty"`

	// message says what was seen the last time. At most 512 characters.
	// +optional
	// +kubebuilder:validation:MaxLength=512
	Message string `json:"message,omitempty"`

	// firstTime is when it was seen first.
	// +required
	FirstTime metav1.Time `json:"firstTime,omitempty,omitzero"`

	// lastTime is when it was seen last.
	// +required
	LastTime metav1.Time `json:"lastTime,omitempty,omitzero"`

	// count is how often it was seen.
	// +required
	// +kubebuilder:validation:Minimum=1
	Count int32 `json:"count,omitempty"`
}

// IssuedTerms are what a passport was issued with. They are frozen at issue: a live passport keeps
// them whatever becomes of the AgentPassport; blocks alone bite at once.
type IssuedTerms struct {
	// agentUID is the UID of the AgentPassport.
	// +required
	AgentUID types.UID `json:"agentUID,omitempty"` //nolint:kubeapilinter // controller-gen takes no length marker on types.UID

	// agentGeneration is the generation of the AgentPassport's spec.
	// +required
	// +kubebuilder:validation:Minimum=0
	AgentGeneration int64 `json:"agentGeneration,omitempty"`

	// mode of accountability.
	// +required
	Mode AccountabilityMode `json:"mode,omitempty"`

	// documentDigest is the SHA-256 of the agent's document, in hex; absent without a document.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	DocumentDigest string `json:"documentDigest,omitempty"`

	// services that the passport carries, with scopes and constraints. The grant's constraints and
	// the Passport's own are both here.
	// +optional
	// +listType=map
	// +listMapKey=service
	// +kubebuilder:validation:MaxItems=64
	Services []IssuedService `json:"services,omitempty"`

	// issuer is the `iss` claim.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=512
	Issuer string `json:"issuer,omitempty"`

	// subject is the `sub` claim, a SPIFFE-shaped URI.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	Subject string `json:"subject,omitempty"`

	// audience is the `aud` claim.
	// +required
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=17
	// +kubebuilder:validation:items:MaxLength=256
	Audience []string `json:"audience,omitempty"`

	// ttlSeconds that the token was issued with.
	// +required
	// +kubebuilder:validation:Minimum=1
	TTLSeconds int32 `json:"ttlSeconds,omitempty"`

	// checkpointIntervalSeconds of the leash; absent in mode Standard.
	// +optional
	// +kubebuilder:validation:Minimum=1
	CheckpointIntervalSeconds int32 `json:"checkpointIntervalSeconds,omitempty"`

	// deadline is when the whole mission ends, whatever checkpoints say.
	// +required
	Deadline metav1.Time `json:"deadline,omitempty,omitzero"`

	// secretName is the Secret that holds the token; absent where tokenDelivery is None.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	SecretName string `json:"secretName,omitempty"`

	// statusList is the passport's place in the status lists (IETF Token Status List); absent where it
	// was issued before there were any.
	// +optional
	StatusList *StatusListReference `json:"statusList,omitempty"`
}

// StatusListReference is a place in the status lists. It follows from where the record of the issue
// stands in the audit log, so that no two passports share one.
type StatusListReference struct {
	// epoch of the audit log.
	// +required
	// +kubebuilder:validation:Minimum=1
	Epoch int64 `json:"epoch,omitempty"`

	// list of that epoch, from 0.
	// +required
	// +kubebuilder:validation:Minimum=0
	List *int64 `json:"list,omitempty"`

	// index in the list, from 0: the `idx` claim.
	// +required
	// +kubebuilder:validation:Minimum=0
	Index *int64 `json:"index,omitempty"`
}

// ObserverSequence is how far the reports of one gateway are taken in.
type ObserverSequence struct {
	// gateway that reports.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Gateway string `json:"gateway,omitempty"`

	// sequence number of its last report that is taken in.
	// +required
	// +kubebuilder:validation:Minimum=1
	Sequence int64 `json:"sequence,omitempty"`
}

// IssuedService is one service that a passport carries.
type IssuedService struct {
	// service is the name of the outside service.
	// +required
	Service ServiceName `json:"service,omitempty"`

	// scopes inside the service.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=64
	Scopes []Scope `json:"scopes,omitempty"`

	// constraints on every call: the grant's and the Passport's; all must hold.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=64
	Constraints []Constraint `json:"constraints,omitempty"`
}

// CheckpointWindow counts the checkpoints of one interval, for the signal checkpoint_burst.
type CheckpointWindow struct {
	// start of the interval.
	// +required
	Start metav1.Time `json:"start,omitempty,omitzero"`

	// count of checkpoints since start.
	// +required
	// +kubebuilder:validation:Minimum=1
	Count int32 `json:"count,omitempty"`
}

// CheckoutReference is the Checkout of a mission.
type CheckoutReference struct {
	// name of the Checkout, in the Passport's namespace.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name,omitempty"`

	// uid of the Checkout.
	// +required
	UID types.UID `json:"uid,omitempty"` //nolint:kubeapilinter // controller-gen takes no length marker on types.UID
}

// PassportStatus is the state of one mission. Times are whole seconds by the API server's clock.
type PassportStatus struct {
	// conditions are Ready (the passport is Active; the reason says why it is not), TokenDelivered
	// (its Secret holds the token), Succeeded (True once the mission has ended by a checkout, or in mode
	// Standard by its time; Ready is gone then), and Stalled (True once it has ended otherwise).
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

	// phase is Pending, Active, CheckedOut, Expired, Revoked or Rejected. The last four never change.
	// +optional
	Phase Phase `json:"phase,omitempty"`

	// jti is the token's id (RFC 7519), derived from the Passport's UID.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	JTI string `json:"jti,omitempty"`

	// sessionID joins a mission and what it delegates.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	SessionID string `json:"sessionID,omitempty"`

	// issueTime is when the passport was issued.
	// +optional
	IssueTime *metav1.Time `json:"issueTime,omitempty"`

	// expirationTime is when the passport dies unless a checkpoint moves it: the `exp` claim.
	// +optional
	ExpirationTime *metav1.Time `json:"expirationTime,omitempty"`

	// checkpointBy is when the agent should have checkpointed at the latest, with time to spare for
	// a mounted Secret to catch up. Absent in mode Standard.
	// +optional
	CheckpointBy *metav1.Time `json:"checkpointBy,omitempty"`

	// lastCheckpointTime is when the last accepted checkpoint was made.
	// +optional
	LastCheckpointTime *metav1.Time `json:"lastCheckpointTime,omitempty"`

	// endTime is when the passport ended or was rejected.
	// +optional
	EndTime *metav1.Time `json:"endTime,omitempty"`

	// checkpoints counts the accepted checkpoints.
	// +optional
	// +kubebuilder:validation:Minimum=0
	Checkpoints *int32 `json:"checkpoints,omitempty"`

	// actions sums what the accepted checkpoints reported.
	// +optional
	// +kubebuilder:validation:Minimum=0
	Actions int64 `json:"actions,omitempty"`

	// servicesUsed lists what the accepted checkpoints reported, in order of names, at most 128.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=128
	ServicesUsed []ServiceName `json:"servicesUsed,omitempty"`

	// delegationDepth is 0 for a passport that nobody delegated.
	// +optional
	// +kubebuilder:validation:Minimum=0
	DelegationDepth *int32 `json:"delegationDepth,omitempty"`

	// signals that detectors raised while the mission ran, one entry a type.
	// +optional
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=32
	Signals []Signal `json:"signals,omitempty"`

	// longestGapSeconds is the longest time without a sign of life: between issue, accepted
	// checkpoints and end.
	// +optional
	// +kubebuilder:validation:Minimum=0
	LongestGapSeconds int64 `json:"longestGapSeconds,omitempty"`

	// submitters are the usernames behind the accepted checkpoints, at most 32, in order of names.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=32
	// +kubebuilder:validation:items:MaxLength=512
	Submitters []string `json:"submitters,omitempty"`

	// checkout is the Checkout that ends the mission, or that it is judged by after its end. Once
	// set, it does not change.
	// +optional
	Checkout *CheckoutReference `json:"checkout,omitempty"`

	// checkpointWindow counts the checkpoints of the running interval.
	// +optional
	CheckpointWindow *CheckpointWindow `json:"checkpointWindow,omitempty"`

	// issued holds the terms that the passport was issued with, frozen at issue.
	// +optional
	Issued *IssuedTerms `json:"issued,omitempty"`

	// observers are how far the reports of each gateway on this passport are taken in, at most 64.
	// +optional
	// +listType=map
	// +listMapKey=gateway
	// +kubebuilder:validation:MaxItems=64
	Observers []ObserverSequence `json:"observers,omitempty"`

	// folded lists the UIDs of checkpoints that are counted here and not yet marked themselves.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=20
	Folded []types.UID `json:"folded,omitempty"`
}

// Passport is one mission of an agent: a short-lived signed token, kept alive by Checkpoints.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:shortName=pass,categories=agentpassport-all
// +kubebuilder:selectablefield:JSONPath=`.spec.agentRef.name`
// +kubebuilder:selectablefield:JSONPath=`.status.phase`
// +kubebuilder:printcolumn:name="Agent",type=string,JSONPath=`.spec.agentRef.name`
// +kubebuilder:printcolumn:name="Phase",type=string,JSONPath=`.status.phase`
// +kubebuilder:printcolumn:name="Reason",type=string,JSONPath=`.status.conditions[?(@.type!="TokenDelivered")].reason`
// +kubebuilder:printcolumn:name="Mode",type=string,JSONPath=`.status.issued.mode`
// +kubebuilder:printcolumn:name="Checkpoint-By",type=string,JSONPath=`.status.checkpointBy`
// +kubebuilder:printcolumn:name="Expires",type=string,JSONPath=`.status.expirationTime`
// +kubebuilder:printcolumn:name="Checkpoints",type=integer,JSONPath=`.status.checkpoints`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:printcolumn:name="JTI",type=string,priority=1,JSONPath=`.status.jti`
// +kubebuilder:printcolumn:name="Intent",type=string,priority=1,JSONPath=`.spec.intent.summary`
// +kubebuilder:validation:XValidation:rule="size(self.metadata.name) <= 200",message="metadata.name of a Passport has at most 200 characters"
type Passport struct {
	metav1.TypeMeta `json:",inline"`

	// metadata is the standard object's metadata.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitzero"`

	// spec is the mission.
	// +required
	Spec PassportSpec `json:"spec,omitzero"`

	// status is written by the operator.
	// +optional
	Status PassportStatus `json:"status,omitzero"`
}

// PassportList is a list of Passports.
//
// +kubebuilder:object:root=true
type PassportList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []Passport `json:"items"`
}
