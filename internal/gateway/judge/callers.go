package judge

import (
	"context"
	"crypto/sha256"
	"errors"
	"net/http"
	"strings"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/utils/clock"

	"agentpassport.dev/operator/internal/access"
	"agentpassport.dev/operator/internal/gateway/decision"
)

// Access says who sends a request and what they may: access.Access.
type Access interface {
	Authenticate(request *http.Request) (user.Info, error)
	Authorize(ctx context.Context, who user.Info, right access.Right) error
}

// rememberedFor is how long it is remembered that a caller may act as an agent. With the 55 s that Access believes
// the API server this is a minute at most.
const rememberedFor = 5 * time.Second

// maxRemembered is how many callers are remembered: those that called last.
const maxRemembered = 1 << 16

// KubernetesCallers takes callers for who the API server says they are, by TokenReview, and lets them act as
// an agent where RBAC gives them the verb `use` on it. Both answers are believed for a minute at most. Its
// methods may be called by any goroutine. Use NewKubernetesCallers.
type KubernetesCallers struct {
	access Access
	clock  clock.PassiveClock
	may    *lru.Cache[use, remembered]
}

// use is that a bearer token, by its SHA-256, acts as an agent.
type use struct {
	bearer           [sha256.Size]byte
	namespace, agent string
}

// remembered is who that was, and until when it is believed.
type remembered struct {
	name  string
	until time.Time
}

// NewKubernetesCallers makes them. The clock measures how long ago something was asked.
func NewKubernetesCallers(may Access, local clock.PassiveClock) (*KubernetesCallers, error) {
	kept, err := lru.New[use, remembered](maxRemembered)
	if err != nil {
		return nil, err
	}
	return &KubernetesCallers{access: may, clock: local, may: kept}, nil
}

// MayUse implements Callers. Refusals are not remembered here.
func (k *KubernetesCallers) MayUse(ctx context.Context, bearer []string, namespace, agent string) (decision.CallerState, string) {
	switch {
	case len(bearer) == 0:
		return decision.CallerMissing, ""
	case len(bearer) > 1 || !strings.HasPrefix(bearer[0], "Bearer "):
		return decision.CallerInvalid, ""
	}
	var room [4096]byte // most tokens fit, and need no memory of their own to be hashed
	asked := use{bearer: sha256.Sum256(append(room[:0], bearer[0]...)), namespace: namespace, agent: agent}
	now := k.clock.Now()
	if known, found := k.may.Get(asked); found && now.Before(known.until) {
		return decision.CallerMayUse, known.name
	}
	state, name := k.ask(ctx, bearer, namespace, agent)
	if state == decision.CallerMayUse {
		k.may.Add(asked, remembered{name: name, until: now.Add(rememberedFor)})
	}
	return state, name
}

func (k *KubernetesCallers) ask(ctx context.Context, bearer []string, namespace, agent string) (decision.CallerState, string) {
	request := (&http.Request{Header: http.Header{"Authorization": bearer}}).WithContext(ctx)
	who, err := k.access.Authenticate(request)
	switch {
	case errors.Is(err, access.ErrUnavailable):
		return decision.CallerUnknown, ""
	case err != nil:
		return decision.CallerInvalid, ""
	}
	err = k.access.Authorize(ctx, who, access.Right{Verb: "use", Resource: "agentpassports", Namespace: namespace, Name: agent})
	switch {
	case err == nil:
		return decision.CallerMayUse, who.GetName()
	case errors.Is(err, access.ErrForbidden):
		return decision.CallerMayNotUse, who.GetName()
	default:
		return decision.CallerUnknown, who.GetName()
	}
}
