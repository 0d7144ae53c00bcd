package bench

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	logf "sigs.k8s.io/controller-runtime/pkg/log"

	"agentpassport.dev/operator/api/v1alpha1"
	"agentpassport.dev/operator/test/gateway"
)

var revocations = flag.Int("revocations", 200, "how many passports are revoked")

// issuer is the manager's own default.
const issuer = "http://agent-passport-issuer.agent-passport-system.svc"

// gated is an operated world with gateways, whose binaries are the real ones.
type gated struct {
	*operated
	gateways []*httpGateway
}

// httpGateway is a gateway, and a client that keeps its connections.
type httpGateway struct {
	*gateway.Gateway
	client *http.Client
}

func newGated(ctx context.Context, b *testing.B, names ...string) *gated {
	b.Helper()
	g := &gated{operated: newOperated(ctx, b)}
	binary, err := gateway.Build(ctx, root, b.TempDir())
	check(b, err)
	for _, name := range names {
		dir := filepath.Join(b.TempDir(), name)
		check(b, os.Mkdir(dir, 0o700))
		started, err := gateway.Start(ctx, gateway.Options{
			Binary: binary, Name: name, Dir: dir, Server: g.server, AuditLog: g.trail,
			Issuer: issuer, Channel: g.addresses.Channel, Log: g.log,
			Flags: []string{"--passport-calls-per-second=0", "--client-calls-per-second=0", "--shutdown-delay=0s"},
		})
		check(b, err)
		b.Cleanup(func() { check(b, started.Stop(context.WithoutCancel(ctx))) })
		to, err := started.Client()
		check(b, err)
		if transport, ok := to.Transport.(*http.Transport); ok {
			transport.MaxIdleConnsPerHost = slices.Max(atOnce)
		}
		g.gateways = append(g.gateways, &httpGateway{Gateway: started, client: to})
	}
	return g
}

// bot gives a namespace with the support bot in it, and the token of a ServiceAccount that may act as it.
func (g *gated) bot(ctx context.Context, b *testing.B) (namespace, key string) {
	b.Helper()
	namespace = g.namespace(ctx, b)
	meta := metav1.ObjectMeta{Namespace: namespace, Name: "support-bot"}
	itself := []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: namespace, Name: "support-bot"}}
	for _, object := range []client.Object{
		&corev1.ServiceAccount{ObjectMeta: meta},
		&rbacv1.Role{ObjectMeta: meta, Rules: []rbacv1.PolicyRule{{
			APIGroups: []string{v1alpha1.GroupVersion.Group}, Resources: []string{"agentpassports"}, ResourceNames: []string{"support-bot"}, Verbs: []string{"use"},
		}}},
		&rbacv1.RoleBinding{ObjectMeta: meta, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: "support-bot"}, Subjects: itself},
		&rbacv1.RoleBinding{
			ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "missions"},
			RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "agent-passport-agent"}, Subjects: itself,
		},
	} {
		check(b, g.asker.Create(ctx, object))
	}
	key, err := g.server.Token(ctx, namespace, "support-bot", gateway.Audience)
	check(b, err)
	// The first ones may come before the API server has loaded the roles, and before the gateway knows the agent.
	for tick := time.NewTicker(50 * time.Millisecond); ; <-tick.C {
		if _, err := g.gateways[0].issue(ctx, key, 0); err == nil {
			tick.Stop()
			return namespace, key
		}
		check(b, ctx.Err())
	}
}

// issued is a passport as a gateway answers.
type issued struct{ Name, Token string }

// issue asks for the passport that world.measure asks the API server for.
func (g *httpGateway) issue(ctx context.Context, key string, i int) (issued, error) {
	wanted := fmt.Sprintf(`{"agent_id":"support-bot","ttl_seconds":3600,"checkpoint_interval_seconds":3600,"intent":{
		"summary":"Answer customer ticket %d and post a resolution","services":["slack","github"],"estimated_duration_seconds":900}}`, i)
	status, body, err := g.ask(ctx, http.MethodPost, "/v1/passports/issue", http.Header{"Authorization": {"Bearer " + key}}, wanted)
	if err != nil || status >= http.StatusMultipleChoices {
		return issued{}, fmt.Errorf("issue: %d %s: %w", status, body, err)
	}
	var answer issued
	err = json.Unmarshal(body, &answer)
	return answer, err
}

func (g *httpGateway) ask(ctx context.Context, method, path string, header http.Header, body string) (int, []byte, error) {
	request, err := http.NewRequestWithContext(ctx, method, g.URL+path, strings.NewReader(body))
	if err != nil {
		return 0, nil, err
	}
	request.Header = header
	response, err := g.client.Do(request)
	if err != nil {
		return 0, nil, err
	}
	defer func() { _ = response.Body.Close() }()
	answer, err := io.ReadAll(response.Body)
	return response.StatusCode, answer, err
}

// overHTTP has n passports issued, and measures until each answer is there, with its token.
func (g *gated) overHTTP(ctx context.Context, b *testing.B, n int, load load) measurement {
	b.Helper()
	_, key := g.bot(ctx, b)
	took := make([]time.Duration, n)
	before, began := spent(), time.Now()
	load(func(i int) {
		asked := time.Now()
		if _, err := g.gateways[0].issue(ctx, key, i+1); err != nil {
			b.Errorf("passport %d: %v", i, err)
		}
		took[i] = time.Since(asked)
	})
	whole, cost := time.Since(began), spent().each(n, before)
	if b.Failed() {
		b.FailNow()
	}
	slices.Sort(took)
	return measurement{rate: float64(n) / whole.Seconds(), p50: took[n/2], p99: took[n*99/100], cost: cost}
}

// BenchmarkGatewayIssue reports how many passports a second a gateway issues over HTTP, as a share of those that are
// asked of the API server itself, in turns on the same one.
func BenchmarkGatewayIssue(b *testing.B) {
	logf.SetLogger(logr.Discard())
	ctx, cancel := context.WithTimeout(b.Context(), 25*time.Minute)
	defer cancel()
	g := newGated(ctx, b, "gateway-0")
	g.round(ctx, b, 100, spread(100, 16)) // connections, caches, and the API server's own warm-up
	g.overHTTP(ctx, b, 100, spread(100, 16))

	for b.Loop() {
		var direct, overHTTP measurement
		var ratios, byCPU []float64
		for round := range *rounds {
			var directNow, httpNow measurement
			for _, n := range atOnce {
				here := g.round(ctx, b, *passports, spread(*passports, n))
				say("round %d, %3d at once: API server  %s", round+1, n, here)
				directNow = directNow.better(here)
				here = g.overHTTP(ctx, b, *passports, spread(*passports, n))
				say("round %d, %3d at once: HTTP        %s", round+1, n, here)
				httpNow = httpNow.better(here)
			}
			ratios = append(ratios, httpNow.rate/directNow.rate)
			byCPU = append(byCPU, directNow.cost.total()/httpNow.cost.total())
			direct, overHTTP = direct.better(directNow), overHTTP.better(httpNow)
		}
		calm := g.overHTTP(ctx, b, 10**calmRate, paced(10**calmRate, *calmRate))
		say("\nAPI server  %s\nHTTP        %s\nratio       %.2f (rounds: %.2f); %.2f by CPU time\ncalm        %s",
			direct, overHTTP, median(ratios), ratios, median(byCPU), calm)
		say("\nms of CPU for each passport:\n  API server  %s\n  HTTP        %s", direct.cost, overHTTP.cost)
		b.ReportMetric(direct.rate, "api-server/s")
		b.ReportMetric(overHTTP.rate, "http/s")
		b.ReportMetric(median(ratios), "ratio")
		b.ReportMetric(median(byCPU), "cpu-ratio")
		b.ReportMetric(float64(calm.p50.Milliseconds()), "p50-ms")
		b.ReportMetric(float64(calm.p99.Milliseconds()), "p99-ms")
	}
}

// BenchmarkRevoke reports the time from a revocation, asked of the API server, until a gateway answers a call with a
// refusal, at each of two gateways. Both are called all the time.
func BenchmarkRevoke(b *testing.B) {
	logf.SetLogger(logr.Discard())
	ctx, cancel := context.WithTimeout(b.Context(), 15*time.Minute)
	defer cancel()
	g := newGated(ctx, b, "gateway-0", "gateway-1")
	service := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	b.Cleanup(service.Close)
	namespace, key := g.bot(ctx, b)
	check(b, g.asker.Create(ctx, &v1alpha1.ServiceConnection{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "slack"},
		Spec:       v1alpha1.ServiceConnectionSpec{BaseURL: service.URL, AllowedAddresses: []v1alpha1.AddressRange{v1alpha1.RangeLoopback}},
	}))

	for b.Loop() {
		var took []time.Duration
		for i := range *revocations {
			took = append(took, g.revoke(ctx, b, namespace, key, i)...)
		}
		slices.Sort(took)
		n := len(took)
		say("from revoke to refusal, %d times at %d gateways: p50 %s, p99 %s, worst %s", *revocations, len(g.gateways), took[n/2], took[n*99/100], took[n-1])
		b.ReportMetric(milliseconds(took[n/2]), "p50-ms")
		b.ReportMetric(milliseconds(took[n*99/100]), "p99-ms")
		b.ReportMetric(milliseconds(took[n-1]), "worst-ms")
	}
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// revoke revokes one passport that is in use at all gateways, and gives how long each of them went on.
func (g *gated) revoke(ctx context.Context, b *testing.B, namespace, key string, i int) []time.Duration {
	b.Helper()
	one, err := g.gateways[0].issue(ctx, key, i)
	check(b, err)
	header := http.Header{"Authorization": {"Bearer " + key}, "X-Passport-Token": {one.Token}}
	for _, at := range g.gateways { // a connection that was made a moment ago may not be known yet
		check(b, at.await(ctx, header, http.StatusOK))
	}
	took, errs := make([]time.Duration, len(g.gateways)), make([]error, len(g.gateways))
	asked := time.Now()
	var all sync.WaitGroup
	for n, at := range g.gateways {
		all.Go(func() {
			errs[n] = at.await(ctx, header, http.StatusUnauthorized)
			took[n] = time.Since(asked)
		})
	}
	revoked := &v1alpha1.Passport{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: one.Name}}
	check(b, g.asker.Patch(ctx, revoked, client.RawPatch("application/merge-patch+json", []byte(`{"spec":{"revocation":{"reason":"It went astray"}}}`))))
	all.Wait()
	for _, err := range errs {
		check(b, err)
	}
	return took
}

// await calls the service until the gateway answers so.
func (g *httpGateway) await(ctx context.Context, header http.Header, want int) error {
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for {
		status, body, err := g.ask(ctx, http.MethodGet, "/proxy/slack/conversations.list", header, "")
		if err != nil || status == want {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("the gateway answers %d, not %d: %s", status, want, body)
		}
	}
}
