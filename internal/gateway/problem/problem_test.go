package problem_test

import (
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"math"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"agentpassport.dev/operator/internal/gateway/decision"
	"agentpassport.dev/operator/internal/gateway/problem"
)

// codes are all that package decision has, but for Allowed.
func codes(t *testing.T) []decision.Code {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "../decision/decision.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var found []decision.Code
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok || !strings.HasPrefix(spec.Names[0].Name, "Code") {
			return true
		}
		value, err := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
		if err != nil {
			t.Fatal(err)
		}
		found = append(found, decision.Code(value))
		return true
	})
	return found
}

func TestEveryRefusalHasAnAnswer(t *testing.T) {
	all := codes(t)
	if len(all) < 25 {
		t.Fatalf("only %v", all)
	}
	for _, code := range all {
		p := problem.Of(code, "why")
		if p.Status < 400 || p.Code == problem.CodeInternal || p.Message != "why" || p.Details["reason"] != string(code) {
			t.Errorf("%s: %+v", code, p)
		}
	}
	for code, want := range map[decision.Code]string{
		decision.CodeTokenForged: "401 INVALID_PASSPORT", decision.CodeExpired: "401 PASSPORT_EXPIRED",
		decision.CodeCheckedOut: "401 PASSPORT_REVOKED", decision.CodeAgentBlocked: "403 PASSPORT_BLOCKED",
		decision.CodeCallerMissing: "401 UNAUTHORIZED", decision.CodeForeignCaller: "403 FORBIDDEN",
		decision.CodeOutsideScope: "403 FORBIDDEN", decision.CodeNoConnection: "404 NOT_FOUND",
		decision.CodeBadTarget: "400 INVALID_REQUEST", decision.CodeConstraint: "403 FORBIDDEN",
		decision.CodeStateUnknown: "503 UNAVAILABLE", decision.CodeLimited: "429 RATE_LIMITED",
		decision.CodeTooLarge: "413 TOO_LARGE", decision.CodeUpstream: "502 UPSTREAM_FAILED",
		decision.CodeUpstreamTimeout: "504 UPSTREAM_TIMEOUT", decision.Allowed: "500 INTERNAL",
	} {
		if p := problem.Of(code, ""); strconv.Itoa(p.Status)+" "+p.Code != want {
			t.Errorf("%s: %+v, want %s", code, p, want)
		}
	}
}

func TestWrite(t *testing.T) {
	for _, test := range []struct {
		problem    problem.Problem
		body       string
		challenged bool
		retry      string
	}{
		{problem.BadRequest("no <b>"), `{"error":{"code":"INVALID_REQUEST","message":"no \u003cb\u003e"}}`, false, ""},
		{problem.Unauthorized("who"), `{"error":{"code":"UNAUTHORIZED","message":"who"}}`, true, ""},
		{
			problem.Of(decision.CodeRevoked, "gone"),
			`{"error":{"code":"PASSPORT_REVOKED","message":"gone","details":{"reason":"passport_revoked"}}}`, true, "",
		},
		{problem.RateLimited("slow", 1500*time.Millisecond), `{"error":{"code":"RATE_LIMITED","message":"slow"}}`, false, "2"},
		{
			problem.Problem{Status: 500, Code: "X", Message: "y", Details: map[string]any{"no": math.NaN()}},
			`{"error":{"code":"X","message":"y"}}`, false, "",
		},
	} {
		w := httptest.NewRecorder()
		w.Header().Set("Content-Encoding", "gzip")
		problem.Write(w, test.problem)
		answer := w.Result()
		if answer.StatusCode != test.problem.Status || w.Body.String() != test.body+"\n" || !json.Valid(w.Body.Bytes()) {
			t.Errorf("%d %s", answer.StatusCode, w.Body)
		}
		header := answer.Header
		if header.Get("Content-Type") != "application/json" || header.Get("Cache-Control") != "no-store" ||
			header.Get("Content-Length") != strconv.Itoa(w.Body.Len()) || header.Get("Content-Encoding") != "" ||
			(header.Get("WWW-Authenticate") != "") != test.challenged || header.Get("Retry-After") != test.retry {
			t.Errorf("%v", header)
		}
	}
}

func TestConstructors(t *testing.T) {
	for status, p := range map[int]problem.Problem{
		http.StatusForbidden: problem.Forbidden("m"), http.StatusNotFound: problem.NotFound("m"), http.StatusConflict: problem.Conflict("m"),
		http.StatusMethodNotAllowed: problem.MethodNotAllowed("m"), http.StatusRequestEntityTooLarge: problem.TooLarge("m"),
		http.StatusServiceUnavailable: problem.Unavailable("m"), http.StatusInternalServerError: problem.Internal("m"),
	} {
		if p.Status != status || p.Code == "" || p.Error() != p.Code+": m" {
			t.Errorf("%d: %+v", status, p)
		}
	}
}
