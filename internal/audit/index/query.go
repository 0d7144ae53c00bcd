package index

import (
	"bytes"
	"encoding/json"
	"fmt"
	"time"

	"agentpassport.dev/operator/internal/audit"
	"agentpassport.dev/operator/internal/token"
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
	ErrorCode   string        `json:"error_code"`
	Facts       gatewayFacts  `json:"facts"`
}

// gatewayFacts are what a record says of a gateway.
type gatewayFacts struct {
	Call    *audit.Call `json:"call"`
	Gateway string      `json:"gateway"`
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

// matcher holds records against a query itself, as they are stored: the index only says where to look,
// and nobody is to see another's namespace should it be wrong. Of the agent the index alone knows.
type matcher struct {
	// members must stand in the record as they are. No other field of a record has these names, at any
	// depth, and in a text the quotes would be escaped.
	members  [][]byte
	from, to time.Time
}

// newMatcher prepares the members as canonical JSON has them.
func newMatcher(q Query) (matcher, error) {
	m := matcher{from: q.From, to: q.To}
	for _, asked := range [][2]string{
		{"passport_jti", q.JTI}, {"namespace", q.Namespace}, {"action", string(q.Action)}, {"outcome", string(q.Outcome)},
	} {
		if asked[1] == "" {
			continue
		}
		raw, err := json.Marshal(map[string]string{asked[0]: asked[1]})
		if err != nil {
			return matcher{}, err
		}
		if raw, err = token.CanonicalJSON(raw); err != nil {
			return matcher{}, err
		}
		m.members = append(m.members, raw[1:len(raw)-1])
	}
	return m, nil
}

// match reports whether a record is asked for.
func (m matcher) match(raw []byte) (bool, error) {
	for _, member := range m.members {
		if !bytes.Contains(raw, member) {
			return false, nil
		}
	}
	if m.from.IsZero() && m.to.IsZero() {
		return true, nil
	}
	_, rest, _ := bytes.Cut(raw, []byte(`"time":"`))
	text, _, _ := bytes.Cut(rest, []byte(`"`))
	at, err := time.Parse(time.RFC3339Nano, string(text))
	if err != nil {
		return false, fmt.Errorf("%w: it has no time", audit.ErrRecord)
	}
	return (m.from.IsZero() || !at.Before(m.from)) && (m.to.IsZero() || at.Before(m.to)), nil
}
