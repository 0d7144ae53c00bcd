// Package wire is what a gateway and the manager say to each other, as JSON over HTTP with TLS
// certificates on both sides.
package wire

import "time"

const (
	// TokenPath gives the token of a passport (POST Token).
	TokenPath = "/v1/token"
	// StatusListPath gives a signed status list (GET StatusListPath + epoch + "/" + list).
	StatusListPath = "/v1/statuslists/"
	// SignalsPath takes signals (POST Signals). Only the manager that leads answers it.
	SignalsPath = "/v1/signals"
	// ConnectionsPath takes what became of credentials (POST Connections). Only the manager that leads
	// answers it.
	ConnectionsPath = "/v1/connections"
	// MaxBody is how many bytes a request may have.
	MaxBody = 1 << 20
	// MaxItems is how many signals or connections one request may hold.
	MaxItems = 256
)

// TokenRequest asks for the token of a passport, by the identity of its object.
type TokenRequest struct {
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
	UID       string `json:"uid"`
	// ExpiresAt is the newest stored expiry that the asker knows of: the token has that one or a later
	// one, however old the manager's own view is. Zero where it knows of none.
	ExpiresAt time.Time `json:"expires_at,omitzero"`
}

// TokenAnswer is the token, with the expiry that it carries.
type TokenAnswer struct {
	Token     string    `json:"token"`
	ExpiresAt time.Time `json:"expires_at"`
}

// Signal is something that a gateway saw while a mission ran, or after it. What the gateway sees again in
// the same short while is one Signal with a count.
type Signal struct {
	// Gateway that saw it: the name of its Pod.
	Gateway string `json:"gateway"`
	// Sequence numbers what one gateway reports on one passport, from 1, in order. A repeat has the same
	// one, and counts once.
	Sequence int64 `json:"sequence"`
	// Namespace, Name and UID of the Passport.
	Namespace string `json:"namespace"`
	Name      string `json:"name"`
	UID       string `json:"uid"`
	// Type of the signal, such as scope_drift.
	Type string `json:"type"`
	// Service that it is about; empty where it is about none.
	Service string `json:"service,omitempty"`
	// Message is the evidence in words, at most 512 characters. It holds no value of a call.
	Message string `json:"message"`
	// First and Last are when it was seen, by the API server's clock; Count how often.
	First time.Time `json:"first"`
	Last  time.Time `json:"last"`
	Count int32     `json:"count"`
}

// Signals is a request that reports some.
type Signals struct {
	Signals []Signal `json:"signals"`
}

// SignalsAnswer says which of them are stored for good, or never can be: these are not sent again.
type SignalsAnswer struct {
	// Settled holds, in the order of the request, whether each one is.
	Settled []bool `json:"settled"`
}

// Connection says whether a gateway can read the credential of a ServiceConnection.
type Connection struct {
	Gateway    string `json:"gateway"`
	Namespace  string `json:"namespace"`
	Name       string `json:"name"`
	UID        string `json:"uid"`
	Generation int64  `json:"generation"`
	// Reason is CredentialRead, CredentialForbidden, CredentialNotFound or CredentialKeyMissing.
	Reason string `json:"reason"`
}

// Connections is a request that reports some.
type Connections struct {
	Connections []Connection `json:"connections"`
}

// Failure is the body of every answer that is no success.
type Failure struct {
	Error Error `json:"error"`
}

// Error says what went wrong. Message quotes no token.
type Error struct {
	Code    Code   `json:"code"`
	Message string `json:"message"`
}

// Error implements error.
func (e *Error) Error() string { return e.Message }

// Code tells errors apart.
type Code string

// The codes.
const (
	// BadRequest is a request that cannot be read.
	BadRequest Code = "BadRequest"
	// Forbidden is a certificate that is no gateway's.
	Forbidden Code = "Forbidden"
	// NotFound is a passport, a list or a path that is not there.
	NotFound Code = "NotFound"
	// NotActive is a passport that has no token (any more).
	NotActive Code = "NotActive"
	// NotLeading is a manager that does not lead: another one answers.
	NotLeading Code = "NotLeading"
	// Unavailable is a manager that has no keys yet, or an API server that does not answer.
	Unavailable Code = "Unavailable"
)
