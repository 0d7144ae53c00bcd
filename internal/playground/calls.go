package playground

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"agentpassport.dev/operator/api/v1alpha1"
)

// httpMission is a mission of an agent that speaks HTTP alone: its calls go out through the gateway.
type httpMission struct {
	*stage
	gateway   *gateway
	upstreams []*upstream
	admin     client.Client

	key, jti, token string
}

// called is the story of an agent that calls through the gateway: what the passport covers goes out, what it
// does not is refused, and what it was never given ends the mission.
func (m *httpMission) called() chapter {
	return chapter{"A mission over HTTP, whose calls go through the gateway", []step{
		{"get an API key", m.getKey},
		{"issue over HTTP", m.issue},
		{"call slack", m.callSlack},
		{"call github", m.callGithub},
		{"refuse what a constraint forbids", m.callBeyondConstraint},
		{"check out", m.checkOut},
		{"refuse a call after the checkout", m.callInVain},
	}}
}

// strayed is the story of an agent that reaches for what it was not given.
func (m *httpMission) strayed() chapter {
	return chapter{"A mission that reaches for what it was not given", []step{
		{"get an API key", m.getKey},
		{"issue over HTTP", m.issue},
		{"reach for jira", m.stray},
		{"lift the block", m.liftBlock},
	}}
}

func (m *httpMission) getKey(ctx context.Context) (string, error) {
	key, _, err := requestToken(ctx, m.admin, agentNamespace, agentName, time.Hour, gatewayAudience)
	m.key = key
	return fmt.Sprintf("%s has a token for the gateway, as kubectl create token gives it", agentName), err
}

func (m *httpMission) issue(ctx context.Context) (string, error) {
	var issued struct {
		JTI, Token string
		ExpiresAt  time.Time `json:"expires_at"`
	}
	err := m.post(ctx, "/v1/passports/issue", `{
		"agent_id": "`+agentName+`", "ttl_seconds": 900, "checkpoint_interval_seconds": 300,
		"intent": {"summary": "Answer one customer ticket and post a resolution", "services": ["slack", "github"],
			"estimated_duration_seconds": 900, "will_delegate": false}}`, &issued)
	if err != nil {
		return "", err
	}
	m.jti, m.token = issued.JTI, issued.Token
	if m.jti == "" || m.token == "" {
		return "", errors.New("the answer lacks jti or token")
	}
	return fmt.Sprintf("POST /v1/passports/issue: %s, good until %s", m.jti, issued.ExpiresAt.Local().Format(time.TimeOnly)), nil
}

func (m *httpMission) callSlack(ctx context.Context) (string, error) {
	return m.goesOut(ctx, "slack", "/api/conversations.history?channel=C42")
}

func (m *httpMission) callGithub(ctx context.Context) (string, error) {
	return m.goesOut(ctx, "github", "/repos/example/app/issues/7")
}

// goesOut makes a call, and sees that it reached the service with the service's credential alone.
func (m *httpMission) goesOut(ctx context.Context, service v1alpha1.ServiceName, target string) (string, error) {
	to := m.upstream(service)
	status, _, err := m.call(ctx, service, http.MethodGet, to.url+target)
	if err != nil {
		return "", err
	}
	if status != http.StatusOK {
		return "", fmt.Errorf("the gateway answers %d", status)
	}
	got, _ := to.last()
	if got.target != target {
		return "", fmt.Errorf("%s got %s, not %s", service, got.target, target)
	}
	return fmt.Sprintf("%s calls %s: allowed, with a credential that it never saw", agentName, service), to.check(got)
}

func (m *httpMission) callBeyondConstraint(ctx context.Context) (string, error) {
	reason, err := m.refused(ctx, "github", http.MethodDelete, m.upstream("github").url+"/repos/example/app")
	if err == nil && reason != "constraint_violation" {
		err = fmt.Errorf("it was refused as %s", reason)
	}
	return "DELETE at github: refused, constraint_violation; nothing was sent", err
}

func (m *httpMission) checkOut(ctx context.Context) (string, error) {
	var ended struct {
		Status string `json:"checkout_status"`
		Flags  []struct{ Type, Severity string }
	}
	err := m.post(ctx, "/v1/passports/"+m.jti+"/checkout", `{"services_used": ["slack", "github"], "actions_count": 2,
		"summary": "Ticket resolved; customer notified"}`, &ended)
	if err != nil {
		return "", err
	}
	var found []string
	for _, flag := range ended.Flags {
		found = append(found, flag.Type)
	}
	if !slices.Contains(found, "denied_calls") {
		return "", fmt.Errorf("the refused call is not among the flags: %s %q", ended.Status, found)
	}
	return fmt.Sprintf("POST …/checkout: %s, for what the gateway saw: %q", ended.Status, found), nil
}

func (m *httpMission) callInVain(ctx context.Context) (string, error) {
	reason, err := m.refused(ctx, "slack", http.MethodGet, m.upstream("slack").url+"/api/test")
	return fmt.Sprintf("the next call: refused, %s; the token's own exp is minutes away", reason), err
}

// stray calls a service that is neither granted nor in the intent: the gateway tells the manager, which revokes
// the mission and blocks the agent.
func (m *httpMission) stray(ctx context.Context) (string, error) {
	reason, err := m.refused(ctx, "jira", http.MethodGet, "https://jira.example.com/rest/api/2/myself")
	if err != nil {
		return "", err
	}
	var state struct{ Phase string }
	err = eventually(ctx, patience, "the mission to be revoked", func(ctx context.Context) (string, error) {
		if err := m.get(ctx, "/v1/passports/"+m.jti, &state); err != nil {
			return "", err
		}
		if state.Phase != "revoked" && state.Phase != string(v1alpha1.PhaseRevoked) {
			return "it is " + state.Phase, nil
		}
		return "", nil
	})
	return fmt.Sprintf("%s reaches for jira: refused, %s; the mission is revoked", agentName, reason), err
}

// liftBlock has the responder lift what the stray call has brought upon the agent.
func (m *httpMission) liftBlock(ctx context.Context) (string, error) {
	lifted := 0
	err := eventually(ctx, patience, "the block of the agent", func(ctx context.Context) (string, error) {
		var blocks v1alpha1.AgentBlockList
		if err := m.responder.List(ctx, &blocks, client.InNamespace(agentNamespace)); err != nil {
			return "", err
		}
		for i := range blocks.Items {
			block := &blocks.Items[i]
			if block.Spec.Lifted != nil {
				continue
			}
			patch := client.RawPatch(types.MergePatchType, []byte(`{"spec":{"lifted":{"reason":"It was a demonstration"}}}`))
			if err := m.responder.Patch(ctx, block, patch); err != nil {
				return "", err
			}
			lifted++
		}
		if lifted == 0 {
			return "there is none", nil
		}
		return "", nil
	})
	return fmt.Sprintf("the agent was blocked; %s lifts the block", responderName), err
}

// refused makes a call that must not go out, and gives the reason.
func (m *httpMission) refused(ctx context.Context, service v1alpha1.ServiceName, method, url string) (string, error) {
	before := m.arrivals()
	status, answer, err := m.call(ctx, service, method, url)
	if err != nil {
		return "", err
	}
	var said struct {
		Error struct {
			Code    string
			Details struct{ Reason string }
		}
	}
	if err := json.Unmarshal(answer, &said); err != nil {
		return "", err
	}
	if status == http.StatusOK || m.arrivals() != before {
		return "", fmt.Errorf("the call was not refused: %d", status)
	}
	return said.Error.Details.Reason, nil
}

func (m *httpMission) arrivals() (all int) {
	for _, one := range m.upstreams {
		_, n := one.last()
		all += n
	}
	return all
}

func (m *httpMission) upstream(service v1alpha1.ServiceName) *upstream {
	return m.upstreams[slices.IndexFunc(m.upstreams, func(one *upstream) bool { return one.service == service })]
}

func (m *httpMission) call(ctx context.Context, service v1alpha1.ServiceName, method, url string) (int, []byte, error) {
	body, err := json.Marshal(map[string]string{"service": string(service), "method": method, "url": url})
	if err != nil {
		return 0, nil, err
	}
	header := bearer(m.key)
	header.Set("X-Passport-Token", m.token)
	header.Set("Content-Type", "application/json")
	return ask(ctx, m.gateway.caFile, http.MethodPost, m.gateway.url+"/v1/proxy", header, string(body))
}

func (m *httpMission) post(ctx context.Context, path, body string, into any) error {
	header := bearer(m.key)
	header.Set("Content-Type", "application/json")
	return decoded(path, into)(ask(ctx, m.gateway.caFile, http.MethodPost, m.gateway.url+path, header, body))
}

func (m *httpMission) get(ctx context.Context, path string, into any) error {
	return decoded(path, into)(ask(ctx, m.gateway.caFile, http.MethodGet, m.gateway.url+path, bearer(m.key), ""))
}

// decoded reads the answer of a call that has to succeed.
func decoded(path string, into any) func(status int, answer []byte, err error) error {
	return func(status int, answer []byte, err error) error {
		if err != nil {
			return err
		}
		if status < 200 || status > 299 {
			return fmt.Errorf("%s answers %d: %s", path, status, answer)
		}
		return json.Unmarshal(answer, into)
	}
}
