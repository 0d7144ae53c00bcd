package passport

import (
	"slices"
	"time"

	"agentpassport.dev/operator/internal/token"
)

// Claims is what a verified passport says. Times are whole seconds, in UTC.
type Claims struct {
	// Issuer, Subject, Audience and ID are the claims iss, sub, aud and jti. The subject is the SPIFFE ID
	// of the agent; the ID stays the same for the whole mission.
	Issuer   string
	Subject  string
	Audience []string
	ID       string
	// IssuedAt, NotBefore and Expiry are the claims iat, nbf and exp. A checkpoint moves the first and the last.
	IssuedAt  time.Time
	NotBefore time.Time
	Expiry    time.Time

	// MissionID is the UID of the Passport object, and Deadline when the whole mission ends.
	MissionID string
	Deadline  time.Time
	// SessionID is shared by a mission and all that is delegated from it.
	SessionID string
	// DelegationDepth is how many passports stand above this one, and ParentID the jti of the one above it.
	DelegationDepth int
	ParentID        string

	// Agent whom the passport was issued to.
	Agent Agent
	// DocumentSHA256 is the digest of the agent's document, in hex; empty without one.
	DocumentSHA256 string
	// Accountability is enforced, logged or standard.
	Accountability string
	// Intent is what the mission is for; nil where none was given.
	Intent *Intent
	// IntentDigest is the base64url SHA-256 of the intent's canonical JSON; empty without one.
	IntentDigest string
	// Services that the mission may use, in the order of names.
	Services []Service
	// TTL is the lifetime that was asked for; CheckpointInterval the longest silence, 0 in standard mode.
	TTL                time.Duration
	CheckpointInterval time.Duration

	// Status is the passport's entry in a status list; nil for a passport that has none.
	Status *StatusEntry
}

// Agent is one generation of one registered agent.
type Agent struct {
	Namespace  string
	Name       string
	UID        string
	Generation int64
}

// Intent is what an agent said it was about to do.
type Intent struct {
	Summary           string
	Services          []string
	EstimatedDuration time.Duration
	WillDelegate      bool
}

// Service is a service that the mission may use, and how far.
type Service struct {
	Name        string
	Scopes      []string
	Constraints []Constraint
}

// Constraint is a condition on every call to a service. Value is what Op compares with, or Values where
// it compares with several (in, not_in).
type Constraint struct {
	Path   string
	Op     string
	Value  string
	Values []string
}

// StatusEntry finds the entry of a passport in a status list.
type StatusEntry struct {
	URI   string
	Index int64
}

// Allows says whether the mission may use a service at all. Its scopes and constraints, which Service
// gives, are left to the caller.
func (c *Claims) Allows(service string) bool {
	_, ok := c.Service(service)
	return ok
}

// Service gives what the mission may do in a service, false where it may not use it.
func (c *Claims) Service(name string) (Service, bool) {
	for _, service := range c.Services {
		if service.Name == name {
			return service, true
		}
	}
	return Service{}, false
}

// HasScope says whether a scope was granted, as it stands: no character is a wildcard.
func (s Service) HasScope(scope string) bool { return slices.Contains(s.Scopes, scope) }

// claimsOf gives the claims of a token in the types of this package.
func claimsOf(claims *token.Claims) *Claims {
	passport := claims.Passport
	read := &Claims{
		Issuer: claims.Issuer, Subject: claims.Subject, Audience: claims.Audience, ID: claims.ID,
		IssuedAt: unix(claims.IssuedAt), NotBefore: unix(claims.NotBefore), Expiry: unix(claims.Expiry),
		MissionID: claims.Mission.ID, Deadline: unix(claims.Mission.Deadline), IntentDigest: claims.Mission.S256,
		SessionID: passport.SessionID, DelegationDepth: int(passport.DelegationDepth), ParentID: passport.ParentJTI,
		Agent: Agent(passport.Agent), DocumentSHA256: passport.DocumentSHA256, Accountability: string(passport.Accountability),
		TTL: seconds(passport.TTL), CheckpointInterval: seconds(passport.CheckpointInterval),
	}
	if intent := passport.Intent; intent != nil {
		read.Intent = &Intent{
			Summary: intent.Summary, Services: intent.Services, EstimatedDuration: seconds(intent.EstimatedDurationSeconds), WillDelegate: intent.WillDelegate,
		}
	}
	for _, service := range passport.Services {
		its := Service{Name: service.Name, Scopes: service.Scopes}
		for _, c := range service.Constraints {
			its.Constraints = append(its.Constraints, Constraint{Path: c.Path, Op: c.Op, Value: c.Value.String, Values: c.Value.List})
		}
		read.Services = append(read.Services, its)
	}
	if claims.Status != nil {
		read.Status = &StatusEntry{URI: claims.Status.StatusList.URI, Index: claims.Status.StatusList.Index}
	}
	return read
}

func unix(seconds int64) time.Time { return time.Unix(seconds, 0).UTC() }

func seconds(n int64) time.Duration { return time.Duration(n) * time.Second }
