// Package server is the manager's side of the channel: gateways ask it for tokens and status lists, and
// report to it what they see. Every replica gives tokens; reports are for the one that leads.
//
// A request is answered in this order: is it a gateway's, is there such a path, does this replica answer
// it, is it well formed. Whatever is no success is answered with a wire.Failure. Nothing here logs: what
// passes through are tokens.
package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"

	"agentpassport.dev/operator/internal/channel/wire"
)

// Tokens signs the tokens of passports. An error that is a *wire.Error is the answer; any other says that
// the API server could not be asked.
type Tokens interface {
	Token(ctx context.Context, request wire.TokenRequest) (wire.TokenAnswer, error)
}

// StatusLists signs status lists. Its errors are as those of Tokens.
type StatusLists interface {
	List(ctx context.Context, epoch, list int64) (jwt string, err error)
}

// Signals takes what gateways saw. It says of each one whether it is settled: stored for good, or never
// going to be.
type Signals interface {
	Report(ctx context.Context, signals []wire.Signal) (settled []bool, err error)
}

// Connections takes what became of credentials.
type Connections interface {
	Report(ctx context.Context, connections []wire.Connection) error
}

// Options are what the channel answers with.
type Options struct {
	// Gateway is the common name of the certificates of gateways.
	Gateway string
	// Leading says whether this replica leads.
	Leading func() bool
	// What answers. The path of one that is nil is not there.
	Tokens      Tokens
	StatusLists StatusLists
	Signals     Signals
	Connections Connections
	Metrics     *Metrics
}

// statusListType is the media type of a signed status list.
const statusListType = "application/statuslist+jwt"

// answer is what goes back: a JSON value, or a text of another type.
type answer struct {
	value any
	text  string
}

type route struct {
	// name in metrics.
	name, pattern string
	// leader says that only the replica that leads answers.
	leader bool
	serve  func(*http.Request) (answer, error)
}

type service struct{ Options }

// New is the handler of everything. It has to be reached over TLS that asks for a client's certificate
// and verifies it: see TLS.
func New(options Options) http.Handler {
	s := &service{options}
	mux := http.NewServeMux()
	for _, r := range s.routes() {
		mux.HandleFunc(r.pattern, s.handler(r))
	}
	mux.HandleFunc("/", s.handler(route{name: "other", serve: func(*http.Request) (answer, error) {
		return answer{}, &wire.Error{Code: wire.NotFound, Message: "there is no such path for this method"}
	}}))
	return mux
}

func (s *service) routes() []route {
	var routes []route
	if s.Tokens != nil {
		routes = append(routes, route{name: "token", pattern: "POST " + wire.TokenPath, serve: s.token})
	}
	if s.StatusLists != nil {
		routes = append(routes, route{name: "statuslist", pattern: "GET " + wire.StatusListPath + "{epoch}/{list}", serve: s.statusList})
	}
	if s.Signals != nil {
		routes = append(routes, route{name: "signals", pattern: "POST " + wire.SignalsPath, leader: true, serve: s.signals})
	}
	if s.Connections != nil {
		routes = append(routes, route{name: "connections", pattern: "POST " + wire.ConnectionsPath, leader: true, serve: s.connections})
	}
	return routes
}

func (s *service) handler(r route) http.HandlerFunc {
	return func(w http.ResponseWriter, request *http.Request) {
		request.Body = http.MaxBytesReader(w, request.Body, wire.MaxBody)
		given, err := s.serve(r, request)
		if err != nil {
			failure := asFailure(err)
			s.Metrics.count(r.name, string(failure.Code))
			writeJSON(w, statusOf(failure.Code), wire.Failure{Error: *failure})
			return
		}
		s.Metrics.count(r.name, "ok")
		if given.value == nil {
			w.Header().Set("Content-Type", statusListType)
			_, _ = io.WriteString(w, given.text)
			return
		}
		writeJSON(w, http.StatusOK, given.value)
	}
}

func (s *service) serve(r route, request *http.Request) (answer, error) {
	if !s.isGateway(request) {
		return answer{}, &wire.Error{Code: wire.Forbidden, Message: "the certificate is no gateway's"}
	}
	if r.leader && !s.Leading() {
		return answer{}, &wire.Error{Code: wire.NotLeading, Message: "this manager does not lead: another one answers"}
	}
	return r.serve(request)
}

// isGateway says whether the certificate that was shown, and verified, is a gateway's.
func (s *service) isGateway(request *http.Request) bool {
	return request.TLS != nil && len(request.TLS.VerifiedChains) > 0 &&
		request.TLS.VerifiedChains[0][0].Subject.CommonName == s.Gateway
}

func (s *service) token(request *http.Request) (answer, error) {
	var asked wire.TokenRequest
	if err := read(request, &asked); err != nil {
		return answer{}, err
	}
	if asked.Namespace == "" || asked.Name == "" || asked.UID == "" {
		return answer{}, badRequest("namespace, name and uid are required")
	}
	given, err := s.Tokens.Token(request.Context(), asked)
	return answer{value: given}, err
}

func (s *service) statusList(request *http.Request) (answer, error) {
	epoch, errEpoch := strconv.ParseInt(request.PathValue("epoch"), 10, 64)
	list, errList := strconv.ParseInt(request.PathValue("list"), 10, 64)
	if errEpoch != nil || errList != nil || epoch < 0 || list < 0 {
		return answer{}, badRequest("a status list is named by two numbers: epoch and list")
	}
	text, err := s.StatusLists.List(request.Context(), epoch, list)
	return answer{text: text}, err
}

func (s *service) signals(request *http.Request) (answer, error) {
	var asked wire.Signals
	if err := read(request, &asked); err != nil {
		return answer{}, err
	}
	if err := few(len(asked.Signals)); err != nil {
		return answer{}, err
	}
	settled, err := s.Signals.Report(request.Context(), asked.Signals)
	return answer{value: wire.SignalsAnswer{Settled: settled}}, err
}

func (s *service) connections(request *http.Request) (answer, error) {
	var asked wire.Connections
	if err := read(request, &asked); err != nil {
		return answer{}, err
	}
	if err := few(len(asked.Connections)); err != nil {
		return answer{}, err
	}
	return answer{value: struct{}{}}, s.Connections.Report(request.Context(), asked.Connections)
}

func few(items int) error {
	if items > wire.MaxItems {
		return badRequest(fmt.Sprintf("%d items at once, at most %d", items, wire.MaxItems))
	}
	return nil
}

// read reads the one JSON value of a body. Fields that it does not know are left out: a gateway may be newer.
func read(request *http.Request, into any) error {
	decoder := json.NewDecoder(request.Body)
	err := decoder.Decode(into)
	if err == nil {
		if _, err = decoder.Token(); errors.Is(err, io.EOF) {
			return nil
		}
	}
	var large *http.MaxBytesError
	if errors.As(err, &large) {
		return badRequest(fmt.Sprintf("the body is over %d bytes", large.Limit))
	}
	return badRequest("the body is not the one JSON object that this path takes")
}

func badRequest(message string) error {
	return &wire.Error{Code: wire.BadRequest, Message: message}
}

// asFailure is what the asker is told of an error. What other errors say is not meant for it.
func asFailure(err error) *wire.Error {
	var failure *wire.Error
	if errors.As(err, &failure) {
		return failure
	}
	return &wire.Error{Code: wire.Unavailable, Message: "the manager cannot ask the API server; try again"}
}

func statusOf(code wire.Code) int {
	switch code {
	case wire.BadRequest:
		return http.StatusBadRequest
	case wire.Forbidden:
		return http.StatusForbidden
	case wire.NotFound:
		return http.StatusNotFound
	case wire.NotActive:
		return http.StatusConflict
	default: // NotLeading, Unavailable
		return http.StatusServiceUnavailable
	}
}

func writeJSON(w http.ResponseWriter, status int, value any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(value) // who went away needs no answer
}
