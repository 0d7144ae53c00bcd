package proxy_test

import (
	"context"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"syscall"
	"testing"
	"time"

	"k8s.io/utils/clock"

	"agentpassport.dev/operator/internal/gateway/decision"
	"agentpassport.dev/operator/internal/gateway/dial"
	"agentpassport.dev/operator/internal/gateway/fronttest"
	"agentpassport.dev/operator/internal/gateway/judge"
	"agentpassport.dev/operator/internal/gateway/proxy"
)

// unkept is a judge that keeps nothing of the calls.
type unkept struct{ world *fronttest.Judge }

// Judge implements proxy.Judge.
func (u unkept) Judge(_ context.Context, ask *judge.Ask) *judge.Verdict {
	situation := u.world.Situate(ask)
	verdict := &judge.Verdict{Connection: situation.Connection}
	ask.Request.Target, ask.Request.TargetError = ask.Target.Resolve(situation.Connection.Base)
	verdict.Decision = decision.Decide(situation, ask.Request)
	verdict.Credential = u.world.Value
	return verdict
}

// Late implements proxy.Judge.
func (unkept) Late(context.Context, *judge.Ask, *judge.Verdict, decision.Code, string) {}

// cpu is what this process has cost so far.
func cpu(b *testing.B) time.Duration {
	b.Helper()
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		b.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// BenchmarkFronts compares a plain httputil.ReverseProxy with the reverse proxy of the gateway, with the same
// service and the same client in one run. What counts is cpu-µs/op: it has client and service in it on
// both sides, so that the difference is what the gateway adds.
func BenchmarkFronts(b *testing.B) {
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "done") }))
	defer service.Close()
	judges, err := fronttest.NewJudge("http://slack.example/api", bearer)
	if err != nil {
		b.Fatal(err)
	}
	judges.Connection.AllowedAddresses = nil
	connect := func(ctx context.Context, network, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, service.Listener.Addr().String())
	}
	transports := dial.NewTransports(&dial.Dialer{Resolver: publicly{}, Connect: connect, Clock: clock.RealClock{}}, nil)
	defer transports.Close()
	front := httptest.NewServer(proxy.New(unkept{judges}, transports, clock.RealClock{}).Before(http.NotFoundHandler()))
	defer front.Close()
	to, err := url.Parse(service.URL)
	if err != nil {
		b.Fatal(err)
	}
	plain := httptest.NewServer(&httputil.ReverseProxy{
		Rewrite:   func(r *httputil.ProxyRequest) { r.SetURL(to) },
		Transport: &http.Transport{MaxIdleConnsPerHost: 32, DisableCompression: true},
		ErrorLog:  log.New(io.Discard, "", 0),
	})
	defer plain.Close()
	// In turn, and more than once: what else the machine does is then in both.
	for _, round := range []string{"1", "2", "3"} {
		b.Run("plain-"+round, func(b *testing.B) { run(b, plain.URL+"/proxy/slack/a?x=1") })
		b.Run("gateway-"+round, func(b *testing.B) { run(b, front.URL+"/proxy/slack/a?x=1") })
	}
}

func run(b *testing.B, address string) {
	b.Helper()
	request, err := http.NewRequest(http.MethodGet, address, http.NoBody)
	if err != nil {
		b.Fatal(err)
	}
	request.Header.Set("X-Passport-Token", fronttest.Token)
	request.Header.Set("Accept", "application/json")
	request.Header.Set("User-Agent", "agent/1")
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	call := func() {
		response, err := transport.RoundTrip(request)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, response.Body); err != nil || response.StatusCode != http.StatusOK {
			b.Fatal(response.StatusCode, err)
		}
		_ = response.Body.Close()
	}
	call()
	b.ReportAllocs()
	before := cpu(b)
	b.ResetTimer()
	for range b.N {
		call()
	}
	b.StopTimer()
	b.ReportMetric(float64(cpu(b)-before)/float64(b.N)/float64(time.Microsecond), "cpu-µs/op")
}
