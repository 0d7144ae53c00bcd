package plugin

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"agentpassport.dev/operator/internal/audit"
)

type whoUsedCommand struct {
	*session
	auditRange
	log    auditLog
	output rowsOutput
}

func (s *session) newAuditWhoUsed() *cobra.Command {
	w := &whoUsedCommand{session: s}
	cmd := &cobra.Command{
		Use:   "who-used SERVICE",
		Short: "Print which agents used a service, in which missions, and how often",
		Long: `Print which agents used a service: what gateways let out and refused, and in how many missions the agent itself
reported the service.`,
		Example:           `  kubectl passport audit who-used stripe -n agents --from=2026-08-01 --service-account=auditor --connect-to=127.0.0.1:8443`,
		Args:              exactly(1, "one service"),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE:              func(cmd *cobra.Command, args []string) error { return w.run(cmd.Context(), args[0]) },
	}
	w.add(cmd)
	w.log.add(s, cmd)
	w.output.add(s, cmd)
	return cmd
}

// usage is what one agent did with a service.
type usage struct {
	Namespace string    `json:"namespace"`
	Agent     string    `json:"agent"`
	Calls     int       `json:"calls"`
	Refused   int       `json:"refused"`
	Reported  int       `json:"reported_in_missions"`
	Missions  []string  `json:"missions"`
	First     time.Time `json:"first"`
	Last      time.Time `json:"last"`

	reported map[string]bool
}

func (w *whoUsedCommand) run(ctx context.Context, service string) error {
	if err := w.output.check(); err != nil {
		return err
	}
	c, err := w.connect()
	if err != nil {
		return err
	}
	query, err := w.query(c)
	if err != nil {
		return err
	}
	users := usages{}
	err = w.rows(ctx, c, &w.log, query, func(row auditRow) error {
		users.count(row.Record, service)
		return nil
	})
	if err != nil {
		return err
	}
	all := users.sorted()
	if len(all) == 0 && w.output.format != "json" {
		_, err := fmt.Fprintln(w.ErrOut, "nobody used", service, where(c, w.all)+", as far as the log holds it")
		return err
	}
	t := newTable(column{name: "Namespace"}, column{name: "Agent"}, column{name: "Calls"}, column{name: "Refused"}, column{name: "Reported"},
		column{name: "Missions"}, column{name: "First"}, column{name: "Last"}, column{name: "JTIs", wide: true})
	for _, u := range all {
		t.row(u.Namespace, u.Agent, fmt.Sprint(u.Calls), fmt.Sprint(u.Refused), fmt.Sprint(u.Reported), fmt.Sprint(len(u.Missions)),
			stamp(u.First), stamp(u.Last), strings.Join(u.Missions, ", "))
	}
	return w.output.show(w.Out, all, t)
}

// usages are by namespace and agent.
type usages map[[2]string]*usage

// count takes in a record, where it says that the service was used.
func (users usages) count(record audit.Record, service string) {
	facts := record.Facts
	if facts == nil || record.Agent == nil {
		return
	}
	called := record.Action == audit.CredentialProxy && facts.Call != nil && facts.Call.Service == service
	reported := (record.Action == audit.PassportCheckpoint || record.Action == audit.PassportCheckout) && slices.Contains(facts.ServicesUsed, service)
	if !called && !reported {
		return
	}
	key := [2]string{record.Namespace, record.Agent.Name}
	u := users[key]
	if u == nil {
		u = &usage{Namespace: record.Namespace, Agent: record.Agent.Name, First: record.Time, Last: record.Time, reported: map[string]bool{}}
		users[key] = u
	}
	switch {
	case reported:
		u.reported[record.PassportJTI] = true
		u.Reported = len(u.reported)
	case record.Outcome == audit.Success:
		u.Calls++
	default:
		u.Refused++
	}
	if !slices.Contains(u.Missions, record.PassportJTI) {
		u.Missions = append(u.Missions, record.PassportJTI)
	}
	if record.Time.Before(u.First) {
		u.First = record.Time
	}
	if record.Time.After(u.Last) {
		u.Last = record.Time
	}
}

// sorted are those who used it most first.
func (users usages) sorted() []*usage {
	all := make([]*usage, 0, len(users))
	for _, u := range users {
		all = append(all, u)
	}
	slices.SortFunc(all, func(a, b *usage) int {
		return cmp.Or(cmp.Compare(b.Calls, a.Calls), cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Agent, b.Agent))
	})
	return all
}
