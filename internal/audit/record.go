package audit

import "time"

// Record is what one step leaves in the log. A field that a step does not have is absent.
type Record struct {
	// ID derives from the object's UID and the step (see ID), so that a repeat of the step is known.
	ID string `json:"id"`
	// Time is when the step happened, in UTC, by the clock of the API server.
	Time time.Time `json:"time"`
	// Layer is the part of the system that did it.
	Layer Layer `json:"layer"`
	// Action is what was done.
	Action Action `json:"action"`
	// Step tells the steps of one object apart: the action, and where an object can take that action
	// more than once, a slash and what differs, such as signal.raise/checkpoint_silence.
	Step string `json:"step"`
	// Outcome is how it went.
	Outcome Outcome `json:"outcome"`
	// Namespace is where it happened; empty for what belongs to the cluster.
	Namespace string `json:"namespace,omitempty"`
	// Object is what the step was taken on.
	Object Object `json:"object"`
	// Agent is whose step it was, as it was then; nil where no agent is concerned.
	Agent *Agent `json:"agent,omitempty"`
	// PassportJTI is the passport's identity; empty where no passport is concerned.
	PassportJTI string `json:"passport_jti,omitempty"`
	// SessionID is shared by a passport and all that was delegated from it.
	SessionID string `json:"session_id,omitempty"`
	// Actor is the authenticated caller. It is never the operator in a person's place.
	Actor Actor `json:"actor"`
	// ErrorCode says why, where the outcome is no success.
	ErrorCode string `json:"error_code,omitempty"`
	// Facts are what else the step is about.
	Facts *Facts `json:"facts,omitempty"`
	// Replayed says that the step was taken before its tree was begun, and was written anew from what the
	// cluster still held of it.
	Replayed bool `json:"replayed,omitempty"`
	// TraceID and SpanID are the W3C trace of the request, where one was given.
	TraceID string `json:"trace_id,omitempty"`
	SpanID  string `json:"span_id,omitempty"`
	// PrevHash is the hash of the record before this one in its chain, Zero for the first.
	PrevHash string `json:"prev_hash"`
	// PrevIssueHash is, in a passport.issue alone, the hash of the same agent's issue before this
	// one, Zero for the first.
	PrevIssueHash string `json:"prev_issue_hash,omitempty"`
	// Hash is the SHA-256 of all other fields' canonical JSON, in hex.
	Hash string `json:"hash,omitempty"`
}

// KindAuditLog is the kind of the object of what happens to the log itself: its epochs and its keys.
// The name is the origin of the tree, and the UID derives from that: see LogUID.
const KindAuditLog = "AuditLog"

// Object is a Kubernetes object, told by its UID from a later one of the same name.
type Object struct {
	Kind string `json:"kind"`
	Name string `json:"name"`
	UID  string `json:"uid"`
}

// Agent is one generation of one AgentPassport.
type Agent struct {
	Name       string `json:"name"`
	UID        string `json:"uid,omitempty"`
	Generation int64  `json:"generation,omitempty"`
	// DocumentSHA256 is the digest of the agent's document; empty without one.
	DocumentSHA256 string `json:"document_sha256,omitempty"`
}

// Actor is an authenticated caller, and who vouched for it where that was another.
type Actor struct {
	Username string `json:"username"`
	Via      string `json:"via,omitempty"`
}

// Facts are what a step is about, beyond who and what.
type Facts struct {
	// Services are those that a passport may use, ServicesUsed those that it did.
	Services     []string `json:"services,omitempty"`
	ServicesUsed []string `json:"services_used,omitempty"`
	// DelegatedTo are the agents that work was handed to.
	DelegatedTo []string `json:"delegated_to,omitempty"`
	// Actions and Checkpoints count what a mission did.
	Actions     int64 `json:"actions,omitempty"`
	Checkpoints int64 `json:"checkpoints,omitempty"`
	// Summary is the intent, or what an agent reports of its work, in its own words.
	Summary string `json:"summary,omitempty"`
	// Terms are the canonical JSON of what a passport was issued with, from which its token's claims
	// follow; in a passport.issue alone.
	Terms string `json:"terms,omitempty"`
	// Reported is how the agent says that its mission went.
	Reported string `json:"reported,omitempty"`
	// Verdict, Flags, Decision and Notes are a checkout's review.
	Verdict  string `json:"verdict,omitempty"`
	Flags    []Flag `json:"flags,omitempty"`
	Decision string `json:"decision,omitempty"`
	Notes    string `json:"notes,omitempty"`
	// Reason is why someone blocked, revoked or changed something.
	Reason string `json:"reason,omitempty"`
	// Digest is the SHA-256 of what was changed or verified, KeyID the key that was. In an epoch.begin,
	// Digest is the root of the last head of the tree that was lost, and Size how many records it had.
	Digest string `json:"digest,omitempty"`
	KeyID  string `json:"key_id,omitempty"`
	Size   int64  `json:"size,omitempty"`
	// Call is, in a credential.proxy alone, the call that was judged.
	Call *Call `json:"call,omitempty"`
	// Gateway is, in a passport.seen alone, the gateway whose calls are all in the log.
	Gateway string `json:"gateway,omitempty"`
	// Kept is, in an epoch.begin, how many records of the lost tree were still there and whole, and
	// KeptDigest the root of the tree of these.
	Kept       int64  `json:"kept,omitempty"`
	KeptDigest string `json:"kept_digest,omitempty"`
}

// Call is one outbound call as a gateway judged it. It holds no header, no query and no body.
type Call struct {
	// Gateway that judged it: the name of its Pod.
	Gateway string `json:"gateway"`
	// Front that it came in by: proxy, reverse_proxy or ext_authz.
	Front string `json:"front"`
	// Service that it names.
	Service string `json:"service,omitempty"`
	// Method of the call.
	Method string `json:"method,omitempty"`
	// Target is scheme, host and path, without the query.
	Target string `json:"target,omitempty"`
	// Declared says that the intent names the service.
	Declared bool `json:"declared,omitempty"`
	// Source is the address that the call came from.
	Source string `json:"source,omitempty"`
}

// Flag is one finding of a detector.
type Flag struct {
	Type     string `json:"type"`
	Severity string `json:"severity"`
	Message  string `json:"message,omitempty"`
}

// Action is what was done.
type Action string

// The actions.
const (
	// PassportIssue is a passport that was issued; no token of it exists before its record does.
	PassportIssue Action = "passport.issue"
	// PassportCheckpoint is a progress report that was accepted.
	PassportCheckpoint Action = "passport.checkpoint"
	// PassportCheckout is the end of a mission by its agent, with the verdict.
	PassportCheckout Action = "passport.checkout"
	// PassportReviewDecide is a reviewer's decision on a checkout.
	PassportReviewDecide Action = "passport.review_decide"
	// PassportRevoke is a passport that was ended by someone.
	PassportRevoke Action = "passport.revoke"
	// PassportRevokeCascade is one that ended with the passport it was delegated from.
	PassportRevokeCascade Action = "passport.revoke_cascade"
	// PassportExpire is a passport that fell silent or ran out.
	PassportExpire Action = "passport.expire"
	// PassportReject is a passport that was never issued.
	PassportReject Action = "passport.reject"
	// AgentBlock and AgentUnblock are an agent that gets no passport, and gets them again.
	AgentBlock   Action = "agent.block"
	AgentUnblock Action = "agent.unblock"
	// SignalRaise is a detector's finding during a mission.
	SignalRaise Action = "signal.raise"
	// CredentialProxy is a call that was made with a credential that the agent never saw.
	CredentialProxy Action = "credential.proxy"
	// PassportSeen says that all that one gateway saw of a mission stands before it in the log.
	PassportSeen Action = "passport.seen"
	// DocumentVerify is a vendor's signature that was checked.
	DocumentVerify Action = "document.verify"
	// ConfigChange is an agent, a connection, a vendor key or a pack that was changed.
	ConfigChange Action = "config.change"
	// KeyRotate is a signing key that was replaced.
	KeyRotate Action = "key.rotate"
	// EpochBegin is the first record of a tree that takes the place of one that was lost.
	EpochBegin Action = "epoch.begin"
)

// Layer is the part of the system that took a step.
type Layer string

// The layers.
const (
	// Vault is the passports' own lifecycle.
	Vault Layer = "vault"
	// Proxy is what the gateway let through or refused.
	Proxy Layer = "proxy"
	// System is configuration and keys.
	System Layer = "system"
)

// Outcome is how a step went.
type Outcome string

// The outcomes.
const (
	// Success means that it was done.
	Success Outcome = "success"
	// Failure means that it was tried and could not be done.
	Failure Outcome = "failure"
	// Pending means that a person has to decide.
	Pending Outcome = "pending"
	// Blocked means that a rule forbade it.
	Blocked Outcome = "blocked"
)
