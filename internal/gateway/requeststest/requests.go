// Package requeststest is the table of calls that every front of the gateway must judge right, as data,
// and the world that they are judged in. It is for tests.
package requeststest

import (
	"net/http"

	"agentpassport.dev/operator/internal/gateway/decision"
)

// Front is a way into the gateway.
type Front string

// The fronts.
const (
	// Proxy is POST /v1/proxy: the target is a full URL.
	Proxy Front = "proxy"
	// ReverseProxy is /proxy/{service}/...: the target is below the base URL.
	ReverseProxy Front = "reverse_proxy"
	// ExtAuthz is Envoy's external authorization: the target is what Envoy is going to send.
	ExtAuthz Front = "ext_authz"
)

// Token says which passports a call shows.
type Token string

// Caller says which token of its own a call shows, in the header Authorization.
type Caller string

// Request is one call, and what must become of it.
type Request struct {
	// Name of the call, unique in the table.
	Name string
	// Fronts at which it can be made.
	Fronts []Front
	// Token that it shows.
	Token Token
	// Caller that it shows.
	Caller Caller
	// Service that it names.
	Service string
	// Method as it is sent.
	Method string
	// Target as it is sent, byte for byte: a full URL at Proxy, what follows /proxy/{service} in the
	// request line at ReverseProxy.
	Target string
	// Authority and Scheme that Envoy gives; Target is then the path with its query.
	Authority, Scheme string
	// Header that it sends beside passport and caller: pairs of name and value, in order.
	Header [][2]string
	// Body that it sends; empty for none.
	Body string
	// WantCode is the decision.
	WantCode decision.Code
	// WantHost is what the upstream must see in the header Host, where it is allowed.
	WantHost string
	// WantSent is the request-target that the upstream must see, byte for byte, where it is allowed.
	WantSent string
	// WantHeader must reach the upstream: every name with exactly these values; no value means that
	// the header must not be there.
	WantHeader http.Header
}
