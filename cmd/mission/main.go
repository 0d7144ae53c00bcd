// Command mission runs a command under a passport: it asks a gateway for one, keeps the token fresh in a file,
// checkpoints, and checks out when the command ends.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
	"k8s.io/utils/clock"
)

// exitOwn is the exit code where mission itself could not do its work. Any other is the command's.
const exitOwn = 125

func main() {
	signals := make(chan os.Signal, 16)
	signal.Notify(signals, forwarded...)
	os.Exit(run(context.Background(), os.Args[1:], process{clock: clock.RealClock{}, signals: signals, stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr}))
}

// forwarded are the signals that the command gets in our place.
var forwarded = []os.Signal{syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP, syscall.SIGQUIT, syscall.SIGUSR1, syscall.SIGUSR2}

// process is what surrounds a mission.
type process struct {
	clock          clock.WithTicker
	signals        <-chan os.Signal
	stdin          io.Reader
	stdout, stderr io.Writer
}

// commandExit is how the command ended; no failure of ours.
type commandExit int

func (e commandExit) Error() string { return fmt.Sprintf("the command exited with %d", int(e)) }

// run runs the command line and returns the exit code.
func run(ctx context.Context, args []string, p process) int {
	root := &cobra.Command{
		Use: "mission", Short: "Runs commands under a passport of the Agent Passport Operator",
		SilenceUsage: true, SilenceErrors: true,
	}
	root.SetOut(p.stdout)
	root.SetErr(p.stderr)
	root.AddCommand(newRun(p)) //nolint:contextcheck // cobra hands the context to the command
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	var exit commandExit
	switch {
	case err == nil:
		return 0
	case errors.As(err, &exit):
		return int(exit)
	default:
		_, _ = fmt.Fprintln(p.stderr, "mission:", err)
		return exitOwn
	}
}
