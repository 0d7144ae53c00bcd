package requeststest

import "agentpassport.dev/operator/internal/gateway/decision"

// headers are tricks with headers. Envoy is not asked to be rid of what it sends on itself, so that most
// are for the fronts that send the call.
func headers() []Request {
	senders := []Front{Proxy, ReverseProxy}
	injected := "Bearer " + CredentialValue
	var calls []Request
	add := func(more []Request) { calls = append(calls, more...) }

	add(everywhere("header, credential", "api", "/", goes, "/", reaches("Authorization", injected), reaches("X-Passport-Token")))
	add(everywhere("header, kept", "api", "/", goes, "/", header("X-Custom", "a"), reaches("X-Custom", "a")))
	add(atEach([]Front{ReverseProxy}, "header, kept twice", "api", "/", goes, "/",
		header("X-Custom", "a", "X-Custom", "b"), reaches("X-Custom", "a", "b")))
	add(atEach(senders, "header, conditional", "api", "/", goes, "/", header("If-None-Match", `"a"`), reaches("If-None-Match", `"a"`)))
	for _, name := range []string{
		"X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Forwarded-Port", "X-Forwarded-Prefix",
		"X-Forwarded-Uri", "Forwarded", "X-Real-Ip", "Proxy-Authorization",
	} {
		add(atEach(senders, "header, "+name, "api", "/", goes, "/", header(name, "evil"), reaches(name)))
	}
	add(atEach([]Front{ReverseProxy}, "header, hop by hop", "api", "/", goes, "/",
		header("Connection", "X-Hop", "X-Hop", "a"), reaches("X-Hop"), reaches("Connection")))
	add(atEach([]Front{ReverseProxy}, "header, credential named as hop by hop", "api", "/", goes, "/",
		header("Connection", "Authorization, X-Passport-Token"), reaches("Authorization", injected), reaches("X-Passport-Token")))
	add(atEach([]Front{ReverseProxy}, "header, upgrade", "api", "/", goes, "/",
		header("Connection", "Upgrade", "Upgrade", "websocket"), reaches("Upgrade")))
	for _, name := range []string{
		"X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override", "X-Original-URL", "X-Rewrite-URL",
		"x_http_method_override", "X_Original-URL",
	} {
		add(everywhere("header, "+name, "api", "/", badRequest, "", header(name, "DELETE")))
	}
	// Only JSON has room for these; an HTTP server takes none of them off the wire.
	for _, bad := range []struct {
		name  string
		field Field
	}{
		{"line break in a value", Field{"X-Custom", "a\r\nX-Admin: 1"}},
		{"line feed in a value", Field{"X-Custom", "a\nb"}},
		{"NUL in a value", Field{"X-Custom", "a\x00b"}},
		{"space in a name", Field{"X Custom", "a"}},
		{"colon in a name", Field{"X-Custom:", "a"}},
		{"line break in a name", Field{"X-Custom: a\r\nX-Admin", "1"}},
		{"UTF-8 in a name", Field{"X-Cüstom", "a"}},
		{"no name", Field{"", "a"}},
	} {
		add(atEach([]Front{Proxy}, "header, "+bad.name, "api", "/", badRequest, "", header(bad.field.Name, bad.field.Value)))
	}
	return calls
}

func services() []Request {
	var calls []Request
	for _, s := range []struct {
		name, service string
		code          decision.Code
	}{
		{"declared", "api", goes},
		{"granted, not declared", "undeclared", goes},
		{"not granted", "ungranted", decision.CodeOutsideScope},
		{"nowhere", "nothing-of-this-name", decision.CodeOutsideScope},
		{"without a connection", "unconnected", decision.CodeNoConnection},
		{"in other letters", "API", decision.CodeOutsideScope},
		{"at loopback", "loopback", decision.CodeAddressRefused},
		{"at a private address", "private", decision.CodeAddressRefused},
		{"at a metadata address", "metadata", decision.CodeAddressRefused},
		{"at a loopback address that is allowed", "loopback-allowed", goes},
	} {
		calls = append(calls, everywhere("service, "+s.name, s.service, "/", s.code, "/")...)
	}
	return calls
}

func methods() []Request {
	var calls []Request
	for _, m := range []struct {
		service, method string
		code            decision.Code
		malformed       bool
	}{
		{"api", "GET", goes, false},
		{"api", "HEAD", goes, false},
		{"api", "POST", goes, false},
		{"api", "PUT", goes, false},
		{"api", "PATCH", goes, false},
		{"api", "DELETE", goes, false},
		{"api", "OPTIONS", goes, false},
		{"api", "TRACE", decision.CodeMethod, false},
		{"api", "CONNECT", decision.CodeMethod, true},
		{"api", "PROPFIND", decision.CodeMethod, false},
		{"api", "M-SEARCH", decision.CodeMethod, false},
		{"api", "get", badRequest, false},
		{"api", "Get", badRequest, false},
		{"api", "GET ", badRequest, true},
		{"api", "GET\r\nX: y", badRequest, true},
		{"api", "G\x00T", badRequest, true},
		{"reading", "GET", goes, false},
		{"reading", "HEAD", goes, false},
		{"reading", "POST", decision.CodeMethod, false},
		{"reading", "DELETE", decision.CodeMethod, false},
		{"reading", "post", badRequest, false},
	} {
		for _, call := range everywhere("method, "+m.method+" of "+m.service, m.service, "/", m.code, "/", method(m.method)) {
			call.Malformed = m.malformed
			calls = append(calls, call)
		}
	}
	return calls
}

func states() []Request {
	var calls []Request
	for _, s := range []struct {
		token Token
		code  decision.Code
	}{
		{TokenMissing, decision.CodeTokenMissing},
		{TokenTwice, decision.CodeTokenRepeated},
		{TokenTwo, decision.CodeTokenRepeated},
		{TokenList, decision.CodeTokenInvalid},
		{TokenEmpty, decision.CodeTokenInvalid},
		{TokenGarbage, decision.CodeTokenInvalid},
		{TokenForeign, decision.CodeTokenInvalid},
		{TokenOversized, decision.CodeTokenInvalid},
		{TokenForged, decision.CodeTokenForged},
		{TokenUnknown, decision.CodePassportUnknown},
		{TokenPending, decision.CodeNotActive},
		{TokenRejected, decision.CodeNotActive},
		{TokenCheckedOut, decision.CodeCheckedOut},
		{TokenExpired, decision.CodeExpired},
		{TokenPast, decision.CodeExpired},
		{TokenLast, goes},
		{TokenRevoked, decision.CodeRevoked},
		{TokenRevoking, decision.CodeRevoked},
		{TokenOrphan, decision.CodeRevoked},
		{TokenBlocked, decision.CodeAgentBlocked},
		{TokenSuspended, decision.CodeAgentBlocked},
		{TokenLost, decision.CodeStateUnknown},
		{TokenLostRevoked, decision.CodeRevoked},
	} {
		name := "state, " + string(s.token)
		calls = append(calls, everywhere(name, "api", "/", s.code, "/", token(s.token))...)
	}
	// The first failure ends it: what is wrong later is not looked at.
	calls = append(calls, everywhere("order, token before service", "ungranted", "/", decision.CodeTokenForged, "", token(TokenForged))...)
	calls = append(calls, everywhere("order, state before target", "api", "/../a", decision.CodeRevoked, "", token(TokenRevoked))...)
	calls = append(calls, everywhere("order, state before caller", "api", "/", decision.CodeRevoked, "", token(TokenRevoked), caller(CallerNone))...)
	calls = append(calls, everywhere("order, caller before service", "ungranted", "/", decision.CodeForeignCaller, "", caller(CallerMayNotUse))...)
	calls = append(calls, everywhere("order, service before target", "ungranted", "/../a", decision.CodeOutsideScope, "")...)
	calls = append(calls, everywhere("order, target before constraint", "only-get", "/../a", badTarget, "", method("POST"))...)
	return calls
}

func callers() []Request {
	var calls []Request
	for _, c := range []struct {
		service string
		caller  Caller
		code    decision.Code
	}{
		{"api", CallerNone, decision.CodeCallerMissing},
		{"api", CallerInvalid, decision.CodeCallerInvalid},
		{"api", CallerMayNotUse, decision.CodeForeignCaller},
		{"api", CallerUnknown, decision.CodeCallerUnknown},
		{"open", CallerMayUse, goes},
		{"open", CallerNone, goes},
		{"open", CallerInvalid, goes},
		{"open", CallerMayNotUse, goes},
		{"open", CallerUnknown, goes},
	} {
		name := "caller, " + string(c.caller) + " at " + c.service
		calls = append(calls, everywhere(name, c.service, "/", c.code, "/", caller(c.caller))...)
	}
	return calls
}
