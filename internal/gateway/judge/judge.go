// Package judge takes one call from its token to its verdict: what is known of the passport, who calls,
// the decision, the record of it, and the credential. Every front asks the same judge.
package judge

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/go-logr/logr"
	"go.opentelemetry.io/otel/trace"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"

	"agentpassport.dev/operator/api/v1alpha1"
	"agentpassport.dev/operator/internal/gateway/credential"
	"agentpassport.dev/operator/internal/gateway/decision"
	"agentpassport.dev/operator/internal/gateway/signals"
	"agentpassport.dev/operator/internal/gateway/state"
	"agentpassport.dev/operator/internal/gateway/trail"
)

// View is what the gateway knows: state.View.
type View interface {
	// Lost says why what is known may be old; empty where it is not.
	Lost() string
	// Token verifies a token.
	Token(raw string) (*state.Verified, decision.TokenState)
	// Look gives what is known at this moment, without asking anybody.
	Look(token *state.Verified, service v1alpha1.ServiceName) decision.Situation
	// LookLive asks the API server.
	LookLive(ctx context.Context, token *state.Verified, service v1alpha1.ServiceName) (decision.Situation, error)
	// Credential is the connection's, as last read.
	Credential(connection *decision.Connection) (*credential.Value, error)
}

// Callers says who calls, and whether they may act as an agent.
type Callers interface {
	// MayUse looks at every Authorization value of a caller.
	MayUse(ctx context.Context, bearer []string, namespace, agent string) (decision.CallerState, string)
}

// Trail records what was judged: trail.Trail.
type Trail interface {
	// Begin says that a call of the passport with a UID is being judged, until done: the mark that all of
	// them are recorded waits for it.
	Begin(uid types.UID) (done func())
	// Call records one call, and returns once the record is safe.
	Call(ctx context.Context, call trail.Call) error
	// Forged counts a token with our issuer that is not ours.
	Forged(source string)
}

// Signals notes what detectors look at: signals.Tracker.
type Signals interface {
	Note(seen signals.Seen)
}

// Limits say whether a client or a passport has asked too often.
type Limits interface {
	// Client takes one call from an address.
	Client(source string) bool
	// Passport takes one call of a passport.
	Passport(standing *decision.Standing) bool
}

const (
	// stale is how old what is known may be when a call goes out.
	stale = time.Second
	// recordTimeout bounds the record of a refusal, whose caller may be gone.
	recordTimeout = 5 * time.Second
)

// Judge judges calls. Its methods may be called by any goroutine.
type Judge struct {
	View    View
	Callers Callers
	Trail   Trail
	Signals Signals
	Limits  Limits
	Metrics *Metrics
	Clock   clock.PassiveClock
	Log     logr.Logger
}

// Judge takes a call to its verdict. A call that is let out is on record before this returns, and its
// credential is read.
func (j *Judge) Judge(ctx context.Context, ask *Ask) *Verdict {
	began := j.Clock.Now()
	v := j.judge(ctx, ask)
	j.Metrics.judged(ask.Front, v.Code, j.Clock.Since(began))
	return v
}

func (j *Judge) judge(ctx context.Context, ask *Ask) *Verdict {
	if !j.Limits.Client(ask.Source) {
		return refused(decision.CodeLimited, "too many calls from this address; slow down")
	}
	token, verified := j.token(ask)
	if token == nil {
		if lost := j.View.Lost(); lost != "" && (verified == decision.TokenForged || verified == decision.TokenInvalid) {
			// Without the newest keys a good token looks forged.
			return refused(decision.CodeStateUnknown, "the gateway cannot tell whether the passport is good: "+lost+". Try again")
		}
		if verified == decision.TokenForged {
			j.Trail.Forged(ask.Source)
		}
		return &Verdict{Decision: decision.Decide(&decision.Situation{Now: j.Clock.Now(), Token: verified}, ask.Request), Done: nothing}
	}
	// Before the look, so that no mark comes between a passport that is seen alive and its call.
	done := j.Trail.Begin(types.UID(token.Claims.Mission.ID))
	situation := j.View.Look(token, ask.Request.Service)
	v := j.decide(ctx, ask, token, &situation)
	if v.Allow {
		v.Done = done
	} else {
		done()
		v.Done = nothing
	}
	return v
}

func (j *Judge) token(ask *Ask) (*state.Verified, decision.TokenState) {
	switch len(ask.Tokens) {
	case 0:
		return nil, decision.TokenMissing
	case 1:
		return j.View.Token(ask.Tokens[0])
	default:
		return nil, decision.TokenRepeated
	}
}

// decide asks the rule, and sees to what it rests on: the body, the limits, the record and the credential.
func (j *Judge) decide(ctx context.Context, ask *Ask, token *state.Verified, s *decision.Situation) *Verdict {
	d := j.rule(ctx, ask, token, s)
	wantsBody := d.Code == decision.CodeConstraint && ask.Request.BodyUnread && ask.Body != nil &&
		decision.NeedsBody(s.Standing, ask.Request.Service)
	if wantsBody {
		body, err := ask.Body()
		if refusal := asRefusal(err); refusal != nil {
			return j.refuse(ctx, ask, s, refusal.Code, refusal.Reason)
		}
		ask.Request.Body, ask.Request.BodyUnread = body, false
	}
	if wantsBody || (d.Allow && j.Clock.Since(s.Now) >= stale) {
		// The passport may have ended while the body came, or while the API server was asked.
		*s = j.View.Look(token, ask.Request.Service)
		d = j.rule(ctx, ask, token, s)
	}
	if d.Code == decision.CodeBadTarget && ask.Malformed != nil {
		d.Code, d.Reason = ask.Malformed.Code, ask.Malformed.Reason
	}
	v := &Verdict{Decision: d, Connection: s.Connection, standing: s.Standing, caller: s.CallerName}
	if !d.Allow {
		j.record(ctx, ask, v)
		return v
	}
	if !j.Limits.Passport(s.Standing) {
		return j.refuse(ctx, ask, s, decision.CodeLimited, fmt.Sprintf("passport %s calls too often; slow down", s.Standing.JTI))
	}
	if d.Inject != nil {
		value, err := j.View.Credential(s.Connection)
		if err != nil {
			return j.refuse(ctx, ask, s, decision.CodeCredential, err.Error())
		}
		v.Credential = value
	}
	if !j.record(ctx, ask, v) {
		// Without a record, no call goes out.
		return j.refuse(ctx, ask, s, decision.CodeAuditUnavailable,
			"the gateway could not record the call, and so did not make it; try again")
	}
	return v
}

// rule asks the rule, with the caller, and with a live look before a refusal for a state that may be old.
func (j *Judge) rule(ctx context.Context, ask *Ask, token *state.Verified, s *decision.Situation) decision.Decision {
	j.aim(ask, s)
	j.addCaller(ctx, ask, s)
	d := decision.Decide(s, ask.Request)
	if !ofState(d.Code) {
		return d
	}
	live, err := j.View.LookLive(ctx, token, ask.Request.Service)
	switch {
	case err != nil && ctx.Err() != nil:
		return d // nobody is there to be answered, and the record keeps what is known
	case err != nil:
		// What would be taken back in a moment is no reason for an agent to give up; an end stays one.
		s.Lost = "the API server does not answer"
		return decision.Decide(s, ask.Request)
	}
	*s = live
	j.aim(ask, s)
	j.addCaller(ctx, ask, s)
	return decision.Decide(s, ask.Request)
}

// aim reads where the call goes, with the base of the connection.
func (j *Judge) aim(ask *Ask, s *decision.Situation) {
	request := ask.Request
	switch {
	case ask.Malformed != nil:
		request.TargetError = ask.Malformed
	case s.Connection != nil:
		request.Target, request.TargetError = ask.Target.Resolve(s.Connection.Base)
	}
}

// asRefusal is why a body could not be read; nil where it could.
func asRefusal(err error) *Refusal {
	var refusal *Refusal
	switch {
	case err == nil:
		return nil
	case errors.As(err, &refusal):
		return refusal
	default:
		return &Refusal{Code: decision.CodeBadRequest, Reason: "the body could not be read"}
	}
}

func (j *Judge) addCaller(ctx context.Context, ask *Ask, s *decision.Situation) {
	if s.Connection != nil && s.Connection.Callers == v1alpha1.CallersAnyBearer {
		s.Caller = decision.CallerNotAsked
		return
	}
	if s.Standing == nil {
		s.Caller = decision.CallerMissing
		return
	}
	s.Caller, s.CallerName = j.Callers.MayUse(ctx, ask.Bearer, s.Standing.Namespace, s.Standing.Agent)
}

// refuse is a verdict that another part than the rule gives.
func (j *Judge) refuse(ctx context.Context, ask *Ask, s *decision.Situation, code decision.Code, reason string) *Verdict {
	v := &Verdict{
		Decision:   decision.Decision{Code: code, Reason: reason},
		Connection: s.Connection, standing: s.Standing, caller: s.CallerName,
	}
	if code != decision.CodeAuditUnavailable {
		j.record(ctx, ask, v)
	}
	return v
}

// Late takes in what became of a call after it was let out: its target's address is refused, or the
// service did not answer.
func (j *Judge) Late(ctx context.Context, ask *Ask, v *Verdict, code decision.Code, reason string) {
	late := *v
	late.Decision = decision.Decision{Code: code, Reason: reason, Declared: v.Declared}
	j.Metrics.judged(ask.Front, code, 0)
	j.record(ctx, ask, &late)
}

// record puts what was judged into the trail, and before the detectors, and says whether it is there. A failure is
// told in the log: of a call that was refused anyway there is nothing more to do. A refusal is recorded also where
// the caller hangs up meanwhile: nobody is to try what is refused unseen.
func (j *Judge) record(ctx context.Context, ask *Ask, v *Verdict) bool {
	if v.standing == nil {
		return true
	}
	if !v.Allow {
		lasting, cancel := context.WithTimeout(context.WithoutCancel(ctx), recordTimeout)
		defer cancel()
		ctx = lasting
	}
	now := j.Clock.Now()
	err := j.Trail.Call(ctx, trail.Call{
		Standing: v.standing, Front: ask.Front, Service: ask.Request.Service, Method: ask.Request.Method,
		Target: ask.Request.Target, Code: v.Code, Allowed: v.Allow, Declared: v.Declared,
		Caller: v.caller, Source: ask.Source, Trace: trace.SpanContextFromContext(ctx), At: now,
	})
	if err != nil {
		j.Log.Error(err, "a call could not be recorded", "passport", v.standing.JTI, "code", v.Code)
		if v.Allow {
			return false // it does not go out, and is no use of the service
		}
	}
	j.Signals.Note(signals.Seen{
		Standing: v.standing, Service: ask.Request.Service, Method: ask.Request.Method, Path: ask.Request.Target.Path,
		Code: v.Code, Allowed: v.Allow, Declared: v.Declared, Credential: v.Credential != nil, At: now,
	})
	return err == nil
}

// ofState says whether a refusal rests on a state that may be old: a passport that was issued or extended
// a moment ago is not in the watch yet.
func ofState(code decision.Code) bool {
	switch code {
	case decision.CodePassportUnknown, decision.CodeNotActive, decision.CodeCheckedOut, decision.CodeRevoked,
		decision.CodeExpired, decision.CodeAgentBlocked:
		return true
	default:
		return false
	}
}

func refused(code decision.Code, reason string) *Verdict {
	return &Verdict{Decision: decision.Decision{Code: code, Reason: reason}, Done: nothing}
}

func nothing() {}
