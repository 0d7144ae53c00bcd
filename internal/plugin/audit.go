package plugin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/printers"

	"agentpassport.dev/operator/api/v1alpha1"
	"agentpassport.dev/operator/internal/audit/offline"
	"agentpassport.dev/operator/internal/audit/wire"
)

func (s *session) newAudit() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "audit",
		Short: "Read the audit log, and check it",
		Long: `Read the audit log, and check it.

trail, who-used, export and verify without an argument ask the audit log's service. That takes the ClusterRole
agent-passport-auditor, and a token for its audience: --service-account asks the API server for one,
--audit-token-file names one. From outside the cluster forward a port first:

  kubectl port-forward -n agent-passport-system service/agent-passport-auditlog 8443

and add --connect-to=127.0.0.1:8443. verify of a copy, and bundle, need neither cluster nor service.`,
		GroupID: groupProof,
		Args:    noCommand,
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(s.newAuditTrail(), s.newAuditWhoUsed(), s.newAuditExport(), s.newAuditVerify(), newAuditBundle())
	return cmd
}

// auditRange is the time, and the namespaces, that records are read of.
type auditRange struct {
	all      bool
	from, to string
}

func (r *auditRange) add(cmd *cobra.Command) {
	cmd.Flags().BoolVarP(&r.all, "all-namespaces", "A", false, "Of all namespaces, which takes the right cluster-wide.")
	cmd.Flags().StringVar(&r.from, "from", "", "From this time on: RFC 3339, or a day, in UTC.")
	cmd.Flags().StringVar(&r.to, "to", "", "Before this time.")
}

func (r *auditRange) query(c *cluster) (url.Values, error) {
	query := url.Values{}
	if !r.all {
		query.Set("namespace", c.namespace)
	}
	for name, given := range map[string]string{"from": r.from, "to": r.to} {
		if given == "" {
			continue
		}
		if !isTime(given) {
			return nil, misuse("--%s=%s: want a time such as 2026-08-01T12:00:00Z, or a day such as 2026-08-01", name, given)
		}
		query.Set(name, given)
	}
	return query, nil
}

func isTime(text string) bool {
	for _, layout := range []string{time.RFC3339, time.DateOnly} {
		if _, err := time.Parse(layout, text); err == nil {
			return true
		}
	}
	return false
}

// rowsOutput is -o of a command that prints rows of the log.
type rowsOutput struct{ format string }

func (o *rowsOutput) add(s *session, cmd *cobra.Command) {
	cmd.Flags().StringVarP(&o.format, "output", "o", "", "Output format. One of: (wide, json).")
	s.complete(cmd, "output", cobra.FixedCompletions([]string{"wide", "json"}, cobra.ShellCompDirectiveNoFileComp))
}

func (o *rowsOutput) check() error {
	if o.format != "" && o.format != "wide" && o.format != "json" {
		return misuse("--output=%s: want wide or json", o.format)
	}
	return nil
}

// show prints a value as JSON, or a table.
func (o *rowsOutput) show(out io.Writer, value any, t *table) error {
	if o.format != "json" {
		return t.show(out, printers.PrintOptions{Wide: o.format == "wide"})
	}
	encoder := json.NewEncoder(out)
	encoder.SetIndent("", "  ")
	encoder.SetEscapeHTML(false)
	return encoder.Encode(value)
}

type auditTrailCommand struct {
	*session
	log    auditLog
	output rowsOutput
}

func (s *session) newAuditTrail() *cobra.Command {
	t := &auditTrailCommand{session: s}
	cmd := &cobra.Command{
		Use:   "trail PASSPORT | JTI",
		Short: "Print what the audit log holds of one mission",
		Long:  `Print what the audit log holds of one mission. Of a passport that was deleted, give the jti: pp_ and 32 digits.`,
		Example: `  kubectl passport audit trail answer-ticket-4711 -n agents --service-account=auditor --connect-to=127.0.0.1:8443
  kubectl passport audit trail pp_3a984492085a842b00c691ac8140ec2d -n agents --audit-token-file=token`,
		Args:              exactly(1, "one passport, or its jti"),
		ValidArgsFunction: s.completePassports,
		RunE:              func(cmd *cobra.Command, args []string) error { return t.run(cmd.Context(), args[0]) },
	}
	t.log.add(s, cmd)
	t.output.add(s, cmd)
	return cmd
}

func (t *auditTrailCommand) run(ctx context.Context, given string) error {
	if err := t.output.check(); err != nil {
		return err
	}
	c, err := t.connect()
	if err != nil {
		return err
	}
	jti := given
	if !strings.HasPrefix(given, "pp_") {
		passport := &v1alpha1.Passport{}
		if err := c.Get(ctx, c.key(given), passport); err != nil {
			return fmt.Errorf("%w. Of a deleted passport, give the jti", err)
		}
		if jti = passport.Status.JTI; jti == "" {
			return fmt.Errorf("passport %s in namespace %s is not issued yet: the log has nothing of it", given, c.namespace)
		}
	}
	rows := []auditRow{}
	err = t.rows(ctx, c, &t.log, url.Values{"namespace": {c.namespace}, "jti": {jti}}, func(row auditRow) error {
		rows = append(rows, row)
		return nil
	})
	if err != nil {
		return err
	}
	if len(rows) == 0 {
		return coded(exitNeverCame, "the audit log holds nothing of %s in namespace %s", jti, c.namespace)
	}
	return t.output.show(t.Out, rows, trailTable(rows))
}

func trailTable(rows []auditRow) *table {
	shown := newTable(column{name: "Time"}, column{name: "Action"}, column{name: "Outcome"}, column{name: "By"}, column{name: "What"},
		column{name: "Index", wide: true}, column{name: "Record", wide: true})
	for _, row := range rows {
		by := row.Actor.Username
		if row.Actor.Via != "" {
			by += " through " + row.Actor.Via
		}
		shown.row(stamp(row.Time), string(row.Action), string(row.Outcome), by, strings.TrimPrefix(details(row.Record), ": "),
			fmt.Sprintf("%d/%d", row.Epoch, row.Index), row.ID)
	}
	return shown
}

type auditExportCommand struct {
	*session
	auditRange
	log                         auditLog
	format, file                string
	agent, jti, action, outcome string
}

// exportFormats are those of the service.
var exportFormats = []string{"json", "ndjson", "csv"}

func (s *session) newAuditExport() *cobra.Command {
	e := &auditExportCommand{session: s}
	cmd := &cobra.Command{
		Use:   "export",
		Short: "Export records of the audit log as JSON, NDJSON or CSV",
		Example: `  kubectl passport audit export -n agents --from=2026-08-01 --to=2026-09-01 --format=csv --file=august.csv \
    --service-account=auditor --connect-to=127.0.0.1:8443`,
		Args:              exactly(0, "no argument: narrow the export with flags"),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE:              func(cmd *cobra.Command, _ []string) error { return e.run(cmd.Context()) },
	}
	e.add(cmd)
	flags := cmd.Flags()
	flags.StringVar(&e.format, "format", "json", "json, ndjson or csv.")
	flags.StringVarP(&e.file, "file", "f", "", "The file to write; one that is there is not written over (default: standard output).")
	flags.StringVar(&e.agent, "agent", "", "Those of this agent, by name or UID.")
	flags.StringVar(&e.jti, "jti", "", "Those of this passport.")
	flags.StringVar(&e.action, "action", "", "Those with this action, such as passport.issue.")
	flags.StringVar(&e.outcome, "outcome", "", "Those with this outcome: success, failure, pending or blocked.")
	e.log.add(s, cmd)
	s.complete(cmd, "format", cobra.FixedCompletions(exportFormats, cobra.ShellCompDirectiveNoFileComp))
	s.complete(cmd, "agent", s.completeAgents)
	return cmd
}

func (e *auditExportCommand) run(ctx context.Context) error {
	c, err := e.connect()
	if err != nil {
		return err
	}
	query, err := e.query(c)
	if err != nil {
		return err
	}
	for name, given := range map[string]string{
		"format": e.format, "agent": e.agent, "jti": e.jti, "action": e.action, "outcome": e.outcome,
	} {
		if given != "" {
			query.Set(name, given)
		}
	}
	body, err := e.ask(ctx, c, &e.log, wire.RecordsPath, query)
	if err != nil {
		return err
	}
	defer func() { _ = body.Close() }()
	if e.file == "" {
		return copyWhole(e.Out, body)
	}
	file, err := os.OpenFile(e.file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("--file: %w", err)
	}
	if err := errors.Join(copyWhole(file, body), file.Close()); err != nil {
		return errors.Join(err, os.Remove(e.file))
	}
	_, err = fmt.Fprintln(e.ErrOut, "written to", e.file)
	return err
}

// copyWhole copies an answer; one that broke off is none.
func copyWhole(to io.Writer, from io.Reader) error {
	if _, err := io.Copy(to, from); err != nil {
		return fmt.Errorf("the answer of the audit log broke off, what was written is not whole: %w", err)
	}
	return nil
}

// newAuditVerify checks a copy offline, or has the service check itself.
func (s *session) newAuditVerify() *cobra.Command {
	cmd := offline.NewVerify()
	var log auditLog
	check := cmd.RunE
	cmd.Use = "verify [DIR|BUNDLE --key KEY]"
	cmd.Short = "Check a copy of the audit log, or a bundle, offline; or have the service check itself"
	cmd.Long = `Check a copy of the audit log's data directory, or a bundle, offline, by a public key alone. Of a directory it
checks every record and its hash, the links of every passport and agent, every tile, the heads, the chain of the keys,
and that all of it is what the heads given by --head were signed for.

Without an argument the service checks itself, which is its own word.

It exits with 0 where all holds, with 2 where something does not, and names the first place, and with 1 where that
cannot be said.`
	cmd.Example = `  kubectl passport audit verify ./copy --key=auditlog.pub --head=head-2026-08-01.yaml
  kubectl passport audit verify --service-account=auditor --connect-to=127.0.0.1:8443`
	cmd.Args = between(0, 1, "one directory or bundle")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if len(args) == 1 {
			return check(cmd, args)
		}
		return s.serviceVerify(cmd.Context(), &log)
	}
	log.add(s, cmd)
	return cmd
}

// serviceVerify has the service read all that it has.
func (s *session) serviceVerify(ctx context.Context, log *auditLog) error {
	c, err := s.connect()
	if err != nil {
		return err
	}
	_, _ = fmt.Fprintln(s.ErrOut, "the service reads the whole log, which may take minutes")
	body, err := s.ask(ctx, c, log, "/v1/verify", nil)
	if err != nil {
		return err
	}
	defer func() { _ = body.Close() }()
	var said struct {
		OK    bool   `json:"ok"`
		Size  uint64 `json:"size"`
		Break *struct {
			Position uint64 `json:"position"`
			ID       string `json:"id"`
			Why      string `json:"why"`
		} `json:"break"`
	}
	if err := json.NewDecoder(body).Decode(&said); err != nil {
		return fmt.Errorf("the answer of the audit log cannot be read: %w", err)
	}
	if said.OK {
		_, err := fmt.Fprintf(s.Out, "holds: %d records, by the word of the service. To prove it, verify a copy: kubectl passport audit verify DIR --key=KEY\n", said.Size)
		return err
	}
	if said.Break == nil {
		return coded(exitBad, "does not hold: of %d records, and the service does not say where", said.Size)
	}
	return coded(exitBad, "does not hold: record %d (%s): %s", said.Break.Position, orNone(said.Break.ID), said.Break.Why)
}

func newAuditBundle() *cobra.Command {
	cmd := offline.NewBundle()
	cmd.Example = `  kubectl passport audit bundle --agent=support-bot -n agents --from=2026-08-01 --to=2026-09-01 \
    --data-dir=./copy --key=auditlog.pub -o support-bot.bundle`
	return cmd
}
