// Package wire is what the audit log service and its clients say to each other, as JSON over HTTP.
package wire

import "agentpassport.dev/operator/internal/audit"

const (
	// MaxRecords is how many records one request may append.
	MaxRecords = 512
	// MaxBody is how many bytes such a request may have.
	MaxBody = 8 << 20
	// Audience is what the token of a client has to be for, unless the service is told otherwise.
	Audience = "agent-passport-auditlog"
	// RecordsPath is where records are appended (POST) and read (GET).
	RecordsPath = "/v1/records"
)

// Append is the body of a request that appends records, in their order.
type Append struct {
	Records []audit.Record `json:"records"`
}

// Appended is the answer: the records as they stand in the log. Where a record's id was known
// before, it is the first one of that id.
type Appended struct {
	Entries []audit.Entry `json:"entries"`
}

// CallsPath gives what the gateways saw of one passport: GET CallsPath?jti=&namespace=.
const CallsPath = "/v1/calls"

// MaxServices is how many services an answer names for their refusals alone. Further ones, which only an
// agent that tries one name after the other can have, are summed under the empty name, as calls are that
// name no service.
const MaxServices = 1024

// Calls is what the gateways saw of one passport, summed over its credential.proxy records.
type Calls struct {
	// JTI of the passport.
	JTI string `json:"jti"`
	// Services that were called, by name.
	Services map[string]ServiceCalls `json:"services"`
	// Seen lists the gateways whose passport.seen is there: all that they saw is summed.
	Seen []string `json:"seen"`
}

// ServiceCalls counts the calls that name one service.
type ServiceCalls struct {
	// Sent counts those that were let out. One that failed after that counts under Refused too.
	Sent int64 `json:"sent"`
	// Refused counts those that were not, by the decision's code.
	Refused map[string]int64 `json:"refused,omitempty"`
}

// Failure is the body of every answer that is no success.
type Failure struct {
	Error Error `json:"error"`
}

// Error says what went wrong.
type Error struct {
	Code Code `json:"code"`
	// Message is for a person. It quotes no value of a record.
	Message string `json:"message"`
}

// Code tells errors apart.
type Code string

// The codes.
const (
	// BadRequest is a request that cannot be read: a parameter, a path or a body.
	BadRequest Code = "BadRequest"
	// BadRecord is a record that must not be written. None of the request was.
	BadRecord Code = "BadRecord"
	// TooLarge is a body with too many bytes or records.
	TooLarge Code = "TooLarge"
	// Unauthenticated is a caller without a valid certificate or token.
	Unauthenticated Code = "Unauthenticated"
	// Forbidden is a caller without the right; the message names it.
	Forbidden Code = "Forbidden"
	// NotFound is a path, a record or a tile that is not there.
	NotFound Code = "NotFound"
	// MethodNotAllowed is a method that the path does not have.
	MethodNotAllowed Code = "MethodNotAllowed"
	// Conflict is a request for which there is no cause, such as a new epoch of a log that is whole.
	Conflict Code = "Conflict"
	// Busy is a verification while another one runs.
	Busy Code = "Busy"
	// LogUnavailable is a log that takes no records: nobody knows whether these were written. The same
	// request again finds out.
	LogUnavailable Code = "LogUnavailable"
	// IndexBehind is a query that the index cannot answer yet.
	IndexBehind Code = "IndexBehind"
	// ReviewUnavailable is an API server that could not be asked who the caller is or what it may.
	ReviewUnavailable Code = "ReviewUnavailable"
	// Internal is a log or an index that could not be read.
	Internal Code = "Internal"
)
