package passport_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"agentpassport.dev/operator/internal/token"
	"agentpassport.dev/operator/pkg/passport"
)

const audience = "ticket-service"

// noon is when the tests take place.
var noon = time.Date(2026, time.March, 2, 12, 0, 0, 0, time.UTC)

// issuer serves what the operator does, with its own handlers.
type issuer struct {
	*httptest.Server
	mu   sync.Mutex
	now  time.Time
	ring token.Ring
	list token.StatusList
	away bool
	// asked counts the requests by path.
	asked map[string]int
}

func newIssuer(t testing.TB) *issuer {
	t.Helper()
	ring, err := token.NewRing(rand.NewChaCha8([32]byte{1}), noon)
	if err != nil {
		t.Fatal(err)
	}
	i := &issuer{now: noon, ring: ring, list: token.NewStatusList(), asked: map[string]int{}}
	var handler atomic.Value
	i.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		i.mu.Lock()
		i.asked[r.URL.Path]++
		away := i.away
		i.mu.Unlock()
		if away {
			http.Error(w, "away", http.StatusBadGateway)
			return
		}
		handler.Load().(http.Handler).ServeHTTP(w, r)
	}))
	t.Cleanup(i.Close)
	mux := http.NewServeMux()
	mux.Handle("/", token.NewHandler(i.URL, func() (token.Ring, bool) {
		i.mu.Lock()
		defer i.mu.Unlock()
		return i.ring, true
	}))
	mux.Handle(token.StatusListPattern, token.NewStatusListHandler(i))
	handler.Store(http.Handler(mux))
	return i
}

// List implements token.StatusLists.
func (i *issuer) List(_ context.Context, epoch, list int64) (string, error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if epoch != 1 || list != 0 {
		return "", token.ErrNoStatusList
	}
	return token.SignStatusList(i.ring.Signing(), token.StatusListURI(i.URL, epoch, list), i.list, i.now)
}

// claims are those of a passport with place 7 in the status list.
func (i *issuer) claims() *token.Claims {
	claims := &token.Claims{
		Issuer: i.URL, Subject: token.Subject("cluster.local", "support", "support-bot"), Audience: []string{"gateway", audience}, ID: token.JTI("uid"),
		Status:  &token.Status{StatusList: token.StatusListEntry{Index: 7, URI: token.StatusListURI(i.URL, 1, 0)}},
		Mission: token.Mission{ID: "uid", S256: "digest", Deadline: noon.Add(time.Hour).Unix()},
		Passport: token.Passport{
			Agent:          token.Agent{Namespace: "support", Name: "support-bot", UID: "agent-uid", Generation: 3},
			DocumentSHA256: "d0c", Accountability: token.Enforced,
			Intent: &token.Intent{Summary: "Answer one ticket", Services: []string{"slack"}, EstimatedDurationSeconds: 900, WillDelegate: true},
			Services: []token.Service{
				{Name: "github", Scopes: []string{"repo:read"}, Constraints: []token.Constraint{
					{Path: "method", Op: "in", Value: token.Value{List: []string{"GET"}}}, {Path: "url.pathname", Op: "starts_with", Value: token.Value{String: "/repos/"}},
				}},
				{Name: "slack"},
			},
			TTL: 900, CheckpointInterval: 300, DelegationDepth: 2, SessionID: "ses_1", ParentJTI: "pp_parent",
		},
	}
	claims.SetTimes(noon, noon, noon.Add(10*time.Minute))
	return claims
}

func (i *issuer) sign(t testing.TB, changes ...func(*token.Claims)) string {
	t.Helper()
	claims := i.claims()
	for _, change := range changes {
		change(claims)
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	signed, err := token.Sign(i.ring.Signing(), claims)
	if err != nil {
		t.Fatal(err)
	}
	return signed
}

// set changes the issuer.
func (i *issuer) set(change func()) {
	i.mu.Lock()
	defer i.mu.Unlock()
	change()
}

func (i *issuer) askedFor(path string) int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.asked[path]
}

func (i *issuer) clock() time.Time {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.now
}

func (i *issuer) verifier(t testing.TB, options ...passport.VerifierOption) *passport.Verifier {
	t.Helper()
	v, err := passport.NewVerifier(i.URL, audience, append([]passport.VerifierOption{passport.WithClock(i.clock)}, options...)...)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func ExampleVerifier() {
	// A service that takes passports knows its operator's issuer, and the name that it goes by.
	verifier, err := passport.NewVerifier("https://passports.example.com", "ticket-service")
	if err != nil {
		fmt.Println(err)
		return
	}
	handler := func(w http.ResponseWriter, r *http.Request) {
		claims, err := verifier.Verify(r.Context(), r.Header.Get("X-Passport-Token"))
		if err != nil {
			http.Error(w, err.Error(), http.StatusUnauthorized)
			return
		}
		if !claims.Allows("tickets") {
			http.Error(w, "this mission may not use tickets", http.StatusForbidden)
			return
		}
		_, _ = fmt.Fprintf(w, "hello %s", claims.Agent.Name)
	}
	answer := httptest.NewRecorder()
	request := httptest.NewRequest(http.MethodGet, "/tickets/1", http.NoBody)
	request.Header.Set("X-Passport-Token", "")
	handler(answer, request.WithContext(offline()))
	fmt.Println(answer.Code)
	// Output: 401
}

// offline is a context that reaches nobody.
func offline() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}

func ExampleClient() {
	client, err := passport.NewClient(os.Getenv("GATEWAY_URL"), passport.ClientOptions{
		BearerFile: "/var/run/secrets/agent-passport/token",
		CAFile:     "/etc/agent-passport/ca.crt",
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx := context.Background()
	issued, err := client.Issue(ctx, passport.IssueRequest{
		AgentID: "support-bot",
		Intent:  &passport.MissionIntent{Summary: "Answer one customer ticket", Services: []string{"slack"}},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	answer, err := client.Call(ctx, issued.Token, passport.Outbound{
		Service: "slack", Method: http.MethodPost, URL: "https://slack.com/api/chat.postMessage", Body: []byte(`{"text":"done"}`),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(answer.Status)
	verdict, err := client.Checkout(ctx, issued.JTI, passport.CheckoutReport{
		Report: passport.Report{ServicesUsed: []string{"slack"}, ActionsCount: 1, Summary: "Ticket answered"},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(verdict.Status)
}
