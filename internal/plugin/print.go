package plugin

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/duration"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/printers"
)

// output is the flag -o of a command that prints objects.
type output struct {
	flags *genericclioptions.PrintFlags
	// noHeaders leaves out the first line of a table.
	noHeaders bool
}

// add adds -o to a command.
func (o *output) add(cmd *cobra.Command) {
	o.flags = genericclioptions.NewPrintFlags("").WithTypeSetter(scheme)
	o.flags.AddFlags(cmd)
	formats := append([]string{"wide"}, o.flags.AllowedFormats()...)
	cmd.Flag("output").Usage = fmt.Sprintf("Output format. One of: (%s).", strings.Join(formats, ", "))
	must(cmd.RegisterFlagCompletionFunc("output", cobra.FixedCompletions(formats, cobra.ShellCompDirectiveNoFileComp)))
}

// addTable adds -o and --no-headers.
func (o *output) addTable(cmd *cobra.Command) {
	o.add(cmd)
	cmd.Flags().BoolVar(&o.noHeaders, "no-headers", false, "Print no line of headers above a table.")
}

// human says that a person reads: a table or lines, and no object.
func (o *output) human() bool {
	return (*o.flags.OutputFormat == "" && *o.flags.TemplatePrinterFlags.TemplateArgument == "") || o.wide()
}

func (o *output) wide() bool { return *o.flags.OutputFormat == "wide" }

// check refuses a format that there is not, before anything is done.
func (o *output) check() error {
	if o.human() {
		return nil
	}
	if _, err := o.flags.ToPrinter(); err != nil {
		return misuse("--output: %w", err)
	}
	return nil
}

// object prints an object as -o says.
func (o *output) object(object runtime.Object, out io.Writer) error {
	printer, err := o.flags.ToPrinter()
	if err != nil {
		return misuse("--output: %w", err)
	}
	if *o.flags.OutputFormat != "name" || !meta.IsListType(object) {
		return printer.PrintObj(object, out)
	}
	// A list has no name of its own.
	return meta.EachListItem(object, func(item runtime.Object) error { return printer.PrintObj(item, out) })
}

// table is what a person sees of many.
type table struct {
	metav1.Table
}

// column is one of a table; a wide one shows with -o wide alone.
type column struct {
	name string
	wide bool
}

func newTable(columns ...column) *table {
	made := &table{}
	for _, c := range columns {
		definition := metav1.TableColumnDefinition{Name: c.name, Type: "string"}
		if c.wide {
			definition.Priority = 1
		}
		made.ColumnDefinitions = append(made.ColumnDefinitions, definition)
	}
	return made
}

func (t *table) row(cells ...any) {
	for i, cell := range cells {
		if text, ok := cell.(string); ok {
			cells[i] = orNone(text)
		}
	}
	t.Rows = append(t.Rows, metav1.TableRow{Cells: cells})
}

// show prints a table; nothing at all is said of one without rows.
func (t *table) show(out io.Writer, options printers.PrintOptions) error {
	return printers.NewTablePrinter(options).PrintObj(&t.Table, out)
}

func (o *output) options() printers.PrintOptions {
	return printers.PrintOptions{Wide: o.wide(), NoHeaders: o.noHeaders}
}

func orNone(text string) string {
	if text == "" {
		return "<none>"
	}
	return printers.EscapeTerminal(strings.NewReplacer("\n", " ", "\t", " ").Replace(text))
}

// page writes lines of a name and a text, and keeps the first error.
type page struct {
	out io.Writer
	err error
}

func (p *page) line(format string, values ...any) {
	if p.err == nil {
		_, p.err = fmt.Fprintln(p.out, clean(fmt.Sprintf(format, values...)))
	}
}

func (p *page) row(name, format string, values ...any) {
	p.line("%-12s  %s", name, fmt.Sprintf(format, values...))
}

// clean takes from a text what would move the cursor or break the line: agents write some of it.
func clean(text string) string {
	return printers.EscapeTerminal(strings.NewReplacer("\n", " ", "\t", " ").Replace(text))
}

// stamp is a time as all of the operator's own output has it.
func stamp(at time.Time) string { return at.UTC().Format(time.RFC3339) }

// clockTime is a time of today.
func clockTime(at time.Time) string { return at.UTC().Format(time.TimeOnly) }

func moment(at *metav1.Time) string {
	if at == nil {
		return ""
	}
	return stamp(at.Time)
}

// span is a time that passed or is left, such as 4m31s.
func span(d time.Duration) string { return duration.HumanDuration(d) }

func age(now time.Time, since metav1.Time) string {
	if since.IsZero() {
		return ""
	}
	return span(now.Sub(since.Time))
}

// counted is a number and what it counts.
func counted(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

// joined is a list of names.
func joined[T ~string](names []T) string {
	texts := make([]string, len(names))
	for i, name := range names {
		texts[i] = string(name)
	}
	return strings.Join(texts, ", ")
}

// must is for what cannot fail but by a mistake in this package.
func must(err error) {
	if err != nil {
		panic(err)
	}
}
