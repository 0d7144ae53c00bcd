package api

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"

	"agentpassport.dev/operator/internal/access"
	"agentpassport.dev/operator/internal/audit/wire"
)

const (
	verifyPath = "/v1/verify"
	// nextTrailer holds the cursor of the next page after rows that are no JSON object.
	nextTrailer = "Audit-Next-Cursor"
	// maxFailure is how much of an answer of the audit log is read that is no success.
	maxFailure = 64 << 10
)

const auditRecords = "auditrecords"

// export streams rows of the audit log: those of the namespaces that the caller may list.
func (s *service) export(c *call) error {
	query, err := c.query("from", "to", "format", "jti", "agent", "namespace", "action", "outcome", "limit", "cursor")
	if err != nil {
		return err
	}
	asked := url.Values{}
	for _, name := range []string{"from", "to", "format", "jti", "action", "outcome", "limit", "cursor"} {
		if value, there := query[name]; there {
			asked.Set(name, value)
		}
	}
	namespace := query["namespace"]
	if query["agent"] != "" {
		key, wrong := agentID(query["agent"], firstOf(namespace, ownNamespace(c.who)))
		if wrong != "" {
			return invalid(fault{Field: "agent", Message: wrong})
		}
		namespace = key.Namespace
		asked.Set("agent", key.Name)
	}
	if namespace, err = s.scope(c, access.List, auditRecords, namespace); err != nil {
		return err
	}
	if namespace != "" {
		asked.Set("namespace", namespace)
	}
	return s.forward(c, asked)
}

// forward streams what the audit log answers.
func (s *service) forward(c *call, asked url.Values) error {
	response, err := s.ask(c, wire.RecordsPath, asked)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	header := c.w.Header()
	for _, name := range []string{"Content-Type", "Content-Disposition"} {
		if value := response.Header.Get(name); value != "" {
			header.Set(name, value)
		}
	}
	if _, paged := response.Trailer[nextTrailer]; paged {
		header.Set("Trailer", nextTrailer)
	}
	c.w.WriteHeader(http.StatusOK)
	if _, err := io.Copy(c.w, response.Body); err != nil {
		// The reader has to see that it is not whole: the connection breaks.
		panic(http.ErrAbortHandler)
	}
	if next := response.Trailer.Get(nextTrailer); next != "" {
		header.Set(nextTrailer, next)
	}
	return nil
}

// ask gives an answer of the audit log that is a success.
func (s *service) ask(c *call, path string, query url.Values) (*http.Response, error) {
	response, err := s.AuditLog.Get(c.r.Context(), path, query)
	if err != nil {
		s.Log.Error(err, "the audit log does not answer")
		return nil, fail(CodeAuditUnavailable, "the audit log does not answer: try again").with(details{retryAfter: 5})
	}
	if response.StatusCode == http.StatusOK {
		return response, nil
	}
	defer func() { _ = response.Body.Close() }()
	var said wire.Failure
	raw, err := io.ReadAll(io.LimitReader(response.Body, maxFailure))
	if err == nil {
		err = json.Unmarshal(raw, &said)
	}
	switch {
	case err == nil && said.Error.Code == wire.BadRequest:
		return nil, fail(CodeInvalidRequest, "%s", said.Error.Message)
	case err == nil && said.Error.Code == wire.Busy:
		return nil, fail(CodeAuditUnavailable, "%s", said.Error.Message).with(details{retryAfter: 5})
	}
	s.Log.Error(errors.New(said.Error.Message), "the audit log refuses the gateway", "status", response.StatusCode)
	return nil, fail(CodeAuditUnavailable, "the audit log cannot answer now: try again").with(details{retryAfter: 5})
}

// chainAnswer is how the verification of the trail went.
type chainAnswer struct {
	Valid bool        `json:"valid"`
	Size  uint64      `json:"size"`
	Break *chainBreak `json:"break,omitempty"`
}

// chainBreak is the first place that does not hold.
type chainBreak struct {
	Position *uint64 `json:"position,omitempty"`
	ID       string  `json:"id,omitempty"`
	Why      string  `json:"why"`
}

// verifyChain has the audit log walk and prove itself.
func (s *service) verifyChain(c *call) error {
	if _, err := c.query(); err != nil {
		return err
	}
	if err := s.may(c, access.Right{Verb: access.Get, Resource: auditRecords}); err != nil {
		return err
	}
	response, err := s.ask(c, verifyPath, nil)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	var walked struct {
		OK    bool        `json:"ok"`
		Size  uint64      `json:"size"`
		Break *chainBreak `json:"break"`
	}
	if err := json.NewDecoder(io.LimitReader(response.Body, maxFailure)).Decode(&walked); err != nil {
		return fail(CodeAuditUnavailable, "the audit log broke off: try again")
	}
	return c.give(chainAnswer{Valid: walked.OK, Size: walked.Size, Break: walked.Break})
}
