package service

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"iter"
	"net/http"
	"time"

	"k8s.io/apiserver/pkg/authentication/user"

	"agentpassport.dev/operator/internal/access"
	"agentpassport.dev/operator/internal/audit/entries"
	"agentpassport.dev/operator/internal/audit/wire"
)

const (
	// indexWait is how long a query waits for the index to have what the log has.
	indexWait = 10 * time.Second
	// buffer is how much of a stream is written at once.
	buffer = 64 << 10
	// nextTrailer holds the cursor of the next page after rows that are no JSON object.
	nextTrailer = "Audit-Next-Cursor"
)

// rows streams what a query asks for. Everything that was answered for before is in it.
func (s *service) rows(w http.ResponseWriter, r *http.Request, who user.Info) error {
	q, err := parseRowsQuery(r.URL.RawQuery)
	if err != nil {
		return err
	}
	if err := s.allow(r, who, access.List, q.Namespace); err != nil {
		return err
	}
	q.End = s.Tree.Head().Size
	if q.cursor != nil {
		if q.cursor.epoch != s.Tree.Epoch() {
			return problem(wire.BadRequest, "the cursor is of epoch %d; the log is in epoch %d", q.cursor.epoch, s.Tree.Epoch())
		}
		q.Start = min(q.cursor.index, q.End)
	}
	if !q.All() {
		waiting, cancel := context.WithTimeout(r.Context(), indexWait)
		defer cancel()
		if err := s.Index.Wait(waiting, q.End); err != nil {
			return err
		}
	}
	next, stop := iter.Pull2(s.Index.Rows(r.Context(), q.Query))
	defer stop()
	// As long as nothing is written, what goes wrong can still be said.
	first, err, more := next()
	if more && err != nil {
		return err
	}
	out := bufio.NewWriterSize(s.patient(w), buffer)
	rows := newRowWriter(q.format, out, s.Tree.Epoch())
	s.describe(w, rows, q)
	if err := stream(rows, q, first, more, next); err != nil {
		s.abort(r, err)
	}
	after, err := end(rows, q, s.Tree.Epoch(), next)
	if err == nil {
		err = out.Flush()
	}
	if err != nil {
		s.abort(r, err)
	}
	if q.limit > 0 && q.format != asJSON {
		w.Header().Set(nextTrailer, after)
	}
	return nil
}

// describe writes the header of a stream.
func (s *service) describe(w http.ResponseWriter, rows rowWriter, q rowsQuery) {
	header := w.Header()
	header.Set("Content-Type", rows.contentType())
	header.Set("Content-Disposition", fmt.Sprintf(`attachment; filename="audit-records.%s"`, q.format))
	header.Set("Cache-Control", "no-store")
	if q.limit > 0 && q.format != asJSON {
		header.Set("Trailer", nextTrailer)
	}
	w.WriteHeader(http.StatusOK)
}

// abort ends a stream so that its reader sees that it is not whole: the connection breaks.
func (s *service) abort(r *http.Request, err error) {
	if r.Context().Err() == nil {
		s.Log.Error(err, "a stream of records broke off", "path", r.URL.Path)
	}
	panic(http.ErrAbortHandler)
}

// stream writes rows up to the limit.
func stream(rows rowWriter, q rowsQuery, entry entries.Entry, more bool, next func() (entries.Entry, error, bool)) error {
	if err := rows.begin(); err != nil {
		return err
	}
	for n := uint64(0); more; {
		if err := rows.row(entry); err != nil {
			return err
		}
		n++
		if n == q.limit {
			return nil
		}
		var err error
		if entry, err, more = next(); more && err != nil {
			return err
		}
	}
	return nil
}

// end writes the end, with the cursor of the next page where there are more rows.
func end(rows rowWriter, q rowsQuery, epoch uint64, next func() (entries.Entry, error, bool)) (after string, err error) {
	entry, err, more := next()
	if more {
		if err != nil {
			return "", err
		}
		after = cursor{epoch: epoch, index: entry.Index, filters: q.filters}.String()
	}
	return after, rows.end(after)
}

// rowWriter writes rows in one format.
type rowWriter interface {
	contentType() string
	begin() error
	row(entry entries.Entry) error
	end(next string) error
}

func newRowWriter(as format, out io.Writer, epoch uint64) rowWriter {
	switch as {
	case asNDJSON:
		return &ndjsonRows{out: out, epoch: epoch}
	case asCSV:
		return newCSVRows(out, epoch)
	default:
		return &jsonRows{out: out, epoch: epoch}
	}
}

// appendRow is a record as a row: its fields, and its place in the log before them.
func appendRow(to []byte, epoch uint64, entry entries.Entry) []byte {
	to = fmt.Appendf(to, `{"epoch":%d,"index":%d,`, epoch, entry.Index)
	return append(to, entry.Raw[1:]...)
}

// jsonRows is one object with all rows.
type jsonRows struct {
	out   io.Writer
	epoch uint64
	line  []byte
}

func (j *jsonRows) contentType() string { return "application/json" }

func (j *jsonRows) begin() error {
	_, err := io.WriteString(j.out, `{"rows":[`)
	return err
}

func (j *jsonRows) row(entry entries.Entry) error {
	separator := ",\n"
	if j.line == nil {
		separator = "\n"
	}
	j.line = appendRow(append(j.line[:0], separator...), j.epoch, entry)
	_, err := j.out.Write(j.line)
	return err
}

func (j *jsonRows) end(next string) error {
	text := "]}\n"
	if next != "" {
		text = fmt.Sprintf("],\"next\":%q}\n", next)
	}
	_, err := io.WriteString(j.out, text)
	return err
}

// ndjsonRows is one row a line.
type ndjsonRows struct {
	out   io.Writer
	epoch uint64
	line  []byte
}

func (n *ndjsonRows) contentType() string { return "application/x-ndjson" }
func (n *ndjsonRows) begin() error        { return nil }
func (n *ndjsonRows) end(string) error    { return nil }

func (n *ndjsonRows) row(entry entries.Entry) error {
	n.line = append(appendRow(n.line[:0], n.epoch, entry), '\n')
	_, err := n.out.Write(n.line)
	return err
}
