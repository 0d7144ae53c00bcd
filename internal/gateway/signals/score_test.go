package signals

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"agentpassport.dev/operator/api/v1alpha1"
)

var noon = time.Date(2026, 4, 23, 12, 0, 0, 0, time.UTC)

func after(seconds float64) time.Time {
	return noon.Add(time.Duration(seconds * float64(time.Second)))
}

func TestAction(t *testing.T) {
	for path, want := range map[string]string{
		"":                        "",
		"/":                       "",
		"/tickets":                "tickets",
		"/tickets/":               "tickets",
		"/tickets/42":             "tickets/*",
		"/tickets/42/comments":    "tickets/*",
		"/repos/octo/hello/pulls": "repos/octo",
		"/api/v1/users/7":         "users/*",
		"/v2.1/users":             "users",
		"/v1":                     "",
		"/users/v1":               "users/v1",

		"/users/2f1acc6c-9d4c-4a9b-8a3f-0f6a9b1c2d3e": "users/*",

		"/blobs/deadbeef0":                      "blobs/*",
		"/blobs/deadbeef":                       "blobs/deadbeef",
		"/beef1":                                "beef1",
		"/a/0123456789abcdef":                   "a/*",
		"/x/abcdefghijklmnopqrstuvwxyzabcdefgh": "x/*",
		"//double//slash":                       "double/slash",
	} {
		if got := Action("GET", path); got != "GET "+want {
			t.Errorf("%q is %q, want %q", path, got, want)
		}
	}
}

// FuzzAction looks for paths whose action is not bounded, or tells one thing from another by its number.
func FuzzAction(f *testing.F) {
	for _, path := range []string{"/api/v1/users/7", "/a/b/c", "//", "/%2e%2e/x", "/v1/v2/api", "/ä/\xff"} {
		f.Add(path)
	}
	f.Fuzz(func(t *testing.T, path string) {
		got := Action("GET", path)
		if len(got) > len("GET ")+2*maxSegment+1 {
			t.Fatalf("%q: an action of %d bytes", path, len(got))
		}
		if Action("GET", "/things/17"+path) != Action("GET", "/things/42"+path) && (path == "" || path[0] == '/') {
			t.Fatalf("%q: two things are two actions", path)
		}
	})
}

type call struct {
	service      v1alpha1.ServiceName
	declared     bool
	method, path string
}

func TestDrift(t *testing.T) {
	undeclared := func(service v1alpha1.ServiceName, method, path string) call {
		return call{service, false, method, path}
	}
	declared := func(method, path string) call { return call{"slack", true, method, path} }
	for name, tc := range map[string]struct {
		calls  []call
		scores []int
		// drifts is the call that drifts, from 1; 0: none.
		drifts int
	}{
		"ordinary, in the intent":         {calls: []call{declared("GET", "/a"), declared("POST", "/b"), declared("PATCH", "/c")}, scores: []int{0, 0, 0}},
		"destroying, in the intent":       {calls: []call{declared("DELETE", "/a/1"), declared("DELETE", "/a/2"), declared("DELETE", "/b")}, scores: []int{10, 0, 10}},
		"reading, outside the intent":     {calls: []call{undeclared("notion", "GET", "/a"), undeclared("notion", "GET", "/a"), undeclared("notion", "GET", "/b")}, scores: []int{65, 0, 5}},
		"writing, outside the intent":     {calls: []call{undeclared("notion", "POST", "/a")}, scores: []int{70}},
		"destroying, outside the intent":  {calls: []call{undeclared("notion", "DELETE", "/a/7")}, scores: []int{85}, drifts: 1},
		"destroying, but not at once":     {calls: []call{undeclared("notion", "GET", "/a"), undeclared("notion", "DELETE", "/a/7")}, scores: []int{65, 25}},
		"three services and a new action": {calls: []call{undeclared("a", "GET", "/"), undeclared("b", "GET", "/"), undeclared("c", "GET", "/"), undeclared("c", "GET", "/x"), undeclared("c", "GET", "/y")}, scores: []int{65, 65, 65, 5, 0}, drifts: 4},
		"three services, one written to":  {calls: []call{undeclared("a", "PUT", "/"), undeclared("b", "GET", "/"), undeclared("c", "GET", "/"), undeclared("d", "DELETE", "/")}, scores: []int{70, 65, 65, 0}, drifts: 3},
	} {
		t.Run(name, func(t *testing.T) {
			var d drift
			for i, c := range tc.calls {
				score, drifted := d.add(c.service, c.declared, c.method, c.path, 80, 200)
				if score != tc.scores[i] || drifted != (i+1 == tc.drifts) {
					t.Errorf("call %d scores %d, drifts: %v", i+1, score, drifted)
				}
			}
		})
	}
}

// Whatever a mission reads and writes on the services of its intent, it does not drift; a drift is told
// once; the first call to another service never drifts unless it destroys.
func TestDriftHolds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var declaredOnly, all drift
		told, sum := 0, 0
		for range rapid.IntRange(0, 80).Draw(t, "calls") {
			service := rapid.SampledFrom([]v1alpha1.ServiceName{"a", "b", "c", "d", "e"}).Draw(t, "service")
			method := rapid.SampledFrom([]string{"GET", "POST", "PUT", "PATCH", "HEAD", "DELETE", "PURGE"}).Draw(t, "method")
			path := rapid.StringMatching(`(/[a-z]{1,3}){0,3}`).Draw(t, "path")
			declared := service < "c"
			fresh := drift{}
			if score, drifted := fresh.add(service, declared, method, path, 80, 200); drifted != (!declared && method == "DELETE") || score > 100 {
				t.Fatalf("a first call %s %s scores %d", method, service, score)
			}
			if declared && method != "DELETE" {
				if score, drifted := declaredOnly.add(service, true, method, path, 80, 200); score > 0 || drifted {
					t.Fatalf("%s %s%s scores %d", method, service, path, score)
				}
			}
			score, drifted := all.add(service, declared, method, path, 80, 200)
			sum += score
			if drifted {
				told++
			}
			if drifted && sum < 200 && score < 80 || told > 1 || !all.told && sum >= 200 {
				t.Fatalf("score %d, sum %d, told %d times", score, sum, told)
			}
			if len(all.actions) > 200 || len(all.services) > 5 {
				t.Fatalf("%d actions", len(all.actions))
			}
		}
	})
}

// A burst is told with the first use that is one of more than the limit within 30 seconds.
func TestBurst(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		limit := rapid.IntRange(1, 20).Draw(t, "limit")
		var b burst
		var uses []time.Time
		at := noon
		for range rapid.IntRange(0, 100).Draw(t, "uses") {
			at = at.Add(time.Duration(rapid.IntRange(0, 5000).Draw(t, "millis")) * time.Millisecond)
			uses = append(uses, at)
			within := 0
			for _, use := range uses {
				if at.Sub(use) <= 30*time.Second {
					within++
				}
			}
			if got := b.add(at, limit); got != (within > limit) {
				t.Fatalf("%d uses within 30 s, limit %d: %v", within, limit, got)
			} else if got {
				uses = nil
			}
		}
	})
}

func TestPace(t *testing.T) {
	var p pace
	asked := 0
	usual := func() float64 { asked++; return 3 }
	for i, tc := range []struct {
		at   float64
		want bool
	}{{0, false}, {1, false}, {59, false}, {59.9, true}, {59.95, false}, {60, false}, {61, false}, {62, false}, {63, true}, {200, false}} {
		if got := p.add(after(tc.at), usual); got != tc.want {
			t.Errorf("call %d at %v: %v", i+1, tc.at, got)
		}
	}
	if asked != 3 {
		t.Errorf("asked %d times", asked)
	}
	var unknown pace
	for range 1000 {
		if unknown.add(noon, func() float64 { return 0 }) {
			t.Fatal("told, and nobody knows what is usual")
		}
	}
}
