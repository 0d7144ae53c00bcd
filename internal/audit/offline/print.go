package offline

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"agentpassport.dev/operator/internal/audit/bundle"
	"agentpassport.dev/operator/internal/audit/proof"
)

// page writes lines of two columns, and keeps the first error.
type page struct{ *tabwriter.Writer }

func newPage(out io.Writer) page { return page{tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)} }

func (p page) row(name, format string, values ...any) {
	// A tabwriter keeps its errors until Flush.
	_, _ = fmt.Fprintf(p, "  %s\t%s\n", name, fmt.Sprintf(format, values...))
}

func (p page) line(format string, values ...any) {
	_, _ = fmt.Fprintf(p, format+"\n", values...)
}

func printFolder(out io.Writer, report *proof.Report) error {
	p := newPage(out)
	lost := false
	for _, e := range report.Epochs {
		lost = lost || e.Lost != nil
	}
	if lost {
		p.line("Holds, with a loss that the log itself states: %s", report.Log)
	} else {
		p.line("Whole: %s", report.Log)
	}
	p.row("checked by", "%s", report.Key)
	newest := report.Keys[len(report.Keys)-1]
	p.row("keys", "%d; %s signs since %s (epoch %d, from size %d)", len(report.Keys), newest.ID, stamp(newest.Since), newest.Epoch, newest.From)
	for _, e := range report.Epochs {
		name := fmt.Sprintf("epoch %d", e.Epoch)
		p.row(name, "%d records, %d missions issued, root %s", e.Records, e.Missions, e.Root)
		if e.Lost != nil {
			p.row("", "LOST: %d records were signed, %d kept; %s began epoch %d on %s: %s (%s)",
				e.Lost.Records, e.Lost.Kept, e.Lost.Actor, e.Epoch+1, stamp(e.Lost.Time), e.Lost.Reason, e.Lost.Record)
		}
		if e.Witnessed > 0 {
			p.row("", "%s", witnesses(e.Witnessed, e.Witnesses))
		}
	}
	for _, h := range report.Heads {
		p.row("head", "of epoch %d, %d records, from %s: held", h.Epoch, h.Size, h.From)
	}
	for _, note := range report.Notes {
		p.row("note", "%s", note)
	}
	return p.Flush()
}

func witnesses(size uint64, names []string) string {
	if len(names) == 0 {
		return fmt.Sprintf("a head of %d records has cosignatures, which nobody asked to check (--witnesses)", size)
	}
	return fmt.Sprintf("a head of %d records was witnessed by %s", size, strings.Join(names, ", "))
}

func printBundle(out io.Writer, report *bundle.Report) error {
	p := newPage(out)
	p.line("Holds: what %s/%s did from %s and before %s, by the log %s", report.Agent.Namespace, report.Agent.Name,
		stamp(report.From), stamp(report.To), report.Log)
	p.row("checked by", "%s", report.Key)
	for _, t := range report.Trees {
		p.row(fmt.Sprintf("epoch %d", t.Epoch), "%d records, proven against a head of %d, root %s", t.Records, t.Size, t.Root)
		if t.Witnessed > 0 {
			p.row("", "%s", witnesses(t.Witnessed, t.Witnesses))
		}
		for _, m := range t.Missions {
			p.row("mission", "%s, %d records, the last is %s", m.JTI, m.Records, m.Last)
		}
	}
	p.line("It proves:")
	for _, sentence := range report.Proves {
		p.line("  - %s", sentence)
	}
	p.line("It does not prove:")
	for _, sentence := range report.ProvesNot {
		p.line("  - %s", sentence)
	}
	return p.Flush()
}

func stamp(at time.Time) string { return at.UTC().Format(time.RFC3339) }
