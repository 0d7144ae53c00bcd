package service

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"time"

	"github.com/go-logr/logr"
	authenticationv1 "k8s.io/api/authentication/v1"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/utils/clock"

	"agentpassport.dev/operator/internal/audit"
	"agentpassport.dev/operator/internal/audit/recovery"
	"agentpassport.dev/operator/internal/audit/wire"
	"agentpassport.dev/operator/internal/audit/writer"
)

// EpochsPath is where a new epoch is begun (POST) for a log that lost records.
const EpochsPath = "/v1/epochs"

// maxReason is how many bytes a request to begin an epoch may have.
const maxReason = 16 << 10

// Recovery is what begins a new epoch; a *recovery.Gate is one.
type Recovery interface {
	Begin(ctx context.Context, who authenticationv1.UserInfo, reason string) (audit.Entry, error)
	Lost() *writer.LostError
}

// beginning is the body of a request to begin an epoch.
type beginning struct {
	// Reason is kept for good, in the first record of the epoch.
	Reason string `json:"reason"`
}

// Epochs is the handler of a log that is not open: it takes requests to begin a new epoch, and says of every
// other one why there is no answer. It goes on serving EpochsPath when the log is open, to say so.
func Epochs(gate Recovery, access Access, now clock.PassiveClock, log logr.Logger) http.Handler {
	s := &service{Options: Options{Access: access, Clock: now, Log: log}}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		err := s.begin(w, r, gate)
		if err == nil {
			return
		}
		said := s.say(r, err)
		w.Header().Set("Cache-Control", "no-store")
		if said.Code == wire.Unauthenticated {
			w.Header().Set("WWW-Authenticate", "Bearer")
		}
		if err := s.answer(w, statuses[said.Code], wire.Failure{Error: said}); err != nil {
			s.Log.V(1).Info("an error could not be told", "why", err.Error())
		}
	})
}

func (s *service) begin(w http.ResponseWriter, r *http.Request, gate Recovery) error {
	who, err := s.Access.Authenticate(r)
	if err != nil {
		return err
	}
	if r.URL.Path != EpochsPath {
		if lost := gate.Lost(); lost != nil {
			return problem(wire.LogUnavailable, "the audit log takes no records and answers no queries: %v", lost)
		}
		return problem(wire.LogUnavailable, "the audit log is being read from its first record; try again in a while")
	}
	if r.Method != http.MethodPost {
		w.Header().Set("Allow", http.MethodPost)
		return problem(wire.MethodNotAllowed, "this path takes POST alone")
	}
	var asked beginning
	decoder := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxReason))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&asked); err != nil {
		return problem(wire.BadRequest, `want {"reason": "..."}`)
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return problem(wire.BadRequest, `want {"reason": "..."}, and nothing after it`)
	}
	// Reading the whole log again takes its time.
	if err := http.NewResponseController(w).SetWriteDeadline(time.Time{}); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return err
	}
	entry, err := gate.Begin(r.Context(), asUser(who), audit.Redact(asked.Reason))
	switch {
	case errors.Is(err, recovery.ErrForbidden):
		return problem(wire.Forbidden, "%v", err)
	case errors.Is(err, recovery.ErrReason):
		return problem(wire.BadRequest, "%v", err)
	case errors.Is(err, recovery.ErrDone):
		return problem(wire.Conflict, "%v", err)
	case err != nil:
		return err
	}
	return s.give(w, wire.Appended{Entries: []audit.Entry{entry}})
}

func asUser(who user.Info) authenticationv1.UserInfo {
	extra := make(map[string]authenticationv1.ExtraValue, len(who.GetExtra()))
	for name, values := range who.GetExtra() {
		extra[name] = values
	}
	return authenticationv1.UserInfo{Username: who.GetName(), UID: who.GetUID(), Groups: who.GetGroups(), Extra: extra}
}
