package service

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/util/validation"

	"agentpassport.dev/operator/internal/audit"
	"agentpassport.dev/operator/internal/audit/index"
	"agentpassport.dev/operator/internal/audit/wire"
)

// maxLimit is the most rows that a page may have.
const maxLimit = 10_000

// format is how rows are written.
type format string

const (
	asJSON   format = "json"
	asNDJSON format = "ndjson"
	asCSV    format = "csv"
)

// rowsQuery is what GET of the records asks for.
type rowsQuery struct {
	index.Query
	format format
	// limit is how many rows at most; 0 for all.
	limit uint64
	// cursor is where a page before ended; nil for none.
	cursor *cursor
	// filters tells the query from others, whatever its page and format.
	filters string
}

// filterNames are the parameters that say which rows.
var filterNames = []string{"from", "to", "jti", "agent", "namespace", "action", "outcome"}

func parseRowsQuery(raw string) (rowsQuery, error) {
	given, err := parseParameters(raw, slices.Concat(filterNames, []string{"limit", "cursor", "format"})...)
	if err != nil {
		return rowsQuery{}, err
	}
	q := rowsQuery{format: asJSON, Query: index.Query{
		JTI: given["jti"], Agent: given["agent"], Namespace: given["namespace"],
		Action: audit.Action(given["action"]), Outcome: audit.Outcome(given["outcome"]),
	}}
	if err := q.checkNames(); err != nil {
		return rowsQuery{}, err
	}
	if q.From, err = given.moment("from"); err != nil {
		return rowsQuery{}, err
	}
	if q.To, err = given.moment("to"); err != nil {
		return rowsQuery{}, err
	}
	if !q.From.IsZero() && !q.To.IsZero() && !q.From.Before(q.To) {
		return rowsQuery{}, problem(wire.BadRequest, "from is not before to; to itself is not included")
	}
	if text, found := given["format"]; found {
		q.format = format(text)
		if q.format != asJSON && q.format != asNDJSON && q.format != asCSV {
			return rowsQuery{}, problem(wire.BadRequest, "query parameter format: want json, ndjson or csv")
		}
	}
	if _, found := given["limit"]; found {
		if q.limit, err = given.number("limit", 1, maxLimit); err != nil {
			return rowsQuery{}, err
		}
	}
	q.filters = q.digest()
	if text, found := given["cursor"]; found {
		parsed, err := parseCursor(text)
		if err != nil {
			return rowsQuery{}, err
		}
		if parsed.filters != q.filters {
			return rowsQuery{}, problem(wire.BadRequest, "the cursor is of a query with other filters")
		}
		q.cursor = &parsed
	}
	return q, nil
}

// checkNames refuses what no record can have: a typing error is not an empty answer.
func (q rowsQuery) checkNames() error {
	switch {
	case q.Namespace != "" && len(validation.IsDNS1123Label(q.Namespace)) > 0:
		return problem(wire.BadRequest, "query parameter namespace: that is no name of a namespace")
	case q.Action != "" && !q.Action.Known():
		return problem(wire.BadRequest, "query parameter action: there is no such action; one is %s", audit.PassportIssue)
	case q.Outcome != "" && !q.Outcome.Known():
		return problem(wire.BadRequest, "query parameter outcome: want %s, %s, %s or %s",
			audit.Success, audit.Failure, audit.Pending, audit.Blocked)
	}
	return nil
}

// moment is a parameter as a time: RFC 3339, or a date, which is its midnight in UTC. It is zero where
// the parameter is absent.
func (p parameters) moment(name string) (time.Time, error) {
	text, found := p[name]
	if !found {
		return time.Time{}, nil
	}
	for _, layout := range []string{time.RFC3339Nano, time.DateOnly} {
		if t, err := time.Parse(layout, text); err == nil && !t.IsZero() {
			return t.UTC(), nil
		}
	}
	return time.Time{}, problem(wire.BadRequest,
		"query parameter %s: want a time such as 2026-08-01T12:00:00Z or a date such as 2026-08-01; + is written %%2B", name)
}

// digest tells the filters of queries apart.
func (q rowsQuery) digest() string {
	sum := sha256.Sum256(fmt.Appendf(nil, "%q", []string{
		q.From.Format(time.RFC3339Nano), q.To.Format(time.RFC3339Nano), q.JTI, q.Agent, q.Namespace,
		string(q.Action), string(q.Outcome),
	}))
	return hex.EncodeToString(sum[:8])
}

// cursor is where the next page begins. It holds nothing that the caller may not know.
type cursor struct {
	epoch, index uint64
	filters      string
}

// String is the cursor as it is handed out.
func (c cursor) String() string {
	return fmt.Sprintf("%d.%d.%s", c.epoch, c.index, c.filters)
}

// parseCursor reads what String wrote, and nothing else.
func parseCursor(text string) (cursor, error) {
	parts := strings.Split(text, ".")
	if len(parts) == 3 && len(parts[2]) == 16 {
		epoch, err := parseNumber(parts[0])
		place, err2 := parseNumber(parts[1])
		if _, err3 := hex.DecodeString(parts[2]); err == nil && err2 == nil && err3 == nil && epoch > 0 && place < math.MaxInt64 &&
			parts[2] == strings.ToLower(parts[2]) {
			return cursor{epoch: epoch, index: place, filters: parts[2]}, nil
		}
	}
	return cursor{}, problem(wire.BadRequest, "query parameter cursor: that is none; take it from the answer before")
}
