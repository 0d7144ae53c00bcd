// Package service is the audit log over HTTP: appending, reading rows, proofs, the verification, and
// the log itself as tlog-tiles lays it out (https://c2sp.org/tlog-tiles).
//
// A request is answered in this order: who is it, is there such a path, may they, is it well formed.
// Whatever is no success is answered with a wire.Failure.
package service

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/utils/clock"

	"agentpassport.dev/operator/internal/access"
	"agentpassport.dev/operator/internal/audit"
	"agentpassport.dev/operator/internal/audit/entries"
	"agentpassport.dev/operator/internal/audit/index"
	"agentpassport.dev/operator/internal/audit/tlog"
	"agentpassport.dev/operator/internal/audit/wire"
)

// Tree is the tree that is appended to, and its reader.
type Tree interface {
	tlog.Reader
	// Append is that of tlog.Log, with the epoch in each entry.
	Append(ctx context.Context, records ...audit.Record) ([]audit.Entry, error)
	// Head is the last head that was signed and published.
	Head() tlog.Head
	// Epoch counts the trees, from 1.
	Epoch() uint64
	// Heads opens its checkpoints.
	Heads() tlog.Keys
}

// Access says who a caller is and what it may. The errors are those of package access.
type Access interface {
	Authenticate(request *http.Request) (user.Info, error)
	Authorize(ctx context.Context, who user.Info, right access.Right) error
}

// Options are what the service works with.
type Options struct {
	Tree    Tree
	Index   *index.Index
	Access  Access
	Metrics *Metrics
	Clock   clock.PassiveClock
	Log     logr.Logger
	// Appended are told when records were appended.
	Appended []func()
	// Failed is told, once, that the log takes no more: it has to be opened anew.
	Failed func(error)
}

type service struct {
	Options
	entries *entries.Reader
	failed  sync.Once
	// verifying lets one verification run at a time.
	verifying sync.Mutex
}

// New is the handler of everything.
func New(options Options) http.Handler {
	s := &service{Options: options, entries: entries.NewReader(options.Tree)}
	routes := map[string]map[string]func(http.ResponseWriter, *http.Request, user.Info) error{
		wire.RecordsPath:           {http.MethodPost: s.append, http.MethodGet: s.rows},
		wire.RecordsPath + "/{id}": {http.MethodGet: s.record},
		"/v1/proof/inclusion":      {http.MethodGet: s.inclusion},
		"/v1/proof/consistency":    {http.MethodGet: s.consistency},
		"/v1/verify":               {http.MethodGet: s.verify},
		"/log/{epoch}/{path...}":   {http.MethodGet: s.resource, http.MethodHead: s.resource},
		"/":                        nil,
	}
	mux := http.NewServeMux()
	for path, methods := range routes {
		mux.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) {
			if err := s.serve(w, r, methods); err != nil {
				s.fail(w, r, err)
			}
		})
	}
	return mux
}

func (s *service) serve(w http.ResponseWriter, r *http.Request, methods map[string]func(http.ResponseWriter, *http.Request, user.Info) error) error {
	// What the request before on this connection has set is not for this one.
	if err := http.NewResponseController(w).SetWriteDeadline(time.Time{}); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return err
	}
	w.Header().Set("X-Content-Type-Options", "nosniff")
	who, err := s.Access.Authenticate(r)
	if err != nil {
		return err
	}
	if methods == nil {
		return problem(wire.NotFound, "there is nothing at this path")
	}
	handle, found := methods[r.Method]
	if !found {
		var has []string
		for _, method := range []string{http.MethodGet, http.MethodHead, http.MethodPost} {
			if methods[method] != nil {
				has = append(has, method)
			}
		}
		allow := strings.Join(has, ", ")
		w.Header().Set("Allow", allow)
		return problem(wire.MethodNotAllowed, "this path takes %s alone: records are never changed or deleted", allow)
	}
	return handle(w, r, who)
}

// failure is an error with its code.
type failure struct {
	code    wire.Code
	message string
}

func (f *failure) Error() string { return f.message }

func problem(code wire.Code, format string, args ...any) error {
	return &failure{code: code, message: fmt.Sprintf(format, args...)}
}

// statuses are the HTTP status of each code.
var statuses = map[wire.Code]int{
	wire.BadRequest:        http.StatusBadRequest,
	wire.BadRecord:         http.StatusBadRequest,
	wire.TooLarge:          http.StatusRequestEntityTooLarge,
	wire.Unauthenticated:   http.StatusUnauthorized,
	wire.Forbidden:         http.StatusForbidden,
	wire.NotFound:          http.StatusNotFound,
	wire.MethodNotAllowed:  http.StatusMethodNotAllowed,
	wire.Conflict:          http.StatusConflict,
	wire.Busy:              http.StatusTooManyRequests,
	wire.LogUnavailable:    http.StatusServiceUnavailable,
	wire.IndexBehind:       http.StatusServiceUnavailable,
	wire.ReviewUnavailable: http.StatusServiceUnavailable,
	wire.Internal:          http.StatusInternalServerError,
}

// fail answers with an error.
func (s *service) fail(w http.ResponseWriter, r *http.Request, err error) {
	said := s.say(r, err)
	s.Metrics.refused.WithLabelValues(string(said.Code)).Inc()
	status := statuses[said.Code]
	if status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", "Bearer")
	}
	w.Header().Set("Cache-Control", "no-store")
	if err := s.answer(w, status, wire.Failure{Error: said}); err != nil {
		s.Log.V(1).Info("an error could not be told", "why", err.Error())
	}
}

// say is what a caller is told of an error.
func (s *service) say(r *http.Request, err error) wire.Error {
	var known *failure
	switch {
	case errors.As(err, &known):
		return wire.Error{Code: known.code, Message: known.message}
	case errors.Is(err, access.ErrUnauthenticated):
		return wire.Error{Code: wire.Unauthenticated, Message: err.Error()}
	case errors.Is(err, access.ErrForbidden):
		return wire.Error{Code: wire.Forbidden, Message: err.Error()}
	case errors.Is(err, access.ErrUnavailable):
		return wire.Error{Code: wire.ReviewUnavailable, Message: err.Error()}
	case errors.Is(err, index.ErrBehind):
		s.Log.Error(err, "a query could not be answered")
		return wire.Error{Code: wire.IndexBehind, Message: "the index has not caught up with the log; try again in a while"}
	}
	if r.Context().Err() == nil {
		s.Log.Error(err, "a request could not be answered", "method", r.Method, "path", r.URL.Path)
	}
	return wire.Error{Code: wire.Internal, Message: "the log could not be read; the log of the service says why"}
}

// answerWait is how long a caller may take to read what is written next.
const answerWait = 30 * time.Second

// answer writes a whole answer.
func (s *service) answer(w http.ResponseWriter, status int, body any) error {
	raw, err := json.Marshal(body)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, err = s.patient(w).Write(append(raw, '\n'))
	return err
}

// give is answer with success. What then goes wrong is the connection, which has nobody to be told.
func (s *service) give(w http.ResponseWriter, body any) error {
	if err := s.answer(w, http.StatusOK, body); err != nil {
		s.Log.V(1).Info("an answer could not be written", "why", err.Error())
	}
	return nil
}

// patient writes to a caller who has to keep reading, however long the whole takes.
type patient struct {
	to      http.ResponseWriter
	control *http.ResponseController
	clock   clock.PassiveClock
}

func (s *service) patient(w http.ResponseWriter) *patient {
	return &patient{to: w, control: http.NewResponseController(w), clock: s.Clock}
}

// Write implements io.Writer.
func (p *patient) Write(data []byte) (int, error) {
	if err := p.control.SetWriteDeadline(p.clock.Now().Add(answerWait)); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return 0, err
	}
	return p.to.Write(data) //nolint:gosec // G705: it is JSON, CSV or bytes, and never taken for HTML (nosniff)
}
