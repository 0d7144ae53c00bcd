package decision

import (
	"errors"
	"fmt"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"agentpassport.dev/operator/api/v1alpha1"
	"agentpassport.dev/operator/internal/gateway/target"
)

// defaultTimeout of a connection that names none: that of the API.
const defaultTimeout = 30 * time.Second

// StandingOf reads a Passport as it is stored. It keeps nothing of the object.
func StandingOf(p *v1alpha1.Passport) *Standing {
	status := &p.Status
	s := &Standing{
		Namespace: p.Namespace,
		Name:      p.Name,
		UID:       p.UID,
		Agent:     p.Spec.AgentRef.Name,
		JTI:       status.JTI,
		SessionID: status.SessionID,
		Phase:     status.Phase,
		Expiry:    timeOf(status.ExpirationTime),
		EndTime:   timeOf(status.EndTime),
		Revoking:  !status.Phase.Finished() && (p.Spec.Revocation != nil || !p.DeletionTimestamp.IsZero()),
		HasIntent: p.Spec.Intent != nil,
	}
	if why := status.Explanation(); why != nil && status.Phase != v1alpha1.PhaseActive {
		s.End = v1alpha1.Reason(why.Reason)
	}
	if issued := status.Issued; issued != nil {
		s.AgentUID, s.Mode = issued.AgentUID, issued.Mode
		s.Services = servicesOf(issued.Services, p.Spec.Intent)
	}
	return s
}

func servicesOf(issued []v1alpha1.IssuedService, intent *v1alpha1.Intent) map[v1alpha1.ServiceName]*Service {
	services := make(map[v1alpha1.ServiceName]*Service, len(issued))
	for i := range issued {
		name := issued[i].Service
		services[name] = &Service{
			Name:        name,
			Declared:    intent != nil && slices.Contains(intent.Services, name),
			Scopes:      slices.Clone(issued[i].Scopes),
			Constraints: Compile(issued[i].Constraints),
		}
	}
	return services
}

func timeOf(t *metav1.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return t.Time
}

// ConnectionOf reads a ServiceConnection. It keeps nothing of the object. The error says what of its spec
// cannot be read.
func ConnectionOf(c *v1alpha1.ServiceConnection) (*Connection, error) {
	spec := &c.Spec
	base, err := target.Parse(spec.BaseURL)
	if err != nil {
		return nil, fmt.Errorf("spec.baseURL: %w", err)
	}
	if base.HasQuery {
		return nil, errors.New("spec.baseURL has a query in it: leave it away")
	}
	connection := &Connection{
		Namespace:        c.Namespace,
		Name:             c.Name,
		UID:              c.UID,
		Generation:       c.Generation,
		Base:             base,
		Hosts:            []target.Host{base.Host},
		Callers:          spec.Callers,
		AllowedAddresses: slices.Clone(spec.AllowedAddresses),
		Credential:       spec.Credential.DeepCopy(),
		Timeout:          time.Duration(spec.TimeoutSeconds) * time.Second,
	}
	for i, text := range spec.Hosts {
		host, err := target.ParseHost(text, base.Scheme)
		if err != nil {
			return nil, fmt.Errorf("spec.hosts[%d]: %w", i, err)
		}
		if !slices.Contains(connection.Hosts, host) {
			connection.Hosts = append(connection.Hosts, host)
		}
	}
	for _, method := range spec.Methods {
		connection.Methods = append(connection.Methods, string(method))
	}
	if connection.Timeout <= 0 {
		connection.Timeout = defaultTimeout
	}
	return connection, nil
}
