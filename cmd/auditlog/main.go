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
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	root := &cobra.Command{
		Use:           "auditlog",
		Short:         "Keeps and proves the audit log of the Agent Passport Operator.",
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.AddCommand(newVerify(), newBundle(), newBeginEpoch(), newRotateKey())
	if err := root.ExecuteContext(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "auditlog:", err)
		os.Exit(exitCode(err))
	}
}
