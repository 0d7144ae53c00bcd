package api

import (
	"net/http"
)

// route is one line of the API.
type route struct {
	method, pattern string
	// public routes ask nobody who they are.
	public bool
	handle func(*call) error
}

// routes is the whole API. Every line is in the OpenAPI document, and nothing else but the proxy is.
func (s *service) routes() []route {
	return []route{
		{method: http.MethodPost, pattern: "/v1/passports/issue", handle: s.issue},
		{method: http.MethodPost, pattern: "/v1/passports/verify", handle: s.verify, public: true},
		{method: http.MethodPost, pattern: "/v1/passports/revoke", handle: s.revokeMany},
		{method: http.MethodGet, pattern: "/v1/passports/reviews", handle: s.reviews},
		{method: http.MethodPost, pattern: "/v1/passports/reviews/{id}/decide", handle: s.decide},
		{method: http.MethodGet, pattern: "/v1/passports/{jti}", handle: s.state},
		{method: http.MethodPost, pattern: "/v1/passports/{jti}/checkpoint", handle: s.checkpoint},
		{method: http.MethodPost, pattern: "/v1/passports/{jti}/checkout", handle: s.checkout},
		{method: http.MethodPost, pattern: "/v1/passports/{jti}/refresh", handle: s.refresh},
		{method: http.MethodPost, pattern: "/v1/passports/{jti}/revoke", handle: s.revokeOne},
		{method: http.MethodGet, pattern: "/v1/agents/{id}", handle: s.agent},
		{method: http.MethodPost, pattern: "/v1/agents/{id}/unblock", handle: s.unblock},
		{method: http.MethodGet, pattern: "/v1/audit/export", handle: s.export},
		{method: http.MethodGet, pattern: "/v1/audit/verify-chain", handle: s.verifyChain},
		{method: http.MethodGet, pattern: "/v1/security-events", handle: s.securityEvents},
		{method: http.MethodGet, pattern: "/.well-known/jwks.json", handle: s.jwks, public: true},
		{method: http.MethodGet, pattern: "/v1/.well-known/jwks.json", handle: s.jwks, public: true},
		{method: http.MethodGet, pattern: "/.well-known/openid-configuration", handle: s.discovery, public: true},
		{method: http.MethodGet, pattern: "/statuslists/{epoch}/{list}", handle: s.statusList, public: true},
		{method: http.MethodGet, pattern: "/openapi.json", handle: s.openAPI, public: true},
	}
}

// everything is the pattern of what is no route.
const everything = "/"

// New is the handler of the API.
func New(options Options) http.Handler {
	s := newService(options)
	mux := http.NewServeMux()
	for _, route := range s.routes() {
		mux.HandleFunc(route.method+" "+route.pattern, s.serve(route))
	}
	mux.HandleFunc(everything, s.serve(route{public: true, handle: func(c *call) error {
		return s.noRoute(c, mux)
	}}))
	return mux
}

// noRoute tells a path that is not there from a method that it does not have.
func (*service) noRoute(c *call, mux *http.ServeMux) error {
	var allowed []string
	for _, method := range []string{http.MethodGet, http.MethodPost} {
		probe := &http.Request{Method: method, Host: c.r.Host, URL: c.r.URL}
		if _, pattern := mux.Handler(probe); pattern != everything {
			allowed = append(allowed, method)
		}
	}
	if len(allowed) == 0 {
		return fail(CodeNotFound, "there is nothing at this path; GET /openapi.json lists what there is")
	}
	for _, method := range allowed {
		c.w.Header().Add("Allow", method)
	}
	return fail(CodeMethodNotAllowed, "this path does not take %s", c.r.Method)
}

// Routes lists every method and path that New serves, as patterns of http.ServeMux.
func Routes() []string {
	routes := (&service{}).routes()
	listed := make([]string, 0, len(routes))
	for _, route := range routes {
		listed = append(listed, route.method+" "+route.pattern)
	}
	return listed
}
