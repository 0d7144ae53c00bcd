package proxy_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"k8s.io/utils/clock"

	"agentpassport.dev/operator/api/v1alpha1"
	"agentpassport.dev/operator/internal/gateway/dial"
	"agentpassport.dev/operator/internal/gateway/fronttest"
	"agentpassport.dev/operator/internal/gateway/proxy"
)

// world is a gateway's HTTP front with one service behind it, at http://slack.example/api.
type world struct {
	*testing.T
	judge    *fronttest.Judge
	upstream *fronttest.Upstream
	gateway  *httptest.Server
	// addresses of slack.example, one list a question; the last one stays.
	addresses [][]netip.Addr
	asked     int
}

const publicAddress = "93.184.216.34"

var bearer = &v1alpha1.ServiceCredential{SecretName: "slack", Key: "token", Type: v1alpha1.CredentialBearer}

func newWorld(t *testing.T, spec *v1alpha1.ServiceCredential, constraints ...v1alpha1.Constraint) *world {
	t.Helper()
	return newWorldAt(t, clock.RealClock{}, spec, constraints...)
}

func newWorldAt(t *testing.T, clk clock.WithTickerAndDelayedExecution, spec *v1alpha1.ServiceCredential, constraints ...v1alpha1.Constraint) *world {
	t.Helper()
	judges, err := fronttest.NewJudge("http://slack.example/api", spec, constraints...)
	if err != nil {
		t.Fatal(err)
	}
	judges.Connection.AllowedAddresses = nil
	w := &world{T: t, judge: judges, upstream: fronttest.NewUpstream(t, fronttest.Plain)}
	w.addresses = [][]netip.Addr{{netip.MustParseAddr(publicAddress)}}
	transports := dial.NewTransports(&dial.Dialer{Resolver: w, Connect: w.connect, Clock: clk}, nil)
	t.Cleanup(transports.Close)
	front := proxy.New(judges, transports, clk)
	w.gateway = httptest.NewServer(front.Before(http.NotFoundHandler()))
	t.Cleanup(w.gateway.Close)
	return w
}

// LookupNetIP implements dial.Resolver.
func (w *world) LookupNetIP(_ context.Context, _, host string) ([]netip.Addr, error) {
	if host != "slack.example." {
		return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
	}
	answer := w.addresses[min(w.asked, len(w.addresses)-1)]
	w.asked++
	return answer, nil
}

// connect leads the one public address to the upstream.
func (w *world) connect(ctx context.Context, network, address string) (net.Conn, error) {
	if address != publicAddress+":80" {
		w.Errorf("the gateway connects to %s", address)
	}
	return (&net.Dialer{}).DialContext(ctx, network, w.upstream.Addr())
}

// raw sends bytes on a connection of their own and reads one answer.
func (w *world) raw(text string) (*http.Response, string) {
	w.Helper()
	conn, err := net.Dial("tcp", w.gateway.Listener.Addr().String())
	if err != nil {
		w.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	if err := conn.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		w.Fatal(err)
	}
	if _, err := io.WriteString(conn, text); err != nil {
		w.Fatal(err)
	}
	method, _, _ := strings.Cut(text, " ")
	return w.read(bufio.NewReader(conn), method)
}

func (w *world) read(from *bufio.Reader, method string) (*http.Response, string) {
	w.Helper()
	response, err := http.ReadResponse(from, &http.Request{Method: method})
	if err != nil {
		w.Fatalf("no answer: %v", err)
	}
	body, err := io.ReadAll(response.Body)
	if err != nil {
		w.Fatalf("the answer is cut off: %v", err)
	}
	return response, string(body)
}

// lines is a request on its way in: its lines, and the passport's token.
func lines(first string, more ...string) string {
	all := append([]string{first, "Host: gateway.example", "X-Passport-Token: " + fronttest.Token}, more...)
	return strings.Join(all, "\r\n") + "\r\n\r\n"
}

// call makes a call in JSON.
func (w *world) call(body string, headers ...string) (int, map[string]any) {
	w.Helper()
	request, err := http.NewRequest(http.MethodPost, w.gateway.URL+proxy.CallPath, strings.NewReader(body))
	if err != nil {
		w.Fatal(err)
	}
	request.Header.Set("X-Passport-Token", fronttest.Token)
	for i := 0; i+1 < len(headers); i += 2 {
		request.Header.Add(headers[i], headers[i+1])
	}
	response, err := http.DefaultTransport.RoundTrip(request)
	if err != nil {
		w.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		w.Fatal(err)
	}
	answer := map[string]any{}
	if err := json.NewDecoder(bytes.NewReader(text)).Decode(&answer); err != nil {
		w.Fatalf("the answer is no JSON: %v: %s", err, text)
	}
	return response.StatusCode, answer
}

// reason is the decision's code in an answer that is an error.
func reason(answer map[string]any) string {
	problem, _ := answer["error"].(map[string]any)
	details, _ := problem["details"].(map[string]any)
	text, _ := details["reason"].(string)
	return text
}

func reasonOf(t *testing.T, body string) string {
	t.Helper()
	answer := map[string]any{}
	if err := json.Unmarshal([]byte(body), &answer); err != nil {
		t.Fatalf("no problem: %v: %q", err, body)
	}
	return reason(answer)
}

// only gives the one request that the upstream got.
func (w *world) only() string {
	w.Helper()
	got := w.upstream.Got()
	if len(got) != 1 {
		w.Fatalf("the upstream got %d requests: %q", len(got), got)
	}
	return got[0]
}

// nothing checks that no byte reached the upstream.
func (w *world) nothing() {
	w.Helper()
	if n := w.upstream.Connections(); n != 0 {
		w.Fatalf("the upstream was connected to %d times: %q", n, w.upstream.Got())
	}
}
