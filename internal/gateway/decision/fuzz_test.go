package decision_test

import (
	"encoding/json"
	"strings"
	"testing"

	"agentpassport.dev/operator/api/v1alpha1"
	"agentpassport.dev/operator/internal/gateway/decision"
	"agentpassport.dev/operator/internal/gateway/target"
)

// FuzzBody looks for bodies that are let through as {"a":{"b":"c"}} and that encoding/json, which knows
// keys without their letter case and takes the last of several, reads otherwise.
func FuzzBody(f *testing.F) {
	for _, seed := range []string{
		`{"a":{"b":"c"}}`, `{"a":{"b":"c","B":"d"}}`, `{"a":{"b":"c"},"A":{"b":"d"}}`, `{"a":[{"b":"c"}]}`, `{"a":{"b":"c"}}{}`,
		`{"\u0061":{"b":"\u0063"}}`, `[{"a":{"b":"c"}}]`, `{"a":{"b":"c\u0000"}}`, `{"a":{"b":null}}`, "{\"a\":{\"b\":\"c\xff\"}}",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		s, r := call(t, constraint("body.a.b", v1alpha1.ConstraintEq, "c"))
		r.Header.Set("Content-Type", "application/json")
		r.Body = body
		if !decision.Decide(s, r).Allow {
			return
		}
		var read struct{ A struct{ B string } }
		if err := json.Unmarshal(body, &read); err != nil || read.A.B != "c" {
			t.Fatalf("%q went out, and is read as %+v, %v", body, read, err)
		}
	})
}

// FuzzQuery looks for queries that are let through as a=b and that net/url reads otherwise.
func FuzzQuery(f *testing.F) {
	for _, seed := range []string{"a=b", "a=b&a=c", "%61=b", "a[]=c&a=b", "A=c&a=b", "a=b;a=c", "a=%62&&", "a", "a=b+", "+a=b"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, query string) {
		s, r := call(t, constraint("query.a", v1alpha1.ConstraintEq, "b"))
		var err error
		if r.Target, err = target.Parse("https://api.example.com/?" + query); err != nil {
			return
		}
		if !decision.Decide(s, r).Allow {
			return
		}
		for key, values := range r.Target.URL().Query() {
			if strings.EqualFold(key, "a") && (len(values) != 1 || values[0] != "b") {
				t.Fatalf("%q went out, and is read as %s=%q", query, key, values)
			}
		}
		if r.Target.URL().Query().Get("a") != "b" {
			t.Fatalf("%q went out without it", query)
		}
	})
}

// FuzzCompile looks for constraints that panic, and for values that both are and are not what is asked for.
func FuzzCompile(f *testing.F) {
	f.Add("url.pathname", "/a/", "https://api.example.com/%61")
	f.Add("method", "(", "https://api.example.com/")
	f.Add("body.a..b", "x", "https://api.example.com/?a")
	f.Add("headers.host", "API.example.com", "https://api.example.com/")
	f.Fuzz(func(t *testing.T, path, value, url string) {
		holds := func(op v1alpha1.ConstraintOp) bool {
			s, r := call(t, constraint(path, op, value))
			r.Target, r.TargetError = target.Parse(url)
			return decision.Decide(s, r).Allow
		}
		if holds(v1alpha1.ConstraintEq) && holds(v1alpha1.ConstraintNotEq) {
			t.Fatalf("%s of %q both is and is not %q", path, url, value)
		}
		holds(v1alpha1.ConstraintMatches)
		holds(v1alpha1.ConstraintStartsWith)
	})
}
