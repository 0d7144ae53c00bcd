package plugin

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"agentpassport.dev/operator/internal/audit"
	"agentpassport.dev/operator/internal/commandline"
)

// The exit codes. Those of wait hold for every command that waits.
const (
	exitGood = commandline.Good
	// exitFailed: the command could not do its work.
	exitFailed = commandline.Failed
	// exitBad: blocked, rejected, refused, not valid; for good.
	exitBad = commandline.Bad
	// exitAwaitsReview: a person has to decide.
	exitAwaitsReview = 3
	// exitNeverCame: what was waited for did not come in time, or there is no such object.
	exitNeverCame = 4
	// exitMisused: the command line cannot be obeyed (EX_USAGE).
	exitMisused = commandline.Misused
)

// codedError ends the plugin with an exit code of its own.
type codedError struct {
	code int
	error
}

func (e codedError) Unwrap() error { return e.error }

// coded is an error that ends the plugin with a code.
func coded(code int, format string, values ...any) error {
	return codedError{code, fmt.Errorf(format, values...)}
}

// misuse is a command line that cannot be obeyed.
func misuse(format string, values ...any) error { return commandline.Misusef(format, values...) }

// errSilent is a failure that is printed already.
var errSilent = errors.New("")

// ended ends the plugin with a code, and prints nothing more.
func ended(code int) error {
	if code == exitGood {
		return nil
	}
	return codedError{code, errSilent}
}

func exitCode(err error) int {
	var with codedError
	switch {
	case err == nil:
		return exitGood
	case errors.As(err, &with):
		return with.code
	case errors.Is(err, commandline.ErrMisuse):
		return exitMisused
	case errors.Is(err, audit.ErrBreak):
		return exitBad
	default:
		return exitFailed
	}
}

// exactly takes n arguments, and says what they are.
func exactly(n int, what string) cobra.PositionalArgs { return between(n, n, what) }

// between takes least to most arguments; any number where most is negative.
func between(least, most int, what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) < least || (most >= 0 && len(args) > most) {
			return misuse("%s takes %s: see --help", cmd.CommandPath(), what)
		}
		return nil
	}
}
