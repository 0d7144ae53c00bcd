package requeststest

import (
	"agentpassport.dev/operator/api/v1alpha1"
	"agentpassport.dev/operator/internal/gateway/decision"
)

// constrained are the services that have constraints, all of them such as the API takes.
var constrained = []struct {
	service     v1alpha1.ServiceName
	constraints []v1alpha1.Constraint
}{
	{"only-get", one("method", v1alpha1.ConstraintEq, "GET")},
	{"not-delete", one("method", v1alpha1.ConstraintNotEq, "delete")},
	{"read-or-write", list("method", v1alpha1.ConstraintIn, "GET", "POST")},
	{"not-admin", list("url.pathname", v1alpha1.ConstraintNotIn, "/admin/", "/user@example.com")},
	{"only-repos", one("url.pathname", v1alpha1.ConstraintStartsWith, "/repos/acme/")},
	{"only-issues", one("url.pathname", v1alpha1.ConstraintMatches, "/repos/[a-z]+|/issues/[0-9]+")},
	{"only-host", one("url.host", v1alpha1.ConstraintEq, "Only-Host.example.test")},
	{"only-origin", one("url.origin", v1alpha1.ConstraintEq, "http://only-origin.example.test")},
	{"header-eq", one("headers.X-Env", v1alpha1.ConstraintEq, "test")},
	{"header-not", one("headers.x-env", v1alpha1.ConstraintNotEq, "prod")},
	{"query-eq", one("query.channel", v1alpha1.ConstraintEq, "C1")},
	{"query-not", one("query.q", v1alpha1.ConstraintNotEq, "a b")},
	{"query-starts", one("query.q", v1alpha1.ConstraintStartsWith, "is:open ")},
	{"body-eq", one("body.channel", v1alpha1.ConstraintEq, "C1")},
	{"body-deep", one("body.to.0.name", v1alpha1.ConstraintIn, "a")},
	{"body-number", one("body.amount", v1alpha1.ConstraintNotEq, "100")},
	{"body-true", one("body.draft", v1alpha1.ConstraintEq, "true")},
	{"several", []v1alpha1.Constraint{
		one("method", v1alpha1.ConstraintEq, "POST")[0],
		one("url.pathname", v1alpha1.ConstraintEq, "/messages")[0],
		one("body.channel", v1alpha1.ConstraintMatches, "C[0-9]+")[0],
	}},
}

func one(path string, op v1alpha1.ConstraintOp, value string) []v1alpha1.Constraint {
	if op == v1alpha1.ConstraintIn || op == v1alpha1.ConstraintNotIn {
		return list(path, op, value)
	}
	return []v1alpha1.Constraint{{Path: path, Op: op, Value: &value}}
}

func list(path string, op v1alpha1.ConstraintOp, values ...string) []v1alpha1.Constraint {
	return []v1alpha1.Constraint{{Path: path, Op: op, Values: values}}
}

func constraints() []Request {
	const breaks = decision.CodeConstraint
	var calls []Request
	add := func(name, service, path string, code decision.Code, with ...func(*Request)) {
		calls = append(calls, everywhere("constraint "+service+", "+name, service, path, code, path, with...)...)
	}
	add("GET", "only-get", "/", goes)
	add("POST", "only-get", "/", breaks, method("POST"))
	add("HEAD", "only-get", "/", breaks, method("HEAD"))
	add("GET", "not-delete", "/", goes)
	add("DELETE", "not-delete", "/", breaks, method("DELETE"))
	add("POST", "read-or-write", "/", goes, method("POST"))
	add("PUT", "read-or-write", "/", breaks, method("PUT"))
	add("other path", "not-admin", "/a", goes)
	add("longer path", "not-admin", "/admin/a", goes)
	add("the path", "not-admin", "/admin", breaks)
	add("with a slash", "not-admin", "/admin/", breaks)
	add("with a query", "not-admin", "/admin?a", breaks)
	add("with an escape", "not-admin", "/user%40example.com", breaks)
	add("without one", "not-admin", "/user@example.com", breaks)
	add("below", "only-repos", "/repos/acme/a", goes)
	add("beside", "only-repos", "/repos/acme-evil/a", breaks)
	add("other case", "only-repos", "/Repos/acme/a", breaks)
	add("in the query", "only-repos", "/?/repos/acme/", breaks)
	add("first", "only-issues", "/repos/a", goes)
	add("second", "only-issues", "/issues/12", goes)
	add("and more", "only-issues", "/issues/12/comments", breaks)
	add("more before", "only-issues", "/a/issues/12", breaks)
	add("of it", "only-host", "/", goes)
	add("of it", "only-origin", "/", goes)

	add("there", "header-eq", "/", goes, header("X-Env", "test"))
	add("not there", "header-eq", "/", breaks)
	add("other", "header-eq", "/", breaks, header("X-Env", "prod"))
	add("other case of the value", "header-eq", "/", breaks, header("X-Env", "TEST"))
	add("there and as CGI reads it", "header-eq", "/", breaks, header("X-Env", "test", "X_Env", "prod"))
	add("as CGI reads it", "header-eq", "/", breaks, header("X_Env", "test"))
	add("other", "header-not", "/", goes, header("X-Env", "test"))
	add("the one", "header-not", "/", breaks, header("X-Env", "prod"))
	add("not there", "header-not", "/", breaks)
	calls = append(calls, atEach([]Front{ReverseProxy}, "constraint header-eq, twice", "header-eq", "/", breaks, "",
		header("X-Env", "test", "X-Env", "prod"))...)
	calls = append(calls, atEach([]Front{ReverseProxy, Proxy}, "constraint header-eq, in two cases", "header-eq", "/", breaks, "",
		header("X-Env", "test", "x-env", "prod"))...)

	add("there", "query-eq", "/?channel=C1", goes)
	add("there with others", "query-eq", "/?a=b&channel=C1&c", goes)
	add("escaped", "query-eq", "/?channel=%431", goes)
	add("key escaped", "query-eq", "/?%63hannel=C1", goes)
	add("not there", "query-eq", "/?a=C1", breaks)
	add("no query", "query-eq", "/", breaks)
	add("other", "query-eq", "/?channel=C2", breaks)
	add("twice", "query-eq", "/?channel=C1&channel=C2", breaks)
	add("twice alike", "query-eq", "/?channel=C1&channel=C1", breaks)
	add("twice, once escaped", "query-eq", "/?channel=C1&%63hannel=C2", breaks)
	add("as a list", "query-eq", "/?channel=C1&channel[]=C2", breaks)
	add("other case", "query-eq", "/?channel=C1&Channel=C2", breaks)
	add("behind a semicolon", "query-eq", "/?channel=C1;channel=C2", breaks)
	add("space before", "query-eq", "/?channel=C1&%20channel=C2", breaks)
	add("other", "query-not", "/?q=a", goes)
	add("the one", "query-not", "/?q=a%20b", breaks)
	add("the one as a form", "query-not", "/?q=a+b", breaks)
	add("plus sign", "query-not", "/?q=a%2Bb", goes)
	add("space", "query-starts", "/?q=is:open%20bug", goes)
	add("plus sign for a space", "query-starts", "/?q=is:open+bug", breaks)

	add("there", "body-eq", "/", goes, body(`{"channel":"C1","text":"hello"}`))
	add("escaped", "body-eq", "/", goes, body(`{"\u0063hannel":"\u00431"}`))
	add("other", "body-eq", "/", breaks, body(`{"channel":"C2"}`))
	add("not there", "body-eq", "/", breaks, body(`{"text":"hello"}`))
	add("null", "body-eq", "/", breaks, body(`{"channel":null}`))
	add("object", "body-eq", "/", breaks, body(`{"channel":{"id":"C1"}}`))
	add("list", "body-eq", "/", breaks, body(`{"channel":["C1"]}`))
	add("deeper", "body-eq", "/", breaks, body(`{"a":{"channel":"C1"}}`))
	add("twice", "body-eq", "/", breaks, body(`{"channel":"C1","channel":"C2"}`))
	add("twice, the good one last", "body-eq", "/", breaks, body(`{"channel":"C2","channel":"C1"}`))
	add("other case", "body-eq", "/", breaks, body(`{"channel":"C1","Channel":"C2"}`))
	add("twice, once escaped", "body-eq", "/", breaks, body(`{"channel":"C1","\u0063hannel":"C2"}`))
	add("NUL behind", "body-eq", "/", breaks, body(`{"channel":"C1\u0000"}`))
	add("no body", "body-eq", "/", breaks, method("POST"))
	add("no JSON", "body-eq", "/", breaks, body(`channel=C1`))
	add("list of objects", "body-eq", "/", breaks, body(`[{"channel":"C1"}]`))
	add("more behind", "body-eq", "/", breaks, body(`{"channel":"C1"}{"channel":"C2"}`))
	add("comma at the end", "body-eq", "/", breaks, body(`{"channel":"C1",}`))
	add("comment", "body-eq", "/", breaks, body(`{"channel":"C1"/**/}`))
	add("as a form", "body-eq", "/", breaks, bodyAs("application/x-www-form-urlencoded", `{"channel":"C1","x":"&channel=C2"}`))
	add("as text", "body-eq", "/", breaks, bodyAs("text/plain", `{"channel":"C1"}`))
	add("as UTF-7", "body-eq", "/", breaks, bodyAs("application/json; charset=utf-7", `{"channel":"C1"}`))
	add("as JSON of a kind", "body-eq", "/", goes, bodyAs("application/vnd.api+json; charset=UTF-8", `{"channel":"C1"}`))
	add("compressed", "body-eq", "/", breaks, body(`{"channel":"C1"}`), header("Content-Encoding", "gzip"))
	add("there", "body-deep", "/", goes, body(`{"to":[{"name":"a"},{"name":"b"}]}`))
	add("second", "body-deep", "/", breaks, body(`{"to":[{"name":"b"},{"name":"a"}]}`))
	add("empty list", "body-deep", "/", breaks, body(`{"to":[]}`))
	add("repeated above", "body-deep", "/", breaks, body(`{"to":[{"name":"a"}],"to":[{"name":"b"}]}`))
	add("other", "body-number", "/", goes, body(`{"amount":99.5}`))
	add("the one", "body-number", "/", breaks, body(`{"amount":100}`))
	add("the one as text", "body-number", "/", breaks, body(`{"amount":"100"}`))
	add("the one with a fraction", "body-number", "/", breaks, body(`{"amount":100.0}`))
	add("the one with an exponent", "body-number", "/", breaks, body(`{"amount":1e2}`))
	add("true", "body-true", "/", goes, body(`{"draft":true}`))
	add("false", "body-true", "/", breaks, body(`{"draft":false}`))

	add("all", "several", "/messages", goes, body(`{"channel":"C12"}`))
	add("all but the method", "several", "/messages", breaks, body(`{"channel":"C12"}`), method("PUT"))
	add("all but the path", "several", "/message", breaks, body(`{"channel":"C12"}`))
	add("all but the body", "several", "/messages", breaks, body(`{"channel":"D12"}`))
	return calls
}
