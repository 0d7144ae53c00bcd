package playground

import (
	"context"
	"fmt"
	"strings"
	"time"

	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"agentpassport.dev/operator/api/v1alpha1"
)

const (
	agentNamespace = "agents"
	agentName      = "support-bot"
	reviewerName   = "reviewer"
	responderName  = "responder"
)

// actors are those who play. Each is a ServiceAccount with the rights that are shipped for its part,
// and no other.
type actors struct {
	// agent has the rights of config/samples/rbac-agent.yaml.
	agent client.Client
	// reviewer holds ClusterRole agent-passport-reviewer.
	reviewer client.Client
	// responder holds ClusterRole agent-passport-responder.
	responder client.Client
	// kubelet stands for what mounts the token into the agent's Pod.
	kubelet client.Client
}

// newActors lets the actors into the cluster of cfg. The agent's account is there already; those of
// the reviewer and the responder are made.
func newActors(ctx context.Context, cfg *rest.Config, admin client.Client, screen *Screen) (*actors, error) {
	a := &actors{kubelet: admin}
	warned := &warnings{screen: screen, said: map[string]bool{}}
	for _, part := range []struct {
		name, role     string
		verb, resource string
		is             *client.Client
	}{
		{agentName, "", "create", "passports", &a.agent},
		{reviewerName, "agent-passport-reviewer", "review", "checkouts", &a.reviewer},
		{responderName, "agent-passport-responder", "patch", "agentblocks", &a.responder},
	} {
		if part.role != "" {
			if err := hire(ctx, admin, part.name, part.role); err != nil {
				return nil, err
			}
		}
		actor, err := enter(ctx, cfg, admin, part.name, warned)
		if err != nil {
			return nil, err
		}
		if err := awaitRight(ctx, actor, part.name, part.verb, part.resource); err != nil {
			return nil, err
		}
		*part.is = actor
	}
	return a, nil
}

// account is the username of an actor.
func account(name string) string {
	return "system:serviceaccount:" + agentNamespace + ":" + name
}

// hire makes a ServiceAccount with the rights of a ClusterRole, where it is not there yet.
func hire(ctx context.Context, admin client.Client, name, role string) error {
	at := metav1.ObjectMeta{Namespace: agentNamespace, Name: name}
	for _, object := range []client.Object{
		&corev1.ServiceAccount{ObjectMeta: at},
		&rbacv1.RoleBinding{
			ObjectMeta: at,
			RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role},
			Subjects:   []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: agentNamespace, Name: name}},
		},
	} {
		if err := admin.Create(ctx, object); client.IgnoreAlreadyExists(err) != nil {
			return fmt.Errorf("making %s: %w", name, err)
		}
	}
	return nil
}

// enter gives a client whose only credential is a token of the actor's own.
func enter(
	ctx context.Context, cfg *rest.Config, admin client.Client, name string, warned rest.WarningHandler,
) (client.Client, error) {
	token, _, err := requestToken(ctx, admin, agentNamespace, name, time.Hour)
	if err != nil {
		return nil, fmt.Errorf("a token for ServiceAccount %s/%s: %w", agentNamespace, name, err)
	}
	own := rest.AnonymousClientConfig(cfg)
	own.BearerToken = token
	own.WarningHandler = warned
	return client.New(own, client.Options{Scheme: admin.Scheme()})
}

// awaitRight waits until RBAC, which the API server loads in its own time, gives an actor a right.
func awaitRight(ctx context.Context, actor client.Client, name, verb, resource string) error {
	what := fmt.Sprintf("%s to have the right to %s %s", name, verb, resource)
	return eventually(ctx, patience, what, func(ctx context.Context) (string, error) {
		question := &authorizationv1.SelfSubjectAccessReview{
			Spec: authorizationv1.SelfSubjectAccessReviewSpec{ResourceAttributes: &authorizationv1.ResourceAttributes{
				Namespace: agentNamespace, Verb: verb, Group: v1alpha1.GroupVersion.Group, Resource: resource,
			}},
		}
		if err := actor.Create(ctx, question); err != nil {
			return "", err
		}
		if !question.Status.Allowed {
			return "the API server says no", nil
		}
		return "", nil
	})
}

// warnings shows what the API server warns of, each thing once.
type warnings struct {
	screen *Screen
	said   map[string]bool
}

// HandleWarningHeader implements rest.WarningHandler.
func (w *warnings) HandleWarningHeader(code int, _, text string) {
	if code != 299 || text == "" || w.said[text] {
		return
	}
	w.said[text] = true
	// Which policy speaks is less than what it says.
	if _, said, ok := strings.Cut(text, "' with binding '"); ok {
		_, text, _ = strings.Cut(said, ": ")
	}
	w.screen.Line("", "(the API server warns: %s)", text)
}
