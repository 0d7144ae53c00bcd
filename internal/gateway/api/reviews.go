package api

import (
	"context"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"agentpassport.dev/operator/api/v1alpha1"
	"agentpassport.dev/operator/internal/access"
)

const (
	// defaultPage and maxPage are how many reviews one answer holds.
	defaultPage, maxPage = 50, 500
	// maxScanned is how many Checkouts one request looks through.
	maxScanned = 10_000
	// maxNotes is how many characters notes may have, as the schema has it.
	maxNotes = 1000
	// knownSubmitters is how many a Checkout keeps: with so many, somebody may be missing.
	knownSubmitters = 32
)

// reviewBody is a mission that needs, or needed, a person.
type reviewBody struct {
	ID             string     `json:"id"`
	JTI            string     `json:"jti"`
	Namespace      string     `json:"namespace"`
	Name           string     `json:"name"`
	AgentID        string     `json:"agent_id"`
	SessionID      string     `json:"session_id,omitempty"`
	CheckoutStatus string     `json:"checkout_status"`
	Flags          []flagBody `json:"flags"`
	Outcome        string     `json:"outcome"`
	Summary        string     `json:"summary"`
	SubmittedBy    string     `json:"submitted_by,omitempty"`
	RequestedBy    string     `json:"requested_by,omitempty"`
	CreatedAt      *time.Time `json:"created_at"`
	JudgedAt       *time.Time `json:"judged_at,omitempty"`
	Decision       string     `json:"decision,omitempty"`
	Notes          string     `json:"notes,omitempty"`
	Reviewer       string     `json:"reviewer,omitempty"`
	DecidedAt      *time.Time `json:"decided_at,omitempty"`
}

// reviewsAnswer is a page of reviews. Next is there where there may be more.
type reviewsAnswer struct {
	Reviews []reviewBody `json:"reviews"`
	Next    string       `json:"next,omitempty"`
}

// queue is one view on the Checkouts: what the API server picks out, and what of it counts.
type queue struct {
	selector fields.Selector
	holds    func(*v1alpha1.Checkout) bool
}

func verdictIs(verdict v1alpha1.Verdict) fields.Selector {
	return fields.OneTermEqualSelector("status.verdict", string(verdict))
}

var notClean = fields.OneTermNotEqualSelector("status.verdict", string(v1alpha1.VerdictClean))

// queues are what status may be.
var queues = map[string]queue{
	"flagged": {verdictIs(v1alpha1.VerdictFlagged), awaits},
	"blocked": {verdictIs(v1alpha1.VerdictBlocked), awaits},
	"pending": {notClean, awaits},
	"decided": {notClean, func(checkout *v1alpha1.Checkout) bool { return checkout.Spec.Review != nil }},
}

// awaits says whether a person has to decide.
func awaits(checkout *v1alpha1.Checkout) bool {
	return checkout.Spec.Review == nil && checkout.Status.Verdict != "" && checkout.Status.Verdict != v1alpha1.VerdictClean
}

// reviews lists missions that need a person, or had one.
func (s *service) reviews(c *call) error {
	query, err := c.query("status", "agent", "namespace", "limit", "cursor")
	if err != nil {
		return err
	}
	status := firstOf(query["status"], "pending")
	picked, known := queues[status]
	if !known {
		return invalid(fault{Field: "status", Message: "has to be flagged, blocked, pending (both) or decided"})
	}
	limit, err := query.number("limit", defaultPage, maxPage)
	if err != nil {
		return err
	}
	namespace, agent := query["namespace"], ""
	if query["agent"] != "" {
		key, wrong := agentID(query["agent"], firstOf(namespace, ownNamespace(c.who)))
		if wrong != "" {
			return invalid(fault{Field: "agent", Message: wrong})
		}
		namespace, agent = key.Namespace, key.Name
	}
	if namespace, err = s.scope(c, access.List, "checkouts", namespace); err != nil {
		return err
	}
	if agent != "" {
		picked.selector = fields.AndSelectors(picked.selector, fields.OneTermEqualSelector("spec.agentRef.name", agent))
	}
	answer, err := s.page(c.r.Context(), namespace, picked, limit, query["cursor"])
	if err != nil {
		return err
	}
	return c.give(answer)
}

// page reads Checkouts until it has enough of them. The cursor is the API server's own: what is read is
// never more than is missing, so that nothing is passed over.
func (s *service) page(ctx context.Context, namespace string, from queue, limit int, cursor string) (reviewsAnswer, error) {
	answer := reviewsAnswer{Reviews: []reviewBody{}, Next: cursor}
	for scanned := 0; len(answer.Reviews) < limit && scanned < maxScanned; {
		var list v1alpha1.CheckoutList
		want := limit - len(answer.Reviews)
		err := s.Client.List(ctx, &list, client.InNamespace(namespace), client.MatchingFieldsSelector{Selector: from.selector},
			client.Limit(int64(want)), client.Continue(answer.Next))
		if cursor != "" && (apierrors.IsResourceExpired(err) || apierrors.IsBadRequest(err) || apierrors.IsInvalid(err)) {
			return answer, invalid(fault{Field: "cursor", Message: "is too old, or none: begin anew without it"})
		}
		if err != nil {
			return answer, err
		}
		scanned += max(len(list.Items), 1)
		for i := range list.Items {
			if from.holds(&list.Items[i]) {
				answer.Reviews = append(answer.Reviews, reviewOf(&list.Items[i]))
			}
		}
		if answer.Next = list.Continue; answer.Next == "" {
			break
		}
	}
	return answer, nil
}

func reviewOf(checkout *v1alpha1.Checkout) reviewBody {
	spec, status := checkout.Spec, checkout.Status
	told := reviewBody{
		ID: ReviewID(checkout.UID), JTI: status.JTI, Namespace: checkout.Namespace, Name: checkout.Name,
		AgentID: spec.AgentRef.Name, SessionID: status.SessionID, CheckoutStatus: strings.ToLower(string(status.Verdict)),
		Flags: flagsOf(status.Flags), Outcome: strings.ToLower(string(spec.Outcome)), Summary: spec.Summary,
		SubmittedBy: username(spec.SubmittedBy), CreatedAt: moment(&checkout.CreationTimestamp), JudgedAt: moment(status.JudgedTime),
	}
	if status.Mission != nil {
		told.RequestedBy = username(status.Mission.RequestedBy)
	}
	if review := spec.Review; review != nil {
		told.Decision, told.Notes = strings.ToLower(string(review.Decision)), review.Notes
		told.Reviewer, told.DecidedAt = username(review.Reviewer), moment(status.DecidedTime)
	}
	return told
}

func username(actor *v1alpha1.Actor) string {
	if actor == nil {
		return ""
	}
	return actor.Username
}

// decideRequest is what a reviewer decides.
type decideRequest struct {
	Decision string `json:"decision"`
	Notes    string `json:"notes"`
}

var decisions = map[string]v1alpha1.Decision{
	"approved": v1alpha1.DecisionApproved, "blocked": v1alpha1.DecisionBlocked,
}

// decide sets the review of a Checkout.
func (s *service) decide(c *call) error {
	var body decideRequest
	if err := c.read(&body); err != nil {
		return err
	}
	decided, known := decisions[body.Decision]
	var problems []fault
	if !known {
		problems = append(problems, fault{Field: "decision", Message: "has to be approved or blocked"})
	}
	if utf8.RuneCountInString(body.Notes) > maxNotes {
		problems = append(problems, fault{Field: "notes", Message: "have more than 1000 characters"})
	}
	if len(problems) > 0 {
		return invalid(problems...)
	}
	checkout, err := s.reviewed(c)
	if err != nil {
		return err
	}
	if err := s.may(c, toReview(checkout, c.who.GetName())...); err != nil {
		return err
	}
	review := &v1alpha1.Review{Decision: decided, Notes: body.Notes, Reviewer: c.caller()}
	if err := decidable(checkout, review); err != nil {
		return err
	}
	if checkout.Spec.Review == nil {
		if checkout, err = s.setReview(c.r.Context(), checkout, review); err != nil {
			return err
		}
	}
	return c.give(reviewOf(checkout))
}

// reviewed reads the Checkout of the review in the path. A caller who may not get it is told that there is
// none.
func (s *service) reviewed(c *call) (*v1alpha1.Checkout, error) {
	id := c.r.PathValue("id")
	missing := fail(CodeNotFound, "there is no review %s that you may see", id)
	if !reviewForm.MatchString(id) {
		return nil, fail(CodeNotFound, "a review's id is cout_ and 32 hexadecimal digits, as the list of reviews has it")
	}
	var key types.NamespacedName
	if err := s.look(c.r.Context(), findWait/2, missing, func() bool { return s.checkoutKey(id, &key) }); err != nil {
		return nil, err
	}
	if err := s.visible(c, "checkouts", key, missing); err != nil {
		return nil, err
	}
	checkout := &v1alpha1.Checkout{}
	if err := s.Client.Get(c.r.Context(), key, checkout); client.IgnoreNotFound(err) != nil {
		return nil, err
	}
	if ReviewID(checkout.UID) != id {
		return nil, missing
	}
	return checkout, nil
}

// checkoutKey finds a Checkout by its Passport, which stays for as long as there is something to decide.
func (s *service) checkoutKey(id string, key *types.NamespacedName) bool {
	for passport := range s.View.Passports() {
		if reference := passport.Status.Checkout; reference != nil && ReviewID(reference.UID) == id {
			*key = types.NamespacedName{Namespace: passport.Namespace, Name: reference.Name}
			return true
		}
	}
	return false
}

// toReview are the rights that the API server asks of whoever reviews: also review-own, of whoever had a
// part in the mission, or may have had.
func toReview(checkout *v1alpha1.Checkout, caller string) []access.Right {
	right := func(verb access.Verb) access.Right {
		return access.Right{Verb: verb, Resource: "checkouts", Namespace: checkout.Namespace, Name: checkout.Name}
	}
	rights := []access.Right{right(access.Update), right(access.Review)}
	if hadPart(checkout, caller) {
		rights = append(rights, right(access.ReviewOwn))
	}
	return rights
}

// hadPart is the rule of the admission policy agent-passport-review.
func hadPart(checkout *v1alpha1.Checkout, caller string) bool {
	mission := checkout.Status.Mission
	if mission == nil {
		mission = &v1alpha1.MissionRecord{}
	}
	return username(mission.RequestedBy) == caller || username(checkout.Spec.SubmittedBy) == caller ||
		slices.Contains(mission.Submitters, caller) || len(mission.Submitters) >= knownSubmitters
}

// decidable says why a Checkout takes no such review. One that has it already takes it again.
func decidable(checkout *v1alpha1.Checkout, review *v1alpha1.Review) error {
	stalled := meta.FindStatusCondition(checkout.Status.Conditions, string(v1alpha1.ConditionStalled))
	before := checkout.Spec.Review
	switch {
	case before != nil && before.Decision == review.Decision && before.Notes == review.Notes && username(before.Reviewer) == review.Reviewer.Username:
		return nil
	case before != nil:
		return fail(CodeAlreadyDecided, "%s has decided it already: %s", username(before.Reviewer), strings.ToLower(string(before.Decision)))
	case checkout.Status.Verdict == v1alpha1.VerdictClean:
		return fail(CodeNothingToDecide, "the verdict is clean, and there is nothing to decide; to stop the agent all the same, create an AgentBlock")
	case checkout.Status.Verdict != "":
		return nil
	case stalled != nil && stalled.Status == metav1.ConditionTrue:
		return fail(CodeNothingToDecide, "the checkout does not count: %s", stalled.Message)
	default:
		return fail(CodeNotJudged, "there is no verdict yet: try again in a moment")
	}
}

// setReview writes the review, unless somebody else has decided meanwhile.
func (s *service) setReview(ctx context.Context, checkout *v1alpha1.Checkout, review *v1alpha1.Review) (*v1alpha1.Checkout, error) {
	changed := checkout.DeepCopy()
	changed.Spec.Review = review
	err := s.patch(ctx, changed, checkout)
	if !apierrors.IsInvalid(err) {
		return changed, err
	}
	latest := &v1alpha1.Checkout{}
	if getErr := s.Client.Get(ctx, client.ObjectKeyFromObject(checkout), latest); getErr != nil || latest.Spec.Review == nil {
		return nil, err
	}
	return latest, decidable(latest, review)
}
