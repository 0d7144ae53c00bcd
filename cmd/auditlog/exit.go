package main

import (
	"errors"

	"agentpassport.dev/operator/internal/audit"
	"agentpassport.dev/operator/internal/commandline"
)

// exitCode is 2 where a trail was read and does not hold, 64 where the command line cannot be obeyed, and 1 where a
// command could not do its work, or the service not go on.
func exitCode(err error) int {
	switch {
	case err == nil:
		return commandline.Good
	case errors.Is(err, commandline.ErrMisuse):
		return commandline.Misused
	case errors.Is(err, audit.ErrBreak):
		return commandline.Bad
	default:
		return commandline.Failed
	}
}
