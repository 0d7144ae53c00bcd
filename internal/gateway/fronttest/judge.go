// Package fronttest has what the tests of the gateway's fronts share: a small world with one mission, a
// judge that asks the real decision about it, and an upstream that keeps every byte that it gets.
package fronttest

import (
	"context"
	"errors"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"agentpassport.dev/operator/api/v1alpha1"
	"agentpassport.dev/operator/internal/gateway/credential"
	"agentpassport.dev/operator/internal/gateway/decision"
	"agentpassport.dev/operator/internal/gateway/judge"
)

// Token is the one that the world's passport has.
const Token = "the-passports-token"

// Secret is the credential of the world's service.
const Secret = "xoxb-the-real-credential"

// Service that the world's passport carries.
const Service = "slack"

// Now in the world.
var Now = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// Late is a refusal after an allowed call.
type Late struct {
	Code   decision.Code
	Reason string
}

// Judge asks the real decision about a world.
type Judge struct {
	// Situate says what is known of a call.
	Situate func(*judge.Ask) *decision.Situation
	// Value of the credential; nil for none.
	Value *credential.Value
	// Standing and Connection of the one mission that NewJudge makes; set them before the first call.
	Standing   *decision.Standing
	Connection *decision.Connection

	mu       sync.Mutex
	asks     []*judge.Ask
	verdicts []decision.Decision
	late     []Late
	done     int
}

// NewJudge makes the world: a mission that carries Service with these constraints, and a connection to
// baseURL by which anybody may call.
func NewJudge(baseURL string, spec *v1alpha1.ServiceCredential, constraints ...v1alpha1.Constraint) (*Judge, error) {
	connection, err := decision.ConnectionOf(&v1alpha1.ServiceConnection{
		ObjectMeta: metav1.ObjectMeta{Namespace: "team-a", Name: Service, UID: "c-1", Generation: 1},
		Spec: v1alpha1.ServiceConnectionSpec{
			BaseURL: baseURL, Callers: v1alpha1.CallersAnyBearer, TimeoutSeconds: 30,
			AllowedAddresses: []v1alpha1.AddressRange{v1alpha1.RangeLoopback}, Credential: spec,
		},
	})
	if err != nil {
		return nil, err
	}
	j := &Judge{Connection: connection, Standing: decision.StandingOf(passport(constraints))}
	j.Situate = j.situation
	if spec != nil {
		j.Value, err = credential.Read("team-a", spec, map[string][]byte{spec.Key: []byte(Secret), spec.UsernameKey: []byte("bot")})
	}
	return j, err
}

func passport(constraints []v1alpha1.Constraint) *v1alpha1.Passport {
	expiry := metav1.NewTime(Now.Add(time.Hour))
	return &v1alpha1.Passport{
		ObjectMeta: metav1.ObjectMeta{Namespace: "team-a", Name: "mission", UID: "p-1"},
		Spec:       v1alpha1.PassportSpec{Intent: &v1alpha1.Intent{Services: []v1alpha1.ServiceName{Service}}},
		Status: v1alpha1.PassportStatus{
			Phase: v1alpha1.PhaseActive, ExpirationTime: &expiry,
			Issued: &v1alpha1.IssuedTerms{Services: []v1alpha1.IssuedService{{Service: Service, Constraints: constraints}}},
		},
	}
}

// Judge implements the fronts' judge.
func (j *Judge) Judge(_ context.Context, ask *judge.Ask) *judge.Verdict {
	j.mu.Lock()
	j.asks = append(j.asks, ask)
	j.mu.Unlock()
	situation := j.Situate(ask)
	verdict := &judge.Verdict{Connection: situation.Connection, Done: j.finish}
	if verdict.Connection != nil {
		ask.Request.Target, ask.Request.TargetError = ask.Target.Resolve(verdict.Connection.Base)
	}
	refusal := ask.Malformed
	if refusal == nil && ask.Body != nil && decision.NeedsBody(situation.Standing, ask.Request.Service) {
		refusal = readBody(ask)
	}
	if refusal != nil {
		ask.Request.TargetError = refusal
	}
	verdict.Decision = decision.Decide(situation, ask.Request)
	if verdict.Code == decision.CodeBadTarget && refusal != nil {
		verdict.Code = refusal.Code
	}
	if verdict.Allow {
		verdict.Credential = j.Value
	}
	j.mu.Lock()
	j.verdicts = append(j.verdicts, verdict.Decision)
	j.mu.Unlock()
	return verdict
}

func readBody(ask *judge.Ask) *judge.Refusal {
	body, err := ask.Body()
	var refusal *judge.Refusal
	if errors.As(err, &refusal) {
		return refusal
	}
	ask.Request.Body, ask.Request.BodyUnread = body, false
	return nil
}

func (j *Judge) situation(ask *judge.Ask) *decision.Situation {
	s := &decision.Situation{Now: Now, Caller: decision.CallerNotAsked}
	if ask.Request.Service == v1alpha1.ServiceName(j.Connection.Name) {
		s.Connection = j.Connection
	}
	switch {
	case len(ask.Tokens) == 0:
		s.Token = decision.TokenMissing
	case len(ask.Tokens) > 1:
		s.Token = decision.TokenRepeated
	case ask.Tokens[0] != Token:
		s.Token = decision.TokenInvalid
	default:
		s.Token, s.Standing = decision.TokenValid, j.Standing
	}
	return s
}

func (j *Judge) finish() {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.done++
}

// Late implements the fronts' judge.
func (j *Judge) Late(_ context.Context, _ *judge.Ask, _ *judge.Verdict, code decision.Code, reason string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.late = append(j.late, Late{Code: code, Reason: reason})
}

// Verdicts are what was decided so far.
func (j *Judge) Verdicts() []decision.Decision {
	j.mu.Lock()
	defer j.mu.Unlock()
	return append([]decision.Decision(nil), j.verdicts...)
}

// Asks are the calls so far.
func (j *Judge) Asks() []*judge.Ask {
	j.mu.Lock()
	defer j.mu.Unlock()
	return append([]*judge.Ask(nil), j.asks...)
}

// Lates are the refusals that were found late.
func (j *Judge) Lates() []Late {
	j.mu.Lock()
	defer j.mu.Unlock()
	return append([]Late(nil), j.late...)
}

// Open counts the calls that are not over.
func (j *Judge) Open() int {
	j.mu.Lock()
	defer j.mu.Unlock()
	return len(j.asks) - j.done
}
