package proxy

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"unicode/utf8"

	"agentpassport.dev/operator/internal/gateway/decision"
	"agentpassport.dev/operator/internal/gateway/headers"
	"agentpassport.dev/operator/internal/gateway/judge"
	"agentpassport.dev/operator/internal/gateway/problem"
	"agentpassport.dev/operator/internal/gateway/target"
)

// Answer is what POST /v1/proxy gives back: the answer of the service, whatever its status.
type Answer struct {
	// Status of the service's answer. Redirects are not followed: they are answers like others.
	Status int `json:"status"`
	// Headers by name in lower case; several values are joined by a comma.
	Headers map[string]string `json:"headers"`
	// Body as text, or in base64 where it is no UTF-8.
	Body string `json:"body"`
	// BodyEncoding is base64 where Body is.
	BodyEncoding string `json:"body_encoding,omitempty"`
}

// call takes one call in JSON and gives its answer in JSON.
func (p *Proxy) call(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		problem.Write(w, problem.MethodNotAllowed(CallPath+" takes POST"))
		return
	}
	if r.RequestURI != CallPath {
		problem.Write(w, problem.BadRequest(CallPath+" takes no query: that of the call goes into url or query of the body"))
		return
	}
	body := newUpload(p.clock, p.room, w, r)
	defer body.release()
	ask, refusal := read(r, body)
	if refusal != nil {
		problem.Write(w, problem.Of(refusal.Code, refusal.Reason))
		return
	}
	verdict := p.judge.Judge(r.Context(), ask)
	if verdict.Done != nil {
		defer verdict.Done()
	}
	if !verdict.Allow {
		problem.Write(w, problem.Of(verdict.Code, verdict.Reason))
		return
	}
	answer, err := p.send(r.Context(), ask, verdict)
	if err != nil {
		p.fail(w, r, ask, verdict, err)
		return
	}
	give(&download{ResponseWriter: w, clock: p.clock, moved: func() {}}, answer)
}

// read reads the call that the body describes.
func read(r *http.Request, body *upload) (*judge.Ask, *judge.Refusal) {
	if body == nil {
		return nil, badRequest("the body is empty: want JSON with service, method and url")
	}
	text, err := body.whole()
	if err != nil {
		return nil, unreadCall(err)
	}
	envelope, refusal := parseEnvelope(text)
	if refusal != nil {
		return nil, refusal
	}
	ask := &judge.Ask{
		Front:   judge.FrontProxy,
		Tokens:  r.Header[headers.Passport],
		Bearer:  r.Header[headers.Authorization],
		Request: &decision.Request{Service: envelope.Service, Method: envelope.Method},
		Source:  source(r),
	}
	full, header, malformed := envelope.describe()
	ask.Target, ask.Request.Header, ask.Malformed = target.Full(full), header, malformed
	ask.Request.Body = envelope.content
	return ask, nil
}

// unreadCall keeps what was said of the body.
func unreadCall(err error) *judge.Refusal {
	var refusal *judge.Refusal
	if errors.As(err, &refusal) {
		return refusal
	}
	return badRequest("the body could not be read")
}

func badRequest(reason string) *judge.Refusal {
	return &judge.Refusal{Code: decision.CodeBadRequest, Reason: reason}
}

// send sends the call that was judged, and nothing after it: a redirect is an answer.
func (p *Proxy) send(ctx context.Context, ask *judge.Ask, verdict *judge.Verdict) (*Answer, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	timer := p.clock.AfterFunc(verdict.Connection.Timeout, func() { cancel(errTimeout) })
	defer timer.Stop()
	answer, err := p.exchange(outgoing(ctx, ask, verdict), verdict)
	if cause := context.Cause(ctx); err != nil && errors.Is(cause, errTimeout) {
		return nil, cause
	}
	return answer, err
}

// outgoing is the request as it goes out.
func outgoing(ctx context.Context, ask *judge.Ask, verdict *judge.Verdict) *http.Request {
	judged := ask.Request
	out := &http.Request{
		Method: judged.Method,
		URL:    judged.Target.URL(),
		Host:   judged.Target.Host.Authority(judged.Target.Scheme),
		Header: judged.Header,
	}
	if judged.Body != nil {
		out.Body, out.ContentLength = io.NopCloser(bytes.NewReader(judged.Body)), int64(len(judged.Body))
	}
	if verdict.Credential != nil {
		out.URL.RawQuery = verdict.Credential.Apply(out.Header, out.URL.RawQuery)
	}
	if _, given := out.Header["User-Agent"]; !given {
		out.Header["User-Agent"] = []string{""} // else net/http names itself
	}
	return out.WithContext(ctx)
}

// exchange sends a request and reads the whole answer.
func (p *Proxy) exchange(out *http.Request, verdict *judge.Verdict) (*Answer, error) {
	response, err := p.transports.Of(verdict.Connection).RoundTrip(out)
	if err != nil {
		return nil, err
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(response.Body, MaxBody+1))
	if err != nil {
		return nil, err
	}
	if len(body) > MaxBody {
		return nil, &judge.Refusal{
			Code:   decision.CodeTooLarge,
			Reason: "the service's answer has more than 10 MiB; ask it for less, or call it through " + Prefix + verdict.Connection.Name + "/, which streams",
		}
	}
	return answerOf(response, body, verdict), nil
}

// answerOf puts an answer into JSON's terms, without what is not for the agent.
func answerOf(response *http.Response, body []byte, verdict *judge.Verdict) *Answer {
	headers.DropHops(response.Header)
	headers.Clean(response.Header, verdict.Credential)
	if verdict.Credential != nil {
		body = verdict.Credential.Scrub(body)
	}
	answer := &Answer{Status: response.StatusCode, Headers: make(map[string]string, len(response.Header)), Body: string(body)}
	for name, values := range response.Header {
		answer.Headers[strings.ToLower(name)] = strings.Join(values, ", ")
	}
	if !utf8.Valid(body) {
		answer.Body, answer.BodyEncoding = base64.StdEncoding.EncodeToString(body), "base64"
	}
	return answer
}

// give writes an answer.
func give(w *download, answer *Answer) {
	defer w.end()
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	_ = encoder.Encode(answer) // a caller that is gone misses it
}
