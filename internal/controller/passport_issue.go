package controller

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"agentpassport.dev/operator/api/v1alpha1"
	"agentpassport.dev/operator/internal/audit"
	"agentpassport.dev/operator/internal/audit/steps"
	"agentpassport.dev/operator/internal/lifecycle"
	"agentpassport.dev/operator/internal/policy"
	"agentpassport.dev/operator/internal/scope"
	"agentpassport.dev/operator/internal/token"
)

// freshView is how old a passport may be for the cache to be believed that nobody has issued it.
const freshView = 10 * time.Second

// candidate is a passport as it would be issued, with its token.
type candidate struct {
	status v1alpha1.PassportStatus
	claims *token.Claims
	signed string
}

// issue takes a Pending passport to Active, or says why not: judge, audit record, Secret, status. A
// crash after the record, or the Secret, finds it again and issues what it says, so that a mission never
// has two.
func (r *PassportReconciler) issue(ctx context.Context, passport *v1alpha1.Passport, ring token.Ring) (ctrl.Result, error) {
	decision, issued, err := r.judge(ctx, r.Client, passport, ring)
	if err != nil {
		return ctrl.Result{}, err
	}
	claims, err := r.earlier(ctx, passport, ring)
	problem := asProblem(err)
	switch {
	case err != nil && problem == nil:
		return ctrl.Result{}, err
	case claims != nil:
		return r.activate(ctx, passport, adopted(passport, claims))
	case problem != nil && decision.Verdict == lifecycle.VerdictIssue:
		decision = problem.wait()
	}
	if decision.Verdict == lifecycle.VerdictReject {
		return r.reject(ctx, passport, ring)
	}
	if decision.Verdict == lifecycle.VerdictIssue && r.Clock.Now().Sub(passport.CreationTimestamp.Time) > freshView {
		// By now another replica may have issued it, and it may be over: it gets no second token.
		if newest, err := isNewest(ctx, r.Live, passport); err != nil || !newest {
			return ctrl.Result{RequeueAfter: time.Second}, err
		}
	}
	if decision.Verdict == lifecycle.VerdictIssue {
		if issued, err = r.recorded(ctx, passport, issued, ring); errors.Is(err, errOldView) {
			return ctrl.Result{RequeueAfter: time.Second}, nil
		} else if err != nil {
			decision = unrecorded(err)
		}
	}
	if decision.Verdict == lifecycle.VerdictIssue && passport.Spec.TokenDelivery != v1alpha1.DeliveryNone {
		claims, createErr := r.secrets.create(ctx, passport, issued.claims, issued.signed, ring)
		switch problem := asProblem(createErr); {
		case problem != nil:
			decision = problem.wait()
		case createErr != nil:
			return ctrl.Result{}, createErr
		case claims != nil:
			return r.activate(ctx, passport, adopted(passport, claims))
		}
	}
	if decision.Verdict == lifecycle.VerdictWait {
		return r.wait(ctx, passport, decision)
	}
	return r.activate(ctx, passport, issued.status)
}

// candidateOf is a passport as it would be issued with terms at a time. The error may be a
// token.ErrTooLarge.
func candidateOf(passport *v1alpha1.Passport, terms v1alpha1.IssuedTerms, at time.Time, ring token.Ring) (*candidate, error) {
	uid := string(passport.UID)
	issued := &candidate{status: lifecycle.Issue(passport, terms, at, token.JTI(uid), token.SessionID(uid))}
	trial := passport.DeepCopy()
	trial.Status = issued.status
	var err error
	if issued.claims, err = claimsOf(trial); err != nil {
		return nil, err
	}
	issued.signed, err = token.Sign(ring.Signing(), issued.claims)
	return issued, err
}

// judged is a passport as it is about to be recorded, before it has a place in the status lists. Its token has
// room for the claim that names any.
func judged(passport *v1alpha1.Passport, terms v1alpha1.IssuedTerms, at time.Time, ring token.Ring) (*candidate, error) {
	largest := terms
	largest.StatusList = placeOf(audit.Entry{Epoch: math.MaxInt64, Index: math.MaxInt64})
	if _, err := candidateOf(passport, largest, at, ring); err != nil {
		return nil, err
	}
	return candidateOf(passport, terms, at, ring)
}

// errOldView means that a passport, as read, is not as it is stored.
var errOldView = errors.New("the cache is behind")

// maxAttempts is how often the issue of one passport is recorded at most.
const maxAttempts = 100

// recorded puts the issue of a passport into the audit log, before any token of it exists. The first
// record counts: a repeat after a crash is issued as that one says, and not as things are by now. Where that
// was so long ago that its leash is used up in part, another attempt is recorded: no token came of the first,
// and that the operator was away is not the agent's fault. Where the record that counts stands in the log gives the
// passport its place in the status lists.
func (r *PassportReconciler) recorded(
	ctx context.Context, passport *v1alpha1.Passport, issued *candidate, ring token.Ring,
) (*candidate, error) {
	for attempt := range maxAttempts {
		entry, err := r.trail.issued(ctx, passport, issued.status, attempt+1)
		if err != nil {
			return nil, err
		}
		terms, at, err := steps.Issued(entry.Record)
		if err != nil {
			return nil, err
		}
		asJudged := at.Equal(issued.status.IssueTime.Time) && equality.Semantic.DeepEqual(terms, *issued.status.Issued)
		if asJudged || lifecycle.Fresh(terms, at, r.Clock.Now()) {
			terms.StatusList = placeOf(entry)
			return candidateOf(passport, terms, at, ring)
		}
		// A cache may show one as Pending that was issued then, and is over.
		if newest, err := isNewest(ctx, r.Live, passport); err != nil || !newest {
			return nil, cmp.Or(err, errOldView)
		}
	}
	return nil, fmt.Errorf("%d attempts to issue it are recorded, and no token came of any: create another Passport", maxAttempts)
}

// unrecorded says what a passport waits for whose issue is not in the audit log.
func unrecorded(err error) lifecycle.Decision {
	if refused(err) {
		return lifecycle.Decision{
			Verdict: lifecycle.VerdictWait, Reason: v1alpha1.ReasonAuditRefused,
			Message: "no passport is issued that is not in the audit log, and the log refuses the record: " + err.Error() +
				". Take what it names out of the agent's grants, where it comes from there; else create another Passport without it",
		}
	}
	return lifecycle.Decision{
		Verdict: lifecycle.VerdictWait, Reason: v1alpha1.ReasonAuditUnavailable,
		Message: "no passport is issued that is not in the audit log, and the log does not take it: " + err.Error(),
	}
}

// judge decides on a Pending passport by what a reader says. The candidate is there where the
// verdict is Issue.
func (r *PassportReconciler) judge(
	ctx context.Context, reader client.Reader, passport *v1alpha1.Passport, ring token.Ring,
) (lifecycle.Decision, *candidate, error) {
	agent, err := agentOf(ctx, reader, passport)
	if err != nil {
		return lifecycle.Decision{}, nil, err
	}
	var rules lifecycle.Rules
	if rules.Blocks, err = blocks(ctx, reader, passport.Namespace); err != nil {
		return lifecycle.Decision{}, nil, err
	}
	if rules.Packs, err = packs(ctx, reader, passport.Namespace); err != nil {
		return lifecycle.Decision{}, nil, err
	}
	now := r.Clock.Now()
	decision := lifecycle.Decide(passport, agent, rules, r.Authority, now)
	if decision.Verdict != lifecycle.VerdictIssue {
		return decision, nil, nil
	}
	if document := agent.Spec.Document; document != nil {
		if decision.Terms.DocumentDigest, err = token.DocumentDigest(document.Raw); err != nil {
			return lifecycle.Decision{}, nil, err
		}
	}
	issued, err := judged(passport, decision.Terms, now, ring)
	if errors.Is(err, token.ErrTooLarge) {
		return lifecycle.Decision{
			Verdict: lifecycle.VerdictReject, Reason: v1alpha1.ReasonTokenTooLarge,
			Message: fmt.Sprintf("the token would be over %d bytes: narrow spec.services, or grant the agent less", token.MaxTokenBytes),
		}, nil, nil
	}
	return decision, issued, err
}

// earlier gives the claims of a token that was handed out before a crash, or without an answer; nil
// where there is none. Whoever got it gets its mission's record too, whatever has changed since. The error
// may be a deliveryProblem, which would keep a token from its Secret now.
func (r *PassportReconciler) earlier(ctx context.Context, passport *v1alpha1.Passport, ring token.Ring) (*token.Claims, error) {
	if passport.Spec.TokenDelivery == v1alpha1.DeliveryNone || r.secrets.none(passport) {
		return nil, nil
	}
	return r.secrets.adopt(ctx, passport, ring)
}

// reject looks once more, live, before it writes what never changes.
func (r *PassportReconciler) reject(ctx context.Context, passport *v1alpha1.Passport, ring token.Ring) (ctrl.Result, error) {
	decision, _, err := r.judge(ctx, r.Live, passport, ring)
	if err != nil {
		return ctrl.Result{}, err
	}
	if decision.Verdict != lifecycle.VerdictReject {
		// The cache was behind. What it lacked is on its way, and if not, this comes around again.
		return ctrl.Result{RequeueAfter: time.Second}, nil
	}
	status := lifecycle.Reject(passport, decision, r.Clock.Now())
	err = r.store(ctx, passport, status, []lifecycle.News{
		{Kind: lifecycle.NewsRejected, Reason: string(decision.Reason), Message: decision.Message},
	})
	if err != nil {
		return ctrl.Result{}, err
	}
	return r.conclude(ctx, passport)
}

// adopted is the status of a passport whose token was signed before a crash.
func adopted(passport *v1alpha1.Passport, claims *token.Claims) v1alpha1.PassportStatus {
	terms, issueTime := termsOf(claims, lifecycle.SecretName(passport))
	return lifecycle.Issue(passport, terms, issueTime, claims.ID, claims.Passport.SessionID)
}

// activate stores an issued passport.
func (r *PassportReconciler) activate(ctx context.Context, passport *v1alpha1.Passport, status v1alpha1.PassportStatus) (ctrl.Result, error) {
	services := scope.Names(status.Issued.Services)
	message := fmt.Sprintf("%s issued to agent %s in mode %s for %s, good until %s", status.JTI, passport.Spec.AgentRef.Name,
		status.Issued.Mode, scope.Join(services), status.ExpirationTime.UTC().Format(time.RFC3339))
	if status.Issued.Mode == v1alpha1.ModeEnforced {
		message += "; a checkpoint extends it"
	}
	news := []lifecycle.News{{Kind: lifecycle.NewsIssued, Reason: "Issued", Message: message}}
	warning, err := r.policyWarning(ctx, passport, &status)
	if err != nil {
		return ctrl.Result{}, err
	}
	if warning != "" {
		lifecycle.SetPolicyWarning(&status, passport.Generation, warning, r.Clock.Now())
		news = append(news, lifecycle.News{Kind: lifecycle.NewsPolicyWarning, Reason: string(v1alpha1.ReasonPolicyWarned), Message: warning})
	}
	err = r.store(ctx, passport, status, news)
	if apierrors.IsNotFound(err) {
		// Another replica let go of it meanwhile: nobody else knows of the Secret that this one made.
		return ctrl.Result{}, r.removeSecret(ctx, passport)
	}
	if err != nil {
		return ctrl.Result{}, err
	}
	issueDuration.Observe(max(0, r.Clock.Now().Sub(passport.CreationTimestamp.Time).Seconds()))
	return r.wake(status.ExpirationTime.Add(lifecycle.ExpiryGrace)), nil
}

// policyWarning is what the packs of the namespace say of a passport as it was issued; empty: nothing.
func (r *PassportReconciler) policyWarning(
	ctx context.Context, passport *v1alpha1.Passport, status *v1alpha1.PassportStatus,
) (string, error) {
	rules, err := packs(ctx, r.Client, passport.Namespace)
	if err != nil || len(rules) == 0 {
		return "", err
	}
	agent, err := agentOf(ctx, r.Client, passport)
	if err != nil || agent == nil {
		return "", err
	}
	return policy.Say(policy.Of(v1alpha1.PolicyWarn, policy.AtIssue(rules, policy.Issue{Agent: agent, Services: status.Issued.Services}))), nil
}

// wait stores what a passport waits for, and tells of it once.
func (r *PassportReconciler) wait(ctx context.Context, passport *v1alpha1.Passport, decision lifecycle.Decision) (ctrl.Result, error) {
	status := lifecycle.Pending(passport, decision, r.Clock.Now())
	var news []lifecycle.News
	if !waitsFor(passport, decision.Reason) {
		news = []lifecycle.News{{Kind: lifecycle.NewsPending, Reason: string(decision.Reason), Message: decision.Message}}
	}
	if err := r.store(ctx, passport, status, news); err != nil {
		return ctrl.Result{}, err
	}
	// The deadline itself still counts as in time.
	again := lifecycle.IssueDeadline(passport).Add(time.Second)
	if retry := r.Clock.Now().Add(retryWaiting); decision.Reason != v1alpha1.ReasonAgentNotFound && retry.Before(again) {
		again = retry
	}
	return r.wake(again), nil
}

func waitsFor(passport *v1alpha1.Passport, reason v1alpha1.Reason) bool {
	ready := meta.FindStatusCondition(passport.Status.Conditions, string(v1alpha1.ConditionReady))
	return ready != nil && ready.Reason == string(reason)
}
