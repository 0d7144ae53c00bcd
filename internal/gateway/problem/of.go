package problem

import (
	"net/http"

	"agentpassport.dev/operator/internal/gateway/decision"
)

// answer is the HTTP answer to a decision.
type answer struct {
	status int
	code   string
}

// answers to every code of a decision that refuses.
var answers = map[decision.Code]answer{
	decision.CodeTokenMissing:  {http.StatusUnauthorized, CodeInvalidPassport},
	decision.CodeTokenRepeated: {http.StatusUnauthorized, CodeInvalidPassport},
	decision.CodeTokenInvalid:  {http.StatusUnauthorized, CodeInvalidPassport},
	decision.CodeTokenForged:   {http.StatusUnauthorized, CodeInvalidPassport},

	decision.CodeStateUnknown:    {http.StatusServiceUnavailable, CodeUnavailable},
	decision.CodePassportUnknown: {http.StatusUnauthorized, CodeInvalidPassport},
	decision.CodeNotActive:       {http.StatusUnauthorized, CodeInvalidPassport},
	decision.CodeCheckedOut:      {http.StatusUnauthorized, CodePassportRevoked},
	decision.CodeRevoked:         {http.StatusUnauthorized, CodePassportRevoked},
	decision.CodeExpired:         {http.StatusUnauthorized, CodePassportExpired},
	decision.CodeAgentBlocked:    {http.StatusForbidden, CodePassportBlocked},
	decision.CodeCallerMissing:   {http.StatusUnauthorized, CodeUnauthorized},
	decision.CodeCallerInvalid:   {http.StatusUnauthorized, CodeUnauthorized},
	decision.CodeForeignCaller:   {http.StatusForbidden, CodeForbidden},
	decision.CodeCallerUnknown:   {http.StatusServiceUnavailable, CodeUnavailable},

	decision.CodeOutsideScope: {http.StatusForbidden, CodeForbidden},
	decision.CodeNoConnection: {http.StatusNotFound, CodeNotFound},

	decision.CodeBadRequest:     {http.StatusBadRequest, CodeInvalidRequest},
	decision.CodeBadTarget:      {http.StatusBadRequest, CodeInvalidRequest},
	decision.CodeForeignTarget:  {http.StatusForbidden, CodeForbidden},
	decision.CodeMethod:         {http.StatusForbidden, CodeForbidden},
	decision.CodeAddressRefused: {http.StatusForbidden, CodeForbidden},

	decision.CodeConstraint: {http.StatusForbidden, CodeForbidden},

	decision.CodeCredential:       {http.StatusServiceUnavailable, CodeUnavailable},
	decision.CodeAuditUnavailable: {http.StatusServiceUnavailable, CodeUnavailable},
	decision.CodeLimited:          {http.StatusTooManyRequests, CodeRateLimited},
	decision.CodeTooLarge:         {http.StatusRequestEntityTooLarge, CodeTooLarge},
	decision.CodeUpstream:         {http.StatusBadGateway, CodeUpstreamFailed},
	decision.CodeUpstreamTimeout:  {http.StatusGatewayTimeout, CodeUpstreamTimeout},
}

// Of is the problem for a decision that refuses; details.reason is its code. A code that it does not know
// is a mistake of the gateway, 500.
func Of(code decision.Code, reason string) Problem {
	a, ok := answers[code]
	if !ok {
		return Internal("the gateway has no answer to the decision " + string(code))
	}
	p := New(a.status, a.code, reason)
	p.Details = map[string]any{"reason": string(code)}
	return p
}
