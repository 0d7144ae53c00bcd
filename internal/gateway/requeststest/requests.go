// Package requeststest is the table of calls that every front of the gateway must judge right, as data,
// and the world that they are judged in. It is for tests.
package requeststest

import (
	"net/http"
	"slices"

	"agentpassport.dev/operator/internal/gateway/decision"
	"agentpassport.dev/operator/internal/gateway/target"
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

// Field is one header as it is sent.
type Field struct{ Name, Value string }

// Request is one call, and what must become of it.
type Request struct {
	// Name of the call, unique in the table; it begins with the front.
	Name string
	// Front that it is made at.
	Front Front
	// Token that it shows.
	Token Token
	// Caller that it shows.
	Caller Caller
	// Service that it names.
	Service string
	// Method as it is sent.
	Method string
	// Target as it is sent, byte for byte: a full URL at Proxy; what follows /proxy/{service} in the
	// request line at ReverseProxy; path and query at ExtAuthz.
	Target string
	// Scheme and Authority that Envoy gives, at ExtAuthz.
	Scheme, Authority string
	// Header that it sends beside passport and caller, in order; a name may come twice.
	Header []Field
	// Body that it sends; empty for none.
	Body string

	// Malformed says that an HTTP server may answer 400 to it by itself, before the gateway sees it.
	Malformed bool
	// WantCode is the decision.
	WantCode decision.Code
	// WantHost is what the upstream must see in the header Host, where the call is allowed. At ExtAuthz
	// it is not rewritten, and may name the scheme's own port.
	WantHost string
	// WantSent is the request-target that the upstream must see, byte for byte, where it is allowed.
	WantSent string
	// WantHeader must reach the upstream: each name with exactly these values; none means that the
	// header must not be there. The names are in canonical form.
	WantHeader http.Header
}

// Reference is where the call wants to go, as its front hands it on.
func (r *Request) Reference() target.Reference {
	switch r.Front {
	case Proxy:
		return target.Full(r.Target)
	case ReverseProxy:
		path, query, has := cut(r.Target)
		return target.Relative(path, query, has)
	default:
		return target.Parts(r.Scheme, r.Authority, r.Target)
	}
}

// All is the whole table.
func All() []Request {
	return slices.Concat(paths(), queries(), hosts(), headers(), constraints(), services(), methods(), states(), callers())
}

// At is the part of the table that is made at one front.
func At(front Front) []Request {
	return slices.DeleteFunc(All(), func(r Request) bool { return r.Front != front })
}
