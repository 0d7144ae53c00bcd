package proxy_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"k8s.io/utils/clock"

	"agentpassport.dev/operator/api/v1alpha1"
	"agentpassport.dev/operator/internal/gateway/decision"
	"agentpassport.dev/operator/internal/gateway/fronttest"
	"agentpassport.dev/operator/internal/gateway/proxy"
)

// hurried is a clock by which every deadline is a moment away.
type hurried struct{ clock.RealClock }

// Now implements clock.PassiveClock.
func (hurried) Now() time.Time { return time.Now().Add(50*time.Millisecond - proxy.BodyWait) }

func aboutBody() v1alpha1.Constraint {
	return v1alpha1.Constraint{Path: "body.channel", Op: "eq", Value: new("C1")}
}

func TestReverseProxyJudgesBodies(t *testing.T) {
	for body, want := range map[string]int{`{"channel":"C1"}`: http.StatusOK, `{"channel":"C2"}`: http.StatusForbidden} {
		for _, framed := range []string{
			"Content-Length: 16\r\n\r\n" + body,
			"Transfer-Encoding: chunked\r\n\r\n8\r\n" + body[:8] + "\r\n8\r\n" + body[8:] + "\r\n0\r\n\r\n",
		} {
			w := newWorld(t, nil, aboutBody())
			response, text := w.raw(strings.TrimSuffix(lines("POST /proxy/slack/a HTTP/1.1", "Content-Type: application/json"), "\r\n") + framed)
			if response.StatusCode != want {
				t.Errorf("%s: got %d %s", body, response.StatusCode, text)
			}
			if want != http.StatusOK {
				w.nothing()
			} else if got := w.only(); !strings.HasSuffix(got, "\r\n\r\n"+body) || !strings.Contains(got, "Content-Length: 16\r\n") {
				t.Errorf("the service got %q", got)
			}
		}
	}
}

func TestReverseProxyLimitsBodiesThatAreJudged(t *testing.T) {
	for _, framing := range []string{
		fmt.Sprintf("Content-Length: %d", proxy.MaxBody+1),
		"Transfer-Encoding: chunked",
	} {
		w := newWorld(t, nil, aboutBody())
		text := lines("POST /proxy/slack/a HTTP/1.1", framing)
		if strings.HasPrefix(framing, "T") {
			text += fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", proxy.MaxBody+1, strings.Repeat("a", proxy.MaxBody+1))
		}
		response, body := w.raw(text)
		if response.StatusCode != http.StatusRequestEntityTooLarge || reasonOf(t, body) != "too_large" {
			t.Errorf("%s: got %d %s", framing, response.StatusCode, body)
		}
		w.nothing()
	}
}

// A body that is announced and does not come: while it is judged, and while it is streamed.
func TestSlowBodies(t *testing.T) {
	slow := lines("POST /proxy/slack/a HTTP/1.1", "Content-Type: application/json", "Content-Length: 16") + `{"ch`
	tests := map[string]struct {
		constraints []v1alpha1.Constraint
		request     string
		late        int
	}{
		"judged":   {[]v1alpha1.Constraint{aboutBody()}, slow, 0},
		"streamed": {nil, slow, 1},
		"in JSON":  {nil, lines("POST /v1/proxy HTTP/1.1", "Content-Length: 16") + `{"ch`, 0},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			w := newWorldAt(t, hurried{}, nil, test.constraints...)
			response, body := w.raw(test.request)
			if response.StatusCode != http.StatusBadRequest || reasonOf(t, body) != "bad_request" {
				t.Errorf("got %d %s", response.StatusCode, body)
			}
			if got := w.upstream.Got(); len(got) != 0 {
				t.Errorf("the service got %q", got)
			}
			if late := w.judge.Lates(); len(late) != test.late {
				t.Errorf("late: %v", late)
			}
		})
	}
}

// A deadline for a body is not one for the answer, nor for the next call on the connection.
func TestDeadlinesAreTakenBack(t *testing.T) {
	w := newWorldAt(t, hurried{}, nil)
	conn, err := net.Dial("tcp", w.gateway.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	from := bufio.NewReader(conn)
	for i := range 3 {
		if _, err := io.WriteString(conn, lines("POST /proxy/slack/a HTTP/1.1", "Content-Length: 1")+"a"); err != nil {
			t.Fatal(err)
		}
		if response, _ := w.read(from, http.MethodPost); response.StatusCode != http.StatusOK {
			t.Fatalf("call %d: %d", i, response.StatusCode)
		}
		pause(100 * time.Millisecond)
	}
	if n := w.upstream.Connections(); n != 1 {
		t.Errorf("%d connections to the service for three calls", n)
	}
}

// pause lets a moment go by that the wire itself has to measure.
func pause(d time.Duration) {
	timer := clock.RealClock{}.NewTimer(d)
	<-timer.C()
}

func TestServiceThatDoesNotAnswer(t *testing.T) {
	w := newWorld(t, bearer)
	w.judge.Connection.Timeout = 50 * time.Millisecond
	w.upstream.Answer("")
	response, body := w.raw(lines("GET /proxy/slack/a HTTP/1.1"))
	if response.StatusCode != http.StatusGatewayTimeout || reasonOf(t, body) != "upstream_timeout" {
		t.Errorf("got %d %s", response.StatusCode, body)
	}
	status, answer := w.call(`{"service":"slack","method":"GET","url":"http://slack.example/api/a"}`)
	if status != http.StatusGatewayTimeout || reason(answer) != "upstream_timeout" {
		t.Errorf("got %d %v", status, answer)
	}
	w.upstream.Answer("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nd")
	status, answer = w.call(`{"service":"slack","method":"GET","url":"http://slack.example/api/a"}`)
	if status != http.StatusGatewayTimeout || reason(answer) != "upstream_timeout" {
		t.Errorf("half an answer: got %d %v", status, answer)
	}
	for _, late := range w.judge.Lates() {
		if late.Code != decision.CodeUpstreamTimeout {
			t.Errorf("late: %v", late)
		}
	}
}

func TestServiceThatAnswersNoHTTP(t *testing.T) {
	w := newWorld(t, &v1alpha1.ServiceCredential{SecretName: "slack", Key: "token", Type: v1alpha1.CredentialQuery, Name: "key"})
	for _, answer := range []string{"SSH-2.0-OpenSSH\r\n", "HTTP/1.1 200 OK\r\nX: " + strings.Repeat("a", 70<<10) + "\r\n\r\n"} {
		w.upstream.Answer(answer)
		response, body := w.raw(lines("GET /proxy/slack/a HTTP/1.1"))
		if response.StatusCode != http.StatusBadGateway || reasonOf(t, body) != "upstream_failed" || strings.Contains(body, fronttest.Secret) {
			t.Errorf("got %d %s", response.StatusCode, body)
		}
	}
	if late := w.judge.Lates(); len(late) != 2 {
		t.Errorf("late: %v", late)
	}
}

// The name of a service resolves to a public address first and to loopback later: what was judged is
// what is connected to, and the second answer is judged as well.
func TestRebinding(t *testing.T) {
	w := newWorld(t, bearer)
	w.addresses = [][]netip.Addr{
		{netip.MustParseAddr(publicAddress)},
		{netip.MustParseAddr("127.0.0.1")},
		{netip.MustParseAddr(publicAddress), netip.MustParseAddr("169.254.169.254")},
		{netip.MustParseAddr("::ffff:10.0.0.1")},
	}
	w.upstream.Answer("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok")
	for i, want := range []int{200, 403, 403, 403} {
		response, body := w.raw(lines("GET /proxy/slack/a HTTP/1.1"))
		if response.StatusCode != want || want != 200 && reasonOf(t, body) != "address_refused" {
			t.Errorf("call %d: got %d %s", i, response.StatusCode, body)
		}
	}
	w.only()
	if late := w.judge.Lates(); len(late) != 3 || late[0].Code != decision.CodeAddressRefused {
		t.Errorf("late: %v", late)
	}
}

// Bytes go through as they come, both ways at once, also where they are looked at for a credential.
func TestReverseProxyStreams(t *testing.T) {
	for name, spec := range map[string]*v1alpha1.ServiceCredential{"without a credential": nil, "with a credential": bearer} {
		t.Run(name, func(t *testing.T) { checkStreams(t, newWorld(t, spec)) })
	}
}

func checkStreams(t *testing.T, w *world) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	service := &http.Server{ReadHeaderTimeout: time.Second, Handler: http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		control := http.NewResponseController(rw)
		_ = control.EnableFullDuplex()
		from := bufio.NewReader(r.Body)
		for {
			line, err := from.ReadString('\n')
			if err != nil {
				return
			}
			_, _ = io.WriteString(rw, "echo "+line)
			_ = control.Flush()
		}
	})}
	go func() { _ = service.Serve(listener) }()
	defer func() { _ = service.Close() }()
	w.upstream = fronttest.Forward(listener.Addr().String())

	up, send := io.Pipe()
	request, err := http.NewRequest(http.MethodPost, w.gateway.URL+"/proxy/slack/a", up)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("X-Passport-Token", fronttest.Token)
	go func() { _, _ = io.WriteString(send, "one\n") }()
	response, err := http.DefaultTransport.RoundTrip(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	from := bufio.NewReader(response.Body)
	for _, word := range []string{"one", "two", "three"} {
		if line, err := from.ReadString('\n'); err != nil || line != "echo "+word+"\n" {
			t.Fatalf("got %q, %v", line, err)
		}
		switch word {
		case "one":
			_, _ = io.WriteString(send, "two\n")
		case "two":
			_, _ = io.WriteString(send, "three\n")
		}
	}
	_ = send.Close()
	if rest, err := io.ReadAll(from); err != nil || len(rest) > 0 {
		t.Errorf("got %q, %v", rest, err)
	}
}
