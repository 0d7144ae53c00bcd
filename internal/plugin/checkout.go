package plugin

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"agentpassport.dev/operator/api/v1alpha1"
)

// outcomes are how a mission went.
var outcomes = []v1alpha1.MissionOutcome{v1alpha1.OutcomeSucceeded, v1alpha1.OutcomeFailed, v1alpha1.OutcomeAborted}

type checkoutCommand struct {
	*session
	output output

	services         []string
	actions          int64
	summary, outcome string
	wait, forReview  bool
	timeout          time.Duration
}

func (s *session) newCheckout() *cobra.Command {
	k := &checkoutCommand{session: s}
	cmd := &cobra.Command{
		Use:   "checkout PASSPORT",
		Short: "End a mission, and wait for the verdict",
		Long: `End a mission, and wait for the verdict.

It exits as wait does: with 0 where the mission is accepted, with 2 where the Checkout does not count or a reviewer
blocked the agent, with 3 where a reviewer has to decide, with 4 where there is no verdict in time.`,
		Example: `  kubectl passport checkout answer-ticket-4711 -n agents --services=slack,github --actions=12 \
    --summary='Ticket resolved; customer notified'`,
		GroupID:           groupMission,
		Args:              exactly(1, "one passport"),
		ValidArgsFunction: s.completePassports,
		RunE: func(cmd *cobra.Command, args []string) error {
			return k.run(cmd.Context(), args[0], cmd.Flags().Changed("actions"))
		},
	}
	flags := cmd.Flags()
	flags.StringSliceVar(&k.services, "services", nil, "Every service that the mission used.")
	flags.Int64Var(&k.actions, "actions", 0, "How many actions the whole mission took (default: the sum of its checkpoints).")
	flags.StringVar(&k.summary, "summary", "", "What was done, in a sentence.")
	flags.StringVar(&k.outcome, "outcome", string(v1alpha1.OutcomeSucceeded), "How it went: "+joined(outcomes)+".")
	flags.BoolVar(&k.wait, "wait", true, "Wait for the verdict.")
	flags.BoolVar(&k.forReview, "wait-for-review", false, "Wait for the reviewer too, where a person has to decide.")
	flags.DurationVar(&k.timeout, "timeout", time.Minute, "How long to wait at most.")
	k.output.add(cmd)
	s.complete(cmd, "outcome", cobra.FixedCompletions(strings.Split(joined(outcomes), ", "), cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

func (k *checkoutCommand) run(ctx context.Context, name string, counted bool) error {
	checkout, err := k.checkout(name, counted)
	if err != nil {
		return err
	}
	c, err := k.connect()
	if err != nil {
		return err
	}
	passport := &v1alpha1.Passport{}
	if err := c.Get(ctx, c.key(name), passport); err != nil {
		return err
	}
	if made := passport.Status.Checkout; made != nil {
		return coded(exitBad, "passport %[1]s in namespace %[2]s is checked out already, by checkout %[3]s: kubectl passport wait checkout/%[3]s -n %[2]s",
			name, c.namespace, made.Name)
	}
	checkout.Namespace, checkout.Spec.AgentRef = c.namespace, passport.Spec.AgentRef
	if err := c.Create(ctx, checkout); err != nil {
		return err
	}
	return k.judged(ctx, c, checkout)
}

func (k *checkoutCommand) checkout(name string, counted bool) (*v1alpha1.Checkout, error) {
	checkout := &v1alpha1.Checkout{
		ObjectMeta: metav1.ObjectMeta{GenerateName: name + "-"},
		Spec: v1alpha1.CheckoutSpec{
			PassportRef: v1alpha1.PassportReference{Name: name}, Source: v1alpha1.SourceAgent,
			ServicesUsed: serviceNames(k.services), Summary: k.summary,
		},
	}
	if counted {
		checkout.Spec.ActionsCount = &k.actions
	}
	for _, known := range outcomes {
		if strings.EqualFold(k.outcome, string(known)) {
			checkout.Spec.Outcome = known
		}
	}
	if checkout.Spec.Outcome == "" {
		return nil, misuse("--outcome=%s: want %s", k.outcome, joined(outcomes))
	}
	return checkout, k.output.check()
}

// judged waits for the verdict, and says it.
func (k *checkoutCommand) judged(ctx context.Context, c *cluster, checkout *v1alpha1.Checkout) error {
	if !k.wait {
		if !k.output.human() {
			return k.output.object(checkout, k.Out)
		}
		_, err := fmt.Fprintf(k.Out, "checkout %[1]s of passport %[2]s created. The verdict: kubectl passport wait checkout/%[1]s -n %[3]s\n",
			checkout.Name, checkout.Spec.PassportRef.Name, c.namespace)
		return err
	}
	came, err := k.await(ctx, c, waitTarget{checkout: checkout.Name, forReview: k.forReview}, k.timeout)
	if err != nil {
		return err
	}
	if !k.output.human() {
		if err := c.Get(ctx, c.key(checkout.Name), checkout); err != nil {
			return err
		}
		if err := k.output.object(checkout, k.Out); err != nil {
			return err
		}
		return ended(came.code)
	}
	return k.say(came, checkoutFlags(ctx, c, checkout.Name)...)
}

// checkoutFlags are the flags of a Checkout, a line each; none where it cannot be read.
func checkoutFlags(ctx context.Context, c *cluster, name string) []string {
	checkout := &v1alpha1.Checkout{}
	if err := c.Get(ctx, c.key(name), checkout); err != nil {
		return nil
	}
	var lines []string
	for _, flag := range checkout.Status.Flags {
		lines = append(lines, flagLine(flag))
	}
	return lines
}

// flagLine is what a person sees of a flag.
func flagLine(flag v1alpha1.Flag) string {
	service := ""
	if flag.Service != "" {
		service = " " + string(flag.Service)
	}
	return fmt.Sprintf("%-8s  %s%s: %s", flag.Severity, flag.Type, service, flag.Message)
}
