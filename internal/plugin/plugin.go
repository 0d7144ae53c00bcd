// Package plugin is `kubectl passport`: what people do with the Agent Passport Operator, one command each.
//
// It holds no right of its own. Every command acts as whoever the kubeconfig says, and the API server's roles
// and admission policies decide.
package plugin

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"k8s.io/utils/clock"

	"agentpassport.dev/operator/internal/apiclock"
	"agentpassport.dev/operator/internal/commandline"
)

// fieldManager is whom the API server notes as the writer of what the plugin writes.
const fieldManager = "kubectl-passport"

// Options are what surrounds the plugin.
type Options struct {
	// Streams to read answers from, and to print to.
	Streams genericiooptions.IOStreams
	// Clock is the local one.
	Clock clock.WithTicker
	// Terminal says that a person looks at Streams.Out: a table may then be drawn over.
	Terminal bool
	// Version of the plugin, for --version and the User-Agent.
	Version string
}

// session is one run of the plugin.
type session struct {
	genericiooptions.IOStreams
	// local clock, for tickers.
	local clock.WithTicker
	// clock is the API server's, once it has answered: expiries are by that.
	clock    *apiclock.Clock
	terminal bool
	version  string
	flags    *genericclioptions.ConfigFlags
	// operatorNamespace is where the operator runs.
	operatorNamespace string
}

// Run runs a command line, prints why it failed, and returns the exit code. It ends early where ctx ends.
func Run(ctx context.Context, options Options, args []string) int {
	s := &session{
		IOStreams: options.Streams, local: options.Clock, clock: apiclock.New(options.Clock),
		terminal: options.Terminal, version: options.Version,
	}
	root := s.root() //nolint:contextcheck // cobra hands the context to the commands
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if err != nil && err.Error() != "" {
		_, _ = fmt.Fprintln(s.ErrOut, "error:", explain(err))
	}
	return exitCode(err)
}

// root is the command that holds all others.
func (s *session) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "kubectl-passport",
		Short: "Passports for the missions of AI agents: issue, watch, review, revoke, prove",
		Long: `Passports for the missions of AI agents: issue, watch, review, revoke, prove.

Every command acts as whoever the kubeconfig says. What it may do, the roles of the cluster decide; where
one is missing, the error says which, and who gives it.`,
		Annotations:   map[string]string{cobra.CommandDisplayNameAnnotation: "kubectl passport"},
		Version:       s.version,
		Args:          noCommand,
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	root.SetIn(s.In)
	root.SetOut(s.Out)
	root.SetErr(s.ErrOut)
	s.addConfigFlags(root)
	root.AddGroup(
		&cobra.Group{ID: groupMission, Title: "A mission:"},
		&cobra.Group{ID: groupPeople, Title: "What people decide:"},
		&cobra.Group{ID: groupCluster, Title: "The cluster:"},
		&cobra.Group{ID: groupDocument, Title: "Documents of agents and packages:"},
		&cobra.Group{ID: groupProof, Title: "Proof:"},
	)
	for _, command := range s.commands() {
		root.AddCommand(command)
	}
	commandline.Strict(root)
	return root
}

// The groups of commands in the help.
const (
	groupMission  = "mission"
	groupPeople   = "people"
	groupCluster  = "cluster"
	groupDocument = "document"
	groupProof    = "proof"
)

// noCommand refuses what is no command.
func noCommand(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return misuse("there is no command %q: see %s --help", args[0], cmd.CommandPath())
	}
	return nil
}
