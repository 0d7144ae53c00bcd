package api

import (
	"slices"

	"agentpassport.dev/operator/api/v1alpha1"
	"agentpassport.dev/operator/internal/gateway/decision"
	"agentpassport.dev/operator/internal/token"
)

// verifyRequest is a token that somebody has been shown.
type verifyRequest struct {
	Token string `json:"token"`
	// Audience that the token has to be for, beside the gateway.
	Audience string `json:"audience"`
	// Service that the passport has to carry.
	Service string `json:"service"`
}

// verifyAnswer says whether a token counts now. Reason is active, or the decision's code for why it does
// not. The claims are those of every authentic token.
type verifyAnswer struct {
	Valid  bool          `json:"valid"`
	Reason decision.Code `json:"reason"`
	Claims *token.Claims `json:"claims,omitempty"`
}

const (
	// reasonActive is a token that counts.
	reasonActive decision.Code = "active"
	// reasonAudience is an authentic token that is not for the audience that was asked for.
	reasonAudience decision.Code = "token_audience"
)

// verify judges a token by its signature and by how its passport stands, not by its exp: the stored expiry
// decides.
func (s *service) verify(c *call) error {
	var body verifyRequest
	if err := c.read(&body); err != nil {
		return err
	}
	if body.Token == "" {
		return invalid(fault{Field: "token", Message: "is required"})
	}
	// While a watch is lost, every token looks like another's.
	if known, err := s.View.LookLive(c.r.Context(), nil, ""); err != nil || known.Lost != "" {
		return notKnown()
	}
	verified, standing := s.View.Token(body.Token)
	if standing != decision.TokenValid || verified == nil {
		reason := decision.CodeTokenInvalid
		if standing == decision.TokenForged {
			reason = decision.CodeTokenForged
		}
		return c.give(verifyAnswer{Reason: reason})
	}
	service := v1alpha1.ServiceName(body.Service)
	situation, err := s.View.LookLive(c.r.Context(), verified, service)
	if err != nil || situation.Lost != "" {
		return notKnown()
	}
	reason, _ := decision.JudgeState(&situation)
	switch {
	case reason != decision.Allowed:
	case body.Audience != "" && !slices.Contains(verified.Claims.Audience, body.Audience):
		reason = reasonAudience
	case service != "" && situation.Standing.Services[service] == nil:
		reason = decision.CodeOutsideScope
	default:
		reason = reasonActive
	}
	return c.give(verifyAnswer{Valid: reason == reasonActive, Reason: reason, Claims: verified.Claims})
}

// notKnown is a gateway whose knowledge may be old.
func notKnown() error {
	return fail(CodeUnavailable, "how the passport stands cannot be found out now: try again").with(details{retryAfter: 5})
}
