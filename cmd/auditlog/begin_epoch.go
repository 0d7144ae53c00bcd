package main

import (
	"fmt"

	"github.com/spf13/cobra"
	"k8s.io/utils/clock"

	"agentpassport.dev/operator/internal/audit"
	"agentpassport.dev/operator/internal/audit/writer"
	"agentpassport.dev/operator/internal/commandline"
)

// byHand is what vouches for an actor whom nobody has authenticated.
const byHand = "auditlog begin-epoch, not authenticated"

// newBeginEpoch is the command that goes on after a loss.
func newBeginEpoch() *cobra.Command {
	var p place
	var dir, reason, actor string
	cmd := &cobra.Command{
		Use:   "begin-epoch --data-dir DIR --reason TEXT --actor NAME",
		Short: "Go on after records of the log were lost, and say so in the log.",
		Long: `Go on after records of the log were lost, and say so in the log: begin a new tree, whose first record names the
lost head, what is left, the reason, and who did it.

It refuses while the log is whole and reaches its mirrored head. In a cluster, ask the service instead
(POST /v1/epochs): that authenticates you. This command is for the volume itself, by kubectl exec, where the
service does not answer; the record says that the actor was not authenticated. Start the service anew afterwards.`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if reason == "" || actor == "" {
				return commandline.Misusef("--reason and --actor must not be empty: they are kept for good")
			}
			privates, mirrored, err := p.load(cmd.Context())
			if err != nil {
				return err
			}
			entry, err := writer.Begin(cmd.Context(), writer.Options{
				Dir: dir, Keys: privates, Mirrored: mirrored, Clock: clock.RealClock{},
			}, audit.Actor{Username: actor, Via: byHand}, reason)
			if err != nil {
				return err
			}
			facts := entry.Record.Facts
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "Epoch %d is begun (%s). Of the one before it %d records were signed, and %d are still there.\n",
				entry.Epoch, entry.Record.ID, facts.Size, facts.Kept)
			return err
		},
	}
	p.flags(cmd)
	cmd.Flags().StringVar(&p.head, "head", "", "A file with the ConfigMap agent-passport-auditlog as kubectl prints it with -o yaml; with --key-file.")
	cmd.Flags().StringVar(&dir, "data-dir", "", "The log's data directory.")
	cmd.Flags().StringVar(&reason, "reason", "", "Why: it is kept in the log for good.")
	cmd.Flags().StringVar(&actor, "actor", "", "Who you are: it is kept in the log for good.")
	if err := cmd.MarkFlagRequired("data-dir"); err != nil {
		panic(err) // a flag of this name was just made
	}
	return cmd
}
