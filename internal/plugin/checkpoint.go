package plugin

import (
	"context"
	"fmt"
	"time"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"agentpassport.dev/operator/api/v1alpha1"
)

type checkpointCommand struct {
	*session
	output output

	services []string
	actions  int32
	summary  string
	wait     bool
	timeout  time.Duration
}

func (s *session) newCheckpoint() *cobra.Command {
	k := &checkpointCommand{session: s}
	cmd := &cobra.Command{
		Use:   "checkpoint PASSPORT",
		Short: "Report progress, which keeps a passport alive",
		Long: `Report progress, which keeps a passport alive, and wait until the report counts.

It exits with 0 where the report is accepted, with 2 where it does not count, with 4 where that is not known in time.`,
		Example: `  kubectl passport checkpoint answer-ticket-4711 -n agents --services=slack --actions=3 \
    --summary='Read the ticket; drafting a reply'`,
		GroupID:           groupMission,
		Args:              exactly(1, "one passport"),
		ValidArgsFunction: s.completeLivePassports,
		RunE:              func(cmd *cobra.Command, args []string) error { return k.run(cmd.Context(), args[0]) },
	}
	flags := cmd.Flags()
	flags.StringSliceVar(&k.services, "services", nil, "The services that were used since the checkpoint before.")
	flags.Int32Var(&k.actions, "actions", 0, "How many actions were taken since the checkpoint before.")
	flags.StringVar(&k.summary, "summary", "", "What was done, in a sentence.")
	flags.BoolVar(&k.wait, "wait", true, "Wait until it counts.")
	flags.DurationVar(&k.timeout, "timeout", 30*time.Second, "How long to wait at most.")
	k.output.add(cmd)
	return cmd
}

func (k *checkpointCommand) run(ctx context.Context, name string) error {
	if err := k.output.check(); err != nil {
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
	checkpoint := &v1alpha1.Checkpoint{
		ObjectMeta: metav1.ObjectMeta{Namespace: c.namespace, GenerateName: name + "-"},
		Spec: v1alpha1.CheckpointSpec{
			PassportRef: v1alpha1.PassportReference{Name: name}, AgentRef: passport.Spec.AgentRef,
			ServicesUsed: serviceNames(k.services), ActionsCount: k.actions, Summary: k.summary,
		},
	}
	if err := c.Create(ctx, checkpoint); err != nil {
		return err
	}
	if k.wait {
		return k.counted(ctx, c, checkpoint)
	}
	if !k.output.human() {
		return k.output.object(checkpoint, k.Out)
	}
	_, err = fmt.Fprintf(k.Out, "checkpoint %s of passport %s created\n", checkpoint.Name, name)
	return err
}

// counted waits until a checkpoint is counted or refused.
func (k *checkpointCommand) counted(ctx context.Context, c *cluster, checkpoint *v1alpha1.Checkpoint) error {
	waiting, cancel := context.WithTimeout(ctx, k.timeout)
	defer cancel()
	f := newFollowing()
	store := f.follow(waiting, c, c.namespace, func() client.ObjectList { return &v1alpha1.CheckpointList{} }, &v1alpha1.Checkpoint{}, named(checkpoint.Name))
	latest := checkpoint
	f.until(waiting, func() bool {
		if found, ok := stored[*v1alpha1.Checkpoint](store, types.NamespacedName{Namespace: c.namespace, Name: checkpoint.Name}); ok {
			latest = found
		}
		return !checkpointOutcome(latest).undecided()
	})
	came := checkpointOutcome(latest)
	if !k.output.human() {
		if err := k.output.object(latest, k.Out); err != nil {
			return err
		}
		return ended(came.code)
	}
	return k.say(came)
}
