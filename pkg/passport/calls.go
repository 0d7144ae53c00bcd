package passport

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"time"
)

// IssueRequest asks for a passport for one mission.
type IssueRequest struct {
	// AgentID is the agent's name, in the caller's namespace, or namespace/name.
	AgentID string `json:"agent_id"`
	// Intent is what the mission is for. Agents in mode Enforced or Logged need one.
	Intent *MissionIntent `json:"intent,omitempty"`
	// TTLSeconds is how long the token lives, 60 to 3600; 0: 900.
	TTLSeconds int `json:"ttl_seconds,omitempty"`
	// CheckpointIntervalSeconds is the longest silence, 60 to 3600; 0: 300.
	CheckpointIntervalSeconds int `json:"checkpoint_interval_seconds,omitempty"`
	// IdempotencyKey has a repeat of the request answer with the same passport. Empty: one is drawn, so that
	// the attempts of this very call make one passport.
	IdempotencyKey string `json:"-"`
}

// MissionIntent is what a mission is for.
type MissionIntent struct {
	// Summary says it, in 500 characters at most.
	Summary string `json:"summary,omitempty"`
	// Services that it is going to use.
	Services []string `json:"services,omitempty"`
	// EstimatedDurationSeconds is how long it is expected to take; 0 where nobody knows.
	EstimatedDurationSeconds int `json:"estimated_duration_seconds,omitempty"`
	// WillDelegate says that it is going to hand work to other agents.
	WillDelegate bool `json:"will_delegate"`
}

// Issued is a passport that was issued, or refreshed.
type Issued struct {
	// Token is the bearer token that calls carry. Keep it out of logs.
	Token string `json:"token"`
	// JTI names the passport in every other call.
	JTI string `json:"jti"`
	// ExpiresAt is when it dies, unless a checkpoint extends it.
	ExpiresAt time.Time `json:"expires_at"`
}

// Report is what an agent says that it has done: since the checkpoint before, or at a checkout in all.
type Report struct {
	// ServicesUsed are the services that were called.
	ServicesUsed []string `json:"services_used"`
	// ActionsCount is how many things were done there.
	ActionsCount int64 `json:"actions_count"`
	// Summary says it in 1000 characters at most.
	Summary string `json:"summary,omitempty"`
}

// Checkpointed is what became of a checkpoint.
type Checkpointed struct {
	JTI string `json:"jti"`
	// Accepted says whether it counts.
	Accepted bool `json:"accepted"`
	// ExpiresAt is when the passport dies now, and Token the one that says so; empty where it is the same.
	ExpiresAt time.Time `json:"expires_at"`
	Token     string    `json:"token"`
}

// Outcome is how a mission ended.
type Outcome string

// The outcomes.
const (
	Succeeded Outcome = "succeeded"
	Failed    Outcome = "failed"
	Aborted   Outcome = "aborted"
)

// CheckoutReport ends a mission.
type CheckoutReport struct {
	Report
	// Outcome of the mission; empty: Succeeded.
	Outcome Outcome `json:"outcome,omitempty"`
}

// CheckedOut is the verdict on a mission.
type CheckedOut struct {
	JTI string `json:"jti"`
	// Status is clean, flagged or blocked.
	Status string `json:"checkout_status"`
	// Flags say why it is not clean.
	Flags []Flag `json:"flags"`
}

// Flag is one thing that a reviewer should look at.
type Flag struct {
	Type     string `json:"type"`
	Severity string `json:"severity"`
	Message  string `json:"message"`
}

// State is how a passport stands.
type State struct {
	JTI string `json:"jti"`
	// Phase is pending, active, checked_out, expired, revoked or rejected.
	Phase string `json:"phase"`
	// ExpiresAt is when it dies; CheckpointBy when the next checkpoint should be made. Either may be zero.
	ExpiresAt    time.Time `json:"expires_at"`
	CheckpointBy time.Time `json:"checkpoint_by"`
	// Observed is what the gateways saw of the mission; nil where that is not known.
	Observed *Observed `json:"observed"`
}

// Over says whether the passport has ended.
func (s *State) Over() bool {
	switch s.Phase {
	case "checked_out", "expired", "revoked", "rejected":
		return true
	default:
		return false
	}
}

// Observed counts the calls of a mission that gateways let through.
type Observed struct {
	Calls int64 `json:"calls"`
	// Services that were called, with the calls to each.
	Services []ObservedService `json:"services"`
}

// ObservedService counts the calls to one service.
type ObservedService struct {
	Service string `json:"service"`
	Calls   int64  `json:"calls"`
}

// Names of the services that were called.
func (o *Observed) Names() []string {
	names := make([]string, 0, len(o.Services))
	for _, service := range o.Services {
		names = append(names, service.Service)
	}
	return names
}

// Outbound is one call to a service.
type Outbound struct {
	// Service is its name, as granted.
	Service string `json:"service"`
	// Method is an HTTP method, and URL where to: absolute, within the service's hosts.
	Method string `json:"method"`
	URL    string `json:"url"`
	// Headers and Query are added to the call.
	Headers map[string]string   `json:"headers,omitempty"`
	Query   map[string][]string `json:"query,omitempty"`
	// Body is sent as it stands; a JSON string is sent as its text. Nil for none.
	Body json.RawMessage `json:"body,omitempty"`
}

// Answer is what a service answered to a call, whatever its status.
type Answer struct {
	Status int `json:"status"`
	// Headers by name in lower case.
	Headers map[string]string `json:"headers"`
	// Body as text, or in base64 where BodyEncoding says so.
	Body         string `json:"body"`
	BodyEncoding string `json:"body_encoding"`
}

// Issue asks for a passport, and waits until it is issued or rejected. It is repeated safely where the gateway
// does not answer.
func (c *Client) Issue(ctx context.Context, request IssueRequest) (*Issued, error) {
	key := request.IdempotencyKey
	if key == "" {
		key = newKey()
	}
	return ask[Issued](ctx, c, call{method: http.MethodPost, path: "/v1/passports/issue", body: request, key: key})
}

// Get gives the state of a passport.
func (c *Client) Get(ctx context.Context, jti string) (*State, error) {
	return ask[State](ctx, c, call{method: http.MethodGet, path: of(jti)})
}

// Checkpoint reports what was done since the last one. In mode Enforced it extends the passport.
func (c *Client) Checkpoint(ctx context.Context, jti string, report Report) (*Checkpointed, error) {
	return ask[Checkpointed](ctx, c, call{method: http.MethodPost, path: of(jti) + "/checkpoint", body: report.filled()})
}

// Checkout ends the mission, and gives the verdict on it.
func (c *Client) Checkout(ctx context.Context, jti string, report CheckoutReport) (*CheckedOut, error) {
	report.Report = report.filled()
	return ask[CheckedOut](ctx, c, call{method: http.MethodPost, path: of(jti) + "/checkout", body: report})
}

// Refresh gives a fresh token of a live passport, with the same expiry.
func (c *Client) Refresh(ctx context.Context, jti string) (*Issued, error) {
	return ask[Issued](ctx, c, call{method: http.MethodPost, path: of(jti) + "/refresh"})
}

// Revoke ends a passport at once, for a reason.
func (c *Client) Revoke(ctx context.Context, jti, reason string) error {
	body := map[string]string{"reason": reason}
	return c.do(ctx, call{method: http.MethodPost, path: of(jti) + "/revoke", body: body}, nil)
}

// Call makes one outbound call under a passport. What the service answers is no error, whatever its status.
func (c *Client) Call(ctx context.Context, token string, outbound Outbound) (*Answer, error) {
	return ask[Answer](ctx, c, call{method: http.MethodPost, path: "/v1/proxy", token: token, body: outbound})
}

func ask[T any](ctx context.Context, c *Client, request call) (*T, error) {
	answer := new(T)
	if err := c.do(ctx, request, answer); err != nil {
		return nil, err
	}
	return answer, nil
}

func of(jti string) string { return "/v1/passports/" + url.PathEscape(jti) }

// filled has an empty list be one.
func (r Report) filled() Report {
	if r.ServicesUsed == nil {
		r.ServicesUsed = []string{}
	}
	return r
}
