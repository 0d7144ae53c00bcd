package api

import (
	"cmp"
	"slices"
	"time"

	"agentpassport.dev/operator/api/v1alpha1"
	"agentpassport.dev/operator/internal/access"
	"agentpassport.dev/operator/internal/token"
)

const (
	defaultEvents, maxEvents = 50, 100
	// maxPages is how far back pages reach.
	maxPages = 10_000
)

// eventBody is one type of signal on one passport.
type eventBody struct {
	ID          string     `json:"id"`
	AgentID     string     `json:"agent_id"`
	Namespace   string     `json:"namespace"`
	PassportJTI string     `json:"passport_jti"`
	SignalType  string     `json:"signal_type"`
	Severity    string     `json:"severity"`
	Message     string     `json:"message"`
	Count       int32      `json:"count"`
	CreatedAt   *time.Time `json:"created_at"`
	LastSeenAt  *time.Time `json:"last_seen_at"`
}

// eventsAnswer is a page of events.
type eventsAnswer struct {
	Events []eventBody `json:"events"`
	Total  int         `json:"total"`
	Page   int         `json:"page"`
	Limit  int         `json:"limit"`
}

// securityEvents lists what detectors saw on the passports that the caller may list, the newest first.
func (s *service) securityEvents(c *call) error {
	query, err := c.query("agent_id", "namespace", "page", "limit")
	if err != nil {
		return err
	}
	page, err := query.number("page", 1, maxPages)
	if err != nil {
		return err
	}
	limit, err := query.number("limit", defaultEvents, maxEvents)
	if err != nil {
		return err
	}
	namespace, agent := query["namespace"], ""
	if query["agent_id"] != "" {
		key, wrong := agentID(query["agent_id"], firstOf(namespace, ownNamespace(c.who)))
		if wrong != "" {
			return invalid(fault{Field: "agent_id", Message: wrong})
		}
		namespace, agent = key.Namespace, key.Name
	}
	if namespace, err = s.scope(c, access.List, "passports", namespace); err != nil {
		return err
	}
	events := s.events(namespace, agent)
	answer := eventsAnswer{Total: len(events), Page: page, Limit: limit, Events: []eventBody{}}
	if from := (page - 1) * limit; from < len(events) {
		answer.Events = events[from:min(from+limit, len(events))]
	}
	return c.give(answer)
}

// events are the signals of the passports of a namespace, or of all, and of an agent, or of all.
func (s *service) events(namespace, agent string) []eventBody {
	var events []eventBody
	for passport := range s.View.Passports() {
		if (namespace == "" || passport.Namespace == namespace) && (agent == "" || passport.Spec.AgentRef.Name == agent) {
			events = appendEvents(events, passport)
		}
	}
	slices.SortFunc(events, func(a, b eventBody) int {
		return cmp.Or(b.LastSeenAt.Compare(*a.LastSeenAt), cmp.Compare(a.ID, b.ID))
	})
	return events
}

func appendEvents(to []eventBody, passport *v1alpha1.Passport) []eventBody {
	for i := range passport.Status.Signals {
		signal := &passport.Status.Signals[i]
		last := signal.LastTime.UTC()
		to = append(to, eventBody{
			ID: eventID(passport.UID, signal.Type), AgentID: passport.Spec.AgentRef.Name, Namespace: passport.Namespace,
			PassportJTI: token.JTI(string(passport.UID)), SignalType: signal.Type, Severity: string(signal.Severity),
			Message: signal.Message, Count: signal.Count, CreatedAt: moment(&signal.FirstTime), LastSeenAt: &last,
		})
	}
	return to
}
