package state_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-logr/logr/testr"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"agentpassport.dev/operator/api/v1alpha1"
	"agentpassport.dev/operator/internal/gateway/decision"
	"agentpassport.dev/operator/internal/gateway/state"
	"agentpassport.dev/operator/internal/token"
	"agentpassport.dev/operator/test/apiserver"
)

const (
	issuer   = "https://passports.example.com"
	audience = "agent-passport-gateway"
	gateway  = "system:serviceaccount:agent-passport-system:agent-passport-gateway"
	// soon is within what the gateway promises: a change shows within a second.
	soon = time.Second
	// patience for what has no promise, on a machine that does other things beside.
	patience = time.Minute
)

var (
	server *apiserver.Server
	admin  client.Client
	// ring signs the tokens of the operator's namespace.
	ring token.Ring
)

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	ctx := context.Background()
	var err error
	if server, err = apiserver.Start(ctx, "../../..", apiserver.AllPolicies); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = server.Stop() }()
	admin = server.Admin()
	if ring, err = token.NewRing(rand.Reader, time.Now()); err == nil {
		err = publish(ctx, apiserver.OperatorNamespace, ring)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

// publish writes the JWKS as the manager does.
func publish(ctx context.Context, namespace string, keys token.Ring) error {
	published := &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: token.ConfigMapName},
		Data:       map[string]string{"jwks.json": string(token.JWKS(keys))},
	}
	err := admin.Create(ctx, published)
	if client.IgnoreAlreadyExists(err) == nil && err != nil {
		return admin.Update(ctx, published)
	}
	return err
}

// world is a View as the gateway has it, and a namespace.
type world struct {
	testing.TB
	view      *state.View
	namespace string
	gate      *gate
	ended     *ends
}

// begin starts a View as the gateway, which can be cut off from the API server.
func begin(t testing.TB, change func(*state.Options)) *world {
	t.Helper()
	namespace, err := server.Namespace(t.Context(), "state")
	if err != nil {
		t.Fatal(err)
	}
	w := &world{TB: t, namespace: namespace, gate: newGate(), ended: &ends{}}
	config := server.Config(gateway)
	config.Wrap(w.gate.wrap)
	options := state.Options{
		Config: config, Clock: clock.RealClock{}, Local: clock.RealClock{}, Namespace: apiserver.OperatorNamespace,
		Issuer: issuer, Audience: audience, Log: testr.NewWithInterface(t, testr.Options{}),
	}
	if change != nil {
		change(&options)
	}
	if w.view, err = state.New(t.Context(), options); err != nil {
		t.Fatal(err)
	}
	w.view.OnEnd(w.ended.add)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- w.view.Start(ctx) }()
	t.Cleanup(func() {
		cancel()
		w.gate.open()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	w.within(patience, "the view is fresh", func() bool { return w.view.Lost() == "" })
	return w
}

// within waits until something holds.
func (w *world) within(limit time.Duration, what string, holds func() bool) time.Duration {
	w.Helper()
	began := time.Now()
	ticker := clock.RealClock{}.NewTicker(2 * time.Millisecond)
	defer ticker.Stop()
	for !holds() {
		if time.Since(began) > limit {
			w.Fatalf("after %s it is not so that %s", limit, what)
		}
		<-ticker.C()
	}
	return time.Since(began)
}

func (w *world) do(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

func (w *world) meta(name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: w.namespace, Name: name}
}

func (w *world) agent(name string) *v1alpha1.AgentPassport {
	w.Helper()
	agent := &v1alpha1.AgentPassport{
		ObjectMeta: w.meta(name),
		Spec: v1alpha1.AgentPassportSpec{
			Accountability: v1alpha1.Accountability{Mode: v1alpha1.ModeStandard},
			Grants:         []v1alpha1.ServiceGrant{{Service: "slack"}},
		},
	}
	w.do(admin.Create(w.Context(), agent))
	return agent
}

// passport is one that is Active for an hour.
func (w *world) passport(name string, agent *v1alpha1.AgentPassport) *v1alpha1.Passport {
	w.Helper()
	passport := &v1alpha1.Passport{
		ObjectMeta: w.meta(name),
		Spec:       v1alpha1.PassportSpec{AgentRef: v1alpha1.AgentReference{Name: agent.Name}},
	}
	w.do(admin.Create(w.Context(), passport))
	w.status(passport, func(status *v1alpha1.PassportStatus) {
		now := metav1.NewTime(time.Now().Truncate(time.Second))
		expiry := metav1.NewTime(now.Add(time.Hour))
		*status = v1alpha1.PassportStatus{
			Phase: v1alpha1.PhaseActive, JTI: token.JTI(string(passport.UID)), SessionID: token.SessionID(string(passport.UID)),
			IssueTime: &now, ExpirationTime: &expiry,
			Issued: &v1alpha1.IssuedTerms{
				AgentUID: agent.UID, AgentGeneration: agent.Generation, Mode: v1alpha1.ModeStandard,
				Issuer: issuer, Subject: "spiffe://cluster.local/ns/x/agent/y", Audience: []string{audience},
				TTLSeconds: 3600, Deadline: expiry, Services: []v1alpha1.IssuedService{{Service: "slack"}},
			},
		}
	})
	return passport
}

// status writes a Passport's status as the operator does.
func (w *world) status(passport *v1alpha1.Passport, change func(*v1alpha1.PassportStatus)) {
	w.Helper()
	change(&passport.Status)
	w.do(server.As(apiserver.Manager, nil).Status().Update(w.Context(), passport))
}

// token of a Passport.
func (w *world) token(passport *v1alpha1.Passport, keys token.Ring, change func(*token.Claims)) string {
	w.Helper()
	now := time.Now()
	claims := &token.Claims{
		Issuer: issuer, Subject: "spiffe://cluster.local/ns/x/agent/y", Audience: []string{audience},
		ID: token.JTI(string(passport.UID)), Mission: token.Mission{ID: string(passport.UID), Deadline: now.Add(time.Hour).Unix()},
		Passport: token.Passport{Agent: token.Agent{Namespace: passport.Namespace, Name: passport.Spec.AgentRef.Name}},
	}
	claims.SetTimes(now, now, now.Add(time.Minute))
	if change != nil {
		change(claims)
	}
	signed, err := token.Sign(keys.Signing(), claims)
	w.do(err)
	return signed
}

func (w *world) verified(passport *v1alpha1.Passport) *state.Verified {
	w.Helper()
	verified, how := w.view.Token(w.token(passport, ring, nil))
	if how != decision.TokenValid {
		w.Fatalf("token state %d", how)
	}
	return verified
}

func (w *world) connect(name string, credential *v1alpha1.ServiceCredential) *v1alpha1.ServiceConnection {
	w.Helper()
	connection := &v1alpha1.ServiceConnection{
		ObjectMeta: w.meta(name),
		Spec:       v1alpha1.ServiceConnectionSpec{BaseURL: "https://" + name + ".example.com", Credential: credential},
	}
	w.do(admin.Create(w.Context(), connection))
	return connection
}

// ends are the passports whose end was told.
type ends struct {
	mu  sync.Mutex
	all map[string]int
}

func (e *ends) add(standing *decision.Standing) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.all == nil {
		e.all = map[string]int{}
	}
	e.all[string(standing.UID)]++
}

func (e *ends) of(passport *v1alpha1.Passport) int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.all[string(passport.UID)]
}

// gate is a transport that can be cut: watches bring nothing more, and, where everything is cut, what is
// asked is answered by nobody.
type gate struct {
	mu      sync.Mutex
	watches chan struct{} // closed while they flow
	rest    chan struct{}
	gets    atomic.Int64
}

func newGate() *gate {
	flowing := make(chan struct{})
	close(flowing)
	return &gate{watches: flowing, rest: flowing}
}

// cutWatches lets nothing through of what watches bring, and everything with all.
func (g *gate) cut(all bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.watches = make(chan struct{})
	if all {
		g.rest = make(chan struct{})
	}
}

func (g *gate) open() {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, one := range []chan struct{}{g.watches, g.rest} {
		select {
		case <-one:
		default:
			close(one)
		}
	}
}

func (g *gate) pass(ctx context.Context, watch bool) error {
	g.mu.Lock()
	way := g.rest
	if watch {
		way = g.watches
	}
	g.mu.Unlock()
	select {
	case <-way:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (g *gate) wrap(next http.RoundTripper) http.RoundTripper {
	return transport(func(request *http.Request) (*http.Response, error) {
		watch := request.URL.Query().Get("watch") != ""
		if err := g.pass(request.Context(), watch); err != nil {
			return nil, err
		}
		if !watch && request.URL.Path != "/readyz" {
			g.gets.Add(1)
		}
		response, err := next.RoundTrip(request)
		if err == nil && watch {
			response.Body = &gated{response.Body, request.Context(), g}
		}
		return response, err
	})
}

type gated struct {
	body interface {
		Read([]byte) (int, error)
		Close() error
	}
	ctx  context.Context
	gate *gate
}

func (b *gated) Read(p []byte) (int, error) {
	n, err := b.body.Read(p)
	if cut := b.gate.pass(b.ctx, true); cut != nil {
		return 0, errors.Join(err, cut)
	}
	return n, err
}

func (b *gated) Close() error { return b.body.Close() }

type transport func(*http.Request) (*http.Response, error)

func (f transport) RoundTrip(request *http.Request) (*http.Response, error) { return f(request) }
