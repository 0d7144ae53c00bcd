package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"unicode"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"agentpassport.dev/operator/api/v1alpha1"
	"agentpassport.dev/operator/internal/access"
)

// Code is the contract of an error: clients compare it, and nothing else.
type Code string

// The codes of this API. Those of the lifecycle guide keep their names.
const (
	// CodeUnauthorized is a caller without a valid token for the gateway.
	CodeUnauthorized Code = "UNAUTHORIZED"
	// CodeForbidden is a caller without the right that the message names.
	CodeForbidden Code = "FORBIDDEN"
	// CodeNotFound is what is not there, or not for this caller.
	CodeNotFound Code = "NOT_FOUND"
	// CodeMethodNotAllowed is a method that the path does not have.
	CodeMethodNotAllowed Code = "METHOD_NOT_ALLOWED"
	// CodeInvalidRequest is a body or a parameter that cannot be read; details list every problem.
	CodeInvalidRequest Code = "INVALID_REQUEST"
	// CodeSchema is a value that the API server's schema refuses; details list every problem.
	CodeSchema Code = "SCHEMA_VALIDATION_FAILED"
	// CodeTooLarge is a body with too many bytes.
	CodeTooLarge Code = "TOO_LARGE"
	// CodeMediaType is a body that is not said to be JSON.
	CodeMediaType Code = "UNSUPPORTED_MEDIA_TYPE"
	// CodeRateLimited is a client that comes too often.
	CodeRateLimited Code = "RATE_LIMITED"
	// CodeConflict is a state that does not take the step.
	CodeConflict Code = "CONFLICT"
	// CodeKeyReused is an Idempotency-Key that came with another body before.
	CodeKeyReused Code = "IDEMPOTENCY_KEY_REUSED"
	// CodeUnavailable is a part that does not answer; the same request again may go through.
	CodeUnavailable Code = "UNAVAILABLE"
	// CodeAuditUnavailable is an audit log that does not answer.
	CodeAuditUnavailable Code = "AUDIT_UNAVAILABLE"
	// CodeInternal is a fault of the gateway; its log says which.
	CodeInternal Code = "INTERNAL"

	// CodeIssuePending is a passport that was asked for and is not issued yet; details have its jti.
	CodeIssuePending Code = "ISSUE_PENDING"
	// CodeCheckpointPending is a checkpoint that was made and is not folded yet.
	CodeCheckpointPending Code = "CHECKPOINT_PENDING"

	// CodeAccountabilityRequired is an intent that is missing.
	CodeAccountabilityRequired Code = "ACCOUNTABILITY_REQUIRED"
	// CodeServiceNotGranted is a service that the agent has no grant for.
	CodeServiceNotGranted Code = "SERVICE_NOT_GRANTED"
	// CodeScopeEscalation is a scope that the grant does not hold.
	CodeScopeEscalation Code = "SCOPE_ESCALATION"
	// CodeLifetimeExceeded is a mission longer than the agent's may be.
	CodeLifetimeExceeded Code = "LIFETIME_EXCEEDED"
	// CodePassportBlocked is an agent that is blocked or suspended.
	CodePassportBlocked Code = "PASSPORT_BLOCKED"
	// CodePolicyRefused is a passport that a rule of a PolicyPack blocks.
	CodePolicyRefused Code = "POLICY_REFUSED"
	// CodeTokenTooLarge is a passport whose token would be over 8 KiB.
	CodeTokenTooLarge Code = "TOKEN_TOO_LARGE"
	// CodeNotIssuedInTime is a passport whose issueDeadlineSeconds are over.
	CodeNotIssuedInTime Code = "NOT_ISSUED_IN_TIME"
	// CodePassportRejected is any other final refusal; details.reason says which.
	CodePassportRejected Code = "PASSPORT_REJECTED"

	// CodePassportExpired is a passport whose time is over.
	CodePassportExpired Code = "PASSPORT_EXPIRED"
	// CodePassportRevoked is a passport that was revoked or checked out.
	CodePassportRevoked Code = "PASSPORT_REVOKED"
	// CodePassportNotActive is a passport that is not issued yet.
	CodePassportNotActive Code = "PASSPORT_NOT_ACTIVE"
	// CodePassportEnded is a report on a mission that is over, or a revocation of one.
	CodePassportEnded Code = "PASSPORT_ENDED"
	// CodeCheckpointNotAvailable is a checkpoint or a checkout in mode Standard.
	CodeCheckpointNotAvailable Code = "CHECKPOINT_NOT_AVAILABLE"
	// CodeCheckpointTooLate is a checkpoint that was made after the expiry.
	CodeCheckpointTooLate Code = "CHECKPOINT_TOO_LATE"
	// CodeTooManyCheckpoints is a checkpoint while twenty of the same interval wait.
	CodeTooManyCheckpoints Code = "TOO_MANY_CHECKPOINTS"
	// CodeNotJudged is a review of a checkout that has no verdict yet.
	CodeNotJudged Code = "NOT_JUDGED"
	// CodeNothingToDecide is a review of a checkout that is clean or does not count.
	CodeNothingToDecide Code = "NOTHING_TO_DECIDE"
	// CodeAlreadyDecided is a review of a checkout that is decided.
	CodeAlreadyDecided Code = "ALREADY_DECIDED"
)

// statuses is the HTTP status of every code.
var statuses = map[Code]int{
	CodeUnauthorized:           http.StatusUnauthorized,
	CodeForbidden:              http.StatusForbidden,
	CodeNotFound:               http.StatusNotFound,
	CodeMethodNotAllowed:       http.StatusMethodNotAllowed,
	CodeInvalidRequest:         http.StatusBadRequest,
	CodeSchema:                 http.StatusBadRequest,
	CodeTooLarge:               http.StatusRequestEntityTooLarge,
	CodeMediaType:              http.StatusUnsupportedMediaType,
	CodeRateLimited:            http.StatusTooManyRequests,
	CodeConflict:               http.StatusConflict,
	CodeKeyReused:              http.StatusUnprocessableEntity,
	CodeUnavailable:            http.StatusServiceUnavailable,
	CodeAuditUnavailable:       http.StatusServiceUnavailable,
	CodeInternal:               http.StatusInternalServerError,
	CodeIssuePending:           http.StatusGatewayTimeout,
	CodeCheckpointPending:      http.StatusGatewayTimeout,
	CodeAccountabilityRequired: http.StatusBadRequest,
	CodeServiceNotGranted:      http.StatusForbidden,
	CodeScopeEscalation:        http.StatusBadRequest,
	CodeLifetimeExceeded:       http.StatusBadRequest,
	CodePassportBlocked:        http.StatusForbidden,
	CodePolicyRefused:          http.StatusForbidden,
	CodeTokenTooLarge:          http.StatusBadRequest,
	CodeNotIssuedInTime:        http.StatusGatewayTimeout,
	CodePassportRejected:       http.StatusForbidden,
	CodePassportExpired:        http.StatusUnauthorized,
	CodePassportRevoked:        http.StatusUnauthorized,
	CodePassportNotActive:      http.StatusConflict,
	CodePassportEnded:          http.StatusGone,
	CodeCheckpointNotAvailable: http.StatusNotFound,
	CodeCheckpointTooLate:      http.StatusGone,
	CodeTooManyCheckpoints:     http.StatusTooManyRequests,
	CodeNotJudged:              http.StatusConflict,
	CodeNothingToDecide:        http.StatusConflict,
	CodeAlreadyDecided:         http.StatusConflict,
}

// Codes lists every code with its status.
func Codes() map[Code]int {
	all := make(map[Code]int, len(statuses))
	for code, status := range statuses {
		all[code] = status
	}
	return all
}

// failure is an error as a client is told of it.
type failure struct {
	code    Code
	message string
	details details
}

// retryAfter in the details is in how many seconds to try again; it goes into Retry-After too.
const retryAfter = "retry_after_seconds"

// details go beside the message, for programs.
type details map[string]any

// Error implements error.
func (f *failure) Error() string { return f.message }

func fail(code Code, format string, args ...any) *failure {
	return &failure{code: code, message: fmt.Sprintf(format, args...)}
}

func (f *failure) with(more details) *failure {
	f.details = more
	return f
}

// fault is one thing that is wrong with a request.
type fault struct {
	Field   string `json:"field"`
	Message string `json:"message"`
}

// invalid is a request with these problems.
func invalid(problems ...fault) *failure {
	return listed(CodeInvalidRequest, problems)
}

func listed(code Code, problems []fault) *failure {
	said := make([]string, len(problems))
	for i, p := range problems {
		said[i] = p.Message
		if p.Field != "" {
			said[i] = p.Field + ": " + p.Message
		}
	}
	return fail(code, "%s", strings.Join(said, "; ")).with(details{"problems": problems})
}

// toFailure is what a client is told of any error; false where the log has to say more.
func toFailure(err error) (*failure, bool) {
	var known *failure
	switch {
	case errors.As(err, &known):
		return known, true
	case errors.Is(err, access.ErrUnauthenticated):
		return fail(CodeUnauthorized, "%s", err.Error()), true
	case errors.Is(err, access.ErrForbidden):
		return fail(CodeForbidden, "%s", err.Error()), true
	case errors.Is(err, access.ErrUnavailable):
		return fail(CodeUnavailable, "%s", err.Error()), true
	case apierrors.IsInvalid(err):
		return schemaFailure(err), true
	case apierrors.IsForbidden(err):
		return fail(CodeForbidden, "the API server refuses it: %s", err.Error()), true
	case apierrors.IsNotFound(err):
		return fail(CodeNotFound, "%s", err.Error()), true
	case apierrors.IsConflict(err), apierrors.IsAlreadyExists(err):
		return fail(CodeConflict, "somebody else changed it at the same time; try again"), true
	case errors.Is(err, context.Canceled):
		return fail(CodeUnavailable, "the request was given up"), true
	case unanswered(err):
		return fail(CodeUnavailable, "the API server does not answer; try again"), false
	}
	return fail(CodeInternal, "the gateway failed; its log says how, under the request id"), false
}

// unanswered tells an API server that does not answer from one that refuses.
func unanswered(err error) bool {
	var status apierrors.APIStatus
	if !errors.As(err, &status) {
		return true
	}
	code := status.Status().Code
	return code == http.StatusTooManyRequests || code >= http.StatusInternalServerError
}

// schemaFailure lists what the API server's schema refuses, by the names of this API.
func schemaFailure(err error) *failure {
	var status apierrors.APIStatus
	if !errors.As(err, &status) || status.Status().Details == nil || len(status.Status().Details.Causes) == 0 {
		return fail(CodeSchema, "%s", err.Error())
	}
	var problems []fault
	for _, cause := range status.Status().Details.Causes {
		problems = append(problems, problemOf(cause))
	}
	return listed(CodeSchema, problems)
}

func problemOf(cause metav1.StatusCause) fault {
	return fault{Field: fieldName(cause.Field), Message: cause.Message}
}

// fieldNames are those that are not the Kubernetes name in snake_case.
var fieldNames = map[string]string{
	"spec.agentRef.name":         "agent_id",
	"spec.activeDeadlineSeconds": "max_duration_seconds",
	"spec.revocation.reason":     "reason",
	"spec.lifted.reason":         "reason",
	"spec.review.notes":          "notes",
	"spec.review.decision":       "decision",
}

// fieldName is the name in this API of a field in a Kubernetes object.
func fieldName(path string) string {
	if name, special := fieldNames[path]; special {
		return name
	}
	var name strings.Builder
	for i, r := range strings.TrimPrefix(path, "spec.") {
		if unicode.IsUpper(r) {
			if i > 0 {
				name.WriteByte('_')
			}
			r = unicode.ToLower(r)
		}
		name.WriteRune(r)
	}
	return name.String()
}

// rejections are the codes of the reasons for which a passport is never issued.
var rejections = map[v1alpha1.Reason]Code{
	v1alpha1.ReasonAccountabilityRequired: CodeAccountabilityRequired,
	v1alpha1.ReasonServiceNotGranted:      CodeServiceNotGranted,
	v1alpha1.ReasonScopeEscalation:        CodeScopeEscalation,
	v1alpha1.ReasonLifetimeExceeded:       CodeLifetimeExceeded,
	v1alpha1.ReasonPassportBlocked:        CodePassportBlocked,
	v1alpha1.ReasonPolicyRefused:          CodePolicyRefused,
	v1alpha1.ReasonTokenTooLarge:          CodeTokenTooLarge,
	v1alpha1.ReasonNotIssuedInTime:        CodeNotIssuedInTime,
	v1alpha1.ReasonRevokedByRequest:       CodePassportRevoked,
}

// refusals are the codes of the reasons for which a checkpoint or a checkout does not count.
var refusals = map[v1alpha1.Reason]Code{
	v1alpha1.ReasonPassportNotFound:       CodeNotFound,
	v1alpha1.ReasonNotYours:               CodeForbidden,
	v1alpha1.ReasonCheckpointNotAvailable: CodeCheckpointNotAvailable,
	v1alpha1.ReasonCheckoutNotAvailable:   CodeCheckpointNotAvailable,
	v1alpha1.ReasonTooLate:                CodeCheckpointTooLate,
	v1alpha1.ReasonPassportEnded:          CodePassportEnded,
	v1alpha1.ReasonTooMany:                CodeTooManyCheckpoints,
}
