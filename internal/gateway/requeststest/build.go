package requeststest

import (
	"net/http"
	"strings"

	"agentpassport.dev/operator/internal/gateway/decision"
)

// at makes a call to a service at a front, by path and query below the service's host.
func at(front Front, name, service, path string, code decision.Code, sent string) Request {
	host := HostOf(service)
	r := Request{
		Name: string(front) + ": " + name, Front: front, Token: TokenLive, Caller: CallerMayUse,
		Service: service, Method: http.MethodGet, WantCode: code, Target: path,
	}
	switch front {
	case Proxy:
		r.Target = "http://" + host + path
	case ReverseProxy: // the path alone
	case ExtAuthz:
		r.Scheme, r.Authority = "http", host
	}
	if code == decision.Allowed {
		r.WantHost, r.WantSent = host, sent
	}
	return r
}

// everywhere makes the same call at each front.
func everywhere(name, service, path string, code decision.Code, sent string, with ...func(*Request)) []Request {
	return atEach([]Front{Proxy, ReverseProxy, ExtAuthz}, name, service, path, code, sent, with...)
}

func atEach(fronts []Front, name, service, path string, code decision.Code, sent string, with ...func(*Request)) []Request {
	calls := make([]Request, 0, len(fronts))
	for _, front := range fronts {
		call := at(front, name, service, path, code, sent)
		for _, set := range with {
			set(&call)
		}
		calls = append(calls, call)
	}
	return calls
}

// cut splits a request-target at its first question mark.
func cut(raw string) (path, query string, has bool) { return strings.Cut(raw, "?") }

func header(fields ...string) func(*Request) {
	return func(r *Request) {
		for i := 0; i < len(fields); i += 2 {
			r.Header = append(r.Header, Field{fields[i], fields[i+1]})
		}
	}
}

func method(name string) func(*Request) { return func(r *Request) { r.Method = name } }

func body(text string) func(*Request) {
	return func(r *Request) {
		r.Method, r.Body = http.MethodPost, text
		r.Header = append(r.Header, Field{"Content-Type", "application/json"})
	}
}

func bodyAs(contentType, text string) func(*Request) {
	return func(r *Request) {
		r.Method, r.Body = http.MethodPost, text
		if contentType != "" {
			r.Header = append(r.Header, Field{"Content-Type", contentType})
		}
	}
}

func token(t Token) func(*Request) { return func(r *Request) { r.Token = t } }

func caller(c Caller) func(*Request) { return func(r *Request) { r.Caller = c } }

func reaches(name string, values ...string) func(*Request) {
	return func(r *Request) {
		if r.WantHeader == nil {
			r.WantHeader = http.Header{}
		}
		r.WantHeader[name] = values
	}
}
