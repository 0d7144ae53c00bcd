package lifecycle

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"agentpassport.dev/operator/api/v1alpha1"
	"agentpassport.dev/operator/internal/policy"
	"agentpassport.dev/operator/internal/scope"
)

// Authority is who issues passports: the same for every passport of one operator.
type Authority struct {
	// Issuer is the `iss` claim, an exact URL.
	Issuer string
	// GatewayAudience is in every `aud` claim.
	GatewayAudience string
	// Subject gives the `sub` claim of an agent.
	Subject func(namespace, agent string) string
}

// Verdict is what becomes of a Pending passport.
type Verdict string

// The verdicts on a Pending passport.
const (
	// VerdictIssue: it can be issued with Terms.
	VerdictIssue Verdict = "Issue"
	// VerdictWait: something is missing that time or a person brings.
	VerdictWait Verdict = "Wait"
	// VerdictReject: it is never issued.
	VerdictReject Verdict = "Reject"
)

// Decision is the verdict on a Pending passport.
type Decision struct {
	// Verdict is Issue, Wait or Reject.
	Verdict Verdict
	// Reason and Message say why, where the verdict is Wait or Reject.
	Reason  v1alpha1.Reason
	Message string
	// Terms to issue with, where the verdict is Issue.
	Terms v1alpha1.IssuedTerms
}

func wait(reason v1alpha1.Reason, format string, args ...any) Decision {
	return Decision{Verdict: VerdictWait, Reason: reason, Message: fmt.Sprintf(format, args...)}
}

func reject(reason v1alpha1.Reason, format string, args ...any) Decision {
	return Decision{Verdict: VerdictReject, Reason: reason, Message: fmt.Sprintf(format, args...)}
}

// IssueDeadline is until when a passport may stay Pending.
func IssueDeadline(passport *v1alpha1.Passport) time.Time {
	return passport.CreationTimestamp.Add(seconds(passport.Spec.IssueDeadlineSeconds))
}

// Rules are what a namespace has against passports.
type Rules struct {
	// Blocks of agents, lifted ones included.
	Blocks []v1alpha1.AgentBlock
	// Packs of policy.
	Packs []v1alpha1.PolicyPack
}

// Decide judges a Pending passport at now. agent is nil where it does not exist; rules are those of the namespace.
// A Reject counts only where agent and rules were read live.
func Decide(
	passport *v1alpha1.Passport, agent *v1alpha1.AgentPassport, rules Rules, authority Authority, now time.Time,
) Decision {
	if passport.Spec.Revocation != nil {
		return reject(v1alpha1.ReasonRevokedByRequest, "revoked before it was issued: %s", passport.Spec.Revocation.Reason)
	}
	if now.After(IssueDeadline(passport)) {
		return reject(v1alpha1.ReasonNotIssuedInTime, "not issued within %d s of its creation%s",
			passport.Spec.IssueDeadlineSeconds, lastWait(passport))
	}
	if agent == nil || agent.DeletionTimestamp != nil {
		return wait(v1alpha1.ReasonAgentNotFound, "AgentPassport %s does not exist in namespace %s: apply it, or create a Passport with another agentRef",
			passport.Spec.AgentRef.Name, passport.Namespace)
	}
	for _, rule := range []func(*v1alpha1.Passport, *v1alpha1.AgentPassport, []v1alpha1.AgentBlock) *Decision{
		notBlocked, intentDeclared, withinLifetime,
	} {
		if refusal := rule(passport, agent, rules.Blocks); refusal != nil {
			return *refusal
		}
	}
	services, refusal := carried(passport, agent)
	if refusal != nil {
		return *refusal
	}
	if blocked := policy.Of(v1alpha1.PolicyBlock, policy.AtIssue(rules.Packs, policy.Issue{Agent: agent, Services: services})); len(blocked) > 0 {
		return reject(v1alpha1.ReasonPolicyRefused, "%s: have whoever keeps the pack change it, or create a Passport that it does not match", policy.Say(blocked))
	}
	return Decision{Verdict: VerdictIssue, Terms: terms(passport, agent, services, authority, now)}
}

// lastWait repeats what a passport waited for.
func lastWait(passport *v1alpha1.Passport) string {
	if ready := meta.FindStatusCondition(passport.Status.Conditions, string(v1alpha1.ConditionReady)); ready != nil && ready.Message != "" {
		return "; it waited for: " + ready.Message
	}
	return ""
}

func notBlocked(_ *v1alpha1.Passport, agent *v1alpha1.AgentPassport, blocks []v1alpha1.AgentBlock) *Decision {
	var refusal Decision
	switch active := Blocking(blocks, agent.Name); {
	case agent.Spec.Suspend:
		refusal = reject(v1alpha1.ReasonPassportBlocked, "agent %s is suspended: set spec.suspend of its AgentPassport to false, then create another Passport", agent.Name)
	case len(active) > 0:
		refusal = reject(v1alpha1.ReasonPassportBlocked, "agent %s is blocked by AgentBlock %s (%s): a responder lifts it by kubectl patch agentblocks.agentpassport.dev %s -n %s --type=merge"+
			` -p '{"spec":{"lifted":{"reason":"..."}}}'; then create another Passport`,
			agent.Name, active[0].Name, active[0].Spec.Reason, active[0].Name, agent.Namespace)
	default:
		return nil
	}
	return &refusal
}

func intentDeclared(passport *v1alpha1.Passport, agent *v1alpha1.AgentPassport, _ []v1alpha1.AgentBlock) *Decision {
	mode := agent.Spec.Accountability.Mode
	if mode == v1alpha1.ModeStandard {
		return nil
	}
	var missing []string
	if passport.Spec.Intent == nil || strings.TrimSpace(passport.Spec.Intent.Summary) == "" {
		missing = append(missing, "spec.intent.summary")
	}
	if passport.Spec.Intent == nil || len(passport.Spec.Intent.Services) == 0 {
		missing = append(missing, "spec.intent.services")
	}
	if len(missing) == 0 {
		return nil
	}
	refusal := reject(v1alpha1.ReasonAccountabilityRequired, "agent %s is %s, so a Passport has to declare %s",
		agent.Name, mode, strings.Join(missing, " and "))
	return &refusal
}

func withinLifetime(passport *v1alpha1.Passport, agent *v1alpha1.AgentPassport, _ []v1alpha1.AgentBlock) *Decision {
	limit := agent.Spec.Accountability.MaxLifetimeSeconds
	if passport.Spec.ActiveDeadlineSeconds <= limit {
		return nil
	}
	refusal := reject(v1alpha1.ReasonLifetimeExceeded, "activeDeadlineSeconds is %d, over the %d s of maxLifetimeSeconds of agent %s",
		passport.Spec.ActiveDeadlineSeconds, limit, agent.Name)
	return &refusal
}

// carried gives the services of the passport, or why it is rejected.
func carried(passport *v1alpha1.Passport, agent *v1alpha1.AgentPassport) ([]v1alpha1.IssuedService, *Decision) {
	services, err := scope.Narrow(agent.Spec.Grants, passport.Spec.Services)
	if err != nil {
		reason := v1alpha1.ReasonServiceNotGranted
		if escalation := (*scope.EscalationError)(nil); errors.As(err, &escalation) {
			reason = v1alpha1.ReasonScopeEscalation
		}
		refusal := reject(reason, "spec.services: %v; agent %s", err, agent.Name)
		return nil, &refusal
	}
	if passport.Spec.Intent == nil {
		return services, nil
	}
	if missing := scope.Missing(services, passport.Spec.Intent.Services); len(missing) > 0 {
		refusal := reject(v1alpha1.ReasonServiceNotGranted, "spec.intent.services names %s, and the passport would carry %s: grant it in spec.grants of AgentPassport %s, or leave it out",
			scope.Join(missing), scope.Join(scope.Names(services)), agent.Name)
		return nil, &refusal
	}
	if agent.Spec.Accountability.UndeclaredServices == v1alpha1.UndeclaredRefuse && agent.Spec.Accountability.Mode != v1alpha1.ModeStandard {
		services = scope.Keep(services, passport.Spec.Intent.Services)
	}
	return services, nil
}

func terms(
	passport *v1alpha1.Passport, agent *v1alpha1.AgentPassport, services []v1alpha1.IssuedService, authority Authority, now time.Time,
) v1alpha1.IssuedTerms {
	spec := passport.Spec
	lifetime := agent.Spec.Accountability.MaxLifetimeSeconds
	if spec.ActiveDeadlineSeconds > 0 {
		lifetime = spec.ActiveDeadlineSeconds
	}
	audience := []string{authority.GatewayAudience}
	for _, other := range spec.Audience {
		if !slices.Contains(audience, other) {
			audience = append(audience, other)
		}
	}
	issued := v1alpha1.IssuedTerms{
		AgentUID:        agent.UID,
		AgentGeneration: agent.Generation,
		Mode:            agent.Spec.Accountability.Mode,
		Services:        services,
		Issuer:          authority.Issuer,
		Subject:         authority.Subject(passport.Namespace, agent.Name),
		Audience:        audience,
		TTLSeconds:      spec.TTLSeconds,
		Deadline:        metav1.NewTime(now.Truncate(time.Second).Add(seconds(lifetime))),
	}
	if issued.Mode != v1alpha1.ModeStandard {
		issued.CheckpointIntervalSeconds = spec.CheckpointIntervalSeconds
	}
	if spec.TokenDelivery != v1alpha1.DeliveryNone {
		issued.SecretName = SecretName(passport)
	}
	return issued
}

// SecretName is the name of the Secret that receives a passport's token.
func SecretName(passport *v1alpha1.Passport) string {
	if passport.Spec.SecretName != "" {
		return passport.Spec.SecretName
	}
	return passport.Name + "-token"
}

// Issue gives the status of a passport that is issued with terms at the time issue.
func Issue(passport *v1alpha1.Passport, terms v1alpha1.IssuedTerms, issue time.Time, jti, sessionID string) v1alpha1.PassportStatus {
	issue = issue.Truncate(time.Second)
	expiry := firstExpiry(terms, issue)
	status := *passport.Status.DeepCopy()
	status.ObservedGeneration = passport.Generation
	status.Phase = v1alpha1.PhaseActive
	status.JTI, status.SessionID = jti, sessionID
	status.IssueTime = &metav1.Time{Time: issue}
	status.ExpirationTime = &metav1.Time{Time: expiry}
	status.Checkpoints = new(int32)
	status.DelegationDepth = new(int32)
	status.Issued = &terms
	setCheckpointBy(&status)
	setIssued(&status, passport)
	if terms.SecretName != "" {
		SetDelivered(&status, passport.Generation, v1alpha1.ReasonDelivered, "Secret "+terms.SecretName+" holds the token", issue)
	}
	return status
}

// Pending gives the status of a passport that waits.
func Pending(passport *v1alpha1.Passport, decision Decision, now time.Time) v1alpha1.PassportStatus {
	status := *passport.Status.DeepCopy()
	status.ObservedGeneration = passport.Generation
	status.Phase = v1alpha1.PhasePending
	setReady(&status, passport.Generation, metav1.ConditionFalse, decision.Reason, decision.Message, now)
	return status
}

// Reject gives the status of a passport that is never issued.
func Reject(passport *v1alpha1.Passport, decision Decision, now time.Time) v1alpha1.PassportStatus {
	status := *passport.Status.DeepCopy()
	finish(&status, passport.Generation, v1alpha1.PhaseRejected, decision.Reason, decision.Message, now)
	return status
}
