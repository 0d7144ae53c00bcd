package judge

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"k8s.io/apiserver/pkg/authentication/user"

	"agentpassport.dev/operator/internal/access"
	"agentpassport.dev/operator/internal/gateway/decision"
)

// Access says who sends a request and what they may: access.Access.
type Access interface {
	Authenticate(request *http.Request) (user.Info, error)
	Authorize(ctx context.Context, who user.Info, right access.Right) error
}

// KubernetesCallers takes callers for who the API server says they are, by TokenReview, and lets them act as
// an agent where RBAC gives them the verb `use` on it. Both answers are believed for a minute at most.
type KubernetesCallers struct {
	Access Access
}

// MayUse implements Callers.
func (k KubernetesCallers) MayUse(ctx context.Context, bearer []string, namespace, agent string) (decision.CallerState, string) {
	switch {
	case len(bearer) == 0:
		return decision.CallerMissing, ""
	case len(bearer) > 1 || !strings.HasPrefix(bearer[0], "Bearer "):
		return decision.CallerInvalid, ""
	}
	request := (&http.Request{Header: http.Header{"Authorization": bearer}}).WithContext(ctx)
	who, err := k.Access.Authenticate(request)
	switch {
	case errors.Is(err, access.ErrUnavailable):
		return decision.CallerUnknown, ""
	case err != nil:
		return decision.CallerInvalid, ""
	}
	err = k.Access.Authorize(ctx, who, access.Right{Verb: "use", Resource: "agentpassports", Namespace: namespace, Name: agent})
	switch {
	case err == nil:
		return decision.CallerMayUse, who.GetName()
	case errors.Is(err, access.ErrForbidden):
		return decision.CallerMayNotUse, who.GetName()
	default:
		return decision.CallerUnknown, who.GetName()
	}
}
