package main

import (
	"errors"

	"agentpassport.dev/operator/internal/audit"
)

// exitCode is 1 where a trail was read and does not hold, and 2 where a command could not do its work.
func exitCode(err error) int {
	switch {
	case err == nil:
		return 0
	case errors.Is(err, audit.ErrBreak):
		return 1
	default:
		return 2
	}
}
