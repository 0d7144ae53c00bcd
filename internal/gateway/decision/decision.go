// Package decision is the one rule by which the gateway lets a call out or refuses it. It is pure: what
// is known comes in as values, and nothing here reads a cluster, a clock or a network.
package decision

import (
	"net/http"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"agentpassport.dev/operator/api/v1alpha1"
	"agentpassport.dev/operator/internal/gateway/target"
)

// Standing is a passport as it stands at one moment. It is never changed once made, so that it may be
// shared.
type Standing struct {
	// Namespace, Name and UID of the Passport.
	Namespace, Name string
	UID             types.UID
	// Agent is the name of its AgentPassport, AgentUID the UID of the one that it was issued under.
	Agent    string
	AgentUID types.UID
	// JTI and SessionID of its tokens.
	JTI, SessionID string
	// Mode of accountability.
	Mode v1alpha1.AccountabilityMode
	// Phase as stored.
	Phase v1alpha1.Phase
	// Expiry as stored: it moves with checkpoints, whatever `exp` of a token says.
	Expiry time.Time
	// End says why a passport that is not Active is not.
	End v1alpha1.Reason
	// EndTime is when it ended; zero while it lives.
	EndTime time.Time
	// Revoking says that a revocation or a deletion is asked for and not yet in the phase.
	Revoking bool
	// Services that it carries, by name, with their constraints compiled.
	Services map[v1alpha1.ServiceName]*Service
	// HasIntent says that an intent was declared.
	HasIntent bool
}

// Service is one service that a passport carries.
type Service struct {
	// Name of the service.
	Name v1alpha1.ServiceName
	// Declared says that the intent names it.
	Declared bool
	// Scopes inside the service.
	Scopes []v1alpha1.Scope
	// Constraints on every call; all must hold.
	Constraints Constraints
}

// Connection is a ServiceConnection, parsed. It is never changed once made.
type Connection struct {
	// Namespace, Name (of the service) and UID of the ServiceConnection, Generation of its spec.
	Namespace, Name string
	UID             types.UID
	Generation      int64
	// Base is its base URL.
	Base target.Target
	// Hosts that calls may name: that of Base and the further ones.
	Hosts []target.Host
	// Methods that calls may have; nil: all.
	Methods []string
	// Callers that may show a passport.
	Callers v1alpha1.CallerPolicy
	// AllowedAddresses beside public ones.
	AllowedAddresses []v1alpha1.AddressRange
	// Credential that goes into calls; nil for none.
	Credential *v1alpha1.ServiceCredential
	// Timeout for an answer.
	Timeout time.Duration
}

// TokenState is what came of verifying a passport's token.
type TokenState int

// The token states.
const (
	// TokenValid is a token of ours: signature, issuer, audience and type are right. Its `exp` is not
	// looked at: the stored expiry decides.
	TokenValid TokenState = iota
	// TokenMissing is a call without X-Passport-Token.
	TokenMissing
	// TokenRepeated is a call with several.
	TokenRepeated
	// TokenInvalid is a token that is none of ours: malformed, too large, of another type, algorithm,
	// issuer or audience.
	TokenInvalid
	// TokenForged is a token with our issuer whose signature, key or type is wrong.
	TokenForged
)

// CallerState is what is known of who calls.
type CallerState int

// The caller states.
const (
	// CallerMayUse shows a Kubernetes token of somebody who may `use` the agent.
	CallerMayUse CallerState = iota
	// CallerNotAsked: the connection takes any bearer.
	CallerNotAsked
	// CallerMissing shows no token of its own.
	CallerMissing
	// CallerInvalid shows one that is not valid for the gateway.
	CallerInvalid
	// CallerMayNotUse is authenticated, and may not `use` the agent.
	CallerMayNotUse
	// CallerUnknown: the API server could not be asked.
	CallerUnknown
)

// Situation is all that is known when a call is judged.
type Situation struct {
	// Now by the API server's clock.
	Now time.Time
	// Lost says why what is known may be old, such as a watch that is lost; empty where it is not.
	Lost string
	// Token is what came of its verification.
	Token TokenState
	// Standing of its passport; nil where none is known.
	Standing *Standing
	// Blocked names what blocks the agent: an AgentBlock, or a suspension; empty for nothing.
	Blocked string
	// AgentGone says that the AgentPassport that it was issued under is not there.
	AgentGone bool
	// Caller who shows the token.
	Caller CallerState
	// CallerName is the username of an authenticated caller.
	CallerName string
	// Connection of the service that the call names; nil where there is none.
	Connection *Connection
}

// Request is one call, as it is going to be sent.
type Request struct {
	// Service that it names.
	Service v1alpha1.ServiceName
	// Method as it was given: only upper-case tokens are let through.
	Method string
	// Target, normalised: what is judged is what is sent. It is read from a target.Reference with the
	// base of the connection.
	Target target.Target
	// TargetError says why Target could not be read; nil where it could.
	TargetError error
	// Header that the agent gave, without what belongs to the gateway and to the connection.
	Header http.Header
	// Body that the agent gave, whole; nil where there is none or it was not read (see Body needs).
	Body []byte
	// BodyUnread says that there may be a body and that it was not read whole. A constraint on it
	// then does not hold.
	BodyUnread bool
}

// Code says why a call was refused, or that it was not.
type Code string

// The codes, in the order of the steps. The first four are about the token and its passport, whose HTTP
// answers are 401, 403 or 503; the others are what the agent asked for.
const (
	// Allowed: the call goes out.
	Allowed Code = "allowed"

	// Step 1: the token.
	CodeTokenMissing  Code = "token_missing"
	CodeTokenRepeated Code = "token_repeated"
	CodeTokenInvalid  Code = "token_invalid"
	CodeTokenForged   Code = "token_forged"

	// Step 2: the state of the passport and of its agent, and who calls.
	CodeStateUnknown    Code = "state_unknown"
	CodePassportUnknown Code = "passport_unknown"
	CodeNotActive       Code = "passport_not_active"
	CodeCheckedOut      Code = "passport_checked_out"
	CodeRevoked         Code = "passport_revoked"
	CodeExpired         Code = "passport_expired"
	CodeAgentBlocked    Code = "agent_blocked"
	CodeCallerMissing   Code = "caller_missing"
	CodeCallerInvalid   Code = "caller_invalid"
	CodeForeignCaller   Code = "foreign_workload"
	CodeCallerUnknown   Code = "caller_unknown"

	// Step 3: the service.
	CodeOutsideScope Code = "credential_outside_scope"
	CodeNoConnection Code = "no_service_connection"

	// Step 4: the target.
	CodeBadRequest     Code = "bad_request"
	CodeBadTarget      Code = "bad_target"
	CodeForeignTarget  Code = "foreign_target"
	CodeMethod         Code = "method_not_allowed"
	CodeAddressRefused Code = "address_refused"

	// Step 5: the constraints.
	CodeConstraint Code = "constraint_violation"

	// Step 6: the gateway's own part; never held against the agent.
	CodeCredential       Code = "credential_unavailable"
	CodeAuditUnavailable Code = "audit_unavailable"
	CodeLimited          Code = "rate_limited"
	CodeTooLarge         Code = "too_large"
	CodeUpstream         Code = "upstream_failed"
	CodeUpstreamTimeout  Code = "upstream_timeout"
)

// Decision is what becomes of a call.
type Decision struct {
	// Allow lets it out.
	Allow bool
	// Code says why.
	Code Code
	// Reason says it to a person; it quotes no value of a header, a query, a body or a credential.
	Reason string
	// Declared says that the intent names the service.
	Declared bool
	// Inject is the credential that goes into the call; nil for none.
	Inject *v1alpha1.ServiceCredential
}
