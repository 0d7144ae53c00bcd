// Command auditlog keeps and proves the audit log of the Agent Passport Operator.
package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"
	ctrl "sigs.k8s.io/controller-runtime"

	"agentpassport.dev/operator/internal/audit/offline"
	"agentpassport.dev/operator/internal/commandline"
)

func main() {
	os.Exit(run(os.Args[1:]))
}

// run runs the command that is asked for and returns its exit code.
func run(args []string) int {
	root := &cobra.Command{
		Use:           "auditlog",
		Short:         "Keeps and proves the audit log of the Agent Passport Operator",
		Args:          noArgs,
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.AddCommand(newServeCommand(), offline.NewVerify(), offline.NewBundle(), newBeginEpoch(), newRotateKey())
	commandline.Strict(root)
	root.SetArgs(args)
	err := root.ExecuteContext(ctrl.SetupSignalHandler())
	if err != nil {
		fmt.Fprintln(os.Stderr, "auditlog:", err)
	}
	return exitCode(err)
}

// noArgs refuses arguments: every setting is a flag.
func noArgs(command *cobra.Command, args []string) error {
	if len(args) > 0 {
		return commandline.Misusef("%s: unexpected argument %q: every setting is a flag, and the commands are in --help", command.CommandPath(), args[0])
	}
	return nil
}
