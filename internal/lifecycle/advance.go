package lifecycle

import (
	"fmt"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"agentpassport.dev/operator/api/v1alpha1"
	"agentpassport.dev/operator/internal/review"
)

// Situation is all that is known of an issued passport.
type Situation struct {
	// Passport as stored.
	Passport *v1alpha1.Passport
	// Agent of the passport; nil where a live read found none.
	Agent *v1alpha1.AgentPassport
	// Blocks of the passport's namespace.
	Blocks []v1alpha1.AgentBlock
	// Checkpoints that name the passport. Those that Waiting gives were read live, one by one: a cache
	// may show one as it was before it was marked.
	Checkpoints []v1alpha1.Checkpoint
	// Checkouts that name the passport.
	Checkouts []v1alpha1.Checkout
	// Reports of gateways on the passport. What is taken in already may be among them.
	Reports []Report
	// Thresholds of the detectors; zero: the defaults.
	Thresholds review.Thresholds
	// Now by the API server's clock.
	Now time.Time
	// ListedAt is when the live LIST began that Blocks, Checkpoints and Checkouts come from; zero
	// where they come from a cache, which proves no absence.
	ListedAt time.Time
}

// Outcome is what follows from a Situation.
type Outcome struct {
	// Status of the passport; equal to the stored one where nothing changed.
	Status v1alpha1.PassportStatus
	// Marks to write on Checkpoints, after the status is stored.
	Marks []Mark
	// Blocks to make before the status is stored: once it is, they are never made again.
	Blocks []v1alpha1.AgentBlock
	// Checkout to make for a mission that ended without one; what follows from it is asked again.
	Checkout *v1alpha1.Checkout
	// News to tell once the status is stored.
	News []News
	// Confirm says that an end, a silence, a checkout after the end, or a full list of folded
	// checkpoints waits for a live LIST that begins now or later.
	Confirm bool
	// Wake is when to look again; zero: not before something changes.
	Wake time.Time
}

// News is one thing that happened, for Events and metrics.
type News struct {
	// Kind of what happened.
	Kind NewsKind
	// Reason is the CamelCase word that people see.
	Reason string
	// Message for people.
	Message string
	// Checkpoint that it is about, where it is about one.
	Checkpoint *v1alpha1.Checkpoint
}

// NewsKind is the kind of a News.
type NewsKind string

// The kinds of news.
const (
	// NewsIssued: the passport was issued.
	NewsIssued NewsKind = "Issued"
	// NewsPending: the passport waits for something else than before.
	NewsPending NewsKind = "Pending"
	// NewsRejected: the passport is never issued.
	NewsRejected NewsKind = "Rejected"
	// NewsExtended: checkpoints were folded, and may have moved the expiry.
	NewsExtended NewsKind = "Extended"
	// NewsSignal: a detector raised a signal.
	NewsSignal NewsKind = "Signal"
	// NewsExpired: the passport ran out of time.
	NewsExpired NewsKind = "Expired"
	// NewsCheckedOut: the agent checked out.
	NewsCheckedOut NewsKind = "CheckedOut"
	// NewsRevoked: the passport was revoked.
	NewsRevoked NewsKind = "Revoked"
	// NewsCheckpointRejected: a checkpoint does not count.
	NewsCheckpointRejected NewsKind = "CheckpointRejected"
	// NewsPolicyWarning: a PolicyPack warns of what was issued.
	NewsPolicyWarning NewsKind = "PolicyWarning"
)

// Advance judges an issued passport: it folds checkpoints in the order in which the API server
// stamped them, raises signals, and ends the passport where it is over. The earliest end wins; in
// the same second a revocation goes before a checkout, and that before an expiry. A terminal phase
// never changes; a mission that ended without a checkout still gets one.
func Advance(s Situation) Outcome {
	if s.Thresholds == (review.Thresholds{}) {
		s.Thresholds = review.DefaultThresholds()
	}
	out := Outcome{Status: *s.Passport.Status.DeepCopy()}
	waiting := out.sort(s)
	if out.Status.Issued == nil {
		s.Reports = nil // Nobody was issued a token that a gateway could see.
	}
	reports := s.news()
	seen := s.sightings(reports)
	if s.Passport.Status.Phase.Finished() {
		out.takeIn(s, reports, seen)
		out.refuse(s, waiting)
		out.checkOut(s)
		return out
	}
	byReport := s.revokedByReport(seen)
	end := earlierEnd(byReport, revoked(s, len(waiting) > 0))
	end = earlierEnd(earlierEnd(end, s.blockedByReport(seen)), checkedOut(s.Passport, s.firstCheckout()))
	rest, full := out.fold(s, waiting, &end)
	if full {
		// More wait than one write folds. Nothing is decided before they are all in; the marks on
		// those that are folded bring the next round. Of those that are gone only a live LIST knows.
		out.Confirm = s.ListedAt.IsZero() && out.lacksFolded(s)
		return out
	}
	out.takeIn(s, reports, seen)
	out.close(s, rest, byReport.noLaterThan(out.Status.ExpirationTime.Time, end))
	if !out.Status.Phase.Finished() {
		out.watchAhead(s)
	}
	return out
}

// Waiting says whether a checkpoint, as read, waits to be judged for a passport.
func Waiting(passport *v1alpha1.Passport, checkpoint *v1alpha1.Checkpoint) bool {
	return !Marked(checkpoint) && !slices.Contains(passport.Status.Folded, checkpoint.UID)
}

// sort marks what can be marked at sight, forgets folded checkpoints that are marked by now or gone,
// and gives those that wait, in order.
func (o *Outcome) sort(s Situation) []*v1alpha1.Checkpoint {
	var waiting, folded []*v1alpha1.Checkpoint
	unmarked := map[types.UID]bool{}
	for i := range s.Checkpoints {
		checkpoint := &s.Checkpoints[i]
		switch {
		case Waiting(s.Passport, checkpoint):
			if mark, is := foreign(s.Passport, checkpoint); is {
				o.mark(mark)
				continue
			}
			waiting = append(waiting, checkpoint)
		case !Marked(checkpoint):
			folded = append(folded, checkpoint)
			unmarked[checkpoint.UID] = true
		}
	}
	inOrder(waiting)
	inOrder(folded)
	for _, checkpoint := range folded {
		o.mark(acceptedMark(s.Passport, &o.Status, checkpoint))
	}
	if s.Passport.Status.Phase.Finished() {
		return waiting
	}
	waiting, refused := tooMany(waiting, seconds(o.Status.Issued.CheckpointIntervalSeconds))
	for _, checkpoint := range refused {
		o.mark(tooManyMark(checkpoint))
	}
	if len(waiting) > 0 {
		// Written along with the next fold: a list of marked ones alone is worth no write.
		o.Status.Folded = slices.DeleteFunc(o.Status.Folded, func(uid types.UID) bool {
			return !unmarked[uid] && (s.has(uid) || !s.ListedAt.IsZero())
		})
	}
	return waiting
}

// has says whether a checkpoint is among those that were read.
func (s Situation) has(uid types.UID) bool {
	return slices.ContainsFunc(s.Checkpoints, func(c v1alpha1.Checkpoint) bool { return c.UID == uid })
}

// lacksFolded says whether a folded checkpoint is missing from what was read.
func (o *Outcome) lacksFolded(s Situation) bool {
	return slices.ContainsFunc(o.Status.Folded, func(uid types.UID) bool { return !s.has(uid) })
}

// agent is the AgentPassport that the passport was issued under, nil where it is gone. Another of its
// name has no say.
func (s Situation) agent() *v1alpha1.AgentPassport {
	if s.Agent == nil || s.Agent.UID != s.Passport.Status.Issued.AgentUID {
		return nil
	}
	return s.Agent
}

// refuse marks what does not count because the passport is over.
func (o *Outcome) refuse(s Situation, waiting []*v1alpha1.Checkpoint) {
	phase, end := o.Status.Phase, o.Status.EndTime.Time
	for _, checkpoint := range waiting {
		at := checkpoint.CreationTimestamp.Time
		switch {
		case phase == v1alpha1.PhaseExpired && at.After(end):
			o.mark(lateMark(s.Passport, checkpoint, end))
		case phase == v1alpha1.PhaseRejected, phase != v1alpha1.PhaseExpired && (&ending{at: end, phase: phase}).excludes(at):
			o.mark(endedMark(s.Passport, checkpoint, phase, end))
		default:
			// All that was made in time was counted, but for what was too many.
			o.mark(tooManyMark(checkpoint))
		}
	}
}

// fold counts the waiting checkpoints that were made in time. It stops where the passport was over,
// or where the write is full, and gives the rest. A signal may bring the end forward: it is found
// once, so that no further write is waited for.
func (o *Outcome) fold(s Situation, waiting []*v1alpha1.Checkpoint, end **ending) (rest []*v1alpha1.Checkpoint, full bool) {
	accepted, over := 0, false
	defer func() { o.tellFold(accepted) }()
	for i, checkpoint := range waiting {
		at := checkpoint.CreationTimestamp.Time
		if at.After(o.Status.ExpirationTime.Time) || (*end).excludes(at) {
			return waiting[i:], false
		}
		if len(o.Status.Folded) >= MaxWaiting {
			return waiting[i:], !over
		}
		o.count(s.Passport, checkpoint)
		accepted++
		for _, finding := range findings(s, &o.Status, checkpoint) {
			finding = s.accepted(finding)
			o.find(s, finding)
			*end = earlierEnd(*end, ownBlock(s, finding.Type))
			if finding.Revokes {
				*end, over = earlierEnd(revokedBySignal(s.Passport, finding), *end), true
			}
		}
	}
	return nil, false
}

// count adds one checkpoint to the sums and moves the leash.
func (o *Outcome) count(passport *v1alpha1.Passport, checkpoint *v1alpha1.Checkpoint) {
	status, at := &o.Status, checkpoint.CreationTimestamp.Time
	total := int32(1)
	if status.Checkpoints != nil {
		total += *status.Checkpoints
	}
	status.Checkpoints = &total
	status.Actions += int64(checkpoint.Spec.ActionsCount)
	status.ServicesUsed = used(status.ServicesUsed, checkpoint.Spec.ServicesUsed)
	noteGap(status, at)
	status.Submitters = addSubmitter(status.Submitters, checkpoint.Spec.SubmittedBy)
	if status.LastCheckpointTime == nil || status.LastCheckpointTime.Time.Before(at) {
		status.LastCheckpointTime = &metav1.Time{Time: at}
	}
	window := review.CountCheckpoint(status.CheckpointWindow, at, seconds(status.Issued.CheckpointIntervalSeconds))
	status.CheckpointWindow = &window
	status.ExpirationTime = &metav1.Time{Time: extended(*status.Issued, status.ExpirationTime.Time, at)}
	status.Folded = append(status.Folded, checkpoint.UID)
	status.ObservedGeneration = passport.Generation
	setCheckpointBy(status)
	setIssued(status, passport)
	o.mark(acceptedMark(passport, status, checkpoint))
}

// noteGap keeps the longest time between two signs of life, of which one comes now.
func noteGap(status *v1alpha1.PassportStatus, at time.Time) {
	status.LongestGapSeconds = max(status.LongestGapSeconds, int64(at.Sub(lastSign(status))/time.Second))
}

// maxServicesUsed bounds the list of used services in the status.
const maxServicesUsed = 128

func used(have, more []v1alpha1.ServiceName) []v1alpha1.ServiceName {
	all := append(slices.Clone(have), more...)
	slices.Sort(all)
	all = slices.Compact(all)
	return all[:min(len(all), maxServicesUsed)]
}

// findings asks the detectors about one checkpoint that was just counted.
func findings(s Situation, status *v1alpha1.PassportStatus, checkpoint *v1alpha1.Checkpoint) []review.Finding {
	at := checkpoint.CreationTimestamp.Time
	found := review.OutsideScope(*status.Issued, s.Passport.Spec.Intent, checkpoint.Spec.ServicesUsed, checkpoint.Name, at)
	return append(found, review.Burst(*status.CheckpointWindow, seconds(status.Issued.CheckpointIntervalSeconds), s.Thresholds.CheckpointBurst, at)...)
}

// accepted is a finding as it holds under the agent's standing exceptions.
func (s Situation) accepted(finding review.Finding) review.Finding {
	agent := s.agent()
	if agent == nil {
		return finding
	}
	return review.Accept(finding, agent.Spec.Accountability.Accept)
}

// find raises what a detector of the operator's own found, once.
func (o *Outcome) find(s Situation, finding review.Finding) {
	o.raise(s, sighting{Finding: finding, last: finding.At, count: 1})
}

// close ends the passport where it is over, and else says when to look again.
func (o *Outcome) close(s Situation, rest []*v1alpha1.Checkpoint, end *ending) {
	expiry := o.Status.ExpirationTime.Time
	if end == nil || end.at.After(expiry) || ownBlock(s, review.CheckpointSilence) != nil && o.silentBefore(end.at) {
		o.watchSilence(s)
	}
	if end != nil && !end.at.After(expiry) {
		// What was made before the end counts, seen or not. A revocation waits for no grace, though.
		if o.Confirm = s.ListedAt.IsZero(); !o.Confirm {
			o.finish(s, rest, *end)
		}
		return
	}
	if o.settled(s, expiry) {
		o.finish(s, rest, *expired(&o.Status))
	}
}

// silentBefore says whether a checkpoint was due before a time.
func (o *Outcome) silentBefore(at time.Time) bool {
	due, leashed := checkpointDue(*o.Status.Issued, o.Status.ExpirationTime.Time, lastSign(&o.Status))
	return leashed && due.Before(at)
}

// settled says whether it is certain that nothing reached the API server in time: a live LIST began
// late enough after due. Until then it sees to it that the question is asked again.
func (o *Outcome) settled(s Situation, due time.Time) bool {
	certain := due.Add(ExpiryGrace)
	switch {
	case s.Now.Before(certain):
		if o.Wake.IsZero() || certain.Before(o.Wake) {
			o.Wake = certain
		}
	case s.ListedAt.Before(certain):
		o.Confirm = true
	default:
		return true
	}
	return false
}

// watchSilence raises checkpoint_silence, once for each gap.
func (o *Outcome) watchSilence(s Situation) {
	status := &o.Status
	due, leashed := checkpointDue(*status.Issued, status.ExpirationTime.Time, lastSign(status))
	if !leashed {
		return
	}
	if told := signal(status, review.CheckpointSilence); told != nil && !told.LastTime.Time.Before(due) {
		return
	}
	if !o.settled(s, due) {
		return
	}
	var last *time.Time
	if status.LastCheckpointTime != nil {
		last = &status.LastCheckpointTime.Time
	}
	o.find(s, s.accepted(review.Silence(due, last)))
}

func signal(status *v1alpha1.PassportStatus, kind string) *v1alpha1.Signal {
	for i := range status.Signals {
		if status.Signals[i].Type == kind {
			return &status.Signals[i]
		}
	}
	return nil
}

// finish makes the phase terminal and marks what came too late.
func (o *Outcome) finish(s Situation, waiting []*v1alpha1.Checkpoint, end ending) {
	noteGap(&o.Status, end.at)
	finish(&o.Status, s.Passport.Generation, end.phase, end.reason, end.message, end.at)
	o.claim(s, s.firstCheckout())
	kind := map[v1alpha1.Phase]NewsKind{
		v1alpha1.PhaseExpired: NewsExpired, v1alpha1.PhaseRevoked: NewsRevoked, v1alpha1.PhaseCheckedOut: NewsCheckedOut,
	}
	o.tell(News{Kind: kind[end.phase], Reason: string(end.reason), Message: end.message})
	o.refuse(s, waiting)
}

func (o *Outcome) mark(mark Mark) {
	o.Marks = append(o.Marks, mark)
}

func (o *Outcome) tell(news News) { o.News = append(o.News, news) }

func (o *Outcome) tellFold(accepted int) {
	if accepted == 0 {
		return
	}
	what := "1 checkpoint"
	if accepted > 1 {
		what = fmt.Sprintf("%d checkpoints", accepted)
	}
	message := fmt.Sprintf("%s accepted; good until %s", what, stamp(o.Status.ExpirationTime.Time))
	if o.Status.Issued.Mode != v1alpha1.ModeEnforced {
		message = fmt.Sprintf("%s recorded; mode %s does not extend: good until %s", what, o.Status.Issued.Mode, stamp(o.Status.ExpirationTime.Time))
	}
	o.tell(News{Kind: NewsExtended, Reason: "CheckpointAccepted", Message: message})
}
