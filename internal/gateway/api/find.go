package api

import (
	"context"
	"errors"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"agentpassport.dev/operator/api/v1alpha1"
	"agentpassport.dev/operator/internal/access"
	"agentpassport.dev/operator/internal/token"
)

// noSuchPassport is all that a caller is told of a passport that is not there, or not for them.
func noSuchPassport(jti string) error {
	return fail(CodeNotFound, "there is no passport %s that you may see", jti)
}

// passport reads the Passport of the jti in the path, as it is stored now. A caller who may not get it is
// told that there is none.
func (s *service) passport(c *call) (*v1alpha1.Passport, error) {
	jti := c.r.PathValue("jti")
	if !jtiForm.MatchString(jti) {
		return nil, fail(CodeNotFound, "a passport's id is its jti, such as pp_ and 32 hexadecimal digits")
	}
	known, err := s.known(c.r.Context(), jti)
	if err != nil {
		return nil, err
	}
	if err := s.visible(c, "passports", known, noSuchPassport(jti)); err != nil {
		return nil, err
	}
	passport := &v1alpha1.Passport{}
	if err := s.Client.Get(c.r.Context(), known, passport); client.IgnoreNotFound(err) != nil {
		return nil, err
	}
	// One that was deleted, and another of its name.
	if token.JTI(string(passport.UID)) != jti {
		return nil, noSuchPassport(jti)
	}
	return passport, nil
}

// known finds where the Passport with a jti is. A watch may not have brought it yet.
func (s *service) known(ctx context.Context, jti string) (types.NamespacedName, error) {
	var found types.NamespacedName
	return found, s.look(ctx, findAgain, noSuchPassport(jti), func() bool {
		passport, known := s.View.ByJTI(jti)
		if known {
			found = client.ObjectKeyFromObject(passport)
		}
		return known
	})
}

// look asks what the watches have brought, again and again, until there it is, or for so long that it never was.
func (*service) look(ctx context.Context, again time.Duration, missing error, found func() bool) error {
	err := wait.PollUntilContextTimeout(ctx, again, findWait, true, func(context.Context) (bool, error) {
		return found(), nil
	})
	if err != nil && ctx.Err() == nil {
		return missing
	}
	return err
}

// visible returns missing where the caller may not get an object.
func (s *service) visible(c *call, resource string, key types.NamespacedName, missing error) error {
	err := s.Access.Authorize(c.r.Context(), c.who, access.Right{
		Verb: access.Get, Resource: resource, Namespace: key.Namespace, Name: key.Name,
	})
	if errors.Is(err, access.ErrForbidden) {
		return missing
	}
	return err
}

// may asks for every right, and says which the caller lacks.
func (s *service) may(c *call, rights ...access.Right) error {
	for _, right := range rights {
		if err := s.Access.Authorize(c.r.Context(), c.who, right); err != nil {
			return err
		}
	}
	return nil
}

// toAct are the rights that the API server asks of whoever writes a mission's object as an agent.
func toAct(resource, namespace, agent string) []access.Right {
	return []access.Right{
		{Verb: access.Use, Resource: "agentpassports", Namespace: namespace, Name: agent},
		{Verb: access.Create, Resource: resource, Namespace: namespace},
	}
}

// caller is how the gateway names whom it writes for; admission adds who wrote.
func (c *call) caller() *v1alpha1.Actor { return &v1alpha1.Actor{Username: c.who.GetName()} }

// scope is where a list is taken from: the namespace that the query names, else all of the cluster where
// the caller may, else the caller's own namespace.
func (s *service) scope(c *call, verb access.Verb, resource, namespace string) (string, error) {
	if namespace != "" {
		return namespace, s.may(c, access.Right{Verb: verb, Resource: resource, Namespace: namespace})
	}
	everywhere := s.may(c, access.Right{Verb: verb, Resource: resource})
	own := ownNamespace(c.who)
	if everywhere == nil || !errors.Is(everywhere, access.ErrForbidden) || own == "" {
		return "", everywhere
	}
	return own, s.may(c, access.Right{Verb: verb, Resource: resource, Namespace: own})
}
