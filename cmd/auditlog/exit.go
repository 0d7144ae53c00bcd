package main

import (
	"errors"

	"agentpassport.dev/operator/internal/audit"
)

// serviceError is a service that could not go on.
type serviceError struct{ error }

// exitCode is 1 where a trail was read and does not hold, or where the service could not go on, and 2 where
// another command could not do its work.
func exitCode(err error) int {
	switch {
	case err == nil:
		return 0
	case errors.Is(err, audit.ErrBreak), errors.As(err, &serviceError{}):
		return 1
	default:
		return 2
	}
}
