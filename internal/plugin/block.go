package plugin

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/cli-runtime/pkg/printers"

	"agentpassport.dev/operator/api/v1alpha1"
)

type blockCommand struct {
	*session
	consent
	output output

	reason string
	all    bool
}

func (s *session) newBlock() *cobra.Command {
	b := &blockCommand{session: s}
	cmd := &cobra.Command{
		Use:   "block AGENT | --all",
		Short: "Stop an agent: no new passports, and the live ones are revoked",
		Long: `Stop an agent: no new passports, and the live ones are revoked, until somebody lifts the block. --all stops every
agent of the namespace. It shows what is alive, and asks.`,
		Example: `  kubectl passport block support-bot -n agents --reason='Incident 42'
  kubectl passport block --all -n agents --reason='Incident 42' --yes`,
		GroupID:           groupPeople,
		Args:              between(0, 1, "one agent, or --all"),
		ValidArgsFunction: s.completeAgents,
		RunE:              func(cmd *cobra.Command, args []string) error { return b.run(cmd.Context(), args) },
	}
	cmd.Flags().BoolVar(&b.all, "all", false, "Every agent of the namespace.")
	cmd.Flags().StringVar(&b.reason, "reason", "", "Why, for whoever reads it later.")
	b.add(cmd)
	b.output.add(cmd)
	return cmd
}

func (b *blockCommand) run(ctx context.Context, args []string) error {
	switch {
	case b.all == (len(args) == 1):
		return misuse("say whom to block: one agent, or --all")
	case strings.TrimSpace(b.reason) == "":
		return misuse("--reason is required: say why, for whoever reads it later")
	}
	if err := b.output.check(); err != nil {
		return err
	}
	c, err := b.connect()
	if err != nil {
		return err
	}
	block := &v1alpha1.AgentBlock{
		ObjectMeta: metav1.ObjectMeta{Namespace: c.namespace, GenerateName: "all-agents-"},
		Spec:       v1alpha1.AgentBlockSpec{Reason: b.reason},
	}
	whom, live := "every agent", choice{phases: []string{"live"}}
	if len(args) == 1 {
		whom, live.agent = "agent "+args[0], args[0]
		block.GenerateName, block.Spec.AgentRef = args[0]+"-", &v1alpha1.AgentReference{Name: args[0]}
		if err := b.known(ctx, c, args[0]); err != nil {
			return err
		}
	}
	if err := b.preview(ctx, c, whom, &live); err != nil {
		return err
	}
	if err := c.Create(ctx, block, b.creates()...); err != nil {
		return err
	}
	if !b.output.human() {
		return b.output.object(block, b.Out)
	}
	_, err = fmt.Fprintln(b.Out, b.done(fmt.Sprintf("%s in namespace %s is blocked by agentblock %s", whom, c.namespace, block.Name)))
	return err
}

// known warns of an agent that is not registered: a block of it holds all the same, also later.
func (b *blockCommand) known(ctx context.Context, c *cluster, agent string) error {
	err := c.Get(ctx, c.key(agent), &v1alpha1.AgentPassport{})
	if apierrors.IsNotFound(err) {
		_, err = fmt.Fprintf(b.ErrOut, "note: no agent %s is registered in namespace %s; the block holds for one of that name\n", agent, c.namespace)
	}
	return err
}

// preview shows what a block ends, and asks.
func (b *blockCommand) preview(ctx context.Context, c *cluster, whom string, live *choice) error {
	found, err := c.passports(ctx, live)
	if err != nil {
		return err
	}
	if len(found) > 0 {
		if err := passportTable(found, false, b.clock.Now()).show(b.ErrOut, printers.PrintOptions{}); err != nil {
			return err
		}
	}
	return b.confirm(&b.consent, fmt.Sprintf("Block %s in namespace %s, which ends %s?", whom, c.namespace, counted(len(found), "live passport", "live passports")))
}

type unblockCommand struct {
	*session
	consent

	reason string
	all    bool
}

func (s *session) newUnblock() *cobra.Command {
	u := &unblockCommand{session: s}
	cmd := &cobra.Command{
		Use:   "unblock AGENT | agentblock/NAME | --all",
		Short: "Lift the blocks of an agent, one block, or all of the namespace",
		Long: `Lift the blocks of an agent, one block, or all of the namespace. It shows which, and asks.

A block of the whole namespace is lifted by its name, or by --all. Passports that were revoked stay revoked.`,
		Example: `  kubectl passport unblock support-bot -n agents --reason='Mended with release 1.4.1'
  kubectl passport unblock agentblock/support-bot-1ab8fe696e -n agents --reason='A false alarm'`,
		GroupID:           groupPeople,
		Args:              between(0, 1, "one agent, one agentblock/NAME, or --all"),
		ValidArgsFunction: s.completeAgents,
		RunE:              func(cmd *cobra.Command, args []string) error { return u.run(cmd.Context(), args) },
	}
	cmd.Flags().BoolVar(&u.all, "all", false, "Every block of the namespace.")
	cmd.Flags().StringVar(&u.reason, "reason", "", "Why, for whoever reads it later.")
	u.add(cmd)
	return cmd
}

func (u *unblockCommand) run(ctx context.Context, args []string) error {
	switch {
	case u.all == (len(args) == 1):
		return misuse("say what to lift: one agent, one agentblock/NAME, or --all")
	case strings.TrimSpace(u.reason) == "":
		return misuse("--reason is required: say why, for whoever reads it later")
	}
	c, err := u.connect()
	if err != nil {
		return err
	}
	all, err := listed[*v1alpha1.AgentBlock](ctx, c, &v1alpha1.AgentBlockList{}, c.in(false))
	if err != nil {
		return err
	}
	chosen, wide := blocksToLift(all, args)
	if len(chosen) == 0 {
		return fmt.Errorf("no block in force %s of that choice: kubectl get agentblocks.agentpassport.dev -n %s%s", where(c, false), c.namespace, stillBlocked(wide))
	}
	t := newTable(column{name: "Block"}, column{name: "Agent"}, column{name: "By"}, column{name: "Why"}, column{name: "Age"})
	for _, block := range chosen {
		t.row(block.Name, blocked(block), actor(block.Spec.By), block.Spec.Reason, age(u.clock.Now(), block.CreationTimestamp))
	}
	if err := t.show(u.ErrOut, printers.PrintOptions{}); err != nil {
		return err
	}
	if err := u.confirm(&u.consent, fmt.Sprintf("Lift %s in namespace %s?", counted(len(chosen), "block", "blocks"), c.namespace)); err != nil {
		return err
	}
	err = each(u.session, chosen, func(block *v1alpha1.AgentBlock) (string, error) {
		changed := block.DeepCopy()
		changed.Spec.Lifted = &v1alpha1.BlockLift{Reason: u.reason}
		err := c.patch(ctx, changed, block, u.patches()...)
		return u.done(fmt.Sprintf("agentblock %s in namespace %s lifted", block.Name, block.Namespace)), err
	})
	if err == nil && len(wide) > 0 {
		_, err = fmt.Fprintln(u.ErrOut, "note"+stillBlocked(wide))
	}
	return err
}

// blocksToLift are the blocks in force that args choose, and those of the whole namespace that stay in force for
// a chosen agent.
func blocksToLift(all []*v1alpha1.AgentBlock, args []string) (chosen, wide []*v1alpha1.AgentBlock) {
	for _, block := range all {
		if block.Spec.Lifted != nil {
			continue
		}
		switch {
		case len(args) == 0:
			chosen = append(chosen, block)
		case strings.HasPrefix(args[0], "agentblock/"):
			if block.Name == strings.TrimPrefix(args[0], "agentblock/") {
				chosen = append(chosen, block)
			}
		case block.Spec.AgentRef == nil:
			wide = append(wide, block)
		case block.Spec.AgentRef.Name == args[0]:
			chosen = append(chosen, block)
		}
	}
	return chosen, wide
}

// stillBlocked names the blocks of the whole namespace; it says nothing of none.
func stillBlocked(wide []*v1alpha1.AgentBlock) string {
	if len(wide) == 0 {
		return ""
	}
	names := make([]string, len(wide))
	for i, block := range wide {
		names[i] = "agentblock/" + block.Name
	}
	slices.Sort(names)
	return ": every agent of the namespace is blocked by " + strings.Join(names, ", ")
}

// blocked is whom a block is for.
func blocked(block *v1alpha1.AgentBlock) string {
	if block.Spec.AgentRef == nil {
		return "(all)"
	}
	return block.Spec.AgentRef.Name
}
