package plugin

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"strings"

	"agentpassport.dev/operator/internal/audit"
	"agentpassport.dev/operator/internal/audit/wire"
)

// maxRow is the longest row that is read.
const maxRow = 1 << 20

// auditRow is a record, and where it stands in the log.
type auditRow struct {
	Epoch uint64 `json:"epoch"`
	Index uint64 `json:"index"`
	audit.Record
}

// rows reads the rows of a question one after the other.
func (s *session) rows(ctx context.Context, c *cluster, log *auditLog, query url.Values, each func(auditRow) error) error {
	query.Set("format", "ndjson")
	body, err := s.ask(ctx, c, log, wire.RecordsPath, query)
	if err != nil {
		return err
	}
	defer func() { _ = body.Close() }()
	lines := bufio.NewScanner(body)
	lines.Buffer(nil, maxRow)
	for lines.Scan() {
		var row auditRow
		if err := json.Unmarshal(lines.Bytes(), &row); err != nil {
			return fmt.Errorf("a row of the audit log cannot be read: %w", err)
		}
		if err := each(row); err != nil {
			return err
		}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("the answer of the audit log broke off: %w", err)
	}
	return nil
}

// readTrail reads the trail from the audit log.
func (d *describeCommand) readTrail(ctx context.Context, c *cluster, t *story) error {
	if t.passport.Status.JTI == "" {
		t.notes = append(t.notes, "the passport has no jti yet, and no trail")
		return nil
	}
	query := url.Values{"namespace": {c.namespace}, "jti": {t.passport.Status.JTI}}
	return d.rows(ctx, c, &d.log, query, func(row auditRow) error {
		t.trail = append(t.trail, fmt.Sprintf("%s  %s %s by %s%s", stamp(row.Time), row.Action, row.Outcome, row.Actor.Username, details(row.Record)))
		return nil
	})
}

// details is what a person sees of a record's facts.
func details(record audit.Record) string {
	var told []string
	add := func(text string) {
		if text != "" {
			told = append(told, text)
		}
	}
	add(record.ErrorCode)
	if facts := record.Facts; facts != nil {
		if call := facts.Call; call != nil {
			add(strings.TrimSpace(call.Service + " " + call.Method + " " + call.Target))
		}
		add(facts.Verdict)
		for _, flag := range facts.Flags {
			add(flag.Type)
		}
		add(facts.Decision)
		add(facts.Reason)
		add(facts.Notes)
		add(facts.Summary)
	}
	if len(told) == 0 {
		return ""
	}
	return ": " + strings.Join(told, ", ")
}
