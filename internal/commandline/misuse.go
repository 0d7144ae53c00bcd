// Package commandline tells a command line that cannot be obeyed from a command that failed.
package commandline

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"
)

// The exit codes of every command that proves something.
const (
	// Good: it is done, or it holds.
	Good = 0
	// Failed: it could not be done, or cannot be said.
	Failed = 1
	// Bad: it does not hold, for good.
	Bad = 2
	// Misused: the command line cannot be obeyed (EX_USAGE).
	Misused = 64
)

// ErrMisuse is a command line that cannot be obeyed.
var ErrMisuse = errors.New("misuse")

// misuse is an ErrMisuse with a message of its own.
type misuse struct{ error }

// Is implements errors.Is.
func (misuse) Is(target error) bool { return target == ErrMisuse }

// Unwrap gives what is wrong.
func (m misuse) Unwrap() error { return m.error }

// Misuse has an error be an ErrMisuse; nil stays nil.
func Misuse(err error) error {
	if err == nil {
		return nil
	}
	return misuse{err}
}

// Misusef is a command line that cannot be obeyed, and why.
func Misusef(format string, values ...any) error { return Misuse(fmt.Errorf(format, values...)) }

// Strict has all that cobra finds wrong with a command line be an ErrMisuse that says where help is, in a command and
// those below it: unknown flags, arguments, flags that are missing. Call it once all of them are there.
func Strict(command *cobra.Command) {
	help := func(cmd *cobra.Command, err error) error {
		if err == nil || errors.Is(err, ErrMisuse) {
			return err
		}
		return Misusef("%w: see %s --help", err, cmd.CommandPath())
	}
	command.SetFlagErrorFunc(help)
	if args := command.Args; args != nil {
		command.Args = func(cmd *cobra.Command, given []string) error { return help(cmd, args(cmd, given)) }
	}
	// Cobra looks at them a step later, and its error cannot be told from one of the command.
	before := command.PreRunE
	command.PreRunE = func(cmd *cobra.Command, args []string) error {
		if err := help(cmd, errors.Join(cmd.ValidateRequiredFlags(), cmd.ValidateFlagGroups())); err != nil || before == nil {
			return err
		}
		return before(cmd, args)
	}
	for _, below := range command.Commands() {
		Strict(below)
	}
}
