// Package tokens keeps the tokens that the manager gave, for as long as they are of use: one is signed
// once an expiry, however often it is asked for.
package tokens

import (
	"context"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/sync/singleflight"

	"agentpassport.dev/operator/internal/channel/wire"
)

// maxTokens is how many are kept, 8 KiB each at most.
const maxTokens = 4096

// Manager signs tokens: client.Client.
type Manager interface {
	Token(ctx context.Context, request wire.TokenRequest) (wire.TokenAnswer, error)
}

// Cache gives tokens. Its methods may be called by any goroutine.
type Cache struct {
	manager Manager
	// verifies says whether a token verifies now.
	verifies func(token string) bool
	kept     *lru.Cache[string, wire.TokenAnswer]
	asking   singleflight.Group
}

// New gives an empty cache over a manager. A token that is kept is given only while it verifies: the key that
// signed it may be dropped.
func New(manager Manager, verifies func(token string) bool) (*Cache, error) {
	kept, err := lru.New[string, wire.TokenAnswer](maxTokens)
	if err != nil {
		return nil, err
	}
	return &Cache{manager: manager, verifies: verifies, kept: kept}, nil
}

// Token gives the token of an Active passport, whose stored expiry is at least the one that is given. That
// the passport is Active is for the caller to know: a token that is kept is given without a question. The
// error is one of the manager's.
func (c *Cache) Token(ctx context.Context, namespace, name, uid string, expiry time.Time) (wire.TokenAnswer, error) {
	if kept, ok := c.kept.Get(uid); ok && !kept.ExpiresAt.Before(expiry) && c.verifies(kept.Token) {
		return kept, nil
	}
	request := wire.TokenRequest{Namespace: namespace, Name: name, UID: uid, ExpiresAt: expiry.UTC()}
	// Who waits for another's question goes when its own time is up.
	asked := c.asking.DoChan(uid+expiry.UTC().String(), func() (any, error) {
		return c.manager.Token(context.WithoutCancel(ctx), request)
	})
	select {
	case <-ctx.Done():
		return wire.TokenAnswer{}, ctx.Err()
	case result := <-asked:
		answer, ok := result.Val.(wire.TokenAnswer)
		if result.Err != nil || !ok {
			return wire.TokenAnswer{}, result.Err
		}
		c.kept.Add(uid, answer)
		return answer, nil
	}
}

// Forget drops what is kept of a passport: it has ended.
func (c *Cache) Forget(uid string) { c.kept.Remove(uid) }
