// Package scope holds the rules of services, scopes and constraints: what a passport may carry of
// what an agent is granted. It is pure: no I/O, no clock.
package scope

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"agentpassport.dev/operator/api/v1alpha1"
)

// NotGrantedError says that services are asked for that the agent has no grant for.
type NotGrantedError struct {
	// Services that are not granted, in the order in which they were asked for.
	Services []v1alpha1.ServiceName
}

func (e *NotGrantedError) Error() string {
	return fmt.Sprintf("the agent has no grant for %s", Join(e.Services))
}

// EscalationError says that a scope is asked for that the grant of its service does not hold.
type EscalationError struct {
	// Service whose grant was exceeded.
	Service v1alpha1.ServiceName
	// Scopes that the grant does not hold.
	Scopes []v1alpha1.Scope
}

func (e *EscalationError) Error() string {
	return fmt.Sprintf("the grant for %s does not hold the scope %s", e.Service, Join(e.Scopes))
}

// Narrow gives the services that a passport carries: the grants, narrowed to what is asked for.
// Nothing asked for means every grant. An asked service without scopes keeps the grant's scopes;
// its constraints are added to the grant's, so that the result never allows more than the grant.
// The result is in the order of service names. The error is a *NotGrantedError or an
// *EscalationError.
func Narrow(grants, asked []v1alpha1.ServiceGrant) ([]v1alpha1.IssuedService, error) {
	if len(asked) == 0 {
		asked = everything(grants)
	}
	granted := make(map[v1alpha1.ServiceName]v1alpha1.ServiceGrant, len(grants))
	for _, grant := range grants {
		granted[grant.Service] = grant
	}
	var missing []v1alpha1.ServiceName
	services := make([]v1alpha1.IssuedService, 0, len(asked))
	for _, ask := range asked {
		grant, ok := granted[ask.Service]
		if !ok {
			missing = append(missing, ask.Service)
			continue
		}
		service, err := narrowOne(grant, ask)
		if err != nil {
			return nil, err
		}
		services = append(services, service)
	}
	if len(missing) > 0 {
		return nil, &NotGrantedError{Services: missing}
	}
	slices.SortFunc(services, func(a, b v1alpha1.IssuedService) int {
		return strings.Compare(string(a.Service), string(b.Service))
	})
	return services, nil
}

// everything asks for each grant as it stands.
func everything(grants []v1alpha1.ServiceGrant) []v1alpha1.ServiceGrant {
	asked := make([]v1alpha1.ServiceGrant, 0, len(grants))
	for _, grant := range grants {
		asked = append(asked, v1alpha1.ServiceGrant{Service: grant.Service})
	}
	return asked
}

func narrowOne(grant, ask v1alpha1.ServiceGrant) (v1alpha1.IssuedService, error) {
	scopes := grant.Scopes
	if len(ask.Scopes) > 0 {
		var over []v1alpha1.Scope
		for _, s := range ask.Scopes {
			if !slices.Contains(grant.Scopes, s) {
				over = append(over, s)
			}
		}
		if len(over) > 0 {
			return v1alpha1.IssuedService{}, &EscalationError{Service: ask.Service, Scopes: over}
		}
		scopes = ask.Scopes
	}
	constraints := slices.Clone(grant.Constraints)
	for _, c := range ask.Constraints {
		if !slices.ContainsFunc(constraints, func(have v1alpha1.Constraint) bool { return reflect.DeepEqual(have, c) }) {
			constraints = append(constraints, c)
		}
	}
	return v1alpha1.IssuedService{Service: grant.Service, Scopes: slices.Clone(scopes), Constraints: constraints}, nil
}

// Keep gives the services whose names are in names, in their own order.
func Keep(services []v1alpha1.IssuedService, names []v1alpha1.ServiceName) []v1alpha1.IssuedService {
	kept := make([]v1alpha1.IssuedService, 0, len(services))
	for _, service := range services {
		if slices.Contains(names, service.Service) {
			kept = append(kept, service)
		}
	}
	return kept
}

// Missing gives the names that no service carries, in their own order.
func Missing(services []v1alpha1.IssuedService, names []v1alpha1.ServiceName) []v1alpha1.ServiceName {
	var missing []v1alpha1.ServiceName
	for _, name := range names {
		if !slices.ContainsFunc(services, func(s v1alpha1.IssuedService) bool { return s.Service == name }) {
			missing = append(missing, name)
		}
	}
	return missing
}

// Names gives the names of services, in their own order.
func Names(services []v1alpha1.IssuedService) []v1alpha1.ServiceName {
	names := make([]v1alpha1.ServiceName, 0, len(services))
	for _, service := range services {
		names = append(names, service.Service)
	}
	return names
}

// Join writes names for people: "github, slack"; "nothing" where there is none.
func Join[S ~string](names []S) string {
	if len(names) == 0 {
		return "nothing"
	}
	parts := make([]string, len(names))
	for i, name := range names {
		parts[i] = string(name)
	}
	return strings.Join(parts, ", ")
}
