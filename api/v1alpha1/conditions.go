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
	// ConditionUnprovenClaim is there, and True, where the document claims `verified: true` without proof (Agent
	// Passport v0.1, section 6). A CapabilityPassport has it too, for `publisher_verified`.
	ConditionUnprovenClaim ConditionType = "UnprovenClaim"
	// ConditionHiddenCharacters is there, and True, where the document has characters that a reader does not see:
	// bidirectional controls, zero-width and other invisible ones. A CapabilityPassport has it too.
	ConditionHiddenCharacters ConditionType = "HiddenCharacters"
	// ConditionVerified is True where a trusted key of the vendor signed the document, False where none did. It is
	// absent without a document. A CapabilityPassport has it too.
	ConditionVerified ConditionType = "Verified"
	// ConditionGrantOutsideDocument is there, and True, where a service is granted that can_access does not speak
	// of. It informs.
	ConditionGrantOutsideDocument ConditionType = "GrantOutsideDocument"
)

// Condition types of a Passport.
const (
	// ConditionTokenDelivered is True while the Secret of an Active passport holds its token.
	ConditionTokenDelivered ConditionType = "TokenDelivered"
	// ConditionPolicyWarning is there, and True, where a PolicyPack warned at the issue; on a CompatibilityCheck,
	// while one warns.
	ConditionPolicyWarning ConditionType = "PolicyWarning"
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
	// ReasonCharactersNotShown: the document has characters that are not shown.
	ReasonCharactersNotShown Reason = "CharactersNotShown"
	// ReasonServiceNotInDocument: can_access does not speak of a service that is granted.
	ReasonServiceNotInDocument Reason = "ServiceNotInDocument"
)

// Reasons of the condition Verified, of an AgentPassport and a CapabilityPassport.
const (
	// ReasonSignedByVendor: a trusted key of the vendor signed the document.
	ReasonSignedByVendor Reason = "SignedByVendor"
	// ReasonNotSigned: the document has no signature.
	ReasonNotSigned Reason = "NotSigned"
	// ReasonKeyNotTrusted: no VendorKey of the vendor holds the key that signed.
	ReasonKeyNotTrusted Reason = "KeyNotTrusted"
	// ReasonKeyRevoked: the key that signed is revoked.
	ReasonKeyRevoked Reason = "KeyRevoked"
	// ReasonKeyNotValid: the key that signed does not count yet, or no longer.
	ReasonKeyNotValid Reason = "KeyNotValid"
	// ReasonSignatureInvalid: the signature is not of this document, or cannot be read.
	ReasonSignatureInvalid Reason = "SignatureInvalid"
	// ReasonFingerprintMismatch: the document names another key than the one that signed it.
	ReasonFingerprintMismatch Reason = "FingerprintMismatch"
)

// Reason of a CapabilityPassport's Ready condition.
const (
	// ReasonDocumentRead: the document is read, and is paired by the CompatibilityChecks that name it.
	ReasonDocumentRead Reason = "DocumentRead"
)

// Condition types of a CompatibilityCheck.
const (
	// ConditionCompatible is True where the agent covers all that the package declares, False where something falls
	// outside, Unknown where a person has to compare, or a document is not there.
	ConditionCompatible ConditionType = "Compatible"
)

// Reasons of a CompatibilityCheck's conditions, beside AgentNotFound, NoDocument and PolicyRefused.
const (
	// ReasonPaired: the two documents are paired, and nothing keeps the install back.
	ReasonPaired Reason = "Paired"
	// ReasonPackageNotFound: the CapabilityPassport is not there (yet).
	ReasonPackageNotFound Reason = "PackageNotFound"
	// ReasonCovered: the agent covers all that the package declares.
	ReasonCovered Reason = "Covered"
	// ReasonOutsideEnvelope: something that the package declares falls outside the agent's envelope.
	ReasonOutsideEnvelope Reason = "OutsideEnvelope"
	// ReasonApprovalMissing: the package needs an approval that the agent does not ask for.
	ReasonApprovalMissing Reason = "ApprovalMissing"
	// ReasonUnclear: a person has to compare what no rule can.
	ReasonUnclear Reason = "Unclear"
	// ReasonNotCompatible: enforcement is Block, and Compatible is not True.
	ReasonNotCompatible Reason = "NotCompatible"
	// ReasonPolicyWarned: a PolicyPack warns.
	ReasonPolicyWarned Reason = "PolicyWarned"
)

// Reasons of a PolicyPack's Ready condition.
const (
	// ReasonEnforcing: the rules count.
	ReasonEnforcing Reason = "Enforcing"
	// ReasonDryRun: the rules are tried, and do not count.
	ReasonDryRun Reason = "DryRun"
)

// Reasons of a VendorKey's Ready condition.
const (
	// ReasonTrusted: a key is valid.
	ReasonTrusted Reason = "Trusted"
	// ReasonNoValidKey: every key is revoked, over, not valid yet, or cannot be read.
	ReasonNoValidKey Reason = "NoValidKey"
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
	// ReasonPolicyRefused: a rule of a PolicyPack blocks the issue; of a CompatibilityCheck, the install.
	ReasonPolicyRefused Reason = "PolicyRefused"
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
