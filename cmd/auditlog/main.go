// Command auditlog keeps the audit log of the Agent Passport Operator.
package main

import (
	"errors"
	"fmt"
	"os"

	"github.com/spf13/cobra"
	ctrl "sigs.k8s.io/controller-runtime"
)

// usageError is a command line that cannot be obeyed.
type usageError struct{ error }

func main() {
	err := newRootCommand().ExecuteContext(ctrl.SetupSignalHandler())
	if err == nil {
		return
	}
	fmt.Fprintln(os.Stderr, "auditlog:", err)
	if errors.As(err, &usageError{}) {
		os.Exit(2)
	}
	os.Exit(1)
}

func newRootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:           "auditlog",
		Short:         "The audit log of the Agent Passport Operator",
		Args:          noArgs,
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	root.AddCommand(newServeCommand())
	return root
}

// noArgs refuses arguments: every setting is a flag.
func noArgs(command *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usageError{fmt.Errorf("%s: unexpected argument %q: every setting is a flag, and the commands are in --help", command.CommandPath(), args[0])}
	}
	return nil
}
