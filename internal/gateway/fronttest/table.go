package fronttest

import (
	"strings"
	"time"

	"agentpassport.dev/operator/api/v1alpha1"
	"agentpassport.dev/operator/internal/gateway/credential"
	"agentpassport.dev/operator/internal/gateway/decision"
	"agentpassport.dev/operator/internal/gateway/judge"
	"agentpassport.dev/operator/internal/gateway/requeststest"
)

const tableNamespace = "agents"

// table is what a gateway knows of the world of requeststest.
type table struct {
	standings   map[requeststest.Token]*decision.Standing
	connections map[string]*decision.Connection
	agents      map[string]v1alpha1.AgentPassport
}

// NewTable makes a judge of the world of requeststest. A token is the word for it, see TokensOf.
func NewTable() (*Judge, error) {
	t := &table{
		standings:   map[requeststest.Token]*decision.Standing{},
		connections: map[string]*decision.Connection{},
		agents:      map[string]v1alpha1.AgentPassport{},
	}
	for _, p := range requeststest.Passports(tableNamespace, Now.Truncate(time.Second)) {
		t.standings[requeststest.Token(p.Name)] = decision.StandingOf(&p)
	}
	j := &Judge{Situate: t.situation}
	for _, c := range requeststest.Connections(tableNamespace) {
		connection, err := decision.ConnectionOf(&c)
		if err != nil {
			return nil, err
		}
		t.connections[c.Name] = connection
		if j.Value, err = credential.Read(tableNamespace, c.Spec.Credential, requeststest.Secret(tableNamespace).Data); err != nil {
			return nil, err
		}
	}
	for _, a := range requeststest.Agents(tableNamespace) {
		t.agents[a.Name] = a
	}
	return j, nil
}

// TokensOf are the values of X-Passport-Token by which a call of the table shows its token.
func TokensOf(token requeststest.Token) []string {
	const live = string(requeststest.TokenLive)
	switch token {
	case requeststest.TokenMissing:
		return nil
	case requeststest.TokenTwice:
		return []string{live, live}
	case requeststest.TokenTwo:
		return []string{live, string(requeststest.TokenRevoked)}
	case requeststest.TokenList:
		return []string{live + "," + live}
	case requeststest.TokenEmpty:
		return []string{""}
	case requeststest.TokenOversized:
		return []string{strings.Repeat("a", 9<<10)}
	default:
		return []string{string(token)}
	}
}

// BearerOf is the value of Authorization by which a call of the table shows its caller; empty for none.
func BearerOf(caller requeststest.Caller) string {
	if caller == requeststest.CallerNone {
		return ""
	}
	return "Bearer " + string(caller)
}

func (t *table) situation(ask *judge.Ask) *decision.Situation {
	s := &decision.Situation{Now: Now, Connection: t.connections[string(ask.Request.Service)]}
	t.verify(s, ask.Tokens)
	if s.Standing != nil {
		agent, ok := t.agents[s.Standing.Agent]
		s.AgentGone = !ok
		if agent.Spec.Suspend || agent.Name == requeststest.AgentBlocked {
			s.Blocked = "the table"
		}
	}
	s.Caller = callerOf(ask.Bearer)
	return s
}

func (t *table) verify(s *decision.Situation, tokens []string) {
	s.Token = decision.TokenValid
	switch {
	case len(tokens) == 0:
		s.Token = decision.TokenMissing
		return
	case len(tokens) > 1:
		s.Token = decision.TokenRepeated
		return
	}
	switch token := requeststest.Token(tokens[0]); token {
	case requeststest.TokenForged:
		s.Token = decision.TokenForged
	case requeststest.TokenUnknown:
	case requeststest.TokenLost:
		s.Lost, s.Standing = "no event for 91 s", t.standings[requeststest.TokenLive]
	case requeststest.TokenLostRevoked:
		s.Lost, s.Standing = "no event for 91 s", t.standings[requeststest.TokenRevoked]
	default:
		if s.Standing = t.standings[token]; s.Standing == nil {
			s.Token = decision.TokenInvalid
		}
	}
}

func callerOf(bearer []string) decision.CallerState {
	if len(bearer) == 0 {
		return decision.CallerMissing
	}
	switch requeststest.Caller(strings.TrimPrefix(bearer[0], "Bearer ")) {
	case requeststest.CallerMayUse:
		return decision.CallerMayUse
	case requeststest.CallerMayNotUse:
		return decision.CallerMayNotUse
	case requeststest.CallerUnknown:
		return decision.CallerUnknown
	default:
		return decision.CallerInvalid
	}
}
