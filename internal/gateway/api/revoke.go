package api

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"unicode/utf8"

	"golang.org/x/sync/errgroup"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"agentpassport.dev/operator/api/v1alpha1"
	"agentpassport.dev/operator/internal/access"
	"agentpassport.dev/operator/internal/token"
)

const (
	// maxReason is how many characters a reason may have, as the schema has it.
	maxReason = 500
	// revokingAtOnce is how many passports are revoked at the same time.
	revokingAtOnce = 16
	// pageOfList is how many objects are read at once where all of them are looked through.
	pageOfList = 500
)

// revokeOneRequest ends one passport.
type revokeOneRequest struct {
	Reason string `json:"reason"`
}

// revokeManyRequest ends every live passport of an agent, of a session, or of a namespace.
type revokeManyRequest struct {
	Reason    string `json:"reason"`
	AgentID   string `json:"agent_id"`
	SessionID string `json:"session_id"`
	All       bool   `json:"all"`
	Confirm   bool   `json:"confirm"`
	Namespace string `json:"namespace"`
}

// revokeAnswer says which passports are revoked, and which are not.
type revokeAnswer struct {
	Revoked []string     `json:"revoked"`
	Failed  []failedBody `json:"failed"`
}

// failedBody is a passport that was not revoked.
type failedBody struct {
	JTI     string `json:"jti"`
	Code    Code   `json:"code"`
	Message string `json:"message"`
}

func reasonProblem(reason string) string {
	switch {
	case strings.TrimSpace(reason) == "":
		return "is required: say why, for whoever reads it later"
	case utf8.RuneCountInString(reason) > maxReason:
		return "has more than 500 characters"
	default:
		return ""
	}
}

// revokeOne ends one passport.
func (s *service) revokeOne(c *call) error {
	var body revokeOneRequest
	if err := c.read(&body); err != nil {
		return err
	}
	if wrong := reasonProblem(body.Reason); wrong != "" {
		return invalid(fault{Field: "reason", Message: wrong})
	}
	passport, err := s.passport(c)
	if err != nil {
		return err
	}
	if err := s.may(c, toRevoke(passport.Namespace, passport.Name)...); err != nil {
		return err
	}
	if err := s.revokeLive(c.r.Context(), c.caller(), passport, body.Reason); err != nil {
		return err
	}
	return c.give(revokeAnswer{Revoked: []string{token.JTI(string(passport.UID))}, Failed: []failedBody{}})
}

// toRevoke are the rights that the API server asks of whoever revokes.
func toRevoke(namespace, name string) []access.Right {
	return []access.Right{
		{Verb: access.Revoke, Resource: "passports", Namespace: namespace, Name: name},
		{Verb: access.Update, Resource: "passports", Namespace: namespace, Name: name},
	}
}

// revokeLive sets the revocation of a passport that has not ended. One that is revoked already stays so.
func (s *service) revokeLive(ctx context.Context, by *v1alpha1.Actor, passport *v1alpha1.Passport, reason string) error {
	if revoked(passport) {
		return nil
	}
	if passport.Status.Phase.Finished() {
		return over(passport)
	}
	changed := passport.DeepCopy()
	changed.Spec.Revocation = &v1alpha1.Revocation{Reason: reason, By: by}
	err := s.patch(ctx, changed, passport)
	if err == nil || (!apierrors.IsInvalid(err) && !apierrors.IsConflict(err)) {
		return err
	}
	// Somebody else may have revoked it first, which is as good.
	latest := &v1alpha1.Passport{}
	if getErr := s.Client.Get(ctx, client.ObjectKeyFromObject(passport), latest); getErr == nil && latest.UID == passport.UID && revoked(latest) {
		return nil
	}
	return err
}

func revoked(passport *v1alpha1.Passport) bool {
	return passport.Spec.Revocation != nil || passport.Status.Phase == v1alpha1.PhaseRevoked
}

// revokeMany ends every live passport of an agent, a session or a namespace.
func (s *service) revokeMany(c *call) error {
	var body revokeManyRequest
	if err := c.read(&body); err != nil {
		return err
	}
	selected, err := body.selection(ownNamespace(c.who))
	if err != nil {
		return err
	}
	if err := s.may(c, access.Right{Verb: access.List, Resource: "passports", Namespace: selected.namespace}); err != nil {
		return err
	}
	allowed, err := s.mayRevoke(c, selected.namespace)
	if err != nil {
		return err
	}
	passports, err := s.live(c.r.Context(), selected)
	if err != nil {
		return err
	}
	return c.give(s.revokeAll(c, passports, allowed, body.Reason))
}

// selection is which passports are meant.
type selection struct {
	namespace, agent, session string
}

func (b *revokeManyRequest) selection(own string) (selection, error) {
	var problems []fault
	note := func(field, message string) {
		if message != "" {
			problems = append(problems, fault{Field: field, Message: message})
		}
	}
	note("reason", reasonProblem(b.Reason))
	selected := selection{namespace: b.Namespace, session: b.SessionID}
	given := 0
	for _, one := range []bool{b.AgentID != "", b.SessionID != "", b.All} {
		if one {
			given++
		}
	}
	if given != 1 {
		note("", "say which passports: one of agent_id, session_id, and all: true")
	}
	if b.All && !b.Confirm {
		note("confirm", "has to be true to revoke every live passport of a namespace")
	}
	if b.AgentID != "" {
		agent, wrong := agentID(b.AgentID, firstOf(b.Namespace, own))
		note("agent_id", wrong)
		if b.Namespace != "" && wrong == "" && agent.Namespace != b.Namespace {
			note("namespace", "differs from that in agent_id")
		}
		selected.namespace, selected.agent = agent.Namespace, agent.Name
	}
	if selected.namespace = firstOf(selected.namespace, own); selected.namespace == "" && b.AgentID == "" {
		note("namespace", "is required: only a ServiceAccount has a namespace of its own")
	}
	if len(problems) > 0 {
		return selection{}, invalid(problems...)
	}
	return selected, nil
}

func firstOf(one, other string) string {
	if one != "" {
		return one
	}
	return other
}

// mayRevoke gives who asks a question a passport, or none where all of the namespace is the caller's to
// revoke.
func (s *service) mayRevoke(c *call, namespace string) (func(name string) error, error) {
	err := s.may(c, toRevoke(namespace, "")...)
	if err == nil {
		return func(string) error { return nil }, nil
	}
	if !errors.Is(err, access.ErrForbidden) {
		return nil, err
	}
	return func(name string) error { return s.may(c, toRevoke(namespace, name)...) }, nil
}

// live reads the passports that are meant and have not ended, as they are stored now.
func (s *service) live(ctx context.Context, selected selection) ([]v1alpha1.Passport, error) {
	options := []client.ListOption{client.InNamespace(selected.namespace)}
	if selected.agent != "" {
		options = append(options, client.MatchingFields{"spec.agentRef.name": selected.agent})
	}
	var found []v1alpha1.Passport
	for next := ""; ; {
		var page v1alpha1.PassportList
		if err := s.Client.List(ctx, &page, append(options, client.Limit(pageOfList), client.Continue(next))...); err != nil {
			return nil, err
		}
		for i := range page.Items {
			passport := &page.Items[i]
			if !passport.Status.Phase.Finished() && (selected.session == "" || passport.Status.SessionID == selected.session) {
				found = append(found, *passport)
			}
		}
		if next = page.Continue; next == "" {
			return found, nil
		}
	}
}

func (s *service) revokeAll(c *call, passports []v1alpha1.Passport, allowed func(string) error, reason string) revokeAnswer {
	answer := revokeAnswer{Revoked: []string{}, Failed: []failedBody{}}
	var mu sync.Mutex
	var group errgroup.Group
	group.SetLimit(revokingAtOnce)
	for i := range passports {
		passport := &passports[i]
		group.Go(func() error {
			err := allowed(passport.Name)
			if err == nil {
				err = s.revokeLive(c.r.Context(), c.caller(), passport, reason)
			}
			mu.Lock()
			defer mu.Unlock()
			answer.add(token.JTI(string(passport.UID)), err)
			return nil
		})
	}
	_ = group.Wait()
	slices.Sort(answer.Revoked)
	slices.SortFunc(answer.Failed, func(a, b failedBody) int { return strings.Compare(a.JTI, b.JTI) })
	return answer
}

func (a *revokeAnswer) add(jti string, err error) {
	if err == nil {
		a.Revoked = append(a.Revoked, jti)
		return
	}
	told, _ := toFailure(err)
	if told.code == CodePassportEnded {
		return // it ended by itself meanwhile: there is nothing left to revoke
	}
	a.Failed = append(a.Failed, failedBody{JTI: jti, Code: told.code, Message: told.message})
}
