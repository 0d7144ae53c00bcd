package v1alpha1

import (
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// ConditionType is the type of a condition of a kind in this group.
type ConditionType string

// Reason is why a condition has its status.
type Reason string

// Condition types of every kind.
const (
	// ConditionReady of a Passport is True while it is Active; of a Checkpoint, once it is accepted;
	// of a Checkout, once it is judged; of an AgentPassport and an AgentBlock, once the operator has read it and acts on it.
	ConditionReady ConditionType = "Ready"
	// ConditionStalled is True, and there, only where the object came to nothing and never becomes Ready
	// (again): a Passport that ended otherwise than it was meant to, a Checkpoint or Checkout that does
	// not count (kstatus).
	ConditionStalled ConditionType = "Stalled"
)

// Condition types of an AgentPassport.
const (
	// ConditionBlocked is True while the agent is suspended or an AgentBlock is in force for it.
	ConditionBlocked ConditionType = "Blocked"
	// ConditionDocumented is True where the AgentPassport has a document.
	ConditionDocumented ConditionType = "Documented"
	// ConditionUnknownFields is there, and True, where the document has fields that v0.1 lacks.
	ConditionUnknownFields ConditionType = "UnknownFields"
	// ConditionSandboxContradiction is there, and True, where `sandboxed` and
	// `install_modes_supported` exclude each other (Agent Passport v0.1, section 3).
	ConditionSandboxContradiction ConditionType = "SandboxContradiction"
	// ConditionWritesBeyondSandbox is there, and True, where a cloud-sandbox agent claims writes
	// beyond its session sandbox (Agent Passport v0.1, section 5).
	ConditionWritesBeyondSandbox ConditionType = "WritesBeyondSandbox"
	// ConditionUnprovenClaim is there, and True, where the document claims `verified: true` without
	// proof (Agent Passport v0.1, section 6).
	ConditionUnprovenClaim ConditionType = "UnprovenClaim"
)

// Condition types of a Passport.
const (
	// ConditionTokenDelivered is True while the Secret of an Active passport holds its token.
	ConditionTokenDelivered ConditionType = "TokenDelivered"
	// ConditionSucceeded is True, and there in the place of Ready, once the mission has ended as it was
	// meant to: by a checkout, or in mode Standard, which has none, by its time.
	ConditionSucceeded ConditionType = "Succeeded"
)

// Explanation is the condition that says why a Passport is in its phase: Succeeded where it is there, else
// Ready. It is nil before the operator has looked at the Passport.
func (s *PassportStatus) Explanation() *metav1.Condition {
	if succeeded := meta.FindStatusCondition(s.Conditions, string(ConditionSucceeded)); succeeded != nil {
		return succeeded
	}
	return meta.FindStatusCondition(s.Conditions, string(ConditionReady))
}

// Condition types of a Checkout.
const (
	// ConditionAccepted is True where the verdict is Clean or a reviewer approved, False where a
	// reviewer blocked or the Checkout does not count, Unknown while a review is awaited.
	ConditionAccepted ConditionType = "Accepted"
)

// Reasons of an AgentPassport's conditions.
const (
	// ReasonRegistered: the agent can get passports.
	ReasonRegistered Reason = "Registered"
	// ReasonSuspended: spec.suspend is true.
	ReasonSuspended Reason = "Suspended"
	// ReasonBlocked: an AgentBlock is in force.
	ReasonBlocked Reason = "Blocked"
	// ReasonNotBlocked: neither suspended nor blocked.
	ReasonNotBlocked Reason = "NotBlocked"
	// ReasonDocumentPresent: the AgentPassport has a document.
	ReasonDocumentPresent Reason = "DocumentPresent"
	// ReasonNoDocument: the AgentPassport has no document.
	ReasonNoDocument Reason = "NoDocument"
	// ReasonFieldsNotInSchema: the document has fields that v0.1 lacks; they are kept.
	ReasonFieldsNotInSchema Reason = "FieldsNotInSchema"
	// ReasonSandboxedWithoutCloudMode: sandboxed is true, and no cloud-sandbox mode is supported.
	ReasonSandboxedWithoutCloudMode Reason = "SandboxedWithoutCloudMode"
	// ReasonCloudModeNotSandboxed: cloud-sandbox is the only mode, and sandboxed is false.
	ReasonCloudModeNotSandboxed Reason = "CloudModeNotSandboxed"
	// ReasonSandboxedLocalTool: sandboxed is true, and local-tool is supported too.
	ReasonSandboxedLocalTool Reason = "SandboxedLocalTool"
	// ReasonClaimsOutsideWrites: can_write names more than the session sandbox.
	ReasonClaimsOutsideWrites Reason = "ClaimsOutsideWrites"
	// ReasonNoProof: nothing proves the claim.
	ReasonNoProof Reason = "NoProof"
)

// Reasons of a Passport that is Pending. Time or a person mends them.
const (
	// ReasonAgentNotFound: the AgentPassport is not there (yet).
	ReasonAgentNotFound Reason = "AgentNotFound"
	// ReasonNamespaceNotEnabled: the namespace's owner has not consented to token Secrets.
	ReasonNamespaceNotEnabled Reason = "NamespaceNotEnabled"
	// ReasonAuditUnavailable: the audit log does not take the record of the issue.
	ReasonAuditUnavailable Reason = "AuditUnavailable"
	// ReasonAuditRefused: the audit log will not take the record of the issue as it is, such as one that
	// holds what looks like a credential.
	ReasonAuditRefused Reason = "AuditRefused"
	// ReasonSecretConflict: a Secret of that name belongs to someone else.
	ReasonSecretConflict Reason = "SecretConflict"
	// ReasonSecretRefused: the API server refuses the Secret, by a quota or a policy.
	ReasonSecretRefused Reason = "SecretRefused"
)

// Reasons of a Passport that is Active.
const (
	// ReasonIssued: the passport is Active.
	ReasonIssued Reason = "Issued"
	// ReasonDelivered: the Secret holds the token.
	ReasonDelivered Reason = "Delivered"
)

// Reasons of a Passport that is Rejected. They are final.
const (
	// ReasonNotIssuedInTime: what it waited for did not come within issueDeadlineSeconds.
	ReasonNotIssuedInTime Reason = "NotIssuedInTime"
	// ReasonAccountabilityRequired: the agent is Enforced or Logged, and intent.summary or
	// intent.services is missing (ACCOUNTABILITY_REQUIRED of the lifecycle guide).
	ReasonAccountabilityRequired Reason = "AccountabilityRequired"
	// ReasonServiceNotGranted: a service is named that the agent has no grant for.
	ReasonServiceNotGranted Reason = "ServiceNotGranted"
	// ReasonScopeEscalation: a scope is named that the grant does not hold.
	ReasonScopeEscalation Reason = "ScopeEscalation"
	// ReasonLifetimeExceeded: activeDeadlineSeconds is over the agent's maxLifetimeSeconds.
	ReasonLifetimeExceeded Reason = "LifetimeExceeded"
	// ReasonPassportBlocked: the agent is blocked or suspended (PASSPORT_BLOCKED).
	ReasonPassportBlocked Reason = "PassportBlocked"
	// ReasonTokenTooLarge: the token would be over 8 KiB.
	ReasonTokenTooLarge Reason = "TokenTooLarge"
)

// Reasons of a Passport that is Expired.
const (
	// ReasonCheckpointSilence: Enforced, and no checkpoint was made in time.
	ReasonCheckpointSilence Reason = "CheckpointSilence"
	// ReasonTTLElapsed: Logged or Standard, and ttlSeconds are over.
	ReasonTTLElapsed Reason = "TTLElapsed"
	// ReasonDeadlineReached: the whole mission's limit is reached.
	ReasonDeadlineReached Reason = "DeadlineReached"
)

// Reasons of a Passport that is Revoked.
const (
	// ReasonRevokedByRequest: spec.revocation was set.
	ReasonRevokedByRequest Reason = "RevokedByRequest"
	// ReasonAgentBlocked: an AgentBlock is in force.
	ReasonAgentBlocked Reason = "AgentBlocked"
	// ReasonAgentSuspended: the AgentPassport is suspended.
	ReasonAgentSuspended Reason = "AgentSuspended"
	// ReasonAgentDeleted: the AgentPassport was deleted.
	ReasonAgentDeleted Reason = "AgentDeleted"
	// ReasonPassportDeleted: the Passport was deleted.
	ReasonPassportDeleted Reason = "PassportDeleted"
	// ReasonSignalRaised: a detector raised a signal that revokes.
	ReasonSignalRaised Reason = "SignalRaised"
)

// Reasons of a Checkpoint's Ready condition.
const (
	// ReasonAccepted: the checkpoint counts.
	ReasonAccepted Reason = "Accepted"
	// ReasonPassportNotFound: there is no Passport of that name as old as the checkpoint.
	ReasonPassportNotFound Reason = "PassportNotFound"
	// ReasonNotYours: the Passport belongs to another agent.
	ReasonNotYours Reason = "NotYours"
	// ReasonCheckpointNotAvailable: the Passport is in mode Standard (CHECKPOINT_NOT_AVAILABLE).
	ReasonCheckpointNotAvailable Reason = "CheckpointNotAvailable"
	// ReasonTooLate: it was made after the passport had expired.
	ReasonTooLate Reason = "TooLate"
	// ReasonPassportEnded: it was made after the passport had ended, or was never issued.
	ReasonPassportEnded Reason = "PassportEnded"
	// ReasonTooMany: twenty checkpoints of the same interval were waiting already.
	ReasonTooMany Reason = "TooMany"
)

// Reason of a Passport that is CheckedOut.
const (
	// ReasonCheckedOut: a Checkout ended the mission.
	ReasonCheckedOut Reason = "CheckedOut"
)

// Reasons of a Checkout's Ready condition, beside PassportNotFound, NotYours and PassportEnded.
const (
	// ReasonJudged: the verdict is given, and what follows from it at once is done.
	ReasonJudged Reason = "Judged"
	// ReasonBlockingAgent: the verdict is given, and the agent is being blocked.
	ReasonBlockingAgent Reason = "BlockingAgent"
	// ReasonAlreadyCheckedOut: another Checkout of the Passport came first.
	ReasonAlreadyCheckedOut Reason = "AlreadyCheckedOut"
	// ReasonCheckoutNotAvailable: the Passport is in mode Standard, which has no checkouts.
	ReasonCheckoutNotAvailable Reason = "CheckoutNotAvailable"
)

// Reasons of a Checkout's Accepted condition, beside Blocked, where a reviewer blocked the agent, and
// the reasons why a Checkout does not count.
const (
	// ReasonClean: the detectors found nothing that needs a person.
	ReasonClean Reason = "Clean"
	// ReasonApproved: a reviewer approved.
	ReasonApproved Reason = "Approved"
	// ReasonAwaitingReview: a person has to decide.
	ReasonAwaitingReview Reason = "AwaitingReview"
)

// Condition types of a ServiceConnection.
const (
	// ConditionCredentialReadable is True while the gateways can read the credential, False where one
	// cannot, Unknown before a gateway has tried. Without a credential it is absent.
	ConditionCredentialReadable ConditionType = "CredentialReadable"
)

// Reasons of a ServiceConnection's conditions.
const (
	// ReasonServed: the gateways serve calls to the service.
	ReasonServed Reason = "Served"
	// ReasonCredentialRead: the gateways can read the credential.
	ReasonCredentialRead Reason = "CredentialRead"
	// ReasonNoGatewayYet: no gateway has said whether it can read the credential.
	ReasonNoGatewayYet Reason = "NoGatewayYet"
	// ReasonCredentialForbidden: no Role lets the gateway read the Secret; the message has one.
	ReasonCredentialForbidden Reason = "CredentialForbidden"
	// ReasonCredentialNotFound: there is no such Secret.
	ReasonCredentialNotFound Reason = "CredentialNotFound"
	// ReasonCredentialKeyMissing: the Secret lacks the key, or the key is empty or not a credential.
	ReasonCredentialKeyMissing Reason = "CredentialKeyMissing"
)

// Reasons of an AgentBlock's Ready condition.
const (
	// ReasonBlocking: the block is in force.
	ReasonBlocking Reason = "Blocking"
	// ReasonLifted: the block was lifted.
	ReasonLifted Reason = "Lifted"
)
