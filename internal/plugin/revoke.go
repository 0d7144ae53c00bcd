package plugin

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/printers"

	"agentpassport.dev/operator/api/v1alpha1"
)

type revokeCommand struct {
	*session
	consent

	agent, mission, reason string
	all                    bool
}

func (s *session) newRevoke() *cobra.Command {
	r := &revokeCommand{session: s}
	cmd := &cobra.Command{
		Use:   "revoke PASSPORT... | --agent AGENT | --session SESSION | --all",
		Short: "End passports at once: by name, of an agent, of a session, or all of the namespace",
		Long: `End passports at once: by name, of an agent, of a session, or all of the namespace. It shows which, and asks.

The agent may ask for another passport right away. To stop that too, block it: kubectl passport block.`,
		Example: `  kubectl passport revoke answer-ticket-4711 -n agents --reason='Wrong ticket'
  kubectl passport revoke --agent=support-bot -n agents --reason='Incident 42' --yes`,
		GroupID:           groupPeople,
		ValidArgsFunction: s.completeLivePassports,
		RunE:              func(cmd *cobra.Command, args []string) error { return r.run(cmd.Context(), args) },
	}
	cmd.Flags().StringVar(&r.agent, "agent", "", "All live passports of this agent.")
	cmd.Flags().StringVar(&r.mission, "session", "", "All live passports of this session.")
	cmd.Flags().BoolVar(&r.all, "all", false, "All live passports of the namespace.")
	cmd.Flags().StringVar(&r.reason, "reason", "", "Why, for whoever reads it later.")
	r.add(cmd)
	s.complete(cmd, "agent", s.completeAgents)
	return cmd
}

func (r *revokeCommand) run(ctx context.Context, names []string) error {
	if err := r.check(names); err != nil {
		return err
	}
	c, err := r.connect()
	if err != nil {
		return err
	}
	live, err := r.live(ctx, c, names)
	if err != nil {
		return err
	}
	if len(live) == 0 {
		_, err := fmt.Fprintln(r.ErrOut, "no live passports of that choice", where(c, false)+": nothing to revoke")
		return err
	}
	if err := passportTable(live, false, r.clock.Now()).show(r.ErrOut, printers.PrintOptions{}); err != nil {
		return err
	}
	if err := r.confirm(&r.consent, fmt.Sprintf("Revoke %s in namespace %s?", counted(len(live), "passport", "passports"), c.namespace)); err != nil {
		return err
	}
	return each(r.session, live, func(p *v1alpha1.Passport) (string, error) {
		changed := p.DeepCopy()
		changed.Spec.Revocation = &v1alpha1.Revocation{Reason: r.reason}
		err := c.patch(ctx, changed, p, r.patches()...)
		return r.done(fmt.Sprintf("passport %s in namespace %s revoked", p.Name, p.Namespace)), err
	})
}

// check refuses a choice that is none, or that is two.
func (r *revokeCommand) check(names []string) error {
	ways := 0
	for _, given := range []bool{len(names) > 0, r.agent != "", r.mission != "", r.all} {
		if given {
			ways++
		}
	}
	switch {
	case ways != 1:
		return misuse("say which passports in one way: names, --agent, --session or --all")
	case strings.TrimSpace(r.reason) == "":
		return misuse("--reason is required: say why, for whoever reads it later")
	default:
		return nil
	}
}

// live are the chosen passports that have not ended. A name of one that has is refused.
func (r *revokeCommand) live(ctx context.Context, c *cluster, names []string) ([]*v1alpha1.Passport, error) {
	if len(names) == 0 {
		all, err := c.passports(ctx, &choice{agent: r.agent, session: r.mission, phases: []string{"live"}})
		return slices.DeleteFunc(all, func(p *v1alpha1.Passport) bool { return p.Spec.Revocation != nil }), err
	}
	var live []*v1alpha1.Passport
	for _, name := range unique(names) {
		passport := &v1alpha1.Passport{}
		if err := c.Get(ctx, c.key(name), passport); err != nil {
			return nil, err
		}
		switch {
		case passport.Status.Phase.Finished():
			return nil, fmt.Errorf("passport %s in namespace %s is %s already: there is nothing to revoke, and nothing was done", name, c.namespace, passport.Status.Phase)
		case passport.Spec.Revocation != nil:
			return nil, fmt.Errorf("passport %s in namespace %s is revoked already, by %s: nothing was done", name, c.namespace, actor(passport.Spec.Revocation.By))
		}
		live = append(live, passport)
	}
	return live, nil
}

// unique are the names without those that were there before.
func unique(names []string) []string {
	var once []string
	for _, name := range names {
		if !slices.Contains(once, name) {
			once = append(once, name)
		}
	}
	return once
}
