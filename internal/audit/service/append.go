package service

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"time"

	"k8s.io/apiserver/pkg/authentication/user"
	kjson "sigs.k8s.io/json"

	"agentpassport.dev/operator/internal/access"
	"agentpassport.dev/operator/internal/audit"
	"agentpassport.dev/operator/internal/audit/tlog"
	"agentpassport.dev/operator/internal/audit/wire"
)

// bodyWait is how long a caller may take to send its records.
const bodyWait = 30 * time.Second

// append takes records and answers when they are durable.
func (s *service) append(w http.ResponseWriter, r *http.Request, who user.Info) error {
	if err := s.allow(r, who, access.Create, ""); err != nil {
		return err
	}
	if r.URL.RawQuery != "" {
		return problem(wire.BadRequest, "POST %s takes no query parameters", wire.RecordsPath)
	}
	control := http.NewResponseController(w)
	if err := control.SetReadDeadline(s.Clock.Now().Add(bodyWait)); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return err
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, wire.MaxBody))
	if err != nil {
		var large *http.MaxBytesError
		if errors.As(err, &large) {
			return problem(wire.TooLarge, "the body has more than %d bytes; send fewer records at once", wire.MaxBody)
		}
		return problem(wire.BadRequest, "the body could not be read to its end")
	}
	// A slow disk is not the caller's fault.
	if err := control.SetReadDeadline(time.Time{}); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return err
	}
	records, err := parseRecords(body)
	if err != nil {
		return err
	}
	began := s.Clock.Now()
	written, err := s.Tree.Append(r.Context(), records...)
	if err != nil {
		return s.refuse(err)
	}
	s.Metrics.duration.Observe(s.Clock.Since(began).Seconds())
	s.Metrics.appended.Add(float64(len(written)))
	for _, told := range s.Appended {
		told()
	}
	return s.give(w, wire.Appended{Entries: written})
}

// refuse is what a caller is told of records that were not written, or nobody knows.
func (s *service) refuse(err error) error {
	switch {
	case errors.Is(err, tlog.ErrClosed):
		s.failed.Do(func() { s.Failed(err) })
		return problem(wire.LogUnavailable, "the log is closed and has to be opened anew; send the same records again")
	case errors.Is(err, audit.ErrRecord):
		return problem(wire.BadRecord, "%s", audit.Redact(err.Error()))
	default:
		// The caller has gone, most likely. Who is still there asks again.
		return problem(wire.LogUnavailable, "nobody knows whether the records were written; send the same records again")
	}
}

// parseRecords reads the body of an append: no field that is unknown or doubled passes.
func parseRecords(body []byte) ([]audit.Record, error) {
	var request struct {
		Records []rawRecord `json:"records"`
	}
	strict, err := kjson.UnmarshalStrict(body, &request)
	if err != nil || len(strict) > 0 {
		return nil, problem(wire.BadRequest, `the body is not {"records": [...]} and nothing else`)
	}
	switch n := len(request.Records); {
	case n == 0:
		return nil, problem(wire.BadRequest, "there is no record in the body")
	case n > wire.MaxRecords:
		return nil, problem(wire.TooLarge, "%d records at once, at most %d", n, wire.MaxRecords)
	}
	records := make([]audit.Record, len(request.Records))
	for i, raw := range request.Records {
		if err := parseRecord(raw, &records[i]); err != "" {
			return nil, problem(wire.BadRecord, "record %d: %s", i+1, audit.Redact(err))
		}
	}
	return records, nil
}

// rawRecord is a record that is not looked into yet.
type rawRecord []byte

// UnmarshalJSON implements json.Unmarshaler.
func (r *rawRecord) UnmarshalJSON(raw []byte) error {
	*r = append((*r)[:0], raw...)
	return nil
}

// parseRecord reads one record, and says what is wrong with it without quoting a value.
func parseRecord(raw []byte, into *audit.Record) string {
	strict, err := kjson.UnmarshalStrict(raw, into)
	var mistyped *json.UnmarshalTypeError
	switch {
	case errors.As(err, &mistyped) && mistyped.Field != "":
		return "field " + mistyped.Field + " is of another type"
	case err != nil:
		return "it is no JSON of a record; times are as in RFC 3339"
	case len(strict) > 0:
		return strict[0].Error()
	}
	return ""
}
