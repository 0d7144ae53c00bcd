package state_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/netip"
	"net/url"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"
	logf "sigs.k8s.io/controller-runtime/pkg/log"

	"agentpassport.dev/operator/api/v1alpha1"
	"agentpassport.dev/operator/internal/access"
	"agentpassport.dev/operator/internal/gateway/decision"
	"agentpassport.dev/operator/internal/gateway/dial"
	"agentpassport.dev/operator/internal/gateway/extauthz"
	"agentpassport.dev/operator/internal/gateway/judge"
	"agentpassport.dev/operator/internal/gateway/proxy"
	"agentpassport.dev/operator/internal/gateway/signals"
	"agentpassport.dev/operator/internal/gateway/spool"
	"agentpassport.dev/operator/internal/gateway/state"
	"agentpassport.dev/operator/internal/gateway/target"
	"agentpassport.dev/operator/internal/gateway/trail"
	"agentpassport.dev/operator/internal/review"
	"agentpassport.dev/operator/internal/token"
)

const (
	// livePassports are known to the gateway that is measured.
	livePassports = 50_000
	// rounds is how often each measurement is made: the median counts.
	rounds = 3
)

// lit is a gateway as its binary has it, but for TLS in front and an audit log that takes everything at once: its
// view watches a real API server, which says who calls; its spool is on disk. All but one of its passports were put
// into its view directly.
type lit struct {
	view    *state.View
	judge   *judge.Judge
	tokens  []string // of as many passports
	caller  string   // Authorization of who may act as their agent
	service string   // host:port of what is behind it
	next    atomic.Int64
}

// light makes one with so many passports.
func light(b *testing.B, passports int) *lit {
	b.Helper()
	logf.SetLogger(logr.Discard())
	w := begin(b, func(options *state.Options) {
		options.Log = logr.Discard()
		options.WatchSilence = time.Hour // nothing happens to most kinds meanwhile
	})
	g := &lit{view: w.view}
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "done") }))
	b.Cleanup(service.Close)
	g.service = service.Listener.Addr().String()
	agent := w.agent("support-bot")
	w.secret("slack", map[string]string{"token": "the-credential"})
	w.grant("slack")
	connection := &v1alpha1.ServiceConnection{ObjectMeta: w.meta("slack"), Spec: v1alpha1.ServiceConnectionSpec{
		BaseURL: "http://slack.example/api", Credential: &v1alpha1.ServiceCredential{SecretName: "slack"},
	}}
	w.do(admin.Create(b.Context(), connection))
	g.caller = "Bearer " + w.mayUse(agent)
	one := w.passport("ticket", agent)
	g.fill(w, one, passports)
	g.judge = newJudge(b, g.view)

	first, how := g.view.Token(g.tokens[0])
	if how != decision.TokenValid {
		b.Fatal(how)
	}
	w.within(patience, "a call goes out", func() bool {
		look := g.view.Look(first, "slack")
		if look.Standing == nil || look.Connection == nil {
			return false
		}
		_, err := g.view.Credential(look.Connection)
		return err == nil && g.ask(0).Allow
	})
	return g
}

// mayUse gives the token of a ServiceAccount that may act as an agent.
func (w *world) mayUse(agent *v1alpha1.AgentPassport) string {
	w.Helper()
	ctx := w.Context()
	w.do(admin.Create(ctx, &corev1.ServiceAccount{ObjectMeta: w.meta("bot")}))
	w.do(admin.Create(ctx, &rbacv1.Role{ObjectMeta: w.meta("bot"), Rules: []rbacv1.PolicyRule{{
		APIGroups: []string{v1alpha1.GroupVersion.Group}, Resources: []string{"agentpassports"}, ResourceNames: []string{agent.Name}, Verbs: []string{"use"},
	}}}))
	w.do(admin.Create(ctx, &rbacv1.RoleBinding{
		ObjectMeta: w.meta("bot"), RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: "bot"},
		Subjects: []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: w.namespace, Name: "bot"}},
	}))
	shown, err := server.Token(ctx, w.namespace, "bot", audience)
	w.do(err)
	return shown
}

// fill puts passports like one into the view, and signs their tokens.
func (g *lit) fill(w *world, one *v1alpha1.Passport, passports int) {
	w.Helper()
	like := one.DeepCopy()
	like.Spec.Intent = &v1alpha1.Intent{Summary: "Answer one customer ticket", Services: []v1alpha1.ServiceName{"slack"}}
	like.Status.Issued.Mode = v1alpha1.ModeEnforced
	like.Status.Issued.Services[0].Constraints = []v1alpha1.Constraint{
		{Path: "method", Op: v1alpha1.ConstraintIn, Values: []string{http.MethodGet, http.MethodPost}},
	}
	for i := range passports {
		passport := like.DeepCopy()
		passport.Name, passport.UID = fmt.Sprint("ticket-", i), types.UID(fmt.Sprintf("00000000-0000-0000-0000-%012d", i))
		passport.Status.JTI = token.JTI(string(passport.UID))
		g.view.Take(passport)
		g.tokens = append(g.tokens, w.token(passport, ring, func(claims *token.Claims) {
			claims.Passport.Services = token.List[token.Service]{{Name: "slack"}}
			claims.Passport.Intent = &token.Intent{Summary: like.Spec.Intent.Summary, Services: token.List[string]{"slack"}}
		}))
	}
}

func newJudge(b *testing.B, view *state.View) *judge.Judge {
	b.Helper()
	now := clock.RealClock{}
	asked, err := access.New(access.Options{Config: server.Config(gateway), Audience: audience, Log: logr.Discard()})
	check(b, err)
	callers, err := judge.NewKubernetesCallers(asked, now)
	check(b, err)
	registry := prometheus.NewRegistry()
	records, err := spool.Open(spool.Options{
		Dir: b.TempDir(), MaxBytes: 1 << 30, Log: everything{}, Clock: now, Logger: logr.Discard(), Metrics: registry,
	})
	check(b, err)
	b.Cleanup(func() { check(b, records.Close()) })
	const unlimited = 1 << 40 // and counted all the same
	limits, err := judge.NewRateLimits(judge.LimitOptions{
		PassportRate: unlimited, PassportBurst: 1 << 30, ClientRate: unlimited, ClientBurst: 1 << 30,
	}, now)
	check(b, err)
	thresholds := review.DefaultThresholds()
	baseline := func(namespace, agent string, uid types.UID) *v1alpha1.Baseline {
		var known v1alpha1.AgentPassport
		if err := view.Reader().Get(context.Background(), types.NamespacedName{Namespace: namespace, Name: agent}, &known); err != nil || known.UID != uid {
			return nil
		}
		return known.Status.Baseline
	}
	tracker, err := signals.NewTracker(signals.NewPending("gateway-0", signals.Left{}), thresholds, baseline)
	check(b, err)
	return &judge.Judge{
		View: view, Callers: callers, Signals: tracker, Limits: limits,
		Trail: trail.New(trail.Options{
			Gateway: trail.Gateway{Name: "gateway-0", Namespace: "agent-passport-system", Username: gateway, Boot: trail.NewBoot()},
			Spool:   records, Clock: now, Logger: logr.Discard(),
		}),
		Metrics: judge.NewMetrics(registry), Clock: now, Log: logr.Discard(),
	}
}

// everything is an audit log that takes all records at no cost.
type everything struct{}

func (everything) AppendRaw(context.Context, []json.RawMessage) error { return nil }

func check(b *testing.B, err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
}

// ask puts the question of one call to the judge, as the reverse proxy does.
func (g *lit) ask(i int) *judge.Verdict {
	verdict := g.judge.Judge(context.Background(), &judge.Ask{
		Front: judge.FrontReverseProxy, Tokens: []string{g.tokens[i]}, Bearer: []string{g.caller}, Source: "10.1.1.1",
		Request: &decision.Request{Service: "slack", Method: http.MethodGet, Header: http.Header{"Accept": {"application/json"}, "User-Agent": {"agent/1"}}},
		Target:  target.Relative("/conversations.list", "limit=2", true),
	})
	verdict.Done()
	return verdict
}

// turn gives the passports their turns.
func (g *lit) turn() int { return int(g.next.Add(1)) % len(g.tokens) }

// warm has every token be remembered; cold makes so that none is.
func (g *lit) warm() {
	for _, one := range g.tokens {
		g.view.Token(one)
	}
}

func (g *lit) cold() { g.view.ForgetTokens() }

// measured is what one call costs this process, and how long it takes.
type measured struct {
	cpu, p50, p99 time.Duration
	perSecond     float64
}

// loads are how many calls are made at once, and how many in all: so many of the larger one that garbage is collected
// in each measurement.
var loads = []struct{ atOnce, calls int }{{1, 2_000}, {32, 16_000}}

// measure makes calls, so many at once.
func measure(b *testing.B, atOnce, calls int, call func() error) measured {
	b.Helper()
	runtime.GC() // what was left before is no cost of these
	took := make([][]time.Duration, atOnce)
	before, began := cpu(b), time.Now()
	var all sync.WaitGroup
	for caller := range atOnce {
		all.Go(func() {
			for range calls / atOnce {
				asked := time.Now()
				if err := call(); err != nil {
					b.Error(err)
					return
				}
				took[caller] = append(took[caller], time.Since(asked))
			}
		})
	}
	all.Wait()
	whole, spent := time.Since(began), cpu(b)-before
	if b.Failed() {
		b.FailNow()
	}
	sorted := slices.Sorted(slices.Values(slices.Concat(took...)))
	n := len(sorted)
	return measured{cpu: spent / time.Duration(n), p50: sorted[n/2], p99: sorted[n*99/100], perSecond: float64(n) / whole.Seconds()}
}

// cpu is what this process has cost so far.
func cpu(b *testing.B) time.Duration {
	b.Helper()
	var usage syscall.Rusage
	check(b, syscall.Getrusage(syscall.RUSAGE_SELF, &usage))
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// way is one of the ways to make a call that are compared.
type way struct {
	name   string
	before func() // each round
	call   func() error
	found  []measured
}

// compare measures each way in each round, in turn, so that what else the machine does is in all of them. The first
// one is what the others are compared with: the median of what they cost more, of each round's own.
func compare(b *testing.B, atOnce, calls int, ways ...*way) {
	b.Helper()
	for b.Loop() {
		for _, one := range ways {
			one.found = nil
			measure(b, atOnce, 10*atOnce, one.call) // connections
		}
		for range rounds {
			for _, one := range ways {
				one.before()
				one.found = append(one.found, measure(b, atOnce, calls, one.call))
			}
		}
	}
	for i, one := range ways {
		report := func(unit string, of func(measured) float64) { b.ReportMetric(median(one.found, of), one.name+"-"+unit) }
		report("cpu-µs", func(m measured) float64 { return micro(m.cpu) })
		report("p50-µs", func(m measured) float64 { return micro(m.p50) })
		report("p99-µs", func(m measured) float64 { return micro(m.p99) })
		report("calls/s", func(m measured) float64 { return m.perSecond })
		if i == 0 {
			continue
		}
		var added []measured
		for round, m := range one.found {
			added = append(added, measured{cpu: m.cpu - ways[0].found[round].cpu})
		}
		b.ReportMetric(median(added, func(m measured) float64 { return micro(m.cpu) }), one.name+"-added-cpu-µs")
	}
	b.ReportMetric(0, "ns/op") // of a whole comparison, which says nothing
}

func median(of []measured, what func(measured) float64) float64 {
	var values []float64
	for _, m := range of {
		values = append(values, what(m))
	}
	return slices.Sorted(slices.Values(values))[len(values)/2]
}

func micro(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }

// BenchmarkProxy compares the reverse proxy of the gateway with a plain httputil.ReverseProxy: with tokens that are
// remembered, and with tokens that were never seen. Client and service are in what both cost; what the gateway adds
// is added-cpu-µs.
func BenchmarkProxy(b *testing.B) {
	g := light(b, livePassports)
	transports := dial.NewTransports(&dial.Dialer{Resolver: publicly{}, Connect: g.connect, Clock: clock.RealClock{}}, nil)
	b.Cleanup(transports.Close)
	front := httptest.NewServer(proxy.New(g.judge, transports, clock.RealClock{}).Before(http.NotFoundHandler()))
	b.Cleanup(front.Close)
	plain := httptest.NewServer(&httputil.ReverseProxy{
		Rewrite:   func(r *httputil.ProxyRequest) { r.SetURL(&url.URL{Scheme: "http", Host: g.service}) },
		Transport: &http.Transport{MaxIdleConnsPerHost: 64, DisableCompression: true},
		ErrorLog:  log.New(io.Discard, "", 0),
	})
	b.Cleanup(plain.Close)
	for _, load := range loads {
		b.Run(fmt.Sprint("at-once=", load.atOnce), func(b *testing.B) {
			compare(b, load.atOnce, load.calls,
				&way{name: "plain", before: g.warm, call: g.through(plain.URL)},
				&way{name: "warm", before: g.warm, call: g.through(front.URL)},
				&way{name: "cold", before: g.cold, call: g.through(front.URL)})
		})
	}
}

// through makes a call through a proxy, with the next passport.
func (g *lit) through(address string) func() error {
	transport := &http.Transport{MaxIdleConnsPerHost: 64}
	return func() error {
		request, err := http.NewRequest(http.MethodGet, address+"/proxy/slack/conversations.list?limit=2", http.NoBody)
		if err != nil {
			return err
		}
		request.Header = http.Header{
			"X-Passport-Token": {g.tokens[g.turn()]}, "Authorization": {g.caller}, "Accept": {"application/json"}, "User-Agent": {"agent/1"},
		}
		response, err := transport.RoundTrip(request)
		if err != nil {
			return err
		}
		defer func() { _ = response.Body.Close() }()
		body, err := io.ReadAll(response.Body)
		if err == nil && (response.StatusCode != http.StatusOK || string(body) != "done") {
			err = fmt.Errorf("%s: %s", response.Status, body)
		}
		return err
	}
}

// publicly resolves every name to a public address.
type publicly struct{}

func (publicly) LookupNetIP(context.Context, string, string) ([]netip.Addr, error) {
	return []netip.Addr{netip.MustParseAddr("93.184.216.34")}, nil
}

// connect leads that address to the service.
func (g *lit) connect(ctx context.Context, network, _ string) (net.Conn, error) {
	return (&net.Dialer{}).DialContext(ctx, network, g.service)
}

// BenchmarkExtAuthz compares a check over gRPC with the smallest call of the same server, that of its health.
func BenchmarkExtAuthz(b *testing.B) {
	g := light(b, livePassports)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	check(b, err)
	serving := extauthz.New(g.judge).GRPC()
	go func() { _ = serving.Serve(listener) }()
	b.Cleanup(serving.Stop)
	conn, err := grpc.NewClient(listener.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	check(b, err)
	b.Cleanup(func() { check(b, conn.Close()) })
	health := func() error {
		_, err := healthv1.NewHealthClient(conn).Check(context.Background(), &healthv1.HealthCheckRequest{})
		return err
	}
	for _, load := range loads {
		b.Run(fmt.Sprint("at-once=", load.atOnce), func(b *testing.B) {
			compare(b, load.atOnce, load.calls,
				&way{name: "health", before: g.warm, call: health},
				&way{name: "warm", before: g.warm, call: g.checked(authv3.NewAuthorizationClient(conn))},
				&way{name: "cold", before: g.cold, call: g.checked(authv3.NewAuthorizationClient(conn))})
		})
	}
}

// checked asks as Envoy does.
func (g *lit) checked(envoy authv3.AuthorizationClient) func() error {
	return func() error {
		const path = "/api/conversations.list?limit=2"
		response, err := envoy.Check(context.Background(), &authv3.CheckRequest{Attributes: &authv3.AttributeContext{
			ContextExtensions: map[string]string{"service": "slack"},
			Source: &authv3.AttributeContext_Peer{Address: &corev3.Address{Address: &corev3.Address_SocketAddress{
				SocketAddress: &corev3.SocketAddress{Address: "10.1.1.1"},
			}}},
			Request: &authv3.AttributeContext_Request{Http: &authv3.AttributeContext_HttpRequest{
				Method: http.MethodGet, Path: path, Host: "slack.example", Scheme: "http", Protocol: "HTTP/1.1",
				Headers: map[string]string{
					":method": http.MethodGet, ":path": path, ":authority": "slack.example", "x-passport-token": g.tokens[g.turn()],
					"authorization": g.caller, "accept": "application/json", "user-agent": "agent/1",
				},
			}},
		}})
		if err == nil && response.GetOkResponse() == nil {
			err = fmt.Errorf("refused: %v", response)
		}
		return err
	}
}

// BenchmarkJudge is the judge without a front: with its record on disk, and the rule alone with what the view knows.
func BenchmarkJudge(b *testing.B) {
	for _, passports := range []int{1_000, livePassports} {
		b.Run(fmt.Sprint("passports=", passports), func(b *testing.B) {
			g := light(b, passports)
			g.warm()
			b.Run("decide", func(b *testing.B) { g.decide(b) })
			b.Run("judge", func(b *testing.B) {
				b.ReportAllocs()
				before := cpu(b)
				for b.Loop() {
					if verdict := g.ask(g.turn()); !verdict.Allow {
						b.Fatal(verdict.Reason)
					}
				}
				b.ReportMetric(micro(cpu(b)-before)/float64(b.N), "cpu-µs/op")
			})
		})
	}
}

// decide measures decision.Decide alone, on each passport in turn.
func (g *lit) decide(b *testing.B) {
	b.Helper()
	situations := make([]decision.Situation, len(g.tokens))
	for i, raw := range g.tokens {
		verified, how := g.view.Token(raw)
		situations[i] = g.view.Look(verified, "slack")
		situations[i].Token, situations[i].Caller = how, decision.CallerMayUse
	}
	request := &decision.Request{Service: "slack", Method: http.MethodGet, Header: http.Header{"Accept": {"application/json"}}}
	request.Target, request.TargetError = target.Relative("/conversations.list", "limit=2", true).Resolve(situations[0].Connection.Base)
	b.ReportAllocs()
	for b.Loop() {
		if d := decision.Decide(&situations[g.turn()], request); !d.Allow {
			b.Fatal(d.Reason)
		}
	}
}
