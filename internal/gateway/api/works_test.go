package api

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"

	"k8s.io/apiserver/pkg/authentication/user"

	"agentpassport.dev/operator/internal/access"
	"agentpassport.dev/operator/internal/watched"
)

// anyone may do everything.
type anyone struct{}

func (anyone) Authenticate(*http.Request) (user.Info, error)            { return &user.DefaultInfo{}, nil }
func (anyone) Authorize(context.Context, user.Info, access.Right) error { return nil }

func TestNarrowed(t *testing.T) {
	for _, is := range []struct {
		works     watched.Namespaces
		namespace string
		allowed   bool
	}{
		{nil, "", true},
		{nil, "agents", true},
		{watched.Namespaces{"agents", "bots"}, "bots", true},
		{watched.Namespaces{"agents", "bots"}, "others", false},
		{watched.Namespaces{"agents", "bots"}, "", false},
	} {
		right := access.Right{Verb: access.List, Resource: "checkouts", Namespace: is.namespace}
		err := narrowed{anyone{}, is.works}.Authorize(t.Context(), &user.DefaultInfo{Name: "reviewer"}, right)
		if is.allowed != (err == nil) {
			t.Errorf("%q, %q: %v", is.works, is.namespace, err)
		}
		if err != nil && (!errors.Is(err, access.ErrForbidden) || !strings.Contains(err.Error(), "serves agents,bots") ||
			!strings.Contains(err.Error(), right.String())) {
			t.Errorf("%q, %q: %v", is.works, is.namespace, err)
		}
	}
}
