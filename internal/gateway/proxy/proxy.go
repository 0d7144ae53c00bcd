// Package proxy lets calls out over HTTP: one at a time in JSON by POST /v1/proxy, and as a plain reverse
// proxy by /proxy/{service}/{path}.
package proxy

import (
	"context"
	"errors"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"golang.org/x/sync/semaphore"
	"k8s.io/utils/clock"

	"agentpassport.dev/operator/internal/gateway/decision"
	"agentpassport.dev/operator/internal/gateway/dial"
	"agentpassport.dev/operator/internal/gateway/judge"
	"agentpassport.dev/operator/internal/gateway/problem"
)

const (
	// CallPath takes one call in JSON.
	CallPath = "/v1/proxy"
	// Prefix of the reverse proxy; a service and a path follow.
	Prefix = "/proxy/"

	// MaxBody of a call in JSON, of a body that a constraint looks at, and of an answer in JSON: 10 MiB.
	MaxBody = 10 << 20
	// MaxStream of a body that is streamed: 1 GiB.
	MaxStream = 1 << 30
	// BodyWait is how long a caller may take to send a whole body that is read into memory, and how long
	// it may pause in one that is streamed, or in taking an answer.
	BodyWait = 30 * time.Second

	// bodyRoom is how many bytes of callers' bodies are in memory at once: whoever can reach the gateway may
	// send one, before anybody knows whose it is.
	bodyRoom = 256 << 20
)

// Judge decides on calls.
type Judge interface {
	// Judge decides, and records what it decided.
	Judge(ctx context.Context, ask *judge.Ask) *judge.Verdict
	// Late records a refusal that was found after a call had been allowed.
	Late(ctx context.Context, ask *judge.Ask, verdict *judge.Verdict, code decision.Code, reason string)
}

// Proxy is the HTTP front.
type Proxy struct {
	judge      Judge
	transports *dial.Transports
	clock      clock.WithDelayedExecution
	room       *semaphore.Weighted
}

// New makes the front.
func New(judges Judge, transports *dial.Transports, clk clock.WithDelayedExecution) *Proxy {
	return &Proxy{judge: judges, transports: transports, clock: clk, room: semaphore.NewWeighted(bodyRoom)}
}

// Before serves what belongs to the front, and leaves the rest to next. It decides by the request target
// as it arrived, and has to stand before any http.ServeMux, which would clean paths and redirect. Targets
// that are no path are refused here: the gateway is no forward proxy.
func (p *Proxy) Before(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Method == http.MethodConnect, !strings.HasPrefix(r.RequestURI, "/"):
			problem.Write(w, problem.BadRequest("the gateway takes paths alone: it is no forward proxy, and CONNECT and full URLs in the request line are refused"))
		case strings.HasPrefix(r.RequestURI, Prefix):
			p.reverse(w, r)
		case r.RequestURI == CallPath || strings.HasPrefix(r.RequestURI, CallPath+"?"):
			p.call(w, r)
		default:
			next.ServeHTTP(w, r)
		}
	})
}

// source is the address that a request came from.
func source(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}

// fail records a call that was allowed and did not come about, and answers.
func (p *Proxy) fail(w http.ResponseWriter, r *http.Request, ask *judge.Ask, verdict *judge.Verdict, err error) {
	refusal := failure(err)
	p.judge.Late(context.WithoutCancel(r.Context()), ask, verdict, refusal.Code, refusal.Reason)
	problem.Write(w, problem.Of(refusal.Code, refusal.Reason))
}

// errTimeout ends a call in which nothing moves.
var errTimeout = errors.New("the service did not answer in time")

// failure reads an error of sending a call. It names no more of the error than is known to be harmless:
// an error of net/http may quote a URL, and a URL may hold a credential.
func failure(err error) *judge.Refusal {
	var refusal *judge.Refusal
	var address *dial.Refused
	var timeout net.Error
	switch {
	case errors.As(err, &refusal):
		return refusal
	case errors.As(err, &address):
		return &judge.Refusal{Code: decision.CodeAddressRefused, Reason: address.Error()}
	case errors.Is(err, errTimeout), errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded),
		errors.As(err, &timeout) && timeout.Timeout():
		return &judge.Refusal{
			Code:   decision.CodeUpstreamTimeout,
			Reason: "the service did not answer in time; timeoutSeconds of its ServiceConnection is the limit",
		}
	case errors.Is(err, context.Canceled):
		return &judge.Refusal{Code: decision.CodeUpstream, Reason: "the caller went away before the service answered"}
	default:
		return &judge.Refusal{Code: decision.CodeUpstream, Reason: "the service could not be reached: " + kind(err)}
	}
}

// kind says what went wrong with a connection, without the addresses and URLs of the error.
func kind(err error) string {
	var name *net.DNSError
	var op *net.OpError
	switch {
	case errors.As(err, &name):
		return "its name does not resolve"
	case isTLS(err):
		return "its certificate is not valid, or it speaks no TLS 1.2 or later"
	case errors.As(err, &op) && op.Op == "dial":
		return "no connection came about"
	default:
		return "it broke off, or answered with something that is no HTTP"
	}
}
