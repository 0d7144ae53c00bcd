package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// CheckoutFinalizer keeps a Checkout until the operator has judged it: a mission that its agent ended
// stays ended.
const CheckoutFinalizer = "agentpassport.dev/checkout"

// OperatorCheckoutPrefix begins the name of every Checkout that the operator makes, and of no other.
const OperatorCheckoutPrefix = "operator-"

// CheckoutSource is who checks out.
//
// +kubebuilder:validation:Enum=Agent;Operator
type CheckoutSource string

// The sources of a Checkout.
const (
	// SourceAgent: the agent, or the pipeline that runs it.
	SourceAgent CheckoutSource = "Agent"
	// SourceOperator: the operator, for a mission that ended without a checkout.
	SourceOperator CheckoutSource = "Operator"
)

// MissionOutcome is how a mission went, in its agent's words.
//
// +kubebuilder:validation:Enum=Succeeded;Failed;Aborted
type MissionOutcome string

// The outcomes of a mission.
const (
	// OutcomeSucceeded: the mission did what it was for.
	OutcomeSucceeded MissionOutcome = "Succeeded"
	// OutcomeFailed: the mission was tried, and failed.
	OutcomeFailed MissionOutcome = "Failed"
	// OutcomeAborted: the mission was given up, or ended from outside.
	OutcomeAborted MissionOutcome = "Aborted"
)

// Decision is what a reviewer decides on a Checkout.
//
// +kubebuilder:validation:Enum=Approved;Blocked
type Decision string

// The decisions.
const (
	// DecisionApproved: what was found is fine; the agent goes on.
	DecisionApproved Decision = "Approved"
	// DecisionBlocked: the agent gets no more passports until its AgentBlock is lifted.
	DecisionBlocked Decision = "Blocked"
)

// Review is a person's decision on what the detectors found.
type Review struct {
	// decision is Approved (the agent goes on; the block that this Checkout's findings made is lifted)
	// or Blocked (the agent is blocked by an AgentBlock).
	// +required
	Decision Decision `json:"decision,omitempty"`

	// notes say why. At most 1000 characters.
	// +optional
	// +kubebuilder:validation:MaxLength=1000
	Notes string `json:"notes,omitempty"`

	// reviewer is who decided; filled in at admission.
	// +optional
	Reviewer *Actor `json:"reviewer,omitempty"`
}

// CheckoutSpec is the end of a mission, as its agent reports it. It is immutable, but for review,
// which is set once, and only once there is a verdict.
//
// +kubebuilder:validation:XValidation:rule="has(self.servicesUsed) == has(oldSelf.servicesUsed) && has(self.actionsCount) == has(oldSelf.actionsCount) && has(self.summary) == has(oldSelf.summary) && has(self.submittedBy) == has(oldSelf.submittedBy)",message="a Checkout is a report and does not change (only spec.review can be set, once)"
// +kubebuilder:validation:XValidation:rule="!has(oldSelf.review) || has(self.review)",message="spec.review is set once and does not change"
type CheckoutSpec struct {
	// passportRef names the Passport that ends. The first Checkout of a Passport counts.
	// +required
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="a Checkout is a report and does not change (only spec.review can be set, once)"
	PassportRef PassportReference `json:"passportRef,omitzero"`

	// agentRef names the AgentPassport that checks out; it must be the Passport's own. Creating the
	// Checkout needs the verb `use` on it.
	// +required
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="a Checkout is a report and does not change (only spec.review can be set, once)"
	AgentRef AgentReference `json:"agentRef,omitzero"`

	// source is Agent, or Operator for a mission that ended without a checkout; only the operator
	// writes the latter.
	// +optional
	// +kubebuilder:default=Agent
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="a Checkout is a report and does not change (only spec.review can be set, once)"
	Source CheckoutSource `json:"source,omitempty"`

	// outcome is Succeeded, Failed or Aborted: how the mission went.
	// +optional
	// +kubebuilder:default=Succeeded
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="a Checkout is a report and does not change (only spec.review can be set, once)"
	Outcome MissionOutcome `json:"outcome,omitempty"`

	// servicesUsed lists every service that the mission used, checkpoints included, at most 64.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="a Checkout is a report and does not change (only spec.review can be set, once)"
	ServicesUsed []ServiceName `json:"servicesUsed,omitempty"`

	// actionsCount is how many actions the whole mission took, 0 to 1000000000. Absent: the sum of its
	// checkpoints.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=1000000000
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="a Checkout is a report and does not change (only spec.review can be set, once)"
	ActionsCount *int64 `json:"actionsCount,omitempty"`

	// summary of what was done. At most 1000 characters.
	// +optional
	// +kubebuilder:validation:MaxLength=1000
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="a Checkout is a report and does not change (only spec.review can be set, once)"
	Summary string `json:"summary,omitempty"`

	// submittedBy is who checked out; filled in at admission.
	// +optional
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="a Checkout is a report and does not change (only spec.review can be set, once)"
	SubmittedBy *Actor `json:"submittedBy,omitempty"`

	// review is the decision of a person, where the detectors found something. Set once, by whoever
	// holds the verb `review` on checkouts and had no part in the mission.
	// +optional
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="spec.review is set once and does not change"
	Review *Review `json:"review,omitempty"`
}

// Verdict is what the detectors say of a mission. It never changes.
//
// +kubebuilder:validation:Enum=Clean;Flagged;Blocked
type Verdict string

// The verdicts.
const (
	// VerdictClean: no flag is more than information.
	VerdictClean Verdict = "Clean"
	// VerdictFlagged: the worst flag is a warning.
	VerdictFlagged Verdict = "Flagged"
	// VerdictBlocked: a flag is critical.
	VerdictBlocked Verdict = "Blocked"
)

// Evidence is one fact behind a flag.
type Evidence struct {
	// name of the fact, such as actionsReported.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	Name string `json:"name,omitempty"`

	// value of the fact. At most 256 characters.
	// +optional
	// +kubebuilder:validation:MaxLength=256
	Value string `json:"value,omitempty"`
}

// Flag is something in a mission that deserves a second look.
type Flag struct {
	// type of the flag, such as undeclared_service.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	Type string `json:"type,omitempty"`

	// severity is info, warning or critical.
	// +required
	Severity Severity `json:"severity,omitempty"`

	// service that the flag is about; absent where it is about none.
	// +optional
	Service ServiceName `json:"service,omitempty"`

	// message says what was found. At most 512 characters.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=512
	Message string `json:"message,omitempty"`

	// evidence lists the facts that the flag rests on, at most 16.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=16
	Evidence []Evidence `json:"evidence,omitempty"`
}

// MissionRecord is all that a mission was judged by, so that the verdict can be read when its
// Passport and its Checkpoints are gone.
type MissionRecord struct {
	// agentUID is the UID of the AgentPassport that the mission was issued under.
	// +optional
	AgentUID types.UID `json:"agentUID,omitempty"`

	// mode of accountability.
	// +optional
	Mode AccountabilityMode `json:"mode,omitempty"`

	// intent of the mission.
	// +optional
	Intent *Intent `json:"intent,omitempty"`

	// grantedServices are the services that the passport carried, in order of names.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=64
	GrantedServices []ServiceName `json:"grantedServices,omitempty"`

	// phase that the passport ended in.
	// +optional
	Phase Phase `json:"phase,omitempty"`

	// reason of the end, and its message.
	// +optional
	// +kubebuilder:validation:MaxLength=128
	Reason string `json:"reason,omitempty"`

	// message about the end. At most 1024 characters.
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	Message string `json:"message,omitempty"`

	// issueTime of the passport.
	// +optional
	IssueTime *metav1.Time `json:"issueTime,omitempty"`

	// endTime of the passport.
	// +optional
	EndTime *metav1.Time `json:"endTime,omitempty"`

	// durationSeconds from issue to end.
	// +optional
	// +kubebuilder:validation:Minimum=0
	DurationSeconds int64 `json:"durationSeconds,omitempty"`

	// checkpointIntervalSeconds of the leash.
	// +optional
	// +kubebuilder:validation:Minimum=0
	CheckpointIntervalSeconds int32 `json:"checkpointIntervalSeconds,omitempty"`

	// longestGapSeconds is the longest time without a sign of life.
	// +optional
	// +kubebuilder:validation:Minimum=0
	LongestGapSeconds int64 `json:"longestGapSeconds,omitempty"`

	// checkpoints counts the accepted checkpoints.
	// +optional
	// +kubebuilder:validation:Minimum=0
	Checkpoints int32 `json:"checkpoints,omitempty"`

	// checkpointActions sums what the checkpoints reported.
	// +optional
	// +kubebuilder:validation:Minimum=0
	CheckpointActions int64 `json:"checkpointActions,omitempty"`

	// actions is the mission's total: the greater of the checkout's and the checkpoints'.
	// +optional
	// +kubebuilder:validation:Minimum=0
	Actions int64 `json:"actions,omitempty"`

	// servicesUsed lists what checkpoints and checkout reported, in order of names.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=192
	ServicesUsed []ServiceName `json:"servicesUsed,omitempty"`

	// signals that were raised while the mission ran.
	// +optional
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=32
	Signals []Signal `json:"signals,omitempty"`

	// requestedBy is who asked for the passport.
	// +optional
	RequestedBy *Actor `json:"requestedBy,omitempty"`

	// submitters are the usernames of all who reported on the mission, at most 32, in order of names.
	// With 32, only a holder of `review-own` may review: somebody may be missing.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=32
	// +kubebuilder:validation:items:MaxLength=512
	Submitters []string `json:"submitters,omitempty"`

	// ttlSecondsAfterFinished is how long the mission is kept once it is decided.
	// +optional
	// +kubebuilder:validation:Minimum=0
	TTLSecondsAfterFinished *int32 `json:"ttlSecondsAfterFinished,omitempty"`

	// baseline of the agent, as it was when the mission was judged; absent before its first mission.
	// +optional
	Baseline *BaselineSnapshot `json:"baseline,omitempty"`

	// observed is what the gateways saw of the mission; absent where no gateway was up.
	// +optional
	Observed *ObservedCalls `json:"observed,omitempty"`
}

// ObservedCalls is what the gateways saw of a mission, as the audit log sums it.
type ObservedCalls struct {
	// calls that were let through.
	// +optional
	// +kubebuilder:validation:Minimum=0
	Calls int64 `json:"calls,omitempty"`

	// denied counts the calls that were refused for their service, target or a constraint.
	// +optional
	// +kubebuilder:validation:Minimum=0
	Denied int64 `json:"denied,omitempty"`

	// services that calls were let through to, in order of names, at most 128.
	// +optional
	// +listType=map
	// +listMapKey=service
	// +kubebuilder:validation:MaxItems=128
	Services []ObservedService `json:"services,omitempty"`

	// missing lists the gateways that were up and whose counts did not arrive in time, at most 64.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MaxLength=253
	Missing []string `json:"missing,omitempty"`
}

// ObservedService counts the calls to one service.
type ObservedService struct {
	// service that was called.
	// +required
	Service ServiceName `json:"service,omitempty"`

	// calls that were let through.
	// +optional
	// +kubebuilder:validation:Minimum=0
	Calls int64 `json:"calls,omitempty"`

	// denied counts the calls that were refused for their target or a constraint.
	// +optional
	// +kubebuilder:validation:Minimum=0
	Denied int64 `json:"denied,omitempty"`
}

// BaselineSnapshot is what an agent's missions were like when one was judged.
type BaselineSnapshot struct {
	// missions that the baseline was made of.
	// +optional
	// +kubebuilder:validation:Minimum=0
	Missions int64 `json:"missions,omitempty"`

	// actions a mission.
	// +optional
	Actions Distribution `json:"actions,omitempty,omitzero"`

	// durationSeconds of a mission.
	// +optional
	DurationSeconds Distribution `json:"durationSeconds,omitempty,omitzero"`
}

// CheckoutStatus is what became of a checkout.
type CheckoutStatus struct {
	// conditions are Ready (True once it is judged and what follows from the verdict is done; False
	// where the Checkout does not count), Accepted (True: Clean, or Approved; False: Blocked by
	// decision, or the Checkout does not count; Unknown: awaiting review) and Stalled, True where the
	// Checkout does not count.
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

	// passportUID is the UID of the Passport that the Checkout was judged for.
	// +optional
	PassportUID types.UID `json:"passportUID,omitempty"`

	// jti of the mission's token.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	JTI string `json:"jti,omitempty"`

	// sessionID joins a mission and what it delegates.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	SessionID string `json:"sessionID,omitempty"`

	// verdict is Clean, Flagged or Blocked. It never changes.
	// +optional
	Verdict Verdict `json:"verdict,omitempty"`

	// flags that the detectors raised, the worst first, at most 256.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=256
	Flags []Flag `json:"flags,omitempty"`

	// flagSummary names the types of the flags that are more than information, the worst first, and
	// counts the others.
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	FlagSummary string `json:"flagSummary,omitempty"`

	// escalation is Block where the flags block the agent at once, as its accountability says.
	// +optional
	Escalation Escalation `json:"escalation,omitempty"`

	// mission is what the verdict rests on.
	// +optional
	Mission *MissionRecord `json:"mission,omitempty"`

	// judgedTime is when the verdict was given.
	// +optional
	JudgedTime *metav1.Time `json:"judgedTime,omitempty"`

	// decidedTime is when the mission was accepted or blocked for good: with a Clean verdict, or by
	// a review. The mission is kept for ttlSecondsAfterFinished from then on.
	// +optional
	DecidedTime *metav1.Time `json:"decidedTime,omitempty"`

	// baselineTime is when the mission entered the baseline of its agent, which it does once, if it
	// was Clean or Approved.
	// +optional
	BaselineTime *metav1.Time `json:"baselineTime,omitempty"`
}

// Checkout ends a mission. What the agent did is judged by detectors; where they found something, a
// person decides.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:shortName=ckout,categories=agentpassport-all
// +kubebuilder:selectablefield:JSONPath=`.spec.passportRef.name`
// +kubebuilder:selectablefield:JSONPath=`.spec.agentRef.name`
// +kubebuilder:selectablefield:JSONPath=`.status.verdict`
// +kubebuilder:printcolumn:name="Passport",type=string,JSONPath=`.spec.passportRef.name`
// +kubebuilder:printcolumn:name="Agent",type=string,JSONPath=`.spec.agentRef.name`
// +kubebuilder:printcolumn:name="Verdict",type=string,JSONPath=`.status.verdict`
// +kubebuilder:printcolumn:name="Flags",type=string,JSONPath=`.status.flagSummary`
// +kubebuilder:printcolumn:name="Accepted",type=string,JSONPath=`.status.conditions[?(@.type=="Accepted")].status`
// +kubebuilder:printcolumn:name="Reason",type=string,JSONPath=`.status.conditions[?(@.type=="Accepted")].reason`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:printcolumn:name="Outcome",type=string,priority=1,JSONPath=`.spec.outcome`
// +kubebuilder:printcolumn:name="Source",type=string,priority=1,JSONPath=`.spec.source`
// +kubebuilder:printcolumn:name="Submitted-By",type=string,priority=1,JSONPath=`.spec.submittedBy.username`
// +kubebuilder:printcolumn:name="Reviewer",type=string,priority=1,JSONPath=`.spec.review.reviewer.username`
// +kubebuilder:printcolumn:name="Summary",type=string,priority=1,JSONPath=`.spec.summary`
type Checkout struct {
	metav1.TypeMeta `json:",inline"`

	// metadata is the standard object's metadata.
	// +optional
	metav1.ObjectMeta `json:"metadata,omitzero"`

	// spec is the report, and the review.
	// +required
	Spec CheckoutSpec `json:"spec,omitzero"`

	// status is written by the operator.
	// +optional
	Status CheckoutStatus `json:"status,omitzero"`
}

// CheckoutList is a list of Checkouts.
//
// +kubebuilder:object:root=true
type CheckoutList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []Checkout `json:"items"`
}
