// Command auditlog keeps and proves the audit log of the Agent Passport Operator.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
)

func main() {
	os.Exit(run(os.Args[1:]))
}

// run runs the command that is asked for and returns its exit code.
func run(args []string) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	root := &cobra.Command{
		Use:           "auditlog",
		Short:         "Keeps and proves the audit log of the Agent Passport Operator.",
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.AddCommand(newVerify(), newBundle(), newBeginEpoch(), newRotateKey())
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if err != nil {
		fmt.Fprintln(os.Stderr, "auditlog:", err)
	}
	return exitCode(err)
}
