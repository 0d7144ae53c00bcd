package api

import (
	"context"
	"fmt"

	"k8s.io/apiserver/pkg/authentication/user"

	"agentpassport.dev/operator/internal/access"
	"agentpassport.dev/operator/internal/watched"
)

// narrowed refuses what lies outside the namespaces that the gateway works in: it has no rights of its own there. What
// is of all the cluster lies outside too.
type narrowed struct {
	Access
	works watched.Namespaces
}

// Authorize implements Access.
func (n narrowed) Authorize(ctx context.Context, who user.Info, right access.Right) error {
	if !n.works.Hold(right.Namespace) {
		return fmt.Errorf("%w: this gateway serves %s, and cannot %s: name a namespace that it serves", access.ErrForbidden, n.works, right)
	}
	return n.Access.Authorize(ctx, who, right)
}
