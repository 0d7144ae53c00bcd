package scope_test

import (
	"errors"
	"reflect"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"agentpassport.dev/operator/api/v1alpha1"
	"agentpassport.dev/operator/internal/scope"
)

var constraints = rapid.Custom(func(t *rapid.T) v1alpha1.Constraint {
	if rapid.Bool().Draw(t, "list") {
		return v1alpha1.Constraint{
			Path:   rapid.SampledFrom([]string{"method", "url.host"}).Draw(t, "path"),
			Op:     rapid.SampledFrom([]v1alpha1.ConstraintOp{v1alpha1.ConstraintIn, v1alpha1.ConstraintNotIn}).Draw(t, "op"),
			Values: rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b"}), 1, 2).Draw(t, "values"),
		}
	}
	return constraint(rapid.SampledFrom([]string{"method", "url.host"}).Draw(t, "path"), v1alpha1.ConstraintEq,
		rapid.SampledFrom([]string{"", "a", "b"}).Draw(t, "value"))
})

// grantsOf makes grants as the API takes them: each service once, each scope once in it.
func grantsOf(services ...v1alpha1.ServiceName) *rapid.Generator[[]v1alpha1.ServiceGrant] {
	one := rapid.Custom(func(t *rapid.T) v1alpha1.ServiceGrant {
		return v1alpha1.ServiceGrant{
			Service:     rapid.SampledFrom(services).Draw(t, "service"),
			Scopes:      rapid.SliceOfNDistinct(rapid.SampledFrom(scopes{"r", "w", "x"}), 0, 3, rapid.ID).Draw(t, "scopes"),
			Constraints: rapid.SliceOfN(constraints, 0, 3).Draw(t, "constraints"),
		}
	})
	return rapid.SliceOfNDistinct(one, 0, len(services), func(g v1alpha1.ServiceGrant) v1alpha1.ServiceName { return g.Service })
}

var (
	someGrants = grantsOf("a", "b", "c", "d")
	someAsked  = grantsOf("a", "b", "c", "d", "e")
)

// within fails where got allows anything that the grants do not.
func within(t *rapid.T, grants []v1alpha1.ServiceGrant, got []v1alpha1.IssuedService) {
	for _, service := range got {
		i := slices.IndexFunc(grants, func(g v1alpha1.ServiceGrant) bool { return g.Service == service.Service })
		if i < 0 {
			t.Fatalf("%s is not granted", service.Service)
		}
		for _, s := range service.Scopes {
			if !slices.Contains(grants[i].Scopes, s) {
				t.Fatalf("scope %s of %s is not granted", s, service.Service)
			}
		}
		for _, c := range grants[i].Constraints {
			if !slices.ContainsFunc(service.Constraints, func(have v1alpha1.Constraint) bool { return reflect.DeepEqual(have, c) }) {
				t.Fatalf("constraint %v of %s is gone", c, service.Service)
			}
		}
	}
}

func asGrants(services []v1alpha1.IssuedService) []v1alpha1.ServiceGrant {
	grants := make([]v1alpha1.ServiceGrant, 0, len(services))
	for _, s := range services {
		grants = append(grants, v1alpha1.ServiceGrant(s))
	}
	return grants
}

func TestNarrowNeverWidens(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		grants, asked := someGrants.Draw(t, "grants"), someAsked.Draw(t, "asked")
		got, err := scope.Narrow(grants, asked)
		if err != nil {
			return
		}
		within(t, grants, got)
		for _, ask := range asked {
			i := slices.IndexFunc(got, func(s v1alpha1.IssuedService) bool { return s.Service == ask.Service })
			if i < 0 {
				t.Fatalf("%s was asked for, and is not there", ask.Service)
			}
			if len(ask.Scopes) > 0 && !slices.Equal(got[i].Scopes, ask.Scopes) {
				t.Fatalf("scopes %v asked for, %v given", ask.Scopes, got[i].Scopes)
			}
		}
		if len(asked) > 0 && len(got) != len(asked) {
			t.Fatalf("%d services asked for, %d given", len(asked), len(got))
		}
	})
}

// What holds for a mission holds for those that it delegates to.
func TestNarrowingTwiceNarrowsFurther(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		grants := someGrants.Draw(t, "grants")
		asked := someAsked.Draw(t, "first")
		first, err := scope.Narrow(grants, asked)
		if err != nil {
			return
		}
		again, err := scope.Narrow(asGrants(first), asked)
		if err != nil {
			t.Fatalf("the same narrowing again is refused: %v", err)
		}
		if diff := cmp.Diff(first, again, cmpopts.EquateEmpty()); diff != "" {
			t.Fatalf("the same narrowing again is another: %s", diff)
		}
		second, err := scope.Narrow(asGrants(first), someAsked.Draw(t, "second"))
		if err != nil {
			return
		}
		within(t, asGrants(first), second)
		within(t, grants, second)
	})
}

func TestNarrowDoesNotDependOnOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		grants, asked := someGrants.Draw(t, "grants"), someAsked.Draw(t, "asked")
		got, err := scope.Narrow(grants, asked)
		shuffled, shuffledErr := scope.Narrow(rapid.Permutation(grants).Draw(t, "otherGrants"), rapid.Permutation(asked).Draw(t, "otherAsked"))
		if diff := cmp.Diff(got, shuffled); diff != "" {
			t.Fatal(diff)
		}
		escalation, otherEscalation := (*scope.EscalationError)(nil), (*scope.EscalationError)(nil)
		if (err == nil) != (shuffledErr == nil) || errors.As(err, &escalation) != errors.As(shuffledErr, &otherEscalation) {
			t.Fatalf("%v in one order, %v in another", err, shuffledErr)
		}
	})
}
