package service

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"agentpassport.dev/operator/internal/audit"
	"agentpassport.dev/operator/internal/audit/entries"
)

// columns are those of the CSV, in their order. New ones come last.
var columns = []string{
	"epoch", "index", "id", "time", "layer", "action", "step", "outcome", "namespace",
	"object_kind", "object_name", "object_uid",
	"agent_name", "agent_uid", "agent_generation", "agent_document_sha256",
	"passport_jti", "session_id", "actor_username", "actor_via", "error_code", "facts", "replayed",
	"trace_id", "span_id", "prev_hash", "prev_issue_hash", "hash",
	"call_service", "call_method", "call_target",
}

// csvRecord is a record whose facts stay as they are stored.
type csvRecord struct {
	audit.Record
	Facts json.RawMessage `json:"facts"`
}

// csvRows is CSV as in RFC 4180, with a header.
type csvRows struct {
	out   *csv.Writer
	epoch uint64
	cells []string
}

func newCSVRows(out io.Writer, epoch uint64) *csvRows {
	to := csv.NewWriter(out)
	to.UseCRLF = true
	return &csvRows{out: to, epoch: epoch, cells: make([]string, 0, len(columns))}
}

func (c *csvRows) contentType() string { return "text/csv; charset=utf-8; header=present" }

func (c *csvRows) begin() error { return c.out.Write(columns) }

func (c *csvRows) row(entry entries.Entry) error {
	var r csvRecord
	if err := json.Unmarshal(entry.Raw, &r); err != nil {
		return fmt.Errorf("entry %d is no record", entry.Index)
	}
	var facts struct {
		Call audit.Call `json:"call"`
	}
	if len(r.Facts) > 0 {
		if err := json.Unmarshal(r.Facts, &facts); err != nil {
			return fmt.Errorf("entry %d is no record", entry.Index)
		}
	}
	agent := r.Agent
	if agent == nil {
		agent = &audit.Agent{}
	}
	c.cells = append(c.cells[:0],
		strconv.FormatUint(c.epoch, 10), strconv.FormatUint(entry.Index, 10),
		r.ID, r.Time.Format(time.RFC3339Nano), string(r.Layer), string(r.Action), r.Step, string(r.Outcome), r.Namespace,
		r.Object.Kind, r.Object.Name, r.Object.UID,
		agent.Name, agent.UID, orEmpty(agent.Generation), agent.DocumentSHA256,
		r.PassportJTI, r.SessionID, r.Actor.Username, r.Actor.Via, r.ErrorCode, string(r.Facts), strconv.FormatBool(r.Replayed),
		r.TraceID, r.SpanID, r.PrevHash, r.PrevIssueHash, r.Hash,
		facts.Call.Service, facts.Call.Method, facts.Call.Target)
	for i := range c.cells {
		c.cells[i] = defused(c.cells[i])
	}
	return c.out.Write(c.cells)
}

func (c *csvRows) end(string) error {
	c.out.Flush()
	return c.out.Error()
}

func orEmpty(n int64) string {
	if n == 0 {
		return ""
	}
	return strconv.FormatInt(n, 10)
}

// defused is a cell that no spreadsheet takes for a formula: one that begins like one gets an
// apostrophe before it (https://owasp.org/www-community/attacks/CSV_Injection).
func defused(cell string) string {
	begin, _ := utf8.DecodeRuneInString(cell)
	if cell != "" && strings.ContainsRune("=+-@\t\r\n＝＋－＠", begin) {
		return "'" + cell
	}
	return cell
}
