package extauthz

import (
	"net/http"
	"net/textproto"
	"strconv"
	"strings"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"

	"agentpassport.dev/operator/api/v1alpha1"
	"agentpassport.dev/operator/internal/gateway/decision"
	"agentpassport.dev/operator/internal/gateway/headers"
	"agentpassport.dev/operator/internal/gateway/judge"
	"agentpassport.dev/operator/internal/gateway/target"
)

const (
	// serviceExtension is the context extension of a route that names its service.
	serviceExtension = "service"
	// schemeExtension says by which scheme the route's cluster is reached, where that is not the one that
	// Envoy was called by.
	schemeExtension = "scheme"
	// partialBody is Envoy's word on whether the body of a check is the whole one.
	partialBody = "X-Envoy-Auth-Partial-Body"
)

// call is one check as it was read.
type call struct {
	ask *judge.Ask
	// path with its query, as Envoy is going to send it.
	path string
	// given are all headers of the call.
	given http.Header
}

// read reads a check. What it refuses is no call yet: there is no service in it.
func read(request *authv3.CheckRequest) (*call, *judge.Refusal) {
	attributes := request.GetAttributes()
	sent := attributes.GetRequest().GetHttp()
	if sent == nil {
		return nil, badRequest("the check describes no HTTP request")
	}
	given := headersOf(sent)
	service, refusal := serviceOf(attributes.GetContextExtensions(), given)
	if refusal != nil {
		return nil, refusal
	}
	scheme := sent.GetScheme()
	if upstream := attributes.GetContextExtensions()[schemeExtension]; upstream != "" {
		scheme = upstream
	}
	c := &call{path: sent.GetPath(), given: given, ask: &judge.Ask{
		Front:   judge.FrontExtAuthz,
		Tokens:  given[headers.Passport],
		Bearer:  given[headers.Authorization],
		Request: &decision.Request{Service: service, Method: sent.GetMethod()},
		Target:  target.Parts(scheme, sent.GetHost(), sent.GetPath()),
		Source:  attributes.GetSource().GetAddress().GetSocketAddress().GetAddress(),
	}}
	c.ask.Request.Body, c.ask.Request.BodyUnread = bodyOf(sent, given)
	c.ask.Request.Header, c.ask.Malformed = headers.Judged(given)
	return c, nil
}

func badRequest(reason string) *judge.Refusal {
	return &judge.Refusal{Code: decision.CodeBadRequest, Reason: reason}
}

// serviceOf: the route's word counts before the caller's.
func serviceOf(extensions map[string]string, given http.Header) (v1alpha1.ServiceName, *judge.Refusal) {
	if service := extensions[serviceExtension]; service != "" {
		return v1alpha1.ServiceName(service), nil
	}
	switch named := given[headers.Service]; len(named) {
	case 1:
		return v1alpha1.ServiceName(named[0]), nil
	case 0:
		return "", badRequest("nothing names the service: set context_extensions of the route to {service: NAME}, or send the header " + headers.Service)
	default:
		return "", badRequest("the header " + headers.Service + " is there more than once")
	}
}

// headersOf gives the headers by canonical name. Where Envoy has joined repeated ones by commas they are
// taken apart at every comma: one that was judged as a whole might be read in parts behind it. Pseudo
// headers are left out.
func headersOf(sent *authv3.AttributeContext_HttpRequest) http.Header {
	given := http.Header{}
	for _, header := range sent.GetHeaderMap().GetHeaders() {
		add(given, header.GetKey(), rawValue(header))
	}
	for name, joined := range sent.GetHeaders() {
		for value := range strings.SplitSeq(joined, ",") {
			add(given, name, textproto.TrimString(value))
		}
	}
	return given
}

func add(given http.Header, name, value string) {
	if !strings.HasPrefix(name, ":") {
		given.Add(name, value)
	}
}

func rawValue(header *corev3.HeaderValue) string {
	if raw := header.GetRawValue(); len(raw) > 0 {
		return string(raw)
	}
	return header.GetValue()
}

// bodyOf gives the body where it is certain to be the whole one.
func bodyOf(sent *authv3.AttributeContext_HttpRequest, given http.Header) (body []byte, unread bool) {
	if body = sent.GetRawBody(); len(body) == 0 {
		body = []byte(sent.GetBody())
	}
	for _, partial := range given[partialBody] {
		if partial != "false" {
			return nil, true
		}
	}
	lengths := given["Content-Length"]
	switch {
	case len(lengths) == 1 && lengths[0] == strconv.Itoa(len(body)):
	case len(lengths) > 0:
		return nil, true
	case len(given[partialBody]) > 0: // Envoy was asked for bodies, and says that this is all
	case len(given["Transfer-Encoding"]) > 0, !strings.HasPrefix(sent.GetProtocol(), "HTTP/1"):
		return nil, true
	}
	if len(body) == 0 {
		return nil, false
	}
	return body, false
}
