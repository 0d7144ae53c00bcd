package decision_test

import (
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"agentpassport.dev/operator/api/v1alpha1"
	"agentpassport.dev/operator/internal/gateway/decision"
	"agentpassport.dev/operator/internal/gateway/target"
)

var expiry = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// call is a call that goes, to a service with some constraints.
func call(t testing.TB, constraints ...v1alpha1.Constraint) (*decision.Situation, *decision.Request) {
	t.Helper()
	base, err := target.Parse("https://api.example.com")
	if err != nil {
		t.Fatal(err)
	}
	s := &decision.Situation{
		Now: expiry,
		Standing: &decision.Standing{
			Namespace: "agents", Phase: v1alpha1.PhaseActive, Expiry: expiry,
			Services: map[v1alpha1.ServiceName]*decision.Service{
				"github": {Name: "github", Declared: true, Constraints: decision.Compile(constraints)},
			},
		},
		Connection: &decision.Connection{
			Namespace: "agents", Name: "github", Base: base, Hosts: []target.Host{base.Host}, Callers: v1alpha1.CallersAgentUsers,
			Credential: &v1alpha1.ServiceCredential{SecretName: "github"},
		},
	}
	r := &decision.Request{Service: "github", Method: http.MethodGet, Header: http.Header{}}
	if r.Target, err = target.Parse("https://api.example.com/repos/acme/site?state=open&page=1"); err != nil {
		t.Fatal(err)
	}
	return s, r
}

func constraint(path string, op v1alpha1.ConstraintOp, value string) v1alpha1.Constraint {
	return v1alpha1.Constraint{Path: path, Op: op, Value: &value}
}

func expect(t *testing.T, what string, d decision.Decision, want decision.Code) {
	t.Helper()
	if d.Code != want || d.Allow != (want == decision.Allowed) || (d.Inject != nil) != d.Allow || (d.Reason == "") != d.Allow {
		t.Errorf("%s: %+v, want %s", what, d, want)
	}
}

func TestTheSecondOfTheExpiryIsInTime(t *testing.T) {
	for after, want := range map[time.Duration]decision.Code{
		-time.Hour:           decision.Allowed,
		0:                    decision.Allowed,
		time.Second - 1:      decision.Allowed,
		time.Second:          decision.CodeExpired,
		365 * 24 * time.Hour: decision.CodeExpired,
	} {
		s, r := call(t)
		s.Now = expiry.Add(after)
		expect(t, after.String(), decision.Decide(s, r), want)
	}
	s, r := call(t)
	s.Standing.Expiry = time.Time{}
	expect(t, "no expiry", decision.Decide(s, r), decision.CodeExpired)
}

func TestAnEndIsAnEndEvenWhereTheStateIsLost(t *testing.T) {
	for _, test := range []struct {
		name   string
		change func(*decision.Situation)
		known  decision.Code
		lost   decision.Code
	}{
		{"active", func(*decision.Situation) {}, decision.Allowed, decision.CodeStateUnknown},
		{"not known", func(s *decision.Situation) { s.Standing = nil }, decision.CodePassportUnknown, decision.CodeStateUnknown},
		{"pending", func(s *decision.Situation) { s.Standing.Phase = v1alpha1.PhasePending }, decision.CodeNotActive, decision.CodeStateUnknown},
		{"no phase", func(s *decision.Situation) { s.Standing.Phase = "" }, decision.CodeNotActive, decision.CodeStateUnknown},
		{"phase of another version", func(s *decision.Situation) { s.Standing.Phase = "Paused" }, decision.CodeNotActive, decision.CodeStateUnknown},
		{"past its expiry", func(s *decision.Situation) { s.Now = expiry.Add(time.Second) }, decision.CodeExpired, decision.CodeStateUnknown},
		{"blocked", func(s *decision.Situation) { s.Blocked = "AgentBlock x" }, decision.CodeAgentBlocked, decision.CodeStateUnknown},
		{"agent gone", func(s *decision.Situation) { s.AgentGone = true }, decision.CodeRevoked, decision.CodeStateUnknown},
		{"expired", func(s *decision.Situation) { s.Standing.Phase = v1alpha1.PhaseExpired }, decision.CodeExpired, decision.CodeExpired},
		{"checked out", func(s *decision.Situation) { s.Standing.Phase = v1alpha1.PhaseCheckedOut }, decision.CodeCheckedOut, decision.CodeCheckedOut},
		{"revoked", func(s *decision.Situation) { s.Standing.Phase = v1alpha1.PhaseRevoked }, decision.CodeRevoked, decision.CodeRevoked},
		{"rejected", func(s *decision.Situation) { s.Standing.Phase = v1alpha1.PhaseRejected }, decision.CodeNotActive, decision.CodeNotActive},
		{"revoking", func(s *decision.Situation) { s.Standing.Revoking = true }, decision.CodeRevoked, decision.CodeRevoked},
		{"forged", func(s *decision.Situation) { s.Token = decision.TokenForged }, decision.CodeTokenForged, decision.CodeTokenForged},
		{"token of another kind", func(s *decision.Situation) { s.Token = 99 }, decision.CodeTokenInvalid, decision.CodeTokenInvalid},
	} {
		s, r := call(t)
		test.change(s)
		expect(t, test.name, decision.Decide(s, r), test.known)
		s.Lost = "no event for 91 s"
		expect(t, test.name+", lost", decision.Decide(s, r), test.lost)
	}
}

func TestCallers(t *testing.T) {
	for _, test := range []struct {
		caller                 decision.CallerState
		asked, any, unattached decision.Code
	}{
		{decision.CallerMayUse, decision.Allowed, decision.Allowed, decision.CodeNoConnection},
		{decision.CallerNotAsked, decision.CodeCallerMissing, decision.Allowed, decision.CodeNoConnection},
		{decision.CallerMissing, decision.CodeCallerMissing, decision.Allowed, decision.CodeCallerMissing},
		{decision.CallerInvalid, decision.CodeCallerInvalid, decision.Allowed, decision.CodeCallerInvalid},
		{decision.CallerMayNotUse, decision.CodeForeignCaller, decision.Allowed, decision.CodeForeignCaller},
		{decision.CallerUnknown, decision.CodeCallerUnknown, decision.Allowed, decision.CodeCallerUnknown},
		{99, decision.CodeCallerInvalid, decision.Allowed, decision.CodeCallerInvalid},
	} {
		s, r := call(t)
		s.Caller = test.caller
		for _, policy := range []v1alpha1.CallerPolicy{v1alpha1.CallersAgentUsers, "", "Anybody"} {
			s.Connection.Callers = policy
			expect(t, "policy "+string(policy), decision.Decide(s, r), test.asked)
		}
		s.Connection.Callers = v1alpha1.CallersAnyBearer
		expect(t, "any bearer", decision.Decide(s, r), test.any)
		s.Connection = nil
		expect(t, "no connection", decision.Decide(s, r), test.unattached)
	}
}

func TestAConnectionIsThatOfTheServiceInThePassportsNamespace(t *testing.T) {
	s, r := call(t)
	s.Connection.Namespace = "others"
	expect(t, "other namespace", decision.Decide(s, r), decision.CodeNoConnection)
	s, r = call(t)
	s.Connection.Name = "gitlab"
	expect(t, "other service", decision.Decide(s, r), decision.CodeNoConnection)
	s, r = call(t)
	r.Service = "gitlab"
	expect(t, "not carried", decision.Decide(s, r), decision.CodeOutsideScope)
	s, r = call(t)
	r.Target = target.Target{}
	expect(t, "no target", decision.Decide(s, r), decision.CodeBadTarget)
}

// What no constraint can say never holds, whatever the call.
func TestConstraintsThatCannotBeReadNeverHold(t *testing.T) {
	value := "x"
	for name, c := range map[string]v1alpha1.Constraint{
		"unknown op":                constraint("method", "contains", "G"),
		"no op":                     constraint("method", "", "GET"),
		"unknown path":              constraint("url.hash", v1alpha1.ConstraintNotEq, "x"),
		"no path":                   constraint("", v1alpha1.ConstraintNotEq, "x"),
		"no name of a header":       constraint("headers.", v1alpha1.ConstraintNotEq, "x"),
		"no name of a parameter":    constraint("query.", v1alpha1.ConstraintNotEq, "x"),
		"no path in the body":       constraint("body.", v1alpha1.ConstraintNotEq, "x"),
		"empty part of a body path": constraint("body.a..b", v1alpha1.ConstraintNotEq, "x"),
		"no pattern":                constraint("method", v1alpha1.ConstraintMatches, "("),
		"two patterns in one":       constraint("method", v1alpha1.ConstraintMatches, "A)|(G"),
		"pattern with a look-ahead": constraint("method", v1alpha1.ConstraintMatches, "(?=G)GET"),
		"long pattern":              constraint("method", v1alpha1.ConstraintMatches, "GET|"+strings.Repeat("A", 253)),
		"no value":                  {Path: "method", Op: v1alpha1.ConstraintNotEq},
		"values for a value":        {Path: "method", Op: v1alpha1.ConstraintNotEq, Values: []string{"x"}},
		"both":                      {Path: "method", Op: v1alpha1.ConstraintNotIn, Value: &value, Values: []string{"x"}},
		"no values":                 {Path: "method", Op: v1alpha1.ConstraintNotIn},
		"no pathname":               constraint("url.pathname", v1alpha1.ConstraintNotEq, "admin"),
		"pathname with dots":        constraint("url.pathname", v1alpha1.ConstraintNotEq, "/a/../b"),
		"no host":                   constraint("url.host", v1alpha1.ConstraintNotEq, "https://h"),
		"host with a scheme's port": constraint("url.host", v1alpha1.ConstraintNotEq, "h:443"),
		"host with the other port":  constraint("url.host", v1alpha1.ConstraintNotEq, "h:80"),
		"origin without scheme":     constraint("url.origin", v1alpha1.ConstraintNotEq, "h"),
		"origin with a path":        constraint("url.origin", v1alpha1.ConstraintNotEq, "https://h/a"),
	} {
		s, r := call(t, c)
		expect(t, name, decision.Decide(s, r), decision.CodeConstraint)
	}
	many := make([]v1alpha1.Constraint, 64, 65)
	for i := range many {
		many[i] = constraint("method", v1alpha1.ConstraintEq, "GET")
	}
	s, r := call(t, many...)
	expect(t, "64", decision.Decide(s, r), decision.Allowed)
	s, r = call(t, append(many, many[0])...)
	expect(t, "65", decision.Decide(s, r), decision.CodeConstraint)
}

func TestConstraintsOfTheRequestLine(t *testing.T) {
	for _, test := range []struct {
		constraint v1alpha1.Constraint
		holds      bool
	}{
		{constraint("method", v1alpha1.ConstraintEq, "get"), true},
		{constraint("method", v1alpha1.ConstraintMatches, "G|GE|GET"), true},
		{constraint("method", v1alpha1.ConstraintMatches, "GE"), false},
		{constraint("url.pathname", v1alpha1.ConstraintEq, "/repos/acme/site/"), true},
		{constraint("url.pathname", v1alpha1.ConstraintEq, "/repos/%61cme/site"), true},
		{constraint("url.pathname", v1alpha1.ConstraintStartsWith, "/repos/acme"), true},
		{constraint("url.pathname", v1alpha1.ConstraintNotEq, "/repos/acme/site/"), false},
		{constraint("url.host", v1alpha1.ConstraintEq, "API.example.com."), true},
		{constraint("url.host", v1alpha1.ConstraintEq, "api.example.com:8443"), false},
		{constraint("headers.Host", v1alpha1.ConstraintEq, "api.example.com"), true},
		{constraint("url.origin", v1alpha1.ConstraintEq, "https://API.example.com:443/"), true},
		{constraint("url.origin", v1alpha1.ConstraintEq, "http://api.example.com"), false},
		{constraint("query.page", v1alpha1.ConstraintMatches, "[0-9]+"), true},
		{constraint("query.per_page", v1alpha1.ConstraintNotEq, "1000"), false},
	} {
		want := decision.CodeConstraint
		if test.holds {
			want = decision.Allowed
		}
		s, r := call(t, test.constraint)
		expect(t, test.constraint.Path+" "+*test.constraint.Value, decision.Decide(s, r), want)
	}
}

func TestReasonsQuoteNothingOfTheCall(t *testing.T) {
	const secret = "s3cr3t"
	for name, change := range map[string]func(*decision.Request){
		"header": func(r *decision.Request) { r.Header.Set("X-Env", secret) },
		"query":  func(r *decision.Request) { r.Target.Query = "env=" + secret },
		"body": func(r *decision.Request) {
			r.Header.Set("Content-Type", "application/json")
			r.Body = []byte(`{"env":"` + secret + `"}`)
		},
		"bad header": func(r *decision.Request) { r.Header["X-"+secret+"\n"] = []string{secret} },
		"bad value":  func(r *decision.Request) { r.Header.Set("X-Env", secret+"\n") },
		"method":     func(r *decision.Request) { r.Method = secret },
		"target":     func(r *decision.Request) { _, r.TargetError = target.Parse("https://h/" + secret + "//") },
		"user":       func(r *decision.Request) { _, r.TargetError = target.Parse("https://" + secret + "@h/") },
	} {
		path := map[string]string{"header": "headers.x-env", "query": "query.env", "body": "body.env"}[name]
		if path == "" {
			path = "method"
		}
		s, r := call(t, constraint(path, v1alpha1.ConstraintEq, "other"))
		change(r)
		if d := decision.Decide(s, r); d.Allow || strings.Contains(d.Reason, secret) {
			t.Errorf("%s: %+v", name, d)
		}
	}
}

func TestTheBodyIsNeededWhereAConstraintLooksAtIt(t *testing.T) {
	s, _ := call(t, constraint("method", v1alpha1.ConstraintEq, "GET"))
	if decision.NeedsBody(s.Standing, "github") || decision.NeedsBody(s.Standing, "gitlab") || decision.NeedsBody(nil, "github") {
		t.Error("nothing looks at it")
	}
	s, r := call(t, constraint("body.a", v1alpha1.ConstraintEq, "b"))
	if !decision.NeedsBody(s.Standing, "github") {
		t.Error("a constraint looks at it")
	}
	r.Header.Set("Content-Type", "application/json")
	r.Body = []byte(`{"a":"b"}`)
	expect(t, "read", decision.Decide(s, r), decision.Allowed)
	r.BodyUnread = true
	expect(t, "not read whole", decision.Decide(s, r), decision.CodeConstraint)
	r.BodyUnread = false
	r.Header["content-type"] = []string{"application/x-www-form-urlencoded"}
	expect(t, "declared twice", decision.Decide(s, r), decision.CodeConstraint)
}

// More constraints never let more through.
func TestMoreConstraintsNeverAllowMore(t *testing.T) {
	ops := []v1alpha1.ConstraintOp{
		v1alpha1.ConstraintEq, v1alpha1.ConstraintNotEq, v1alpha1.ConstraintStartsWith, v1alpha1.ConstraintMatches, "other",
	}
	paths := []string{"method", "url.pathname", "url.host", "query.state", "query.none", "headers.x-env", "body.a", "hash"}
	values := []string{"", "GET", "/repos/acme/site", "api.example.com", "open", "test", "."}
	one := rapid.Custom(func(rt *rapid.T) v1alpha1.Constraint {
		return constraint(rapid.SampledFrom(paths).Draw(rt, "path"), rapid.SampledFrom(ops).Draw(rt, "op"), rapid.SampledFrom(values).Draw(rt, "value"))
	})
	rapid.Check(t, func(rt *rapid.T) {
		constraints := rapid.SliceOfN(one, 1, 6).Draw(rt, "constraints")
		allowed := func(cs []v1alpha1.Constraint) bool {
			s, r := call(t, cs...)
			r.Header.Set("X-Env", "test")
			return decision.Decide(s, r).Allow
		}
		all := true
		for _, c := range constraints {
			all = all && allowed([]v1alpha1.Constraint{c})
		}
		if got := allowed(constraints); got != all {
			rt.Fatalf("together %t, one by one %t", got, all)
		}
	})
}

// A negative op and its opposite never both hold, and both refuse where there is nothing to compare.
func TestNegativeOpsNeedAValue(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		query := rapid.StringMatching(`([ab]=[ab+]{0,2}|A=a|a\[\]=b|%61=b|;|%zz)(&([ab]=[ab+]{0,2}|A=a|a%5B%5D=b|%61=b)){0,2}`).Draw(rt, "query")
		value := rapid.StringMatching(`[ab +]{0,2}`).Draw(rt, "value")
		holds := func(op v1alpha1.ConstraintOp) bool {
			s, r := call(t, constraint("query.a", op, value))
			r.Target.Query = query
			return decision.Decide(s, r).Allow
		}
		if holds(v1alpha1.ConstraintEq) && holds(v1alpha1.ConstraintNotEq) {
			rt.Fatalf("%q both is and is not %q", query, value)
		}
		if holds(v1alpha1.ConstraintNotEq) && strings.Count(query, "&") > 0 && !strings.Contains(query, "b=") {
			rt.Fatalf("%q has one value only", query)
		}
	})
}

// BenchmarkDecide is one call that goes, warm: an intent, three constraints, a dozen headers, and passports
// with more and more services beside it.
func BenchmarkDecide(b *testing.B) {
	for _, services := range []int{1, 64} {
		b.Run(strconv.Itoa(services)+" services", func(b *testing.B) {
			s, r := call(b,
				constraint("method", v1alpha1.ConstraintEq, "GET"),
				constraint("url.pathname", v1alpha1.ConstraintStartsWith, "/repos/acme/"),
				constraint("query.state", v1alpha1.ConstraintMatches, "open|closed"))
			for i := range services - 1 {
				name := v1alpha1.ServiceName("service-" + strconv.Itoa(i))
				s.Standing.Services[name] = &decision.Service{Name: name}
			}
			for _, name := range []string{
				"Accept", "Accept-Encoding", "Accept-Language", "User-Agent", "If-None-Match", "Content-Type", "Traceparent",
				"Tracestate", "X-Request-Id", "X-Github-Api-Version", "X-Custom-One", "X-Custom-Two",
			} {
				r.Header.Set(name, "application/vnd.github+json")
			}
			b.ReportAllocs()
			for b.Loop() {
				if d := decision.Decide(s, r); !d.Allow {
					b.Fatal(d.Reason)
				}
			}
		})
	}
}

// BenchmarkDecideBody is the same with a constraint on a body of 1 KiB.
func BenchmarkDecideBody(b *testing.B) {
	s, r := call(b, constraint("body.channel", v1alpha1.ConstraintEq, "C1"))
	r.Header.Set("Content-Type", "application/json")
	r.Body = []byte(`{"channel":"C1","text":"` + strings.Repeat("a", 1000) + `"}`)
	b.ReportAllocs()
	for b.Loop() {
		if d := decision.Decide(s, r); !d.Allow {
			b.Fatal(d.Reason)
		}
	}
}
