package index

import (
	"encoding/json"
	"time"

	"agentpassport.dev/operator/internal/audit"
)

// Query says which records are asked for. Each field that is set narrows it.
type Query struct {
	// From is the first moment, To the first one after; zero for no bound.
	From, To time.Time
	// JTI is a passport's identity.
	JTI string
	// Agent is the name or the UID of an agent.
	Agent string
	// Namespace is where it happened.
	Namespace string
	// Action and Outcome are as in the record.
	Action  audit.Action
	Outcome audit.Outcome
	// Start is the index of the first entry to look at, End that of the first one not to: the size of a
	// published head.
	Start, End uint64
}

// All reports that no record is left out for what it says.
func (q Query) All() bool {
	return len(q.keys()) == 0 && q.From.IsZero() && q.To.IsZero()
}

// keys are the posting lists that a match stands in, all of them.
func (q Query) keys() []key {
	var keys []key
	for _, asked := range []key{
		{byJTI, q.JTI},
		{byAgent, q.Agent},
		{byNamespace, q.Namespace},
		{byAction, string(q.Action)},
		{byOutcome, string(q.Outcome)},
	} {
		if asked.value != "" {
			keys = append(keys, asked)
		}
	}
	return keys
}

// facets are the fields of a record that are asked by.
type facets struct {
	ID          string        `json:"id"`
	Time        time.Time     `json:"time"`
	PassportJTI string        `json:"passport_jti"`
	Agent       *audit.Agent  `json:"agent"`
	Namespace   string        `json:"namespace"`
	Action      audit.Action  `json:"action"`
	Outcome     audit.Outcome `json:"outcome"`
}

func facetsOf(raw []byte) (facets, error) {
	var f facets
	err := json.Unmarshal(raw, &f)
	return f, err
}

// keys are the posting lists that the record belongs into.
func (f facets) keys() []key {
	keys := []key{{byAction, string(f.Action)}, {byOutcome, string(f.Outcome)}}
	if f.PassportJTI != "" {
		keys = append(keys, key{byJTI, f.PassportJTI})
	}
	if f.Namespace != "" {
		keys = append(keys, key{byNamespace, f.Namespace})
	}
	if f.Agent != nil && f.Agent.Name != "" {
		keys = append(keys, key{byAgent, f.Agent.Name})
	}
	if f.Agent != nil && f.Agent.UID != "" && f.Agent.UID != f.Agent.Name {
		keys = append(keys, key{byAgent, f.Agent.UID})
	}
	return keys
}

// matches holds a record against the query itself: the index only says where to look.
func (q Query) matches(f facets) bool {
	agent := f.Agent
	if agent == nil {
		agent = &audit.Agent{}
	}
	return (q.From.IsZero() || !f.Time.Before(q.From)) &&
		(q.To.IsZero() || f.Time.Before(q.To)) &&
		(q.JTI == "" || q.JTI == f.PassportJTI) &&
		(q.Agent == "" || q.Agent == agent.Name || q.Agent == agent.UID) &&
		(q.Namespace == "" || q.Namespace == f.Namespace) &&
		(q.Action == "" || q.Action == f.Action) &&
		(q.Outcome == "" || q.Outcome == f.Outcome)
}
