package plugin

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"agentpassport.dev/operator/api/v1alpha1"
)

func (s *session) newReview() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "review",
		Short: "See which missions a person has to decide on, and decide",
		Long: `See which missions a person has to decide on, and decide.

A review takes somebody who had no part in the mission, with the ClusterRole agent-passport-reviewer. A decision does
not change.`,
		GroupID: groupPeople,
		Args:    noCommand,
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(
		s.newReviewList(), s.newReviewShow(),
		s.newDecide("approve", v1alpha1.DecisionApproved, "Let missions pass: the agent goes on"),
		s.newDecide("block", v1alpha1.DecisionBlocked, "Block the agents of missions: no passports until the block is lifted"),
	)
	return cmd
}

// finding is what groups missions: an agent, and what was found.
type finding struct {
	namespace, agent, flag, service string
}

// group is the missions with one finding.
type group struct {
	finding
	severity  v1alpha1.Severity
	checkouts []*v1alpha1.Checkout
}

// grouped puts Checkouts into groups by agent, flag and service, the worst first. A Checkout is in one group for
// each of its flags that is more than information.
func grouped(checkouts []*v1alpha1.Checkout) []*group {
	groups := map[finding]*group{}
	for _, checkout := range checkouts {
		for _, flag := range worthReview(checkout) {
			key := finding{checkout.Namespace, checkout.Spec.AgentRef.Name, flag.Type, string(flag.Service)}
			found := groups[key]
			if found == nil {
				found = &group{finding: key, severity: flag.Severity}
				groups[key] = found
			}
			if badness(flag.Severity) > badness(found.severity) {
				found.severity = flag.Severity
			}
			if len(found.checkouts) == 0 || found.checkouts[len(found.checkouts)-1] != checkout {
				found.checkouts = append(found.checkouts, checkout)
			}
		}
	}
	all := make([]*group, 0, len(groups))
	for _, found := range groups {
		all = append(all, found)
	}
	slices.SortFunc(all, func(a, b *group) int {
		return cmp.Or(badness(b.severity)-badness(a.severity), strings.Compare(a.namespace, b.namespace),
			strings.Compare(a.agent, b.agent), strings.Compare(a.flag, b.flag), strings.Compare(a.service, b.service))
	})
	return all
}

// worthReview are the flags that are more than information.
func worthReview(checkout *v1alpha1.Checkout) []v1alpha1.Flag {
	var flags []v1alpha1.Flag
	for _, flag := range checkout.Status.Flags {
		if flag.Severity != v1alpha1.SeverityInfo {
			flags = append(flags, flag)
		}
	}
	return flags
}

func badness(severity v1alpha1.Severity) int {
	return slices.Index([]v1alpha1.Severity{v1alpha1.SeverityInfo, v1alpha1.SeverityWarning, v1alpha1.SeverityCritical}, severity)
}

// waiting are the Checkouts that a person has to decide on, the oldest first.
func (c *cluster) waiting(ctx context.Context, all bool) ([]*v1alpha1.Checkout, error) {
	checkouts, err := listed[*v1alpha1.Checkout](ctx, c, &v1alpha1.CheckoutList{}, c.in(all))
	if err != nil {
		return nil, err
	}
	checkouts = slices.DeleteFunc(checkouts, func(checkout *v1alpha1.Checkout) bool { return !awaitsReview(checkout) })
	slices.SortStableFunc(checkouts, func(a, b *v1alpha1.Checkout) int {
		return a.CreationTimestamp.Compare(b.CreationTimestamp.Time)
	})
	return checkouts, nil
}

// pick narrows Checkouts by what was found.
type pick struct{ agent, flag, service string }

func (k *pick) add(s *session, cmd *cobra.Command) {
	cmd.Flags().StringVar(&k.agent, "agent", "", "Those of this agent.")
	cmd.Flags().StringVar(&k.flag, "flag", "", "Those with this flag, such as undeclared_service.")
	cmd.Flags().StringVar(&k.service, "service", "", "Those with a flag about this service.")
	s.complete(cmd, "agent", s.completeAgents)
}

func (k *pick) given() bool { return *k != pick{} }

// matches says whether a flag is one of those.
func (k *pick) matches(flag v1alpha1.Flag) bool {
	return (k.flag == "" || k.flag == flag.Type) && (k.service == "" || k.service == string(flag.Service))
}

// picked says whether a Checkout has such a flag, and which other ones that are more than information.
func (k *pick) picked(checkout *v1alpha1.Checkout) (has bool, others []v1alpha1.Flag) {
	if k.agent != "" && k.agent != checkout.Spec.AgentRef.Name {
		return false, nil
	}
	for _, flag := range worthReview(checkout) {
		if k.matches(flag) {
			has = true
		} else {
			others = append(others, flag)
		}
	}
	return has, others
}

type reviewListCommand struct {
	*session
	pick
	all    bool
	output output
}

func (s *session) newReviewList() *cobra.Command {
	l := &reviewListCommand{session: s}
	cmd := &cobra.Command{
		Use:     "list",
		Aliases: []string{"ls"},
		Short:   "List missions that await a review, grouped by agent, flag and service",
		Example: `  kubectl passport review list -A
  kubectl passport review list -n agents --flag=undeclared_service -o name`,
		Args:              exactly(0, "no argument: narrow the list with --agent, --flag and --service"),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE:              func(cmd *cobra.Command, _ []string) error { return l.run(cmd.Context()) },
	}
	cmd.Flags().BoolVarP(&l.all, "all-namespaces", "A", false, "Those of all namespaces.")
	l.add(s, cmd)
	l.output.addTable(cmd)
	return cmd
}

func (l *reviewListCommand) run(ctx context.Context) error {
	if err := l.output.check(); err != nil {
		return err
	}
	c, err := l.connect()
	if err != nil {
		return err
	}
	waiting, err := c.waiting(ctx, l.all)
	if err != nil {
		return err
	}
	waiting = slices.DeleteFunc(waiting, func(checkout *v1alpha1.Checkout) bool {
		has, _ := l.picked(checkout)
		return !has
	})
	if !l.output.human() {
		list := &v1alpha1.CheckoutList{Items: make([]v1alpha1.Checkout, len(waiting))}
		for i, checkout := range waiting {
			list.Items[i] = *checkout
		}
		return l.output.object(list, l.Out)
	}
	if len(waiting) == 0 {
		_, err := fmt.Fprintln(l.ErrOut, "no mission", where(c, l.all), "awaits a review")
		return err
	}
	return l.table(waiting).show(l.Out, l.output.options())
}

// shownNames is how many names a group shows, without -o wide.
const shownNames = 3

func (l *reviewListCommand) table(waiting []*v1alpha1.Checkout) *table {
	t := newTable(column{name: "Namespace"}, column{name: "Agent"}, column{name: "Flag"}, column{name: "Service"}, column{name: "Severity"},
		column{name: "Missions"}, column{name: "Oldest"}, column{name: "Checkouts"})
	now := l.clock.Now()
	for _, found := range grouped(waiting) {
		if !l.matches(v1alpha1.Flag{Type: found.flag, Service: v1alpha1.ServiceName(found.service)}) {
			continue
		}
		names := make([]string, len(found.checkouts))
		for i, checkout := range found.checkouts {
			names[i] = checkout.Name
		}
		if more := len(names) - shownNames; more > 0 && !l.output.wide() {
			names = append(names[:shownNames], fmt.Sprintf("and %d more", more))
		}
		t.row(found.namespace, found.agent, found.flag, found.service, string(found.severity), fmt.Sprint(len(found.checkouts)),
			age(now, found.checkouts[0].CreationTimestamp), strings.Join(names, ", "))
	}
	return t
}

type reviewShowCommand struct {
	*session
	output output
}

func (s *session) newReviewShow() *cobra.Command {
	w := &reviewShowCommand{session: s}
	cmd := &cobra.Command{
		Use:               "show CHECKOUT",
		Short:             "Show what was found in a mission, and what that rests on",
		Example:           `  kubectl passport review show answer-ticket-4711 -n agents`,
		Args:              exactly(1, "one checkout"),
		ValidArgsFunction: s.completeAwaitingReview,
		RunE:              func(cmd *cobra.Command, args []string) error { return w.run(cmd.Context(), args[0]) },
	}
	w.output.add(cmd)
	return cmd
}

func (w *reviewShowCommand) run(ctx context.Context, name string) error {
	if err := w.output.check(); err != nil {
		return err
	}
	c, err := w.connect()
	if err != nil {
		return err
	}
	checkout := &v1alpha1.Checkout{}
	if err := c.Get(ctx, c.key(name), checkout); err != nil {
		return err
	}
	if !w.output.human() {
		return w.output.object(checkout, w.Out)
	}
	return w.print(checkout)
}

func (w *reviewShowCommand) print(checkout *v1alpha1.Checkout) error {
	p := &page{out: w.Out}
	p.line("Checkout %s in namespace %s", checkout.Name, checkout.Namespace)
	p.row("passport", "%s (%s)", checkout.Spec.PassportRef.Name, checkout.Status.JTI)
	p.row("agent", "%s", checkout.Spec.AgentRef.Name)
	if mission := checkout.Status.Mission; mission != nil {
		w.mission(p, mission)
	}
	p.row("reported", "%s: %s", checkout.Spec.Outcome, checkout.Spec.Summary)
	for _, flag := range checkout.Status.Flags {
		p.row("flag", "%s", flagLine(flag))
		for _, evidence := range flag.Evidence {
			p.row("", "  %s = %s", evidence.Name, evidence.Value)
		}
	}
	p.row("so", "%s", checkoutOutcome(checkout).text)
	return p.err
}

func (w *reviewShowCommand) mission(p *page, mission *v1alpha1.MissionRecord) {
	if mission.Intent != nil {
		p.row("mission", "%s", mission.Intent.Summary)
		p.row("intent", "%s", joined(mission.Intent.Services))
	}
	p.row("carried", "%s", joined(mission.GrantedServices))
	p.row("used", "%s", orNone(joined(mission.ServicesUsed)))
	p.row("ran", "%s, from %s to %s, ended %s%s", time.Duration(mission.DurationSeconds)*time.Second, moment(mission.IssueTime), moment(mission.EndTime),
		mission.Phase, inBrackets(mission.Reason, mission.Message))
	p.row("did", "%s, %s, longest silence %ds", counted(int(mission.Actions), "action", "actions"),
		counted(int(mission.Checkpoints), "checkpoint", "checkpoints"), mission.LongestGapSeconds)
	for _, signal := range mission.Signals {
		p.row("signal", "%-8s  %s: %s", signal.Severity, signal.Type, signal.Message)
	}
	if seen := mission.Observed; seen != nil {
		p.row("gateways saw", "%s, %d refused", counted(int(seen.Calls), "call", "calls"), seen.Denied)
	}
	p.row("asked for by", "%s", actor(mission.RequestedBy))
	p.row("reported by", "%s", orNone(strings.Join(mission.Submitters, ", ")))
}
