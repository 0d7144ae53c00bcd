package api

import (
	"context"
	"iter"
	"net/http"
	"net/url"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"agentpassport.dev/operator/api/v1alpha1"
	"agentpassport.dev/operator/internal/access"
	auditwire "agentpassport.dev/operator/internal/audit/wire"
	"agentpassport.dev/operator/internal/channel/wire"
	"agentpassport.dev/operator/internal/gateway/decision"
	"agentpassport.dev/operator/internal/gateway/state"
	"agentpassport.dev/operator/internal/token"
	"agentpassport.dev/operator/internal/watched"
)

// Access says who a caller is and what it may: access.Access.
type Access interface {
	Authenticate(request *http.Request) (user.Info, error)
	Authorize(ctx context.Context, who user.Info, right access.Right) error
}

// Tokens gives the tokens of live passports: tokens.Cache.
type Tokens interface {
	// Token gives the token of an Active passport, whose stored expiry is at least the one that is given.
	Token(ctx context.Context, namespace, name, uid string, expiry time.Time) (wire.TokenAnswer, error)
}

// View is what the gateway knows by its watches: state.View. What it gives is not changed here.
type View interface {
	ByJTI(jti string) (*v1alpha1.Passport, bool)
	Passports() iter.Seq[*v1alpha1.Passport]
	Await(ctx context.Context, uid types.UID, wanted func(*v1alpha1.Passport) bool) (*v1alpha1.Passport, error)
	AwaitCheckpoint(ctx context.Context, key client.ObjectKey, uid types.UID, wanted func(*v1alpha1.Checkpoint) bool) (*v1alpha1.Checkpoint, error)
	AwaitCheckout(ctx context.Context, key client.ObjectKey, uid types.UID, wanted func(*v1alpha1.Checkout) bool) (*v1alpha1.Checkout, error)
	Token(raw string) (*state.Verified, decision.TokenState)
	LookLive(ctx context.Context, verified *state.Verified, service v1alpha1.ServiceName) (decision.Situation, error)
}

// Keys are the published keys.
type Keys interface {
	// JWKS is the key set as it is published, RFC 7517; false where it is not known yet. It is not changed
	// once it was given.
	JWKS() ([]byte, bool)
}

// AuditLog reads the audit log as the gateway: the client of the audit log.
type AuditLog interface {
	// Get asks for a path, whatever comes. The body has to be closed.
	Get(ctx context.Context, path string, query url.Values) (*http.Response, error)
	// Calls gives what the gateways saw of one passport.
	Calls(ctx context.Context, namespace, jti string) (auditwire.Calls, error)
}

// Options are what the API works with.
type Options struct {
	// Client reads and writes the API server as the gateway. It has no cache.
	Client client.Client
	Access Access
	// Works are the namespaces that are served; none: all.
	Works  watched.Namespaces
	Tokens Tokens
	View   View
	Keys   Keys
	// StatusLists are served to anyone.
	StatusLists token.StatusLists
	AuditLog    AuditLog
	// Recorded returns once all that this gateway saw until now is in the audit log, or ctx is over; nil: it is.
	Recorded func(ctx context.Context) error
	// Issuer of the tokens, byte for byte.
	Issuer string
	// Clock is the API server's.
	Clock clock.PassiveClock
	// Local clock limits how long a client may take; nil: the real one.
	Local clock.PassiveClock
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
	// findWait is how long an id that is not known is waited for, findAgain how often it is looked for. That of
	// a review is looked for once or twice more: each look hashes the one of every passport.
	findWait  = 2 * time.Second
	findAgain = 50 * time.Millisecond
)
