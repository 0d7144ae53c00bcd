package token

import (
	"encoding/json"
	"fmt"
	"time"
)

const (
	// MaxLifetime is the longest time from iat to exp: no token outlives it, and no retired key
	// has to be kept for longer.
	MaxLifetime = time.Hour

	// NotBeforeCushion is how far nbf lies before the issue. A verifier whose clock is a few
	// seconds behind would otherwise refuse a token in the moment it is issued, which is when
	// an agent uses it first.
	NotBeforeCushion = 10 * time.Second
)

// Claims is the claim set of a passport. The order of its fields is the order in the token, so
// that the same claims are the same bytes. Times are whole Unix seconds.
type Claims struct {
	// Issuer is the operator's URL, compared byte for byte.
	Issuer string `json:"iss"`
	// Subject names the agent as a SPIFFE ID; see Subject.
	Subject string `json:"sub"`
	// Audience names those who may accept the token; never empty, always an array.
	Audience List[string] `json:"aud"`
	// IssuedAt is when the leash was last renewed: the issue, then each accepted checkpoint.
	IssuedAt int64 `json:"iat"`
	// NotBefore is the issue of the passport less NotBeforeCushion.
	NotBefore int64 `json:"nbf"`
	// Expiry is the end of the leash; at most MaxLifetime after IssuedAt.
	Expiry int64 `json:"exp"`
	// ID stays the same however often the leash is renewed; see JTI.
	ID string `json:"jti"`
	// Status is where its end shows; nil where it was issued before there were status lists.
	Status *Status `json:"status,omitempty"`
	// Mission is what the passport was asked for.
	Mission Mission `json:"mission"`
	// Passport is what it allows, and under which rules.
	Passport Passport `json:"passport"`
}

// Mission ties a token to one mission and to the words in which it was asked for.
type Mission struct {
	// ID names the mission.
	ID string `json:"id"`
	// S256 is the digest of the intent (see IntentDigest); empty without an intent.
	S256 string `json:"s256,omitempty"`
	// Deadline is when the whole mission ends, in Unix seconds, however often it checkpoints.
	Deadline int64 `json:"deadline"`
}

// Accountability is how closely a mission is watched.
type Accountability string

// The modes of accountability.
const (
	// Enforced missions live from checkpoint to checkpoint.
	Enforced Accountability = "enforced"
	// Logged missions are expected to checkpoint, and live on without.
	Logged Accountability = "logged"
	// Standard missions have neither checkpoints nor a checkout.
	Standard Accountability = "standard"
)

// Passport is what the operator vouches for beyond the registered claims.
type Passport struct {
	// Agent is the AgentPassport as it was at the issue.
	Agent Agent `json:"agent"`
	// DocumentSHA256 is the digest of the agent's document (see DocumentDigest); empty without one.
	DocumentSHA256 string `json:"document_sha256,omitempty"`
	// Accountability is the mode that the mission runs in.
	Accountability Accountability `json:"accountability"`
	// Intent is what the mission is for; nil where none was given.
	Intent *Intent `json:"intent,omitempty"`
	// Services is what the mission may use.
	Services List[Service] `json:"services"`
	// TTL is the passport's lifetime in seconds, as it was asked for.
	TTL int64 `json:"ttl"`
	// CheckpointInterval is the longest silence in seconds; 0 in standard mode.
	CheckpointInterval int64 `json:"checkpoint_interval,omitempty"`
	// DelegationDepth is how many passports stand above this one; 0 for a root.
	DelegationDepth int64 `json:"delegation_depth"`
	// SessionID is shared by a root and all that was delegated from it; see SessionID.
	SessionID string `json:"session_id"`
	// ParentJTI is the jti of the delegating passport; empty for a root.
	ParentJTI string `json:"parent_jti,omitempty"`
}

// Agent is one generation of one AgentPassport.
type Agent struct {
	// Namespace and Name find the object, UID tells it from a later one of the same name.
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
	UID       string `json:"uid"`
	// Generation counts the changes of its spec.
	Generation int64 `json:"generation"`
}

// Intent is what an agent says it is about to do.
type Intent struct {
	// Summary says it in a sentence.
	Summary string `json:"summary"`
	// Services are those it expects to use.
	Services List[string] `json:"services"`
	// EstimatedDurationSeconds is how long it expects to take; 0 where it did not say.
	EstimatedDurationSeconds int64 `json:"estimated_duration_seconds,omitempty"`
	// WillDelegate says whether it expects to hand work to other agents.
	WillDelegate bool `json:"will_delegate"`
}

// Service is one service that a mission may use, and how far.
type Service struct {
	// Name is the service's, as granted to the agent.
	Name string `json:"name"`
	// Scopes are what may be done with it.
	Scopes List[string] `json:"scopes"`
	// Constraints narrow each call.
	Constraints List[Constraint] `json:"constraints"`
}

// Constraint is a condition on every call to a service; all of a service's must hold.
type Constraint struct {
	// Path names the part of the call that is compared, such as method or url.pathname.
	Path string `json:"path"`
	// Op is how it is compared, such as eq or in.
	Op string `json:"op"`
	// Value is what it is compared with.
	Value Value `json:"value"`
}

// Value is a JSON string, or an array of strings where List is not nil.
type Value struct {
	// String is the value of an operator that compares with one.
	String string
	// List is the value of an operator that compares with several.
	List List[string]
}

// MarshalJSON writes the string, or the array.
func (v Value) MarshalJSON() ([]byte, error) {
	if v.List != nil {
		return json.Marshal(v.List)
	}
	return json.Marshal(v.String)
}

// UnmarshalJSON reads a string or an array of strings, and refuses all else.
func (v *Value) UnmarshalJSON(data []byte) error {
	*v = Value{}
	if len(data) > 0 && data[0] == '[' {
		return json.Unmarshal(data, &v.List)
	}
	if len(data) > 0 && data[0] == '"' {
		return json.Unmarshal(data, &v.String)
	}
	return fmt.Errorf("a constraint's value is a string or an array of strings")
}

// List is a JSON array that is never null: objects read back from the API server no longer tell
// an empty list from an absent one, and both must make the same token.
type List[T any] []T

// MarshalJSON writes nil as an empty array.
func (l List[T]) MarshalJSON() ([]byte, error) {
	if l == nil {
		return []byte("[]"), nil
	}
	return json.Marshal([]T(l))
}

// SetTimes sets iat, nbf and exp from the issue of the passport, the last renewal of its leash
// (the issue itself at first) and the end of the leash. iat moves with the renewal so that exp
// stays within MaxLifetime of it on a mission of any length.
func (c *Claims) SetTimes(issued, renewed, expiry time.Time) {
	c.IssuedAt = renewed.Unix()
	c.NotBefore = issued.Add(-NotBeforeCushion).Unix()
	c.Expiry = expiry.Unix()
}

// check holds what is signed and what is accepted to the same rules.
func (c *Claims) check() error {
	switch {
	case c.Issuer == "", c.Subject == "", c.ID == "", len(c.Audience) == 0:
		return fmt.Errorf("%w: iss, sub, aud and jti are required", ErrMalformed)
	case c.IssuedAt <= 0, c.NotBefore <= 0, c.Expiry <= 0:
		return fmt.Errorf("%w: iat, nbf and exp are required", ErrMalformed)
	case c.Status != nil && (c.Status.StatusList.Index < 0 || c.Status.StatusList.Index >= StatusListSize || c.Status.StatusList.URI == ""):
		return fmt.Errorf("%w: status names no place in a status list", ErrMalformed)
	case c.Expiry-c.IssuedAt > int64(MaxLifetime/time.Second):
		return ErrLifetime
	}
	return nil
}
