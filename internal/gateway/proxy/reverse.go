package proxy

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log"
	"maps"
	"net/http"
	"net/http/httputil"
	"strconv"
	"strings"
	"sync"

	"agentpassport.dev/operator/api/v1alpha1"
	"agentpassport.dev/operator/internal/gateway/decision"
	"agentpassport.dev/operator/internal/gateway/headers"
	"agentpassport.dev/operator/internal/gateway/judge"
	"agentpassport.dev/operator/internal/gateway/problem"
	"agentpassport.dev/operator/internal/gateway/target"
)

// reverse sends one call on as it came, streaming both ways.
func (p *Proxy) reverse(w http.ResponseWriter, r *http.Request) {
	service, reference := below(r.RequestURI)
	body := newUpload(p.clock, p.room, w, r)
	defer body.release()
	ask := &judge.Ask{
		Front:   judge.FrontReverseProxy,
		Tokens:  r.Header[headers.Passport],
		Bearer:  r.Header[headers.Authorization],
		Request: &decision.Request{Service: service, Method: r.Method, BodyUnread: body != nil},
		Target:  reference,
		Source:  source(r),
	}
	ask.Request.Header, ask.Malformed = headers.Judged(r.Header)
	if body != nil {
		ask.Body = body.whole
		// What a service answers before it has the whole body comes through while the rest goes up.
		_ = http.NewResponseController(w).EnableFullDuplex() // HTTP/2 knows nothing else
	}
	verdict := p.judge.Judge(r.Context(), ask)
	if verdict.Done != nil {
		defer verdict.Done()
	}
	if !verdict.Allow {
		problem.Write(w, problem.Of(verdict.Code, verdict.Reason))
		return
	}
	p.forward(w, r, &passage{ask: ask, verdict: verdict, body: body})
}

// below cuts a request target such as /proxy/slack/chat.postMessage?x=1. Nothing is decoded.
func below(requestURI string) (v1alpha1.ServiceName, target.Reference) {
	path, query, hasQuery := strings.Cut(strings.TrimPrefix(requestURI, Prefix), "?")
	service, _, _ := strings.Cut(path, "/")
	return v1alpha1.ServiceName(service), target.Relative(path[len(service):], query, hasQuery)
}

// passage is a call that was allowed, on its way.
type passage struct {
	ask     *judge.Ask
	verdict *judge.Verdict
	body    *upload
	// moved tells that something went through.
	moved func()
}

// forward sends the call. It is cut off where nothing has moved for the connection's timeout.
func (p *Proxy) forward(w http.ResponseWriter, r *http.Request, call *passage) {
	limit := call.verdict.Connection.Timeout
	ctx, cancel := context.WithCancelCause(r.Context())
	defer cancel(nil)
	timer := p.clock.AfterFunc(limit, func() { cancel(errTimeout) })
	defer timer.Stop()
	call.moved = func() { timer.Reset(limit) }

	out := &download{ResponseWriter: w, clock: p.clock, moved: call.moved}
	defer out.end()
	proxy := httputil.ReverseProxy{
		Rewrite:        call.rewrite,
		Transport:      p.transports.Of(call.verdict.Connection),
		ModifyResponse: call.answer,
		BufferPool:     buffers{},
		ErrorLog:       quiet,
		ErrorHandler: func(_ http.ResponseWriter, _ *http.Request, err error) {
			p.fail(out, r, call.ask, call.verdict, call.cause(ctx, err))
		},
	}
	proxy.ServeHTTP(out, r.WithContext(ctx))
}

// cause is what ended the call, where the error of sending it does not say so.
func (c *passage) cause(ctx context.Context, err error) error {
	if c.body != nil {
		if refusal := c.body.failure.Load(); refusal != nil {
			return refusal
		}
	}
	if cause := context.Cause(ctx); errors.Is(cause, errTimeout) {
		return cause
	}
	return err
}

// quiet drops what httputil logs: its errors quote URLs.
var quiet = log.New(io.Discard, "", 0)

// rewrite puts in the place of the copied request what was judged, and the credential.
func (c *passage) rewrite(p *httputil.ProxyRequest) {
	judged := c.ask.Request
	out := p.Out
	out.URL = judged.Target.URL()
	out.Host = judged.Target.Host.Authority(judged.Target.Scheme)
	out.Header = judged.Header
	out.Trailer, out.TransferEncoding, out.Form, out.PostForm = nil, nil, nil, nil
	if c.body != nil {
		out.Body, out.ContentLength = c.body.send(c.moved)
	}
	if c.verdict.Credential != nil {
		out.URL.RawQuery = c.verdict.Credential.Apply(out.Header, out.URL.RawQuery)
		// The answer is looked at, and so has to be plain.
		maps.DeleteFunc(out.Header, func(name string, _ []string) bool { return headers.AsSeen(name) == "Accept-Encoding" })
	}
}

// answer takes off a service's answer what is not for the agent.
func (c *passage) answer(response *http.Response) error {
	c.moved()
	headers.Clean(response.Header, c.verdict.Credential)
	body := &answerBody{Reader: response.Body, Closer: response.Body}
	body.end = func() { headers.Clean(response.Trailer, c.verdict.Credential) }
	if c.verdict.Credential != nil && hasBody(response) {
		if err := c.scrub(response, body); err != nil {
			return err
		}
	}
	response.Body = body
	return nil
}

// maxWhole is how long an answer may be, in bytes, that is read whole before it is passed on.
const maxWhole = 64 << 10

// scrub takes the credential out of the body of an answer. A short one is looked at whole, and keeps a length; any
// other one is passed on as it comes.
func (c *passage) scrub(response *http.Response, body *answerBody) error {
	credential, length := c.verdict.Credential, response.ContentLength
	if length < 0 || length > maxWhole || len(response.Trailer) > 0 {
		body.Reader = credential.Reader(response.Body)
		// How long it becomes is known at its end alone.
		response.ContentLength = -1
		response.Header.Del("Content-Length")
		return nil
	}
	var read bytes.Buffer
	read.Grow(int(length) + bytes.MinRead) // so that it never has to grow again
	if _, err := read.ReadFrom(&moving{from: response.Body, moved: c.moved}); err != nil {
		return err
	}
	whole := credential.Scrub(read.Bytes())
	body.Reader = bytes.NewReader(whole)
	response.ContentLength = int64(len(whole))
	response.Header.Set("Content-Length", strconv.Itoa(len(whole)))
	return nil
}

// moving tells of all that is read.
type moving struct {
	from  io.Reader
	moved func()
}

// Read implements io.Reader.
func (m *moving) Read(piece []byte) (int, error) {
	n, err := m.from.Read(piece)
	m.moved()
	return n, err
}

// hasBody says whether an answer may have a body (RFC 9112, section 6.3).
func hasBody(response *http.Response) bool {
	switch {
	case response.Request.Method == http.MethodHead, response.ContentLength == 0:
		return false
	default:
		return response.StatusCode != http.StatusNoContent && response.StatusCode != http.StatusNotModified
	}
}

// answerBody cleans the trailer once it is known: at the end of the body.
type answerBody struct {
	io.Reader
	io.Closer
	end func()
}

func (b *answerBody) Read(piece []byte) (int, error) {
	n, err := b.Reader.Read(piece)
	if errors.Is(err, io.EOF) {
		b.end()
	}
	return n, err
}

const bufferSize = 32 << 10

var pool = sync.Pool{New: func() any { return new([bufferSize]byte) }}

// buffers are what answers are copied by.
type buffers struct{}

// Get implements httputil.BufferPool.
func (buffers) Get() []byte { return pool.Get().(*[bufferSize]byte)[:] }

// Put implements httputil.BufferPool.
func (buffers) Put(buffer []byte) { pool.Put((*[bufferSize]byte)(buffer)) }
