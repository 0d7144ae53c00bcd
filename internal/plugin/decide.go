package plugin

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/printers"

	"agentpassport.dev/operator/api/v1alpha1"
)

type decideCommand struct {
	*session
	pick
	consent

	decision v1alpha1.Decision
	notes    string
}

// newDecide is review approve, and review block.
func (s *session) newDecide(name string, decision v1alpha1.Decision, short string) *cobra.Command {
	d := &decideCommand{session: s, decision: decision}
	cmd := &cobra.Command{
		Use:   name + " CHECKOUT... | --agent AGENT | --flag FLAG | --service SERVICE",
		Short: short,
		Long: short + `. It shows which, and asks.

With --flag and --service, missions that have other findings beside are left out and named: look at each of these.`,
		Example: fmt.Sprintf(`  kubectl passport review %[1]s answer-ticket-4711 -n agents --notes='Looked at it with the team'
  kubectl passport review %[1]s -n agents --agent=support-bot --flag=undeclared_service --service=notion --notes='See incident 42'`, name),
		ValidArgsFunction: s.completeAwaitingReview,
		RunE:              func(cmd *cobra.Command, args []string) error { return d.run(cmd.Context(), args) },
	}
	d.pick.add(s, cmd)
	cmd.Flags().StringVar(&d.notes, "notes", "", "Why, for whoever reads it later.")
	d.consent.add(cmd)
	return cmd
}

func (d *decideCommand) run(ctx context.Context, names []string) error {
	switch {
	case (len(names) > 0) == d.given():
		return misuse("say which missions in one way: names of checkouts, or --agent, --flag and --service")
	case strings.TrimSpace(d.notes) == "":
		return misuse("--notes is required: say why, for whoever reads it later")
	}
	c, err := d.connect()
	if err != nil {
		return err
	}
	chosen, err := d.choose(ctx, c, names)
	if err != nil {
		return err
	}
	if len(chosen) == 0 {
		_, err := fmt.Fprintln(d.ErrOut, "no mission of that choice", where(c, false), "awaits a review: nothing to decide")
		return err
	}
	if err := d.preview(chosen); err != nil {
		return err
	}
	if err := d.confirm(&d.consent, d.question(chosen, c.namespace)); err != nil {
		return err
	}
	return each(d.session, chosen, func(checkout *v1alpha1.Checkout) (string, error) {
		changed := checkout.DeepCopy()
		changed.Spec.Review = &v1alpha1.Review{Decision: d.decision, Notes: d.notes}
		err := c.patch(ctx, changed, checkout, d.patches()...)
		return d.done(fmt.Sprintf("checkout %s in namespace %s: %s", checkout.Name, checkout.Namespace, d.decision)), err
	})
}

func (d *decideCommand) question(chosen []*v1alpha1.Checkout, namespace string) string {
	missions := counted(len(chosen), "mission", "missions")
	if d.decision == v1alpha1.DecisionApproved {
		return fmt.Sprintf("Approve %s in namespace %s?", missions, namespace)
	}
	var agents []string
	for _, checkout := range chosen {
		agents = append(agents, checkout.Spec.AgentRef.Name)
	}
	return fmt.Sprintf("Block agent %s in namespace %s for %s?", strings.Join(unique(agents), ", "), namespace, missions)
}

// choose are the missions that are decided on. A name of one that awaits no review is refused, with the reason.
func (d *decideCommand) choose(ctx context.Context, c *cluster, names []string) ([]*v1alpha1.Checkout, error) {
	if len(names) == 0 {
		return d.matching(ctx, c)
	}
	var chosen []*v1alpha1.Checkout
	for _, name := range unique(names) {
		checkout := &v1alpha1.Checkout{}
		if err := c.Get(ctx, c.key(name), checkout); err != nil {
			return nil, err
		}
		if !awaitsReview(checkout) {
			return nil, fmt.Errorf("nothing was done: no review is awaited: %s", checkoutOutcome(checkout).text)
		}
		chosen = append(chosen, checkout)
	}
	return chosen, nil
}

// matching are the missions whose every finding was chosen. The others that have a chosen one are named.
func (d *decideCommand) matching(ctx context.Context, c *cluster) ([]*v1alpha1.Checkout, error) {
	waiting, err := c.waiting(ctx, false)
	if err != nil {
		return nil, err
	}
	var chosen []*v1alpha1.Checkout
	for _, checkout := range waiting {
		switch has, others := d.picked(checkout); {
		case has && len(others) == 0:
			chosen = append(chosen, checkout)
		case has:
			_, _ = fmt.Fprintf(d.ErrOut, "left out: checkout %[1]s has %[2]s too: kubectl passport review show %[1]s -n %[3]s\n",
				checkout.Name, flagTypes(others), c.namespace)
		}
	}
	return chosen, nil
}

func (d *decideCommand) preview(chosen []*v1alpha1.Checkout) error {
	t := newTable(column{name: "Checkout"}, column{name: "Agent"}, column{name: "Verdict"}, column{name: "Flags"}, column{name: "Age"}, column{name: "Mission"})
	for _, checkout := range chosen {
		intent := ""
		if mission := checkout.Status.Mission; mission != nil && mission.Intent != nil {
			intent = mission.Intent.Summary
		}
		t.row(checkout.Name, checkout.Spec.AgentRef.Name, string(checkout.Status.Verdict), flagTypes(checkout.Status.Flags),
			age(d.clock.Now(), checkout.CreationTimestamp), intent)
	}
	return t.show(d.ErrOut, printers.PrintOptions{})
}
