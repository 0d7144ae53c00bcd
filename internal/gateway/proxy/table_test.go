package proxy_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"k8s.io/utils/clock"

	"agentpassport.dev/operator/internal/gateway/decision"
	"agentpassport.dev/operator/internal/gateway/dial"
	"agentpassport.dev/operator/internal/gateway/fronttest"
	"agentpassport.dev/operator/internal/gateway/proxy"
	"agentpassport.dev/operator/internal/gateway/requeststest"
)

// publicly resolves every name to one public address.
type publicly struct{}

// LookupNetIP implements dial.Resolver.
func (publicly) LookupNetIP(context.Context, string, string) ([]netip.Addr, error) {
	return []netip.Addr{netip.MustParseAddr(publicAddress)}, nil
}

// newTableWorld leads every address to the upstream.
func newTableWorld(t *testing.T) *world {
	t.Helper()
	judges, err := fronttest.NewTable()
	if err != nil {
		t.Fatal(err)
	}
	w := &world{T: t, judge: judges, upstream: fronttest.NewUpstream(t, fronttest.Plain)}
	connect := func(ctx context.Context, network, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, w.upstream.Addr())
	}
	transports := dial.NewTransports(&dial.Dialer{Resolver: publicly{}, Connect: connect, Clock: clock.RealClock{}}, nil)
	t.Cleanup(transports.Close)
	w.gateway = httptest.NewServer(proxy.New(judges, transports, clock.RealClock{}).Before(http.NotFoundHandler()))
	t.Cleanup(w.gateway.Close)
	return w
}

// bytesOf is a call of the table as it stands on the wire.
func bytesOf(t *testing.T, call *requeststest.Request) string {
	t.Helper()
	all := []string{"Host: gateway.example", "Connection: close"}
	for _, token := range fronttest.TokensOf(call.Token) {
		all = append(all, "X-Passport-Token: "+token)
	}
	if bearer := fronttest.BearerOf(call.Caller); bearer != "" {
		all = append(all, "Authorization: "+bearer)
	}
	first, body := fmt.Sprintf("%s /proxy/%s%s HTTP/1.1", call.Method, call.Service, call.Target), call.Body
	if call.Front == requeststest.Proxy {
		first, body = "POST /v1/proxy HTTP/1.1", envelopeOf(t, call)
	} else {
		for _, field := range call.Header {
			all = append(all, field.Name+": "+field.Value)
		}
	}
	if body != "" {
		all = append(all, fmt.Sprintf("Content-Length: %d", len(body)))
	}
	return first + "\r\n" + strings.Join(all, "\r\n") + "\r\n\r\n" + body
}

func envelopeOf(t *testing.T, call *requeststest.Request) string {
	t.Helper()
	described := map[string]any{"service": call.Service, "method": call.Method, "url": call.Target}
	headers := map[string]string{}
	for _, field := range call.Header {
		headers[field.Name] = field.Value
	}
	described["headers"] = headers
	if call.Body != "" {
		described["body"] = call.Body
	}
	text, err := json.Marshal(described)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// stricter are calls that these fronts refuse before they are judged as the table has it: another protocol
// is never let through, and of two headers in one JSON object nobody could say which is sent first.
var stricter = map[string]decision.Code{
	"reverse_proxy: header, upgrade":            decision.CodeBadRequest,
	"proxy: constraint header-eq, in two cases": decision.CodeBadRequest,
}

// Every call of the table, as bytes on the wire of both fronts, against the real decision: it is judged
// as the table says, and what reaches the service is what the table says.
func TestTheTable(t *testing.T) {
	calls := slices.Concat(requeststest.At(requeststest.Proxy), requeststest.At(requeststest.ReverseProxy))
	for i := range calls {
		call := &calls[i]
		if code, ok := stricter[call.Name]; ok {
			call.WantCode = code
		}
		t.Run(call.Name, func(t *testing.T) {
			w := newTableWorld(t)
			response, body := w.raw(bytesOf(t, call))
			verdicts := w.judge.Verdicts()
			switch {
			case len(verdicts) == 0 && call.Malformed && response.StatusCode == http.StatusBadRequest:
				w.nothing()
			case len(verdicts) != 1 || verdicts[0].Code != call.WantCode:
				t.Fatalf("got %v, %d %s; want %s", verdicts, response.StatusCode, body, call.WantCode)
			case call.WantCode != decision.Allowed:
				if call.Method != http.MethodHead && reasonOf(t, body) != string(call.WantCode) {
					t.Errorf("answered %s", body)
				}
				w.nothing()
			case call.Service == "secure": // the upstream speaks no TLS
			default:
				checkSent(t, call, w.only())
			}
		})
	}
}

func checkSent(t *testing.T, call *requeststest.Request, got string) {
	t.Helper()
	head, body, _ := strings.Cut(got, "\r\n\r\n")
	all := strings.Split(head, "\r\n")
	if want := call.Method + " " + call.WantSent + " HTTP/1.1"; all[0] != want {
		t.Errorf("the service got %q, want %q", all[0], want)
	}
	header := http.Header{}
	for _, line := range all[1:] {
		name, value, _ := strings.Cut(line, ": ")
		header[name] = append(header[name], value)
	}
	if host := header["Host"]; len(host) != 1 || host[0] != call.WantHost {
		t.Errorf("the service got Host %q, want %q", host, call.WantHost)
	}
	for name, want := range call.WantHeader {
		if values := header[name]; !slices.Equal(values, want) {
			t.Errorf("the service got %s %q, want %q", name, values, want)
		}
	}
	if body != call.Body {
		t.Errorf("the service got the body %q, want %q", body, call.Body)
	}
}
