// Package problem is what the gateway answers where a call fails: one shape, and one code for each cause.
package problem

import (
	"net/http"
	"time"
)

// The codes of the API. The code is the contract; messages may change.
const (
	CodeInvalidRequest   = "INVALID_REQUEST"
	CodeUnauthorized     = "UNAUTHORIZED"
	CodeInvalidPassport  = "INVALID_PASSPORT"
	CodePassportExpired  = "PASSPORT_EXPIRED"
	CodePassportRevoked  = "PASSPORT_REVOKED"
	CodePassportBlocked  = "PASSPORT_BLOCKED"
	CodeForbidden        = "FORBIDDEN"
	CodeNotFound         = "NOT_FOUND"
	CodeMethodNotAllowed = "METHOD_NOT_ALLOWED"
	CodeConflict         = "CONFLICT"
	CodeTooLarge         = "TOO_LARGE"
	CodeRateLimited      = "RATE_LIMITED"
	CodeUnavailable      = "UNAVAILABLE"
	CodeUpstreamFailed   = "UPSTREAM_FAILED"
	CodeUpstreamTimeout  = "UPSTREAM_TIMEOUT"
	CodeInternal         = "INTERNAL"
)

// Problem is an answer that is no success.
type Problem struct {
	// Status of the HTTP answer.
	Status int
	// Code for machines.
	Code string
	// Message for people.
	Message string
	// Details beside it; may be nil.
	Details map[string]any
	// RetryAfter is when to try again, in whole seconds; zero for no word on it.
	RetryAfter time.Duration
}

func (p Problem) Error() string { return p.Code + ": " + p.Message }

// BadRequest is 400 INVALID_REQUEST: the request cannot be read.
func BadRequest(message string) Problem {
	return New(http.StatusBadRequest, CodeInvalidRequest, message)
}

// Unauthorized is 401 UNAUTHORIZED: no caller, or one that is not valid.
func Unauthorized(message string) Problem {
	return New(http.StatusUnauthorized, CodeUnauthorized, message)
}

// Forbidden is 403 FORBIDDEN: the caller may not.
func Forbidden(message string) Problem { return New(http.StatusForbidden, CodeForbidden, message) }

// NotFound is 404 NOT_FOUND.
func NotFound(message string) Problem { return New(http.StatusNotFound, CodeNotFound, message) }

// MethodNotAllowed is 405 METHOD_NOT_ALLOWED; the caller sets the header Allow.
func MethodNotAllowed(message string) Problem {
	return New(http.StatusMethodNotAllowed, CodeMethodNotAllowed, message)
}

// Conflict is 409 CONFLICT: what stands does not go with what is asked for.
func Conflict(message string) Problem { return New(http.StatusConflict, CodeConflict, message) }

// TooLarge is 413 TOO_LARGE.
func TooLarge(message string) Problem {
	return New(http.StatusRequestEntityTooLarge, CodeTooLarge, message)
}

// RateLimited is 429 RATE_LIMITED; after says when to try again.
func RateLimited(message string, after time.Duration) Problem {
	p := New(http.StatusTooManyRequests, CodeRateLimited, message)
	p.RetryAfter = after
	return p
}

// Unavailable is 503 UNAVAILABLE: try again.
func Unavailable(message string) Problem {
	return New(http.StatusServiceUnavailable, CodeUnavailable, message)
}

// Internal is 500 INTERNAL: a mistake of the gateway.
func Internal(message string) Problem {
	return New(http.StatusInternalServerError, CodeInternal, message)
}

// New is a problem with a status and a code of its own.
func New(status int, code, message string) Problem {
	return Problem{Status: status, Code: code, Message: message}
}
