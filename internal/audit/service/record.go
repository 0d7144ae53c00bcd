package service

import (
	"context"
	"encoding/json"
	"net/http"
	"regexp"

	"k8s.io/apiserver/pkg/authentication/user"

	"agentpassport.dev/operator/internal/access"
	"agentpassport.dev/operator/internal/audit/wire"
)

var recordID = regexp.MustCompile(`^ar_[0-9a-f]{32}$`)

// storedEntry is an audit.Entry with the record as it is stored.
type storedEntry struct {
	Epoch  uint64          `json:"epoch"`
	Index  uint64          `json:"index"`
	Record json.RawMessage `json:"record"`
}

// record answers with the record of one id.
func (s *service) record(w http.ResponseWriter, r *http.Request, who user.Info) error {
	if err := s.allow(r, who, access.Get, ""); err != nil {
		return err
	}
	if _, err := parseParameters(r.URL.RawQuery); err != nil {
		return problem(wire.BadRequest, "GET of one record takes no query parameters")
	}
	id := r.PathValue("id")
	if !recordID.MatchString(id) {
		return problem(wire.BadRequest, "that is no record id: ar_ and 32 hexadecimal digits, in lower case")
	}
	size := s.Tree.Head().Size
	waiting, cancel := context.WithTimeout(r.Context(), indexWait)
	defer cancel()
	if err := s.Index.Wait(waiting, size); err != nil {
		return err
	}
	place, found, err := s.Index.Find(id)
	if err != nil {
		return err
	}
	// The index may have got further than the head that was asked for.
	if !found || place >= size {
		return problem(wire.NotFound, "there is no record with this id")
	}
	entry, err := s.entries.At(r.Context(), place, size)
	if err != nil {
		return err
	}
	return s.give(w, storedEntry{Epoch: s.Tree.Epoch(), Index: place, Record: entry.Raw})
}
