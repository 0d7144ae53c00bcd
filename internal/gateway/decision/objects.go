package decision

import (
	"agentpassport.dev/operator/api/v1alpha1"
)

// StandingOf reads a Passport as it is stored.
func StandingOf(p *v1alpha1.Passport) *Standing {
	return &Standing{}
}

// ConnectionOf reads a ServiceConnection. The error says what of its spec cannot be read.
func ConnectionOf(c *v1alpha1.ServiceConnection) (*Connection, error) {
	return &Connection{}, nil
}
