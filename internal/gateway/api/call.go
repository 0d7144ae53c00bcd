package api

import (
	"bytes"
	"cmp"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net"
	"net/http"
	"os"
	"regexp"
	"time"

	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/utils/clock"
	strictjson "sigs.k8s.io/json"

	"agentpassport.dev/operator/internal/access"
	"agentpassport.dev/operator/internal/gateway/problem"
)

const (
	// maxBody is how many bytes the body of a request may have.
	maxBody = 1 << 20
	// requestIDHeader names a request, in its answer and in the gateway's log.
	requestIDHeader = "X-Request-Id"
)

type service struct {
	Options
	limiter *limiter
}

func newService(options Options) *service {
	options.IssueTimeout = cmp.Or(options.IssueTimeout, defaultWait)
	options.CheckpointTimeout = cmp.Or(options.CheckpointTimeout, defaultWait)
	options.CheckoutTimeout = cmp.Or(options.CheckoutTimeout, defaultWait)
	if options.Local == nil {
		options.Local = clock.RealClock{}
	}
	options.Access = narrowed{options.Access, options.Works}
	return &service{Options: options, limiter: newLimiter(options.Limits, options.Clock)}
}

// call is one request on its way to its answer.
type call struct {
	w *timely
	r *http.Request
	// who calls; nil on a public route.
	who user.Info
}

// serve wraps a route: who is it, not too often, and every error in one shape.
func (s *service) serve(route route) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		id := requestID(r)
		timely := &timely{ResponseWriter: w, clock: s.Local}
		timely.begin(r)
		defer timely.end()
		header := w.Header()
		header.Set(requestIDHeader, id)
		header.Set("X-Content-Type-Options", "nosniff")
		header.Set("Cache-Control", "no-store")
		c := &call{w: timely, r: r}
		err := s.admit(c, route)
		if err == nil {
			err = route.handle(c)
		}
		if err != nil {
			s.refuse(c, id, err)
		}
	}
}

// admit finds out who calls, and whether it is too often.
func (s *service) admit(c *call, route route) error {
	source := sourceOf(c.r)
	if route.public {
		return s.limiter.take("address:" + source)
	}
	// Whoever guesses tokens is stopped before the API server is asked again.
	if err := s.limiter.left("guesses:" + source); err != nil {
		return err
	}
	who, err := s.Access.Authenticate(c.r)
	if err != nil {
		if errors.Is(err, access.ErrUnauthenticated) {
			_ = s.limiter.take("guesses:" + source)
		}
		return err
	}
	c.who = who
	return s.limiter.take("user:" + who.GetName())
}

// refuse answers with an error.
func (s *service) refuse(c *call, id string, err error) {
	told, plain := toFailure(err)
	if !plain && c.r.Context().Err() == nil {
		s.Log.Error(err, "a request could not be answered", "method", c.r.Method, "route", c.r.Pattern, "requestID", id)
	}
	retry, _ := told.details[retryAfter].(int)
	problem.Write(c.w, problem.Problem{
		Status: statuses[told.code], Code: string(told.code), Message: told.message, Details: told.details,
		RetryAfter: time.Duration(retry) * time.Second,
	})
}

// answer writes a whole JSON answer.
func (c *call) answer(status int, body any) error {
	raw, err := json.Marshal(body)
	if err != nil {
		return err
	}
	c.w.Header().Set("Content-Type", "application/json")
	c.w.Header().Set("Content-Length", itoa(len(raw)+1))
	c.w.WriteHeader(status)
	_, err = c.w.Write(append(raw, '\n'))
	return err
}

// give answers that all went well.
func (c *call) give(body any) error { return c.answer(http.StatusOK, body) }

// read takes the body into a value. Every unknown or doubled field is told, with its path.
func (c *call) read(into any) error {
	raw, err := c.body()
	if err != nil {
		return err
	}
	return decode(raw, into)
}

// decode reads one JSON object, strictly.
func decode(raw []byte, into any) error {
	raw = bytes.TrimSpace(raw)
	if len(raw) == 0 || raw[0] != '{' {
		return invalid(fault{Message: "the body is a JSON object"})
	}
	strict, err := strictjson.UnmarshalStrict(raw, into)
	if err != nil {
		return invalid(unreadable(err))
	}
	var problems []fault
	for _, one := range strict {
		problems = append(problems, unknown(one))
	}
	if len(problems) > 0 {
		return invalid(problems...)
	}
	return nil
}

// unreadable says where JSON is none, or has another type, without quoting it.
func unreadable(err error) fault {
	if isSyntax, offset := strictjson.SyntaxErrorOffset(err); isSyntax {
		return fault{Message: "the body is not JSON, at byte " + itoa(int(offset))}
	}
	var wrong *json.UnmarshalTypeError
	if errors.As(err, &wrong) {
		return fault{Field: wrong.Field, Message: "is a JSON " + wrong.Value + ", and has to be " + typeName(wrong.Type)}
	}
	return fault{Message: "the body cannot be read: " + err.Error()}
}

// unmeant says why fields that other systems have are not taken here.
var unmeant = map[string]string{
	"identity_claim_ids":    "there are no identity claims here; leave it out",
	"metadata":              "a passport takes no metadata; say what it is for in intent.summary",
	"service_connection_id": "a service is named: write service, such as slack",
	"parent_token":          "a passport is not delegated by this call",
	"intent_description":    "write intent.summary",
	"intent_services":       "write intent.services",
}

// unknown says what is wrong with a field that is unknown, or there twice.
func unknown(err error) fault {
	said := err.Error()
	var strict strictjson.FieldError
	if !errors.As(err, &strict) {
		return fault{Message: said}
	}
	path := strict.FieldPath()
	last := path[lastDot(path)+1:]
	if why, known := unmeant[last]; known {
		return fault{Field: path, Message: why}
	}
	if bytes.HasPrefix([]byte(said), []byte("duplicate")) {
		return fault{Field: path, Message: "is there twice"}
	}
	return fault{Field: path, Message: "there is no such field"}
}

func (c *call) body() ([]byte, error) {
	if given := c.r.Header.Get("Content-Type"); given != "" {
		if kind, _, err := mime.ParseMediaType(given); err != nil || kind != "application/json" {
			return nil, fail(CodeMediaType, "the body is JSON: send it with Content-Type: application/json")
		}
	}
	raw, err := io.ReadAll(http.MaxBytesReader(c.w.ResponseWriter, c.r.Body, maxBody))
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return nil, fail(CodeTooLarge, "the body has more than %d bytes", maxBody)
	case errors.Is(err, os.ErrDeadlineExceeded):
		return nil, invalid(fault{Message: "the body did not come within " + bodyWait.String()})
	case err != nil:
		return nil, invalid(fault{Message: "the body broke off"})
	}
	c.w.wasRead()
	return raw, nil
}

// wellFormedID is a request id of a client that is taken over.
var wellFormedID = regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`)

func requestID(r *http.Request) string {
	if given := r.Header.Get(requestIDHeader); wellFormedID.MatchString(given) {
		return given
	}
	var drawn [16]byte
	_, _ = rand.Read(drawn[:]) // it never fails
	return hex.EncodeToString(drawn[:])
}

// sourceOf is the address that a request comes from, without its port.
func sourceOf(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}
