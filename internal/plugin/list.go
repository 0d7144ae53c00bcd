package plugin

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"agentpassport.dev/operator/api/v1alpha1"
)

// pageSize is how many objects are read at once.
const pageSize = 500

// phases that a passport can be in.
var phases = []v1alpha1.Phase{
	v1alpha1.PhasePending, v1alpha1.PhaseActive, v1alpha1.PhaseCheckedOut, v1alpha1.PhaseExpired, v1alpha1.PhaseRevoked, v1alpha1.PhaseRejected,
}

// choice narrows passports.
type choice struct {
	all            bool
	agent, session string
	phases         []string
	labels         string
}

func (f *choice) add(s *session, cmd *cobra.Command) {
	cmd.Flags().BoolVarP(&f.all, "all-namespaces", "A", false, "Those of all namespaces.")
	cmd.Flags().StringVar(&f.agent, "agent", "", "Those of this agent.")
	cmd.Flags().StringSliceVar(&f.phases, "phase", nil, "Those in these phases: "+joined(phases)+"; or live, which is Pending and Active.")
	cmd.Flags().StringVar(&f.session, "session", "", "Those of this session.")
	cmd.Flags().StringVarP(&f.labels, "selector", "l", "", "Those with these labels, such as team=support.")
	s.complete(cmd, "agent", s.completeAgents)
	s.complete(cmd, "phase", cobra.FixedCompletions(append(strings.Split(joined(phases), ", "), "live"), cobra.ShellCompDirectiveNoFileComp))
}

// check refuses a phase that there is not.
func (f *choice) check() error {
	for _, given := range f.phases {
		if given != "live" && !slices.ContainsFunc(phases, func(phase v1alpha1.Phase) bool { return strings.EqualFold(string(phase), given) }) {
			return misuse("--phase=%s: want %s or live", given, joined(phases))
		}
	}
	return nil
}

// chosen says whether a passport is among those.
func (f *choice) chosen(p *v1alpha1.Passport) bool {
	phase := phaseOf(p)
	inPhase := len(f.phases) == 0 || slices.ContainsFunc(f.phases, func(given string) bool {
		return strings.EqualFold(given, string(phase)) || (given == "live" && !phase.Finished())
	})
	return inPhase && (f.agent == "" || f.agent == p.Spec.AgentRef.Name) && (f.session == "" || f.session == p.Status.SessionID)
}

// phaseOf is the phase; one that the operator has not seen is Pending too.
func phaseOf(p *v1alpha1.Passport) v1alpha1.Phase {
	if p.Status.Phase == "" {
		return v1alpha1.PhasePending
	}
	return p.Status.Phase
}

// passports are those of the choice, in the order of namespaces and names.
func (c *cluster) passports(ctx context.Context, f *choice) ([]*v1alpha1.Passport, error) {
	options, err := listOptions(c, f.all, f.labels)
	if err != nil {
		return nil, err
	}
	all, err := listed[*v1alpha1.Passport](ctx, c, &v1alpha1.PassportList{}, options...)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(all, func(p *v1alpha1.Passport) bool { return !f.chosen(p) }), nil
}

func listOptions(c *cluster, all bool, labels string) ([]client.ListOption, error) {
	options := []client.ListOption{c.in(all)}
	if labels != "" {
		selector, err := parseSelector(labels)
		if err != nil {
			return nil, misuse("--selector=%s: %w", labels, err)
		}
		options = append(options, selector)
	}
	return options, nil
}

// listed reads all objects of a list, page by page.
func listed[T client.Object](ctx context.Context, c client.Reader, list client.ObjectList, options ...client.ListOption) ([]T, error) {
	var all []T
	for {
		if err := c.List(ctx, list, append(options, client.Limit(pageSize), client.Continue(list.GetContinue()))...); err != nil {
			return nil, err
		}
		for _, item := range items[T](list) {
			all = append(all, item.DeepCopyObject().(T))
		}
		if list.GetContinue() == "" {
			return all, nil
		}
	}
}

type listCommand struct {
	*session
	choice
	output output
}

func (s *session) newList() *cobra.Command {
	l := &listCommand{session: s}
	cmd := &cobra.Command{
		Use:     "list",
		Aliases: []string{"ls"},
		Short:   "List passports, with the time that each has left",
		Example: `  kubectl passport list -n agents
  kubectl passport list -A --phase=live --agent=support-bot -o wide`,
		GroupID:           groupMission,
		Args:              exactly(0, "no argument: narrow the list with --agent and --phase"),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE:              func(cmd *cobra.Command, _ []string) error { return l.run(cmd.Context()) },
	}
	l.add(s, cmd)
	l.output.addTable(cmd)
	return cmd
}

func (l *listCommand) run(ctx context.Context) error {
	if err := l.check(); err != nil {
		return err
	}
	if err := l.output.check(); err != nil {
		return err
	}
	c, err := l.connect()
	if err != nil {
		return err
	}
	found, err := c.passports(ctx, &l.choice)
	if err != nil {
		return err
	}
	if !l.output.human() {
		list := &v1alpha1.PassportList{Items: make([]v1alpha1.Passport, len(found))}
		for i, p := range found {
			list.Items[i] = *p
		}
		return l.output.object(list, l.Out)
	}
	if len(found) == 0 {
		_, err := fmt.Fprintln(l.ErrOut, "no passports", where(c, l.all))
		return err
	}
	return passportTable(found, l.all, l.clock.Now()).show(l.Out, l.output.options())
}

// where says which namespaces were looked into.
func where(c *cluster, all bool) string {
	if all {
		return "in any namespace"
	}
	return "in namespace " + c.namespace
}

// passportTable is what a person sees of passports.
func passportTable(passports []*v1alpha1.Passport, withNamespace bool, now time.Time) *table {
	columns := []column{
		{name: "Name"},
		{name: "Agent"},
		{name: "Phase"},
		{name: "Reason"},
		{name: "Mode"},
		{name: "Left"},
		{name: "Checkpoint-By"},
		{name: "Checkpoints"},
		{name: "Age"},
		{name: "JTI", wide: true},
		{name: "Session", wide: true},
		{name: "Expires", wide: true},
		{name: "Intent", wide: true},
	}
	if withNamespace {
		columns = slices.Insert(columns, 0, column{name: "Namespace"})
	}
	t := newTable(columns...)
	for _, p := range passports {
		cells := passportCells(p, now)
		if withNamespace {
			cells = slices.Insert(cells, 0, any(p.Namespace))
		}
		t.row(cells...)
	}
	return t
}

func passportCells(p *v1alpha1.Passport, now time.Time) []any {
	reason, _ := whyOf(p)
	mode, intent, checkpoints := "", "", "0"
	if p.Status.Issued != nil {
		mode = string(p.Status.Issued.Mode)
	}
	if p.Spec.Intent != nil {
		intent = p.Spec.Intent.Summary
	}
	if p.Status.Checkpoints != nil {
		checkpoints = fmt.Sprint(*p.Status.Checkpoints)
	}
	by := ""
	if p.Status.CheckpointBy != nil && p.Status.Phase == v1alpha1.PhaseActive {
		by = clockTime(p.Status.CheckpointBy.Time)
	}
	return []any{
		p.Name, p.Spec.AgentRef.Name, string(phaseOf(p)), reason, mode, timeLeft(p, now), by, checkpoints, age(now, p.CreationTimestamp),
		p.Status.JTI, p.Status.SessionID, moment(p.Status.ExpirationTime), intent,
	}
}

// timeLeft is how long an Active passport lives unless something moves its expiry.
func timeLeft(p *v1alpha1.Passport, now time.Time) string {
	switch {
	case p.Status.Phase != v1alpha1.PhaseActive || p.Status.ExpirationTime == nil:
		return "-"
	case !now.Before(p.Status.ExpirationTime.Time):
		return "0s"
	default:
		return countdown(p.Status.ExpirationTime.Sub(now))
	}
}

// countdown is a time left, to the second.
func countdown(left time.Duration) string {
	return left.Truncate(time.Second).String()
}

// sortPassports sorts by namespace, then by name.
func sortPassports(passports []*v1alpha1.Passport) {
	slices.SortFunc(passports, func(a, b *v1alpha1.Passport) int {
		return cmp.Or(strings.Compare(a.Namespace, b.Namespace), strings.Compare(a.Name, b.Name))
	})
}
