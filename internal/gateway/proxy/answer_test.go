package proxy_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"agentpassport.dev/operator/internal/gateway/fronttest"
)

// A service that echoes what it was called with does not give the credential away, however its body is framed.
func TestReverseProxyScrubsBodies(t *testing.T) {
	half := len(fronttest.Secret) / 2
	for name, answer := range map[string]string{
		"of a known length": fmt.Sprintf("Content-Length: %d\r\n\r\ngot %s!", len(fronttest.Secret)+5, fronttest.Secret),
		"in chunks": fmt.Sprintf("Transfer-Encoding: chunked\r\n\r\n%x\r\ngot %s\r\n%x\r\n%s!\r\n0\r\n\r\n",
			half+4, fronttest.Secret[:half], len(fronttest.Secret)-half+1, fronttest.Secret[half:]),
		"to the end": "Connection: close\r\n\r\ngot " + fronttest.Secret + "!",
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, bearer)
			w.upstream.Answer("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n" + answer)
			response, body := w.raw(lines("GET /proxy/slack/a HTTP/1.1", "Accept-Encoding: gzip", "Accept_Encoding: br", "Connection: close"))
			if response.StatusCode != http.StatusOK || body != "got [credential]!" {
				t.Errorf("got %d %q", response.StatusCode, body)
			}
			if got := strings.ToLower(w.only()); strings.Contains(got, "encoding") {
				t.Errorf("the service may compress: %q", got)
			}
		})
	}
}

// Of an answer with a length the caller learns how long it became, unless it is too long to be held.
func TestReverseProxyKeepsTheLengthOfShortAnswers(t *testing.T) {
	for _, test := range []struct {
		pad  int
		want int64
	}{{0, int64(len("got [credential]!"))}, {64 << 10, -1}} {
		w := newWorld(t, bearer)
		pad := strings.Repeat("x", test.pad)
		w.upstream.Answer(fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%sgot %s!", test.pad+len(fronttest.Secret)+5, pad, fronttest.Secret))
		response, body := w.raw(lines("GET /proxy/slack/a HTTP/1.1", "Connection: close"))
		if response.ContentLength != test.want || body != pad+"got [credential]!" {
			t.Errorf("%d bytes: length %d, want %d; %d bytes came", test.pad, response.ContentLength, test.want, len(body))
		}
	}
}

// A short answer that breaks off is no answer: nothing of it has gone out yet.
func TestReverseProxyRefusesHalfAnAnswer(t *testing.T) {
	w := newWorld(t, bearer)
	w.upstream.Answer("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 100\r\n\r\nhalf")
	response, body := w.raw(lines("GET /proxy/slack/a HTTP/1.1", "Connection: close"))
	if response.StatusCode != http.StatusBadGateway || strings.Contains(body, "half") {
		t.Errorf("got %d %q", response.StatusCode, body)
	}
}

// Without a credential there is nothing to look for: the encoding and the length go through.
func TestReverseProxyLeavesBodiesAloneWithoutACredential(t *testing.T) {
	w := newWorld(t, nil)
	response, body := w.raw(lines("GET /proxy/slack/a HTTP/1.1", "Accept-Encoding: gzip", "Connection: close"))
	if body != "done" || response.ContentLength != 4 || !strings.Contains(w.only(), "Accept-Encoding: gzip\r\n") {
		t.Errorf("got %d bytes, %q", response.ContentLength, body)
	}
}

// An answer without a body is not framed as one with a body, and a length that it names is kept.
func TestReverseProxyGivesNoBodyWhereThereIsNone(t *testing.T) {
	for _, test := range []struct{ method, status, length, want string }{
		{"HEAD", "200 OK", "1234", "1234"},
		{"GET", "304 Not Modified", "1234", ""}, // net/http's server never names it
		{"GET", "200 OK", "0", "0"},
		{"GET", "204 No Content", "", ""},
	} {
		w := newWorld(t, bearer)
		head := "HTTP/1.1 " + test.status + "\r\n"
		if test.length != "" {
			head += "Content-Length: " + test.length + "\r\n"
		}
		w.upstream.Answer(head + "\r\n")
		response, body := w.raw(lines(test.method+" /proxy/slack/a HTTP/1.1", "Connection: close"))
		if got := response.Header.Get("Content-Length"); got != test.want || body != "" || len(response.TransferEncoding) > 0 {
			t.Errorf("%s, %s: length %q, want %q; %v, %q", test.method, test.status, got, test.want, response.TransferEncoding, body)
		}
	}
}
