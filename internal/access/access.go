// Package access decides who may do what, as the API server says: who the caller is by client
// certificate or TokenReview, what it may by SubjectAccessReview. Nothing is granted here that RBAC does
// not grant.
package access

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/go-logr/logr"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	utilerrors "k8s.io/apimachinery/pkg/util/errors"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apiserver/pkg/apis/apiserver"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authentication/authenticatorfactory"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"k8s.io/apiserver/pkg/authorization/authorizerfactory"
	"k8s.io/apiserver/pkg/server/dynamiccertificates"
	authenticationv1 "k8s.io/client-go/kubernetes/typed/authentication/v1"
	authorizationv1 "k8s.io/client-go/kubernetes/typed/authorization/v1"
	"k8s.io/client-go/rest"
)

const (
	// How long answers of the API server are believed. A right that was taken away is gone after
	// allowedFor, one that was given is there after deniedFor. What is said to last a minute leaves 5 s for
	// those who remember what they were told here.
	tokensFor  = 55 * time.Second
	allowedFor = 55 * time.Second
	deniedFor  = 10 * time.Second
	// reviewTimeout bounds one TokenReview.
	reviewTimeout = 10 * time.Second
)

var (
	// ErrUnauthenticated means that the caller showed no valid certificate or token.
	ErrUnauthenticated = errors.New("not authenticated")
	// ErrForbidden means that the caller lacks the right.
	ErrForbidden = errors.New("forbidden")
	// ErrUnavailable means that the API server could not be asked.
	ErrUnavailable = errors.New("the API server could not be asked")
)

// Options are what access is decided by.
type Options struct {
	// Config reaches the API server, as someone who may create tokenreviews and subjectaccessreviews.
	Config *rest.Config
	// Audience is what a token has to be for.
	Audience string
	// ClientCA signs the certificates of clients: their common name is the user, their organizations
	// the groups. Nil: certificates count for nothing.
	ClientCA dynamiccertificates.CAContentProvider
	Log      logr.Logger
}

// Access decides. Its methods may be called by any goroutine.
type Access struct {
	authenticator authenticator.Request
	authorizer    authorizer.Authorizer
	audience      string
	log           logr.Logger
}

// New asks the API server that the options name, and none before the first request.
func New(options Options) (*Access, error) {
	authentication, err := authenticationv1.NewForConfig(options.Config)
	if err != nil {
		return nil, err
	}
	authorization, err := authorizationv1.NewForConfig(options.Config)
	if err != nil {
		return nil, err
	}
	// As the API server's own delegation has it, with less patience: the caller tries again.
	backoff := &wait.Backoff{Duration: 250 * time.Millisecond, Factor: 1.5, Jitter: 0.2, Steps: 3}
	authenticating, _, err := authenticatorfactory.DelegatingAuthenticatorConfig{
		Anonymous:                          &apiserver.AnonymousAuthConfig{Enabled: false},
		TokenAccessReviewClient:            authentication,
		TokenAccessReviewTimeout:           reviewTimeout,
		WebhookRetryBackoff:                backoff,
		CacheTTL:                           tokensFor,
		APIAudiences:                       authenticator.Audiences{options.Audience},
		ClientCertificateCAContentProvider: options.ClientCA,
	}.New()
	if err != nil {
		return nil, fmt.Errorf("make the authenticator: %w", err)
	}
	authorizing, err := authorizerfactory.DelegatingAuthorizerConfig{
		SubjectAccessReviewClient: authorization,
		AllowCacheTTL:             allowedFor,
		DenyCacheTTL:              deniedFor,
		WebhookRetryBackoff:       backoff,
	}.New()
	if err != nil {
		return nil, fmt.Errorf("make the authorizer: %w", err)
	}
	return &Access{authenticator: authenticating, authorizer: authorizing, audience: options.Audience, log: options.Log}, nil
}

// Authenticate says who sends a request. The error is an ErrUnauthenticated or an ErrUnavailable.
func (a *Access) Authenticate(request *http.Request) (user.Info, error) {
	// The audience is that of the service, also where the caller's request says nothing of it.
	ctx := authenticator.WithAudiences(request.Context(), authenticator.Audiences{a.audience})
	response, ok, err := a.authenticator.AuthenticateRequest(request.WithContext(ctx))
	switch {
	case err != nil && unreachable(err):
		a.log.Error(err, "TokenReview failed")
		return nil, fmt.Errorf("%w who the caller is; try again", ErrUnavailable)
	case err != nil:
		// What the error says is about the credential, and may quote it.
		return nil, fmt.Errorf("%w: the client certificate or the bearer token is not valid, has expired, or is not for audience %s",
			ErrUnauthenticated, a.audience)
	case !ok:
		return nil, fmt.Errorf("%w: show a client certificate, or a bearer token for audience %s", ErrUnauthenticated, a.audience)
	}
	return response.User, nil
}

// Authorize returns nil where the caller has the right. The error is an ErrForbidden, which names the
// right, or an ErrUnavailable.
func (a *Access) Authorize(ctx context.Context, who user.Info, right Right) error {
	decision, _, err := a.authorizer.Authorize(ctx, right.attributes(who))
	if decision == authorizer.DecisionAllow {
		return nil
	}
	if err != nil {
		a.log.Error(err, "SubjectAccessReview failed", "user", who.GetName(), "right", right.String())
		return fmt.Errorf("%w what the caller may; try again", ErrUnavailable)
	}
	return fmt.Errorf("%w: %s lacks the right to %s; a role with verb %s on %s grants it",
		ErrForbidden, who.GetName(), right, right.Verb, right.kind())
}

// unreachable tells an API server that did not answer as it should from a credential that is none.
func unreachable(err error) bool {
	var aggregate utilerrors.Aggregate
	if errors.As(err, &aggregate) {
		for _, one := range aggregate.Errors() {
			if unreachable(one) {
				return true
			}
		}
		return false
	}
	var transport *url.Error
	var network net.Error
	var status apierrors.APIStatus
	return errors.As(err, &transport) || errors.As(err, &network) || errors.As(err, &status) ||
		errors.Is(err, context.DeadlineExceeded)
}
