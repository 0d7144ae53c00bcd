package requeststest_test

import (
	"net/http"
	"testing"
	"time"

	"agentpassport.dev/operator/api/v1alpha1"
	"agentpassport.dev/operator/internal/gateway/decision"
	"agentpassport.dev/operator/internal/gateway/requeststest"
)

const namespace = "agents"

var now = time.Date(2026, 3, 1, 12, 0, 0, 999, time.UTC)

// world is what the gateway knows of the table's world.
type world struct {
	standings   map[requeststest.Token]*decision.Standing
	connections map[string]*decision.Connection
	agents      map[string]v1alpha1.AgentPassport
}

func newWorld(t *testing.T) *world {
	w := &world{
		standings:   map[requeststest.Token]*decision.Standing{},
		connections: map[string]*decision.Connection{},
		agents:      map[string]v1alpha1.AgentPassport{},
	}
	for _, p := range requeststest.Passports(namespace, now.Truncate(time.Second)) {
		w.standings[requeststest.Token(p.Name)] = decision.StandingOf(&p)
	}
	for _, c := range requeststest.Connections(namespace) {
		connection, err := decision.ConnectionOf(&c)
		if err != nil {
			t.Fatalf("%s: %v", c.Name, err)
		}
		w.connections[c.Name] = connection
	}
	for _, a := range requeststest.Agents(namespace) {
		w.agents[a.Name] = a
	}
	return w
}

// situation is what the gateway knows when the call comes.
func (w *world) situation(r *requeststest.Request) *decision.Situation {
	s := &decision.Situation{Now: now, Connection: w.connections[r.Service], Token: decision.TokenInvalid}
	switch r.Token {
	case requeststest.TokenMissing:
		s.Token = decision.TokenMissing
	case requeststest.TokenTwice, requeststest.TokenTwo:
		s.Token = decision.TokenRepeated
	case requeststest.TokenForged:
		s.Token = decision.TokenForged
	case requeststest.TokenUnknown:
		s.Token = decision.TokenValid
	case requeststest.TokenLost:
		s.Token, s.Lost, s.Standing = decision.TokenValid, "no event for 91 s", w.standings[requeststest.TokenLive]
	case requeststest.TokenLostRevoked:
		s.Token, s.Lost, s.Standing = decision.TokenValid, "no event for 91 s", w.standings[requeststest.TokenRevoked]
	default:
		if standing, ok := w.standings[r.Token]; ok {
			s.Token, s.Standing = decision.TokenValid, standing
		}
	}
	if s.Standing != nil {
		agent, ok := w.agents[s.Standing.Agent]
		s.AgentGone = !ok
		if agent.Spec.Suspend || agent.Name == requeststest.AgentBlocked {
			s.Blocked = "the table"
		}
	}
	s.Caller = map[requeststest.Caller]decision.CallerState{
		requeststest.CallerMayUse: decision.CallerMayUse, requeststest.CallerNone: decision.CallerMissing,
		requeststest.CallerInvalid: decision.CallerInvalid, requeststest.CallerMayNotUse: decision.CallerMayNotUse,
		requeststest.CallerUnknown: decision.CallerUnknown,
	}[r.Caller]
	return s
}

// request is the call as its front gives it on.
func (w *world) request(r *requeststest.Request) *decision.Request {
	out := &decision.Request{Service: v1alpha1.ServiceName(r.Service), Method: r.Method, Header: http.Header{}, Body: []byte(r.Body)}
	for _, field := range r.Header {
		out.Header[http.CanonicalHeaderKey(field.Name)] = append(out.Header[http.CanonicalHeaderKey(field.Name)], field.Value)
	}
	if c := w.connections[r.Service]; c != nil {
		out.Target, out.TargetError = r.Reference().Resolve(c.Base)
	}
	return out
}

func TestTheTableIsJudgedRight(t *testing.T) {
	w := newWorld(t)
	calls := requeststest.All()
	names, codes := map[string]bool{}, map[decision.Code]int{}
	for i := range calls {
		call := &calls[i]
		if names[call.Name] {
			t.Errorf("%s is in the table twice", call.Name)
		}
		names[call.Name] = true
		t.Run(call.Name, func(t *testing.T) {
			request := w.request(call)
			got := decision.Decide(w.situation(call), request)
			codes[got.Code]++
			if got.Code != call.WantCode || got.Allow != (call.WantCode == decision.Allowed) {
				t.Fatalf("%s %q: %s (%s), want %s", call.Method, call.Target, got.Code, got.Reason, call.WantCode)
			}
			if !got.Allow {
				if got.Reason == "" || got.Inject != nil {
					t.Fatalf("refused with %+v", got)
				}
				return
			}
			if got.Inject == nil {
				t.Fatal("no credential")
			}
			if sent := request.Target.URL().RequestURI(); sent != call.WantSent {
				t.Fatalf("sent %q, want %q", sent, call.WantSent)
			}
			host := request.Target.URL().Host
			if call.Front != requeststest.ExtAuthz && host != call.WantHost {
				t.Fatalf("sent to %q, want %q", host, call.WantHost)
			}
		})
	}
	t.Logf("%d calls: %v", len(calls), codes)
}

func TestUndeclaredServicesGoAndAreMarked(t *testing.T) {
	w := newWorld(t)
	for service, declared := range map[string]bool{"api": true, "undeclared": false} {
		call := requeststest.Request{
			Front: requeststest.ReverseProxy, Token: requeststest.TokenLive, Caller: requeststest.CallerMayUse,
			Service: service, Method: http.MethodGet, Target: "/",
		}
		if d := decision.Decide(w.situation(&call), w.request(&call)); !d.Allow || d.Declared != declared {
			t.Errorf("%s: %+v", service, d)
		}
	}
}
