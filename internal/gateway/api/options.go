package api

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"agentpassport.dev/operator/internal/audit/wire"
)

// Right is one thing that a caller wants to do, as RBAC puts it, in the group agentpassport.dev.
type Right struct {
	// Verb such as use, create or review.
	Verb string
	// Resource is the plural of a kind, or auditrecords.
	Resource string
	// Namespace is empty for all of the cluster.
	Namespace string
	// Name of the object; empty for all of them.
	Name string
}

var (
	// ErrUnauthenticated means that the caller showed no valid credential.
	ErrUnauthenticated = errors.New("not authenticated")
	// ErrForbidden means that the caller lacks the right.
	ErrForbidden = errors.New("forbidden")
	// ErrNotFound means that there is no such thing.
	ErrNotFound = errors.New("not found")
)

// Access says who a caller is and what it may.
type Access interface {
	// Authenticate says who sends a request. The error is an ErrUnauthenticated, or tells that the API
	// server could not be asked.
	Authenticate(request *http.Request) (user.Info, error)
	// Authorize returns nil where the caller has the right. The error is an ErrForbidden, or tells that
	// the API server could not be asked.
	Authorize(ctx context.Context, who user.Info, right Right) error
}

// Tokens gives the tokens of live passports.
type Tokens interface {
	// Token gives the token of an Active passport, signed with its stored expiry.
	Token(ctx context.Context, namespace, name string, uid types.UID) (token string, expiresAt time.Time, err error)
}

// Finder finds objects by the ids that this API gives them.
type Finder interface {
	// Passport gives the Passport with a jti. Where none is known it waits for one until ctx ends, since a
	// watch may lag; then the error is that of ctx.
	Passport(ctx context.Context, jti string) (types.NamespacedName, error)
	// Checkout gives the Checkout with a ReviewID, likewise.
	Checkout(ctx context.Context, id string) (types.NamespacedName, error)
}

// Waiter waits for what the operator writes.
type Waiter interface {
	// Await returns once until is true of object as it is stored, or was when it was deleted. object is as
	// it was read or created, with its resource version, and becomes the newest that was seen. The error is
	// that of ctx where it ends first.
	Await(ctx context.Context, object client.Object, until func() bool) error
}

// Keys are the published keys.
type Keys interface {
	// JWKS is the key set as it is published, RFC 7517; false where it is not known yet. It is not changed
	// once it was given.
	JWKS() ([]byte, bool)
}

// StatusLists gives signed status lists.
type StatusLists interface {
	// StatusList gives one as a signed token, and for how long it may be cached. The error is an
	// ErrNotFound where there is no such list.
	StatusList(ctx context.Context, epoch, list int64) (signed []byte, maxAge time.Duration, err error)
}

// AuditLog reads the audit log as the gateway.
type AuditLog interface {
	// Get asks for a path, whatever comes. The body has to be closed.
	Get(ctx context.Context, path string, query url.Values) (*http.Response, error)
	// Calls gives what the gateways saw of one passport.
	Calls(ctx context.Context, namespace, jti string) (wire.Calls, error)
}

// Options are what the API works with.
type Options struct {
	// Client reads and writes the API server as the gateway. It has no cache.
	Client client.Client
	Access Access
	Tokens Tokens
	Finder Finder
	Waiter Waiter
	Keys   Keys
	// StatusLists may be nil: then there are none.
	StatusLists StatusLists
	AuditLog    AuditLog
	// Issuer of the tokens, byte for byte.
	Issuer string
	// Clock is the API server's.
	Clock clock.PassiveClock
	Log   logr.Logger
	// Limits on every client.
	Limits Limits
	// IssueTimeout, CheckpointTimeout and CheckoutTimeout bound how long a call waits for the operator;
	// 0: 30 s each.
	IssueTimeout, CheckpointTimeout, CheckoutTimeout time.Duration
}

const (
	// defaultWait is how long a call waits for the operator.
	defaultWait = 30 * time.Second
	// findWait is how long an id that is not known is waited for.
	findWait = 2 * time.Second
)
