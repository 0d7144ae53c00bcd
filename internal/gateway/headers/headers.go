// Package headers says which headers go through the gateway, and which stay.
package headers

import (
	"net/http"
	"net/textproto"
	"strings"

	"agentpassport.dev/operator/internal/gateway/decision"
	"agentpassport.dev/operator/internal/gateway/judge"
)

// What a caller says to the gateway, and to nobody behind it.
const (
	// Passport carries the passport's token.
	Passport = "X-Passport-Token"
	// Service names the service of a call that comes by way of a proxy which does not know it.
	Service = "X-Passport-Service"
	// Authorization carries the caller's own token.
	Authorization = "Authorization"
)

// dropped are request headers that never go further: the caller's own credentials, what belongs to one
// connection (RFC 9110, section 7.6.1), and what a proxy would say of where a call came from. An agent's
// cookies go too: only the credential of the ServiceConnection acts for it.
var dropped = set(
	Passport, Service, Authorization, "Proxy-Authorization", "Cookie", "Cookie2",
	"Connection", "Proxy-Connection", "Keep-Alive", "Proxy-Authenticate", "Trailer", "Transfer-Encoding", "Content-Length",
	"Expect", "Http2-Settings", "Host",
	"Forwarded", "X-Real-Ip", "Via", "X-Client-Ip", "True-Client-Ip", "X-Cluster-Client-Ip",
)

// refused are request headers for which there is no harmless way to go on without: they ask for another
// protocol on the same connection.
var refused = set("Te", "Upgrade")

func set(names ...string) map[string]struct{} {
	s := make(map[string]struct{}, len(names))
	for _, name := range names {
		s[name] = struct{}{}
	}
	return s
}

func has(s map[string]struct{}, name string) bool {
	_, ok := s[name]
	return ok
}

// family tells a name that is one of a dropped family.
func family(name string) bool {
	return strings.HasPrefix(name, "X-Forwarded-") || strings.HasPrefix(name, "X-Envoy-") || strings.HasPrefix(name, ":")
}

// AsSeen gives a name as a service may see it: CGI and its heirs cannot tell `_` from `-`.
func AsSeen(name string) string {
	if strings.Contains(name, "_") {
		return textproto.CanonicalMIMEHeaderKey(strings.ReplaceAll(name, "_", "-"))
	}
	return name
}

// Judged gives what of a caller's headers is judged and sent on. The values are shared with given, whose
// names are in canonical form. The error is a bad_request.
func Judged(given http.Header) (http.Header, *judge.Refusal) {
	named := connectionNames(given["Connection"])
	kept := make(http.Header, len(given)+1) // one more for a credential
	for name, values := range given {
		seen := AsSeen(name)
		switch {
		case has(refused, seen):
			return nil, &judge.Refusal{
				Code:   decision.CodeBadRequest,
				Reason: "the header " + seen + " does not go through the gateway; send the call without it",
			}
		case has(dropped, seen), family(seen), has(named, name):
		default:
			kept[name] = values
		}
	}
	return kept, nil
}

// connectionNames are the headers that a Connection header takes for its hop.
func connectionNames(values []string) map[string]struct{} {
	var named map[string]struct{}
	for _, value := range values {
		for name := range strings.SplitSeq(value, ",") {
			if name = textproto.TrimString(name); name == "" {
				continue
			}
			if named == nil {
				named = map[string]struct{}{}
			}
			named[textproto.CanonicalMIMEHeaderKey(name)] = struct{}{}
		}
	}
	return named
}
