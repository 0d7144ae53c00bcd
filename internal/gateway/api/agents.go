package api

import (
	"context"
	"errors"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"agentpassport.dev/operator/api/v1alpha1"
	"agentpassport.dev/operator/internal/access"
	"agentpassport.dev/operator/internal/lifecycle"
)

// agentAnswer is an agent as it is registered, and whether it is blocked.
type agentAnswer struct {
	AgentID            string        `json:"agent_id"`
	Namespace          string        `json:"namespace"`
	Accountability     string        `json:"accountability_mode"`
	OnWarning          string        `json:"on_warning"`
	OnCritical         string        `json:"on_critical"`
	UndeclaredServices string        `json:"undeclared_services"`
	MaxDurationSeconds int32         `json:"max_duration_seconds"`
	Services           []serviceBody `json:"services"`
	PassportBlocked    bool          `json:"passport_blocked"`
	Suspended          bool          `json:"suspended"`
	BlockedBy          []string      `json:"blocked_by"`
	LivePassports      int32         `json:"live_passports"`
	DocumentSHA256     string        `json:"document_sha256,omitempty"`
}

// serviceOf is a service as this API writes it.
func serviceOf(name v1alpha1.ServiceName, scopes []v1alpha1.Scope, constraints []v1alpha1.Constraint) serviceBody {
	told := serviceBody{Service: string(name), Scopes: strung(scopes)}
	for _, constraint := range constraints {
		told.Constraints = append(told.Constraints, constraintOf(constraint))
	}
	return told
}

// agent tells of one agent.
func (s *service) agent(c *call) error {
	agent, err := s.registered(c)
	if err != nil {
		return err
	}
	blocks, err := s.blocksOf(c.r.Context(), agent)
	if err != nil {
		return err
	}
	answer := agentOf(agent)
	for i := range blocks {
		answer.BlockedBy = append(answer.BlockedBy, blocks[i].Name)
	}
	answer.PassportBlocked = agent.Spec.Suspend || len(blocks) > 0
	return c.give(answer)
}

func agentOf(agent *v1alpha1.AgentPassport) agentAnswer {
	accountability := agent.Spec.Accountability
	answer := agentAnswer{
		AgentID: agent.Name, Namespace: agent.Namespace, Accountability: strings.ToLower(string(accountability.Mode)),
		OnWarning: strings.ToLower(string(accountability.OnWarning)), OnCritical: strings.ToLower(string(accountability.OnCritical)),
		UndeclaredServices: strings.ToLower(string(accountability.UndeclaredServices)), MaxDurationSeconds: accountability.MaxLifetimeSeconds,
		Services: []serviceBody{}, Suspended: agent.Spec.Suspend, BlockedBy: []string{}, DocumentSHA256: agent.Status.DocumentDigest,
	}
	for _, grant := range agent.Spec.Grants {
		answer.Services = append(answer.Services, serviceOf(grant.Service, grant.Scopes, grant.Constraints))
	}
	if agent.Status.LivePassports != nil {
		answer.LivePassports = *agent.Status.LivePassports
	}
	return answer
}

// registered reads the agent of the path. A caller who may not get it is told that there is none.
func (s *service) registered(c *call) (*v1alpha1.AgentPassport, error) {
	key, wrong := agentID(c.r.PathValue("id"), ownNamespace(c.who))
	if wrong != "" {
		return nil, invalid(fault{Field: "id", Message: wrong + "; in a path, the slash is %2F"})
	}
	missing := fail(CodeNotFound, "there is no agent %s in namespace %s that you may see", key.Name, key.Namespace)
	if err := s.visible(c, "agentpassports", key, missing); err != nil {
		return nil, err
	}
	agent := &v1alpha1.AgentPassport{}
	err := s.Client.Get(c.r.Context(), key, agent)
	if apierrors.IsNotFound(err) {
		return nil, missing
	}
	return agent, err
}

// blocksOf reads the AgentBlocks in force that stop an agent, those of its whole namespace among them.
func (s *service) blocksOf(ctx context.Context, agent *v1alpha1.AgentPassport) ([]v1alpha1.AgentBlock, error) {
	var found []v1alpha1.AgentBlock
	for next := ""; ; {
		var page v1alpha1.AgentBlockList
		if err := s.Client.List(ctx, &page, client.InNamespace(agent.Namespace), client.Limit(pageOfList), client.Continue(next)); err != nil {
			return nil, err
		}
		for i := range page.Items {
			if lifecycle.Blocks(&page.Items[i], agent.Name) {
				found = append(found, page.Items[i])
			}
		}
		if next = page.Continue; next == "" {
			return found, nil
		}
	}
}

// unblockAnswer says which blocks were lifted, and what still stops the agent.
type unblockAnswer struct {
	AgentID         string      `json:"agent_id"`
	Namespace       string      `json:"namespace"`
	Lifted          []string    `json:"lifted"`
	Remaining       []blockBody `json:"remaining"`
	PassportBlocked bool        `json:"passport_blocked"`
	Suspended       bool        `json:"suspended"`
}

// blockBody is a block that stays in force, and why.
type blockBody struct {
	Name    string `json:"name"`
	Message string `json:"message"`
}

// unblock lifts the blocks of one agent. A block of the whole namespace, and a suspension in Git, are for
// others to lift.
func (s *service) unblock(c *call) error {
	var body revokeOneRequest
	if err := c.read(&body); err != nil {
		return err
	}
	if wrong := reasonProblem(body.Reason); wrong != "" {
		return invalid(fault{Field: "reason", Message: wrong})
	}
	agent, err := s.registered(c)
	if err != nil {
		return err
	}
	blocks, err := s.blocksOf(c.r.Context(), agent)
	if err != nil {
		return err
	}
	answer := unblockAnswer{
		AgentID: agent.Name, Namespace: agent.Namespace, Suspended: agent.Spec.Suspend,
		Lifted: []string{}, Remaining: []blockBody{},
	}
	var refusal error
	for i := range blocks {
		err := s.lift(c, &blocks[i], body.Reason)
		if err == nil {
			answer.Lifted = append(answer.Lifted, blocks[i].Name)
			continue
		}
		told, plain := toFailure(err)
		if !plain {
			return err
		}
		refusal = err
		answer.Remaining = append(answer.Remaining, blockBody{Name: blocks[i].Name, Message: told.message})
	}
	switch {
	case len(answer.Lifted) > 0:
	case errors.Is(refusal, access.ErrForbidden):
		return refusal
	case refusal == nil: // nothing is there to lift: that too is for those who may
		if err := s.may(c, access.Right{Verb: access.Update, Resource: "agentblocks", Namespace: agent.Namespace}); err != nil {
			return err
		}
	}
	answer.PassportBlocked = agent.Spec.Suspend || len(answer.Remaining) > 0
	return c.give(answer)
}

// lift ends one block of one agent.
func (s *service) lift(c *call, block *v1alpha1.AgentBlock, reason string) error {
	if block.Spec.AgentRef == nil {
		return fail(CodeConflict, "blocks every agent of the namespace: lift it by kubectl")
	}
	key := types.NamespacedName{Namespace: block.Namespace, Name: block.Name}
	if err := s.may(c, access.Right{Verb: access.Update, Resource: "agentblocks", Namespace: key.Namespace, Name: key.Name}); err != nil {
		return err
	}
	changed := block.DeepCopy()
	changed.Spec.Lifted = &v1alpha1.BlockLift{Reason: reason, By: c.caller()}
	err := s.patch(c.r.Context(), changed, block)
	if err == nil || (!apierrors.IsInvalid(err) && !apierrors.IsNotFound(err)) {
		return err
	}
	// Somebody else may have lifted or deleted it first, which is as good.
	latest := &v1alpha1.AgentBlock{}
	getErr := s.Client.Get(c.r.Context(), key, latest)
	if apierrors.IsNotFound(getErr) || (getErr == nil && latest.Spec.Lifted != nil) {
		return nil
	}
	return err
}
