package client_test

import (
	"context"
	"crypto/rand"
	"errors"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	clocktesting "k8s.io/utils/clock/testing"

	"agentpassport.dev/operator/internal/channel/client"
	"agentpassport.dev/operator/internal/channel/server"
	"agentpassport.dev/operator/internal/channel/wire"
	"agentpassport.dev/operator/internal/gateway/tokens"
	"agentpassport.dev/operator/internal/servingcert"
	"agentpassport.dev/operator/test/apiserver"
)

const namespace = "agent-passport-system"

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// api is an API server: authorities are kept there.
var api *apiserver.Server

func TestMain(m *testing.M) {
	os.Exit(func() int {
		var err error
		if api, err = apiserver.Start(context.Background(), "../../..", apiserver.ValidatingPolicies); err != nil {
			panic(err)
		}
		defer api.Stop() //nolint:errcheck // the tests are over
		return m.Run()
	}())
}

// manager is what one replica answers with.
type manager struct {
	leads atomic.Bool
	asked atomic.Int64

	mu          sync.Mutex
	fails       error
	requests    []wire.TokenRequest
	signals     []wire.Signal
	connections []wire.Connection
}

func (m *manager) Token(_ context.Context, request wire.TokenRequest) (wire.TokenAnswer, error) {
	m.asked.Add(1)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.requests = append(m.requests, request)
	return wire.TokenAnswer{Token: "token of " + request.UID, ExpiresAt: noon.Add(time.Hour)}, m.fails
}

func (m *manager) List(_ context.Context, epoch, list int64) (string, error) {
	if epoch != 3 || list != 7 {
		return "", &wire.Error{Code: wire.NotFound, Message: "there is no such list"}
	}
	return "a signed list", nil
}

type signals struct{ *manager }

func (s signals) Report(_ context.Context, reported []wire.Signal) ([]bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.signals = append(s.signals, reported...)
	settled := make([]bool, len(reported))
	for i := range reported {
		settled[i] = reported[i].Sequence > 1
	}
	return settled, nil
}

type connections struct{ *manager }

func (c connections) Report(_ context.Context, reported []wire.Connection) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.connections = append(c.connections, reported...)
	return nil
}

// channel is a set of managers at loopback addresses, at one port, and the files of a gateway.
type channel struct {
	t         *testing.T
	clock     *clocktesting.FakeClock
	authority atomic.Pointer[servingcert.Authority]
	dir       string
	port      string
	addresses []string
	registry  *prometheus.Registry
	metrics   *server.Metrics
}

func newChannel(t *testing.T) *channel {
	t.Helper()
	registry := prometheus.NewRegistry()
	c := &channel{t: t, clock: clocktesting.NewFakeClock(noon), dir: t.TempDir(), registry: registry, metrics: server.NewMetrics(registry)}
	c.authority.Store(c.newAuthority())
	c.write(c.identity(servingcert.GatewayName(namespace)), c.authority.Load())
	return c
}

// newAuthority makes one in a namespace of its own.
func (c *channel) newAuthority() *servingcert.Authority {
	c.t.Helper()
	place, err := api.Namespace(c.t.Context(), "channel")
	if err != nil {
		c.t.Fatal(err)
	}
	authority, err := servingcert.LoadAuthority(c.t.Context(), api.Admin(), servingcert.Channel(place), rand.Reader, c.clock.Now())
	if err != nil {
		c.t.Fatal(err)
	}
	return authority
}

func (c *channel) identity(name string) servingcert.Pair {
	c.t.Helper()
	return c.issue(c.authority.Load(), servingcert.Client(name))
}

func (c *channel) issue(by *servingcert.Authority, leaf servingcert.Leaf) servingcert.Pair {
	c.t.Helper()
	pair, err := by.Issue(leaf, rand.Reader, c.clock.Now())
	if err != nil {
		c.t.Fatal(err)
	}
	return pair
}

// write lays the gateway's files.
func (c *channel) write(shown servingcert.Pair, trusted *servingcert.Authority) {
	c.t.Helper()
	for name, content := range map[string][]byte{"client.crt": shown.Certificate, "client.key": shown.Key, "ca.crt": trusted.PEM} {
		if err := os.WriteFile(filepath.Join(c.dir, name), content, 0o600); err != nil {
			c.t.Fatal(err)
		}
	}
}

// serve has a manager answer at a loopback address of its own.
func (c *channel) serve(address string, m *manager) *http.Server {
	c.t.Helper()
	port := c.port
	if port == "" {
		port = "0"
	}
	listener, err := (&net.ListenConfig{}).Listen(c.t.Context(), "tcp", net.JoinHostPort(address, port))
	if err != nil {
		c.t.Fatal(err)
	}
	if c.port == "" {
		_, c.port, _ = net.SplitHostPort(listener.Addr().String())
	}
	secured := &server.TLS{Authority: c.authority.Load, Names: []string{"channel.example"}, Clock: c.clock}
	served := server.HTTP(server.New(server.Options{
		Gateway: servingcert.GatewayName(namespace), Leading: m.leads.Load,
		Tokens: m, StatusLists: m, Signals: signals{m}, Connections: connections{m}, Metrics: c.metrics,
	}), logr.Discard())
	go served.Serve(secured.Listener(listener)) //nolint:errcheck // it is closed
	c.t.Cleanup(func() { _ = served.Close() })
	c.addresses = append(c.addresses, address)
	return served
}

func (c *channel) client() *client.Client {
	c.t.Helper()
	made, err := client.New(client.Options{
		URL:    "https://channel.example:" + c.port,
		CAFile: filepath.Join(c.dir, "ca.crt"), CertFile: filepath.Join(c.dir, "client.crt"), KeyFile: filepath.Join(c.dir, "client.key"),
		Clock: c.clock, Timeout: 5 * time.Second,
		Lookup: func(_ context.Context, host string) ([]string, error) {
			if host != "channel.example" {
				return nil, errors.New("no such host")
			}
			return c.addresses, nil
		},
	})
	if err != nil {
		c.t.Fatal(err)
	}
	return made
}

var request = wire.TokenRequest{Namespace: "agents", Name: "mission", UID: "u1", ExpiresAt: noon}

func TestChannel(t *testing.T) {
	c, m := newChannel(t), &manager{}
	m.leads.Store(true)
	c.serve("127.0.0.1", m)
	gateway := c.client()
	answer, err := gateway.Token(t.Context(), request)
	if want := (wire.TokenAnswer{Token: "token of u1", ExpiresAt: noon.Add(time.Hour)}); err != nil || answer != want {
		t.Errorf("%+v, %v", answer, err)
	}
	if diff := cmp.Diff([]wire.TokenRequest{request}, m.requests); diff != "" {
		t.Error(diff)
	}
	if list, err := gateway.StatusList(t.Context(), 3, 7); err != nil || list != "a signed list" {
		t.Errorf("%q, %v", list, err)
	}
	if _, err := gateway.StatusList(t.Context(), 3, 8); !errors.Is(err, client.ErrNotFound) {
		t.Errorf("%v, want ErrNotFound", err)
	}
	reported := []wire.Signal{{UID: "u1", Sequence: 1}, {UID: "u1", Sequence: 2}}
	settled, err := gateway.Signals(t.Context(), reported)
	if diff := cmp.Diff([]bool{false, true}, settled); diff != "" || err != nil {
		t.Errorf("%s %v", diff, err)
	}
	said := []wire.Connection{{Gateway: "g", UID: "c1", Generation: 2, Reason: "CredentialRead"}}
	if err := gateway.Connections(t.Context(), said); err != nil {
		t.Error(err)
	}
	if diff := cmp.Diff(said, m.connections); diff != "" {
		t.Error(diff)
	}
	want := `
# HELP agentpassport_channel_requests_total Requests of gateways, by what they ask (token, statuslist, signals, connections, other) and outcome: ok or the error's code.
# TYPE agentpassport_channel_requests_total counter
agentpassport_channel_requests_total{outcome="NotFound",request="statuslist"} 1
agentpassport_channel_requests_total{outcome="ok",request="connections"} 1
agentpassport_channel_requests_total{outcome="ok",request="signals"} 1
agentpassport_channel_requests_total{outcome="ok",request="statuslist"} 1
agentpassport_channel_requests_total{outcome="ok",request="token"} 1
`
	if err := testutil.GatherAndCompare(c.registry, strings.NewReader(want)); err != nil {
		t.Error(err)
	}
}

// What a manager answers is told apart, and what it did not mean for others is kept.
func TestErrors(t *testing.T) {
	c, m := newChannel(t), &manager{}
	c.serve("127.0.0.1", m)
	gateway := c.client()
	for _, tc := range []struct {
		fails error
		want  error
	}{
		{&wire.Error{Code: wire.NotFound, Message: "there is none"}, client.ErrNotFound},
		{&wire.Error{Code: wire.NotActive, Message: "it is Revoked"}, client.ErrNotActive},
		{&wire.Error{Code: wire.Unavailable, Message: "no keys"}, client.ErrUnavailable},
		{errors.New("a secret of the API server"), client.ErrUnavailable},
	} {
		m.mu.Lock()
		m.fails = tc.fails
		m.mu.Unlock()
		if _, err := gateway.Token(t.Context(), request); !errors.Is(err, tc.want) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%v: %v, want %v", tc.fails, err, tc.want)
		}
	}
	if _, err := gateway.Token(t.Context(), wire.TokenRequest{Namespace: "agents"}); !errors.Is(err, client.ErrBadRequest) {
		t.Errorf("%v, want ErrBadRequest", err)
	}
	m.leads.Store(true)
	if _, err := gateway.Signals(t.Context(), make([]wire.Signal, wire.MaxItems+1)); !errors.Is(err, client.ErrBadRequest) {
		t.Errorf("%v, want ErrBadRequest", err)
	}
	if err := gateway.Connections(t.Context(), []wire.Connection{{Name: strings.Repeat("x", wire.MaxBody)}}); !errors.Is(err, client.ErrBadRequest) {
		t.Errorf("%v, want ErrBadRequest", err)
	}
}

// Reports find the one that leads, wherever it is by then; tokens come from any that answers.
func TestTheOneThatLeads(t *testing.T) {
	c, first, second := newChannel(t), &manager{}, &manager{}
	firstServer := c.serve("127.0.0.1", first)
	c.serve("127.0.0.2", second)
	gateway := c.client()
	report := func() error {
		_, err := gateway.Signals(t.Context(), []wire.Signal{{UID: "u1", Sequence: 1}})
		return err
	}
	if err := report(); !errors.Is(err, client.ErrUnavailable) {
		t.Errorf("nobody leads: %v, want ErrUnavailable", err)
	}
	second.leads.Store(true)
	if err := report(); err != nil || len(second.signals) != 1 || len(first.signals) != 0 {
		t.Errorf("%v: %d and %d signals", err, len(first.signals), len(second.signals))
	}
	second.leads.Store(false)
	first.leads.Store(true)
	if err := report(); err != nil || len(first.signals) != 1 {
		t.Errorf("after another was elected: %v", err)
	}
	first.fails = &wire.Error{Code: wire.Unavailable, Message: "no keys yet"}
	if _, err := gateway.Token(t.Context(), request); err != nil {
		t.Errorf("one of two has keys: %v", err)
	}
	if err := firstServer.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := gateway.Token(t.Context(), request); err != nil {
		t.Errorf("one of two is there: %v", err)
	}
}

// Nobody but a gateway gets an answer, and a gateway asks nobody but a manager.
func TestStrangers(t *testing.T) {
	c, m := newChannel(t), &manager{}
	c.serve("127.0.0.1", m)
	foreign := c.newAuthority()
	gatewayName := servingcert.GatewayName(namespace)
	for _, tc := range []struct { // the clock goes forward
		name    string
		shown   servingcert.Pair
		trusted *servingcert.Authority
		later   time.Duration
		want    error
		told    string
	}{
		{"a certificate whose beginning is yet to be", c.identity(gatewayName), c.authority.Load(), -2 * time.Hour, client.ErrUnavailable, "tls: "},
		{"a certificate of a foreign authority", c.issue(foreign, servingcert.Client(gatewayName)), c.authority.Load(), 0, client.ErrUnavailable, "tls: "},
		{"a manager of a foreign authority", c.identity(gatewayName), foreign, 0, client.ErrUnavailable, "unknown authority"},
		{"another's name", c.identity("system:serviceaccount:agents:bot"), c.authority.Load(), 0, client.ErrForbidden, "no gateway's"},
		{"a certificate that servers show", c.issue(c.authority.Load(), servingcert.Server(gatewayName)), c.authority.Load(), 0, client.ErrUnavailable, "tls: "},
		{"an expired certificate", c.identity(gatewayName), c.authority.Load(), 30*24*time.Hour + time.Second, client.ErrUnavailable, "tls: "},
	} {
		c.write(tc.shown, tc.trusted)
		c.clock.SetTime(noon.Add(tc.later))
		_, err := c.client().Token(t.Context(), request)
		if !errors.Is(err, tc.want) || !strings.Contains(err.Error(), tc.told) {
			t.Errorf("%s: %v, want %v", tc.name, err, tc.want)
		}
	}
	if m.asked.Load() != 0 {
		t.Errorf("%d strangers were answered", m.asked.Load())
	}
}

// What is shown, and who is trusted, follow the files at the next connection, on both sides.
func TestRotation(t *testing.T) {
	c, m := newChannel(t), &manager{}
	served := c.serve("127.0.0.1", m)
	gateway := c.client()
	if _, err := gateway.Token(t.Context(), request); err != nil {
		t.Fatal(err)
	}
	if err := served.Close(); err != nil {
		t.Fatal(err)
	}
	c.addresses = nil
	c.authority.Store(c.newAuthority())
	c.serve("127.0.0.1", m)
	if _, err := gateway.Token(t.Context(), request); !errors.Is(err, client.ErrUnavailable) {
		t.Errorf("with the old authority: %v", err)
	}
	c.write(c.identity(servingcert.GatewayName(namespace)), c.authority.Load())
	if _, err := gateway.Token(t.Context(), request); err != nil {
		t.Errorf("with the new one: %v", err)
	}
}

func TestOptions(t *testing.T) {
	good := client.Options{URL: "https://manager:9443", CAFile: "ca.crt", CertFile: "client.crt", KeyFile: "client.key"}
	if _, err := client.New(good); err != nil {
		t.Error(err)
	}
	for _, url := range []string{"", "http://manager", "https://", "https://user@manager", "https://manager/path", "https://manager?x=1"} {
		bad := good
		bad.URL = url
		if _, err := client.New(bad); err == nil {
			t.Errorf("%q is taken", url)
		}
	}
	bad := good
	bad.KeyFile = ""
	if _, err := client.New(bad); err == nil {
		t.Error("nothing to show is taken")
	}
}

// A token is asked for once an expiry.
func TestTokens(t *testing.T) {
	c, m := newChannel(t), &manager{}
	c.serve("127.0.0.1", m)
	cache, err := tokens.New(c.client(), func(string) bool { return true })
	if err != nil {
		t.Fatal(err)
	}
	expiry := noon.Add(time.Hour)
	for _, tc := range []struct {
		uid    string
		expiry time.Time
		asked  int64
	}{
		{"u1", expiry, 1},
		{"u1", expiry, 1},
		{"u1", expiry.Add(-time.Minute), 1}, // a cache behind the manager
		{"u2", expiry, 2},
		{"u1", expiry.Add(time.Minute), 3}, // a checkpoint has moved it
	} {
		answer, err := cache.Token(t.Context(), "agents", "mission", tc.uid, tc.expiry)
		if err != nil || answer.Token != "token of "+tc.uid || m.asked.Load() != tc.asked {
			t.Errorf("%+v: %+v, %v, asked %d times", tc, answer, err, m.asked.Load())
		}
	}
	cache.Forget("u2")
	if _, err := cache.Token(t.Context(), "agents", "mission", "u2", expiry); err != nil || m.asked.Load() != 4 {
		t.Errorf("%v, asked %d times", err, m.asked.Load())
	}
	m.mu.Lock()
	m.fails = &wire.Error{Code: wire.NotActive, Message: "it is Revoked"}
	m.mu.Unlock()
	cache.Forget("u1")
	for range 2 {
		if _, err := cache.Token(t.Context(), "agents", "mission", "u1", expiry); !errors.Is(err, client.ErrNotActive) {
			t.Errorf("%v, want ErrNotActive", err)
		}
	}
	if m.asked.Load() != 6 {
		t.Errorf("a refusal was kept: asked %d times", m.asked.Load())
	}
}
