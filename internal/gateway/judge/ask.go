// Package judge puts the question of a front to the one decision.
package judge

import (
	"agentpassport.dev/operator/internal/gateway/credential"
	"agentpassport.dev/operator/internal/gateway/decision"
	"agentpassport.dev/operator/internal/gateway/target"
)

// The fronts through which calls go out.
const (
	// FrontProxy is POST /v1/proxy.
	FrontProxy = "proxy"
	// FrontReverseProxy is /proxy/{service}/{path}.
	FrontReverseProxy = "reverse_proxy"
	// FrontExtAuthz is Envoy's external authorization.
	FrontExtAuthz = "ext_authz"
)

// Ask is one call as a front received it.
type Ask struct {
	// Front is one of the Front constants.
	Front string
	// Tokens are all values of X-Passport-Token, as given.
	Tokens []string
	// Bearer are all Authorization values of the caller.
	Bearer []string
	// Request has Service, Method and Header; and Body or BodyUnread.
	Request *decision.Request
	// Target is where the call goes, as it was given; it is resolved with the base of the connection.
	Target target.Reference
	// Malformed is what the front found wrong with a call that it could read so far; nil for nothing. It
	// refuses the call at the step of the target, in the place of an error of the target.
	Malformed *Refusal
	// Body reads the whole body into memory. It is called only where a constraint needs the body, and
	// at most once; nil where there is none, or where Request has it. Its error is a *Refusal: too
	// large, too slow, or cut off.
	Body func() ([]byte, error)
	// Source is the address that the call came from, without its port.
	Source string
}

// Refusal is why a front refuses a call that it read for the judge.
type Refusal struct {
	// Code of the refusal.
	Code decision.Code
	// Reason says it to a person, and quotes no value of the call.
	Reason string
}

// Error implements error.
func (r *Refusal) Error() string { return r.Reason }

// Verdict is what became of it, and what a front needs to send it.
type Verdict struct {
	decision.Decision
	// Connection of the service; nil where the call was refused early.
	Connection *decision.Connection
	// Credential that goes into the call, already read; nil for none.
	Credential *credential.Value
	// standing of the passport, and caller who showed it, for what is recorded late.
	standing *decision.Standing
	caller   string
	// Done is called once, when the call is over: it ends the count of calls in flight.
	Done func()
}
