// Package recovery is how an audit log that lost records is begun anew in a cluster: the service stays up,
// not ready, takes no record, and lets those with a right of their own begin the next epoch.
package recovery

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/go-logr/logr"
	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"agentpassport.dev/operator/internal/audit"
	"agentpassport.dev/operator/internal/audit/writer"
)

// The right to begin an epoch, as a rule of RBAC names it. No object of this kind exists.
const (
	Group    = "agentpassport.dev"
	Resource = "auditlogs"
	Verb     = "begin-epoch"
)

var (
	// ErrForbidden means that the caller may not begin an epoch.
	ErrForbidden = errors.New("beginning a new epoch needs the verb " + Verb + " on " + Resource + "." + Group)
	// ErrReason means that no reason was given.
	ErrReason = errors.New("beginning a new epoch needs a reason: it is kept for good")
	// ErrDone means that the log is open, or about to be.
	ErrDone = errors.New("the audit log is open: no new epoch is begun")
)

// Authorize asks the API server whether an authenticated user may begin an epoch of the log in a namespace.
// The client needs create on subjectaccessreviews.
func Authorize(ctx context.Context, c client.Client, namespace string, user authenticationv1.UserInfo) error {
	extra := make(map[string]authorizationv1.ExtraValue, len(user.Extra))
	for name, values := range user.Extra {
		extra[name] = authorizationv1.ExtraValue(values)
	}
	review := &authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{
		User: user.Username, UID: user.UID, Groups: user.Groups, Extra: extra,
		ResourceAttributes: &authorizationv1.ResourceAttributes{
			Namespace: namespace, Group: Group, Resource: Resource, Verb: Verb,
		},
	}}
	if err := c.Create(ctx, review); err != nil {
		return fmt.Errorf("ask whether %s may begin an epoch: %w", user.Username, err)
	}
	if !review.Status.Allowed {
		return fmt.Errorf("%w, which %s does not have", ErrForbidden, user.Username)
	}
	return nil
}

// Gate opens a log, and holds it back where records of it are lost, until somebody begins a new epoch. Its
// methods may be called by any goroutine.
type Gate struct {
	client    client.Client
	namespace string
	options   writer.Options

	// working is held by the one who opens or begins.
	working sync.Mutex

	mu   sync.RWMutex
	lost *writer.LostError
	done bool
	open chan *writer.Log
}

// NewGate is a gate before the log of these options, in the service's namespace.
func NewGate(c client.Client, namespace string, options writer.Options) *Gate {
	return &Gate{client: c, namespace: namespace, options: options, open: make(chan *writer.Log, 1)}
}

// Open returns the log. Where records of it are lost, it waits, with Lost saying so, until Begin was called
// and the log is open, or the context ends. Any other error is final.
func (g *Gate) Open(ctx context.Context) (*writer.Log, error) {
	g.working.Lock()
	log, err := writer.Open(ctx, g.options)
	var lost *writer.LostError
	g.set(errors.As(err, &lost), lost)
	g.working.Unlock()
	if lost == nil {
		return log, err
	}
	logr.FromContextOrDiscard(ctx).Error(lost, "the audit log takes no record until somebody begins a new epoch")
	select {
	case log := <-g.open:
		return log, nil
	case <-ctx.Done():
		return nil, errors.Join(lost, ctx.Err(), g.abandon())
	}
}

// set notes that the log waits for a new epoch, or that it does not.
func (g *Gate) set(waits bool, lost *writer.LostError) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.done, g.lost = !waits, lost
}

// abandon closes a log that was opened when nobody waited for it any more.
func (g *Gate) abandon() error {
	g.working.Lock()
	defer g.working.Unlock()
	g.set(false, nil)
	select {
	case log := <-g.open:
		return log.Close()
	default:
		return nil
	}
}

// Lost is what was lost, nil while the log is open or being opened: what a readiness probe says.
func (g *Gate) Lost() *writer.LostError {
	g.mu.RLock()
	defer g.mu.RUnlock()
	return g.lost
}

// Begin begins a new epoch for an authenticated user, who is its actor, and lets Open go on. It returns the
// first record of the epoch.
func (g *Gate) Begin(ctx context.Context, user authenticationv1.UserInfo, reason string) (audit.Entry, error) {
	if err := Authorize(ctx, g.client, g.namespace, user); err != nil {
		return audit.Entry{}, err
	}
	if reason == "" {
		return audit.Entry{}, ErrReason
	}
	g.working.Lock()
	defer g.working.Unlock()
	if g.Lost() == nil {
		return audit.Entry{}, ErrDone
	}
	// What has begun is carried through, whoever has stopped waiting for it.
	ctx = context.WithoutCancel(ctx)
	entry, err := writer.Begin(ctx, g.options, audit.Actor{Username: user.Username}, reason)
	if err != nil {
		return audit.Entry{}, err
	}
	log, err := writer.Open(ctx, g.options)
	if err != nil {
		return audit.Entry{}, fmt.Errorf("the epoch is begun, and does not open: %w", err)
	}
	g.set(false, nil)
	g.open <- log
	return entry, nil
}
