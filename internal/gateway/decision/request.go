package decision

import (
	"slices"
	"strings"

	"golang.org/x/net/http/httpguts"

	"agentpassport.dev/operator/internal/gateway/target"
)

// methods that a connection lets through that names none. CONNECT and TRACE are in no connection: one
// opens a tunnel, the other may send the credential back.
var methods = []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}

// overrides are headers by which some servers read another method or another path than the one that was
// judged.
var overrides = []string{
	"x-http-method-override",
	"x-http-method",
	"x-method-override",
	"x-original-url",
	"x-original-uri",
	"x-rewrite-url",
	"x-rewrite-uri",
}

// judgeRequest begins step 4: what cannot be read in one way is judged no further.
func judgeRequest(r *Request) (Code, string) {
	if !isMethod(r.Method) {
		return CodeBadRequest, "the method is no upper-case word"
	}
	for name, values := range r.Header {
		if !httpguts.ValidHeaderFieldName(name) {
			return CodeBadRequest, "a header has a name that is none (RFC 9110)"
		}
		if slices.ContainsFunc(values, func(v string) bool { return !httpguts.ValidHeaderFieldValue(v) }) {
			return CodeBadRequest, "a header has control characters in its value"
		}
		if slices.ContainsFunc(overrides, func(o string) bool { return sameHeader(name, o) }) {
			return CodeBadRequest, "a header asks the service for another method or path than the call's: put it into the call itself"
		}
	}
	return Allowed, ""
}

func isMethod(method string) bool {
	return method != "" && len(method) <= 32 && !strings.ContainsFunc(method, func(r rune) bool {
		return (r < 'A' || r > 'Z') && r != '-'
	})
}

// sameHeader compares the names of headers as CGI does and all that came from it: letter case does not
// count, and '_' and '-' are one.
func sameHeader(a, b string) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range len(a) {
		if foldByte(a[i]) != foldByte(b[i]) {
			return false
		}
	}
	return true
}

func foldByte(c byte) byte {
	switch {
	case c == '_':
		return '-'
	case 'A' <= c && c <= 'Z':
		return c - 'A' + 'a'
	default:
		return c
	}
}

// judgeTarget is the rest of step 4. On the host of the base URL, calls stay below the base's path, so
// that a credential for one part of a host does not reach another; on the further hosts of a connection
// they may have any path.
func judgeTarget(c *Connection, r *Request) (Code, string) {
	t := &r.Target
	switch {
	case r.TargetError != nil:
		return CodeBadTarget, r.TargetError.Error()
	case t.Host.Name == "" || t.Path == "":
		return CodeBadTarget, "the call names no target"
	case t.Scheme != c.Base.Scheme || !slices.Contains(c.Hosts, t.Host):
		return CodeForeignTarget, "the target is not at a host of the ServiceConnection " + c.Name + ", with the scheme of its baseURL"
	case t.Host == c.Base.Host && !isBelow(t.Path, c.Base.Path):
		return CodeForeignTarget, "the target is not below the baseURL of the ServiceConnection " + c.Name
	case !slices.Contains(c.methods(), r.Method):
		return CodeMethod, "the ServiceConnection " + c.Name + " does not let this method through"
	}
	if addr, ok := t.Host.Addr(); ok {
		if err := target.CheckAddress(addr, c.AllowedAddresses); err != nil {
			return CodeAddressRefused, err.Error()
		}
	}
	return Allowed, ""
}

func (c *Connection) methods() []string {
	if c.Methods == nil {
		return methods
	}
	return c.Methods
}

func isBelow(path, base string) bool {
	rest, ok := strings.CutPrefix(path, strings.TrimSuffix(base, "/"))
	return ok && (rest == "" || rest[0] == '/')
}
