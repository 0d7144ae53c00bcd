package proxy_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/onsi/gomega"

	"agentpassport.dev/operator/internal/gateway/fronttest"
)

func TestReverseProxySendsWhatWasJudged(t *testing.T) {
	w := newWorld(t, bearer)
	response, body := w.raw(lines("POST /proxy/slack/chat.post%4Dessage/a%20b%2c?x=1&y=%2f+&z HTTP/1.1",
		"Authorization: Bearer the-callers-own", "Cookie: a=b", "Proxy-Authorization: Basic x", "X-Forwarded-For: 1.1.1.1",
		"X_Forwarded_Host: evil", "Forwarded: for=x", "X-Real-IP: 1.1.1.1", "Via: 1.0 x", "X-Passport-Service: other",
		"Connection: close, X-Hop", "X-Hop: 1", "Keep-Alive: 5", "User-Agent: agent/1", "Accept: a", "Accept: b",
		"traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "X-Odd: \xe9t\xe9", "Content-Length: 3") + "abc")
	if response.StatusCode != http.StatusOK || body != "done" {
		t.Fatalf("got %d %q", response.StatusCode, body)
	}
	got := w.only()
	head, sent, _ := strings.Cut(got, "\r\n\r\n")
	all := strings.Split(head, "\r\n")
	if want := "POST /api/chat.postMessage/a%20b%2C?x=1&y=%2f+&z HTTP/1.1"; all[0] != want {
		t.Errorf("the request line is %q, want %q", all[0], want)
	}
	want := map[string]bool{
		"Host: slack.example": true, "User-Agent: agent/1": true, "Content-Length: 3": true, "Accept: a": true, "Accept: b": true,
		"Authorization: Bearer " + fronttest.Secret: true, "X-Odd: \xe9t\xe9": true,
		"Traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01": true,
	}
	for _, line := range all[1:] {
		if !want[line] {
			t.Errorf("the service got %q", line)
		}
		delete(want, line)
	}
	if len(want) > 0 {
		t.Errorf("the service did not get %v", want)
	}
	if sent != "abc" {
		t.Errorf("the body is %q", sent)
	}
	// The answer is there a moment before the handler returns.
	gomega.NewWithT(t).Eventually(w.judge.Open).Should(gomega.BeZero(), "calls are not over")
}

func TestReverseProxyAddsNoUserAgent(t *testing.T) {
	w := newWorld(t, nil)
	w.raw(lines("GET /proxy/slack/a HTTP/1.1", "Connection: close"))
	if got := w.only(); got != "GET /api/a HTTP/1.1\r\nHost: slack.example\r\n\r\n" {
		t.Errorf("the service got %q", got)
	}
}

// Requests that net/http's server refuses, or that the front does: no byte reaches the service.
func TestReverseProxyRefusesBeforeAnythingIsSent(t *testing.T) {
	tests := map[string]struct {
		request string
		status  int
		reason  string // empty where it is not a problem of ours
	}{
		"absolute form": {lines("GET http://slack.example/api HTTP/1.1", "Connection: close"), 400, ""},
		"absolute form that names the front": {
			lines("GET http://gateway.example/proxy/slack/a HTTP/1.1", "Connection: close"), 400, "",
		},
		"CONNECT":                    {lines("CONNECT slack.example:80 HTTP/1.1"), 400, ""},
		"asterisk":                   {lines("OPTIONS * HTTP/1.1", "Connection: close"), 200, ""},
		"encoded slash in a path":    {lines("GET /proxy/slack/a%2fb HTTP/1.1"), 400, "bad_target"},
		"dot segments":               {lines("GET /proxy/slack/../admin HTTP/1.1"), 400, "bad_target"},
		"encoded dot segments":       {lines("GET /proxy/slack/%2e%2E/admin HTTP/1.1"), 400, "bad_target"},
		"double slash":               {lines("GET /proxy/slack//admin HTTP/1.1"), 400, "bad_target"},
		"double slash before":        {lines("GET //proxy/slack/a HTTP/1.1"), 404, ""},
		"service in another case":    {lines("GET /proxy/Slack/a HTTP/1.1"), 403, "credential_outside_scope"},
		"service that is encoded":    {lines("GET /proxy/sl%61ck/a HTTP/1.1"), 403, "credential_outside_scope"},
		"prefix in another case":     {lines("GET /Proxy/slack/a HTTP/1.1"), 404, ""},
		"fragment":                   {lines("GET /proxy/slack/a#b HTTP/1.1"), 400, "bad_target"},
		"two tokens":                 {lines("GET /proxy/slack/a HTTP/1.1", "x-passport-token: other"), 401, "token_repeated"},
		"upgrade":                    {lines("GET /proxy/slack/a HTTP/1.1", "Connection: Upgrade", "Upgrade: websocket"), 400, "bad_request"},
		"TE":                         {lines("GET /proxy/slack/a HTTP/1.1", "TE: trailers"), 400, "bad_request"},
		"method override":            {lines("POST /proxy/slack/a HTTP/1.1", "X-HTTP-Method-Override: DELETE", "Content-Length: 0"), 400, "bad_request"},
		"method in lower case":       {lines("get /proxy/slack/a HTTP/1.1"), 400, "bad_request"},
		"TRACE":                      {lines("TRACE /proxy/slack/a HTTP/1.1"), 403, "method_not_allowed"},
		"two lengths":                {lines("POST /proxy/slack/a HTTP/1.1", "Content-Length: 3", "Content-Length: 4") + "abcd", 400, ""},
		"two lengths in one":         {lines("POST /proxy/slack/a HTTP/1.1", "Content-Length: 3, 4") + "abcd", 400, ""},
		"a length with a sign":       {lines("POST /proxy/slack/a HTTP/1.1", "Content-Length: +3") + "abc", 400, ""},
		"another transfer encoding":  {lines("POST /proxy/slack/a HTTP/1.1", "Transfer-Encoding: xchunked") + "0\r\n\r\n", 501, ""},
		"transfer encoding twice":    {lines("POST /proxy/slack/a HTTP/1.1", "Transfer-Encoding: chunked", "Transfer-Encoding: identity") + "0\r\n\r\n", 501, ""},
		"folded header":              {"GET /proxy/slack/a HTTP/1.1\r\nHost: x\r\n X-Passport-Token: y\r\n\r\n", 400, ""},
		"space before the colon":     {lines("GET /proxy/slack/a HTTP/1.1", "X-Passport-Token : y"), 400, ""},
		"two hosts":                  {lines("GET /proxy/slack/a HTTP/1.1", "Host: other"), 400, ""},
		"NUL in a header":            {lines("GET /proxy/slack/a HTTP/1.1", "X-A: a\x00b"), 400, ""},
		"carriage return alone":      {lines("GET /proxy/slack/a HTTP/1.1", "X-A: a\rX-Passport-Token: b"), 400, ""},
		"no token":                   {"GET /proxy/slack/a HTTP/1.1\r\nHost: x\r\n\r\n", 401, "token_missing"},
		"token named by Connection":  {lines("GET /proxy/slack/a%2f HTTP/1.1", "Connection: X-Passport-Token"), 400, "bad_target"},
		"space in the target":        {lines("GET /proxy/slack/a b HTTP/1.1"), 400, ""},
		"control character in query": {lines("GET /proxy/slack/a?x=\x01 HTTP/1.1"), 400, ""},
		"nothing but the service":    {lines("GET /proxy/ HTTP/1.1"), 403, "credential_outside_scope"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, bearer)
			response, body := w.raw(test.request)
			if response.StatusCode != test.status {
				t.Errorf("got %d %q, want %d", response.StatusCode, body, test.status)
			}
			if test.reason != "" && reasonOf(t, body) != test.reason {
				t.Errorf("got %s, want %s", body, test.reason)
			}
			w.nothing()
		})
	}
}

// What can be read in one way alone goes through, in that way.
func TestReverseProxyReframesBodies(t *testing.T) {
	chunks := "5;name=value\r\nhello\r\n6\r\n world\r\n0\r\nX-Trailer: t\r\n\r\n"
	tests := map[string]struct {
		request string
		body    string
	}{
		"chunks with extensions and a trailer": {
			lines("POST /proxy/slack/a HTTP/1.1", "Transfer-Encoding: chunked", "Trailer: X-Trailer", "Connection: close") + chunks, "hello world",
		},
		"expect": {lines("POST /proxy/slack/a HTTP/1.1", "Content-Length: 2", "X-A: b", "Connection: close") + "ab", "ab"},
		"bare line feeds": {
			strings.ReplaceAll(lines("POST /proxy/slack/a HTTP/1.1", "Content-Length: 2", "Connection: close"), "\r\n", "\n") + "ab", "ab",
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, nil)
			if response, body := w.raw(test.request); response.StatusCode != http.StatusOK {
				t.Fatalf("got %d %q", response.StatusCode, body)
			}
			got := w.only()
			for _, secret := range []string{"X-Trailer", "name=value", "Trailer", fronttest.Token} {
				if strings.Contains(got, secret) {
					t.Errorf("the service got %q of %q", secret, got)
				}
			}
			if head, sent, _ := strings.Cut(got, "\r\n\r\n"); unchunked(head, sent) != test.body {
				t.Errorf("the service got %q", got)
			}
		})
	}
}

// unchunked gives a body without its chunks' sizes.
func unchunked(head, body string) string {
	if !strings.Contains(head, "Transfer-Encoding: chunked") {
		return body
	}
	var out strings.Builder
	parts := strings.Split(body, "\r\n")
	for i := 1; i < len(parts); i += 2 {
		out.WriteString(parts[i])
	}
	return out.String()
}

// A length beside chunks is the classic: the length is not believed, and does not go on.
func TestReverseProxyDropsALengthBesideChunks(t *testing.T) {
	w := newWorld(t, nil)
	response, _ := w.raw(lines("POST /proxy/slack/a HTTP/1.1", "Content-Length: 5", "Transfer-Encoding: chunked") +
		"0\r\n\r\nGET /proxy/slack/smuggled HTTP/1.1\r\n\r\n")
	if response.StatusCode == http.StatusOK {
		if got := w.only(); strings.Contains(got, "Content-Length: 5") || strings.Contains(got, "smuggled") {
			t.Errorf("the service got %q", got)
		}
	} else {
		w.nothing()
	}
	for _, ask := range w.judge.Asks() {
		if len(ask.Tokens) == 0 {
			t.Error("the rest of the body was taken for a call")
		}
	}
}

func TestReverseProxyPassesRedirectsOn(t *testing.T) {
	w := newWorld(t, bearer)
	w.upstream.Answer("HTTP/1.1 302 Found\r\nLocation: http://evil.example/?x\r\nContent-Length: 0\r\n\r\n")
	response, _ := w.raw(lines("GET /proxy/slack/a HTTP/1.1", "Connection: close"))
	if response.StatusCode != http.StatusFound || response.Header.Get("Location") != "http://evil.example/?x" {
		t.Errorf("got %d, %v", response.StatusCode, response.Header)
	}
	w.only()
}

func TestReverseProxyCleansAnswers(t *testing.T) {
	w := newWorld(t, bearer)
	w.upstream.Answer("HTTP/1.1 103 Early Hints\r\nLink: <x" + fronttest.Secret + ">\r\n\r\n" +
		"HTTP/1.1 200 OK\r\nSet-Cookie: session=1\r\nAlt-Svc: h3=\":443\"\r\nX-Echo: got " + fronttest.Secret + "!\r\n" +
		"Connection: X-Hop\r\nX-Hop: 1\r\nX-Fine: yes\r\nTransfer-Encoding: chunked\r\nTrailer: X-Tail\r\n\r\n" +
		"2\r\nok\r\n0\r\nX-Tail: " + fronttest.Secret + "\r\n\r\n")
	response, body := w.raw(lines("GET /proxy/slack/a HTTP/1.1", "Connection: close"))
	if response.StatusCode != http.StatusOK || body != "ok" {
		t.Fatalf("got %d %q", response.StatusCode, body)
	}
	for _, header := range []http.Header{response.Header, response.Trailer} {
		for name, values := range header {
			if strings.Contains(strings.Join(values, ""), fronttest.Secret) {
				t.Errorf("%s has the credential", name)
			}
		}
	}
	for _, gone := range []string{"Set-Cookie", "Alt-Svc", "X-Hop"} {
		if _, there := response.Header[gone]; there {
			t.Errorf("%s is there", gone)
		}
	}
	if response.Header.Get("X-Fine") != "yes" || response.Header.Get("X-Echo") != "got [credential]!" {
		t.Errorf("got %v", response.Header)
	}
}
