package scope_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"agentpassport.dev/operator/api/v1alpha1"
	"agentpassport.dev/operator/internal/scope"
)

var (
	get   = constraint("method", v1alpha1.ConstraintEq, "GET")
	orgs  = constraint("url.pathname", v1alpha1.ConstraintStartsWith, "/orgs/")
	reads = v1alpha1.Constraint{Path: "method", Op: v1alpha1.ConstraintIn, Values: []string{"GET", "HEAD"}}
)

func constraint(path string, op v1alpha1.ConstraintOp, value string) v1alpha1.Constraint {
	return v1alpha1.Constraint{Path: path, Op: op, Value: &value}
}

func grant(service v1alpha1.ServiceName, scopes []v1alpha1.Scope, constraints ...v1alpha1.Constraint) v1alpha1.ServiceGrant {
	return v1alpha1.ServiceGrant{Service: service, Scopes: scopes, Constraints: constraints}
}

func issued(service v1alpha1.ServiceName, scopes []v1alpha1.Scope, constraints ...v1alpha1.Constraint) v1alpha1.IssuedService {
	return v1alpha1.IssuedService{Service: service, Scopes: scopes, Constraints: constraints}
}

type scopes = []v1alpha1.Scope

func TestNarrow(t *testing.T) {
	grants := []v1alpha1.ServiceGrant{
		grant("slack", scopes{"chat:write", "chat:read"}),
		grant("github", scopes{"repo:read", "repo:write"}, get),
		grant("wiki", nil),
	}
	for name, tc := range map[string]struct {
		asked []v1alpha1.ServiceGrant
		want  []v1alpha1.IssuedService
	}{
		"nothing asked is every grant, in the order of names": {nil, []v1alpha1.IssuedService{
			issued("github", scopes{"repo:read", "repo:write"}, get),
			issued("slack", scopes{"chat:write", "chat:read"}),
			issued("wiki", nil),
		}},
		"a service without scopes keeps the grant's": {
			[]v1alpha1.ServiceGrant{grant("slack", nil)},
			[]v1alpha1.IssuedService{issued("slack", scopes{"chat:write", "chat:read"})},
		},
		"scopes narrow": {
			[]v1alpha1.ServiceGrant{grant("slack", scopes{"chat:read"})},
			[]v1alpha1.IssuedService{issued("slack", scopes{"chat:read"})},
		},
		"constraints add up": {
			[]v1alpha1.ServiceGrant{grant("github", scopes{"repo:read"}, orgs, reads)},
			[]v1alpha1.IssuedService{issued("github", scopes{"repo:read"}, get, orgs, reads)},
		},
		"a constraint that the grant has already stands once": {
			[]v1alpha1.ServiceGrant{grant("github", nil, constraint("method", v1alpha1.ConstraintEq, "GET"))},
			[]v1alpha1.IssuedService{issued("github", scopes{"repo:read", "repo:write"}, get)},
		},
		"a constraint that differs in its value alone is another": {
			[]v1alpha1.ServiceGrant{grant("github", nil, constraint("method", v1alpha1.ConstraintEq, "PUT"))},
			[]v1alpha1.IssuedService{issued("github", scopes{"repo:read", "repo:write"}, get, constraint("method", v1alpha1.ConstraintEq, "PUT"))},
		},
		"the order of names, whatever was asked first": {
			[]v1alpha1.ServiceGrant{grant("wiki", nil), grant("slack", nil)},
			[]v1alpha1.IssuedService{issued("slack", scopes{"chat:write", "chat:read"}), issued("wiki", nil)},
		},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := scope.Narrow(grants, tc.asked)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, got, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("want -, got +:\n%s", diff)
			}
		})
	}
}

func TestNarrowRefuses(t *testing.T) {
	grants := []v1alpha1.ServiceGrant{grant("slack", scopes{"chat:read"}), grant("wiki", nil)}
	for name, tc := range map[string]struct {
		grants, asked []v1alpha1.ServiceGrant
		want          error
		message       string
	}{
		"services without a grant, all of them, as asked": {
			grants,
			[]v1alpha1.ServiceGrant{grant("zulip", nil), grant("slack", nil), grant("github", nil)},
			&scope.NotGrantedError{Services: []v1alpha1.ServiceName{"zulip", "github"}}, "the agent has no grant for zulip, github",
		},
		"anything where nothing is granted": {
			nil,
			[]v1alpha1.ServiceGrant{grant("slack", nil)},
			&scope.NotGrantedError{Services: []v1alpha1.ServiceName{"slack"}}, "the agent has no grant for slack",
		},
		"scopes that the grant lacks, and those alone": {
			grants,
			[]v1alpha1.ServiceGrant{grant("slack", scopes{"admin", "chat:read", "chat:*"})},
			&scope.EscalationError{Service: "slack", Scopes: scopes{"admin", "chat:*"}}, "the grant for slack does not hold the scope admin, chat:*",
		},
		"a scope where the grant has none": {
			grants,
			[]v1alpha1.ServiceGrant{grant("wiki", scopes{"read"})},
			&scope.EscalationError{Service: "wiki", Scopes: scopes{"read"}}, "the grant for wiki does not hold the scope read",
		},
		"a scope in another case": {
			grants,
			[]v1alpha1.ServiceGrant{grant("slack", scopes{"Chat:read"})},
			&scope.EscalationError{Service: "slack", Scopes: scopes{"Chat:read"}}, "the grant for slack does not hold the scope Chat:read",
		},
		"an escalation before a missing grant, in either order": {
			grants,
			[]v1alpha1.ServiceGrant{grant("zulip", nil), grant("slack", scopes{"admin"})},
			&scope.EscalationError{Service: "slack", Scopes: scopes{"admin"}}, "the grant for slack does not hold the scope admin",
		},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := scope.Narrow(tc.grants, tc.asked)
			if got != nil {
				t.Errorf("services along with an error: %v", got)
			}
			if diff := cmp.Diff(tc.want, err); diff != "" {
				t.Fatalf("want -, got +:\n%s", diff)
			}
			if err.Error() != tc.message {
				t.Errorf("message %q, want %q", err, tc.message)
			}
		})
	}
}

func TestNarrowOfNoGrantsIsNothing(t *testing.T) {
	got, err := scope.Narrow(nil, nil)
	if len(got) != 0 || err != nil {
		t.Errorf("Narrow(nil, nil) = %v, %v", got, err)
	}
}

func TestNarrowLeavesItsInputsAlone(t *testing.T) {
	// Spare capacity, into which a careless append would write.
	roomy := append(make([]v1alpha1.Constraint, 0, 8), get)
	grants := []v1alpha1.ServiceGrant{{Service: "github", Scopes: scopes{"repo:read"}, Constraints: roomy}}
	first, err := scope.Narrow(grants, []v1alpha1.ServiceGrant{grant("github", nil, orgs)})
	if err != nil {
		t.Fatal(err)
	}
	second, err := scope.Narrow(grants, []v1alpha1.ServiceGrant{grant("github", nil, reads)})
	if err != nil {
		t.Fatal(err)
	}
	second[0].Scopes[0] = "changed"
	want := []v1alpha1.IssuedService{issued("github", scopes{"repo:read"}, get, orgs)}
	if diff := cmp.Diff(want, first); diff != "" {
		t.Errorf("want -, got +:\n%s", diff)
	}
	if grants[0].Scopes[0] != "repo:read" {
		t.Error("the grant's scopes changed with the result's")
	}
}

func TestKeepMissingAndNames(t *testing.T) {
	services := []v1alpha1.IssuedService{issued("github", nil), issued("slack", nil), issued("wiki", nil)}
	for name, tc := range map[string]struct {
		names          []v1alpha1.ServiceName
		kept, missing  []v1alpha1.ServiceName
		fromNoServices []v1alpha1.ServiceName
	}{
		"none":               {},
		"all":                {names: list("wiki", "slack", "github"), kept: list("github", "slack", "wiki"), fromNoServices: list("wiki", "slack", "github")},
		"some, and others":   {names: list("zulip", "slack", "Github"), kept: list("slack"), missing: list("zulip", "Github"), fromNoServices: list("zulip", "slack", "Github")},
		"one twice":          {names: list("slack", "slack"), kept: list("slack"), fromNoServices: list("slack", "slack")},
		"a prefix of a name": {names: list("git"), missing: list("git"), fromNoServices: list("git")},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tc.kept, scope.Names(scope.Keep(services, tc.names)), cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("Keep: want -, got +:\n%s", diff)
			}
			if diff := cmp.Diff(tc.missing, scope.Missing(services, tc.names), cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("Missing: want -, got +:\n%s", diff)
			}
			if diff := cmp.Diff(tc.fromNoServices, scope.Missing(nil, tc.names), cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("Missing of nothing: want -, got +:\n%s", diff)
			}
		})
	}
}

func list(names ...v1alpha1.ServiceName) []v1alpha1.ServiceName { return names }

func TestJoin(t *testing.T) {
	for want, names := range map[string][]string{
		"nothing": nil, "slack": {"slack"}, "github, slack": {"github", "slack"},
	} {
		if got := scope.Join(names); got != want {
			t.Errorf("Join(%q) = %q, want %q", names, got, want)
		}
	}
}
