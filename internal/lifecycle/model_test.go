package lifecycle

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"k8s.io/apimachinery/pkg/types"

	"agentpassport.dev/operator/api/v1alpha1"
)

// book is what was to become of one mission, in seconds after noon. It sees everything at once, and by
// when it was seen. Of the operator it is told only when it acted: rules that go by what the operator
// saw cannot go by less.
type book struct {
	name    string
	created int
	duties

	// How the mission was asked for, and when it was issued.
	ttl, interval, limit, estimate int
	issued                         bool
	issue                          int
	// letGo says that its Passport was held for an hour after its deletion, and then let go of.
	letGo bool
	// agent is the UID of the AgentPassport that it was issued under.
	agent types.UID

	// all that anybody reported, to this mission or another
	reports   *[]*modelReport
	checkouts *[]*modelCheckout
	// folded are the reports in the order in which the operator counted them.
	folded []*modelReport

	// What the operator saw when it ended the mission, and what was stored by then; forever: it has not.
	ends []modelEnd
	cut  int
	// claim is what was stored when the operator said which checkout is the mission's own.
	claim int
	// silences are the gaps that the operator told of while a Logged mission lived.
	silences []modelSilence
	// sightings are what gateways saw, once it was taken in.
	sightings []*modelSighting
	// endedBare, claimedBare: the agent was gone by then.
	endedBare, claimedBare bool
}

// forever is later than anything that is stored.
const forever = math.MaxInt

// duties is what an agent has to account for.
type duties struct {
	mode                  v1alpha1.AccountabilityMode
	onWarning, onCritical bool
	accepted              []modelException
}

// modelException is a standing exception.
type modelException struct {
	kind, service string
	until         int
}

// modelReport is a checkpoint that reached the API server.
type modelReport struct {
	passport string
	at       int
	uid      string
	// seen is when it could be seen.
	seen     int
	actions  int64
	services []string
	by       string
	// void says that it is another agent's, or one of too many.
	void bool
	// folded is when it was counted, saw what was seen by then of what brings an end, bare that the
	// agent was gone.
	folded int
	saw    map[v1alpha1.Reason]int
	bare   bool
}

// modelCheckout is a checkout that reached the API server.
type modelCheckout struct {
	passport string
	at       int
	uid      string
	seen     int
	void     bool
	// operator says that it is the operator's, of is the mission that it was made for.
	operator bool
	of       *book
	services []string
	actions  *int64
	by       string
	// refused is when the operator refused it, for good; 0: it did not.
	refused int
	// bare says that it was judged when its agent was gone.
	bare   bool
	judged bool
	review v1alpha1.Decision
	// usual is the limit of actions by the baseline that it was judged by; absent: there is none.
	usual *float64
	fed   bool
	// knew is what was stored of its mission when it was judged, observed what gateways saw by then.
	knew     int
	observed *v1alpha1.ObservedCalls
	// decided is when its review was carried out.
	decided int
}

// modelEnd is a revocation from outside of the mission.
type modelEnd struct {
	at     int
	reason v1alpha1.Reason
	// seen is when it could be seen.
	seen int
	// halfway says that it is a block for a finding of this mission that was not stored then.
	halfway bool
	// reported says that a gateway's report brought it.
	reported bool
}

// rank is the order of ends within one second.
func (e modelEnd) rank() int {
	if e.halfway { // behind all others that revoke
		return 2*slices.Index(precedence, v1alpha1.ReasonCheckedOut) - 1
	}
	return 2 * slices.Index(precedence, e.reason)
}

// modelSilence is a gap that the operator told of.
type modelSilence struct {
	due  int
	bare bool
}

// result is what becomes of a mission.
type result struct {
	Phase       v1alpha1.Phase
	Reason      v1alpha1.Reason
	End, Expiry int
	Checkpoints int
	Actions     int64
	Last        int
	Gap         int
	Services    []string
	Submitters  []string
	Counted     []string
	// Signals by type, with severity and count.
	Signals map[string]modelSignal
	// Own is the UID of the mission's own checkout.
	Own string
}

type modelSignal struct {
	Severity v1alpha1.Severity
	Count    int
}

// precedence is the order of ends within one second.
var precedence = []v1alpha1.Reason{
	v1alpha1.ReasonPassportDeleted, v1alpha1.ReasonAgentBlocked, v1alpha1.ReasonRevokedByRequest, v1alpha1.ReasonAgentDeleted,
	v1alpha1.ReasonAgentSuspended, v1alpha1.ReasonCheckedOut,
}

// never is the last checkpoint of a mission that made none.
const never = -1 << 30

// lives says whether somebody has to account for the mission.
func (b *book) lives() bool { return b.mode != v1alpha1.ModeStandard }

// severity of a finding under the standing exceptions; an agent that is gone has none.
func (p duties) severity(severity v1alpha1.Severity, kind, service string, at int, bare bool) v1alpha1.Severity {
	for _, e := range p.accepted {
		if !bare && e.kind == kind && (e.service == "" || e.service == service) && at < e.until {
			return v1alpha1.SeverityInfo
		}
	}
	return severity
}

// blocks says whether a severity blocks the agent.
func (p duties) blocks(severity v1alpha1.Severity) bool {
	return (severity == v1alpha1.SeverityWarning && p.onWarning) || (severity == v1alpha1.SeverityCritical && p.onCritical)
}

// at tells how the mission stands at now, and which of its findings block the agent.
func (b *book) at(now float64) (r result, blocking map[string]bool) { return b.knowing(now, forever) }

// knowing is the same, of what gateways reported only as far as it was taken in by then.
func (b *book) knowing(now float64, knowing int) (r result, blocking map[string]bool) {
	r = result{Phase: v1alpha1.PhaseActive, Reason: v1alpha1.ReasonIssued, Last: never, Signals: map[string]modelSignal{}}
	blocking = map[string]bool{}
	life := b.ttl
	if b.mode == v1alpha1.ModeEnforced {
		life = min(b.ttl, b.interval)
	}
	deadline := b.issue + b.limit
	r.Expiry = min(b.issue+life, deadline)
	reported := b.sight(&r, blocking, knowing)
	end := b.firstEnd()
	if reported != nil && (end == nil || reported.at <= max(end.at, b.issue)) {
		end = reported
	}
	for _, report := range b.reportsInOrder() {
		if report.at > r.Expiry {
			break
		}
		if end != nil && b.over(*end, report) {
			continue
		}
		r.Checkpoints++
		r.Actions += report.actions
		r.Last = report.at
		r.Counted = append(r.Counted, report.uid)
		r.Services = append(r.Services, report.services...)
		r.Submitters = append(r.Submitters, report.by)
		if b.mode == v1alpha1.ModeEnforced {
			r.Expiry = max(r.Expiry, min(report.at+b.interval, deadline))
		}
		for _, service := range report.services {
			if service != "stripe" {
				continue
			}
			severity := v1alpha1.SeverityWarning
			if b.mode == v1alpha1.ModeEnforced {
				severity = v1alpha1.SeverityCritical
			}
			severity = b.severity(severity, "credential_outside_scope", service, report.at, report.bare)
			b.raise(&r, blocking, "credential_outside_scope", severity, report.bare)
			if severity == v1alpha1.SeverityCritical {
				end = &modelEnd{at: max(report.at, b.issue), reason: v1alpha1.ReasonSignalRaised, seen: report.seen}
			}
		}
	}
	if reported != nil && reported.at > r.Expiry && (end == nil || end.at >= r.Expiry) {
		end = &modelEnd{at: r.Expiry, reason: v1alpha1.ReasonSignalRaised}
	}
	b.burst(&r, blocking)
	switch {
	case end != nil && end.at <= r.Expiry && end.reason == v1alpha1.ReasonCheckedOut:
		r.Phase, r.Reason, r.End = v1alpha1.PhaseCheckedOut, end.reason, end.at
	case end != nil && end.at <= r.Expiry:
		r.Phase, r.Reason, r.End = v1alpha1.PhaseRevoked, end.reason, end.at
	case now < float64(r.Expiry)+5:
	case r.Expiry == deadline:
		r.Phase, r.Reason, r.End = v1alpha1.PhaseExpired, v1alpha1.ReasonDeadlineReached, r.Expiry
	case b.mode == v1alpha1.ModeEnforced:
		r.Phase, r.Reason, r.End = v1alpha1.PhaseExpired, v1alpha1.ReasonCheckpointSilence, r.Expiry
	default:
		r.Phase, r.Reason, r.End = v1alpha1.PhaseExpired, v1alpha1.ReasonTTLElapsed, r.Expiry
	}
	silences := b.silences
	if r.Reason == v1alpha1.ReasonCheckpointSilence {
		silences = []modelSilence{{due: r.Expiry, bare: b.endedBare}}
	}
	for _, silence := range silences {
		b.raise(&r, blocking, "checkpoint_silence",
			b.severity(v1alpha1.SeverityWarning, "checkpoint_silence", "", silence.due, silence.bare), silence.bare)
	}
	b.gap(&r)
	if own := b.own(); own != nil {
		r.Own = own.uid
		if own.operator && r.Phase == v1alpha1.PhaseExpired && own.at >= r.End+3600 {
			b.raise(&r, blocking, "abandoned_mission", b.severity(v1alpha1.SeverityWarning, "abandoned_mission", "", r.End+3600, b.claimedBare), b.claimedBare)
		}
	}
	return r, blocking
}

func (b *book) raise(r *result, blocking map[string]bool, kind string, severity v1alpha1.Severity, bare bool) {
	signal := r.Signals[kind]
	signal.Count++
	if rankOf(severity) > rankOf(signal.Severity) {
		signal.Severity = severity
	}
	r.Signals[kind] = signal
	if !bare && b.blocks(severity) {
		blocking[kind] = true
	}
}

func rankOf(severity v1alpha1.Severity) int {
	return slices.Index([]v1alpha1.Severity{"", v1alpha1.SeverityInfo, v1alpha1.SeverityWarning, v1alpha1.SeverityCritical}, severity)
}

// over says whether a report came too late for an end. What was counted before the end could be seen
// stays counted.
func (b *book) over(end modelEnd, report *modelReport) bool {
	if end.reported {
		return (report.folded == 0 || report.folded >= end.seen) && report.at >= end.at
	}
	if report.folded > 0 && report.folded <= b.cut && end.seen > report.saw[end.reason] {
		return false
	}
	switch {
	case end.reason == v1alpha1.ReasonCheckedOut:
		return report.at > end.at
	case end.halfway && report.at == end.at: // The finding that it is for comes first.
		return report.folded == 0
	}
	return report.at >= end.at
}

// reportsInOrder are the reports to this mission that may count.
func (b *book) reportsInOrder() []*modelReport {
	var mine []*modelReport
	for _, report := range *b.reports {
		if report.passport == b.name && report.at >= b.created && report.seen <= b.cut && !report.void && b.lives() {
			mine = append(mine, report)
		}
	}
	slices.SortFunc(mine, func(a, b *modelReport) int { return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.uid, b.uid)) })
	return mine
}

// firstEnd is the earliest end from outside, a checkout among them; none is earlier than the issue.
func (b *book) firstEnd() *modelEnd {
	var first *modelEnd
	all := slices.Clone(b.ends)
	if checkout := b.firstCheckout(b.cut); checkout != nil {
		all = append(all, modelEnd{at: checkout.at, reason: v1alpha1.ReasonCheckedOut, seen: checkout.seen})
	}
	for _, end := range all {
		end.at = max(end.at, b.issue)
		if first == nil || cmp.Or(cmp.Compare(end.at, first.at), cmp.Compare(end.rank(), first.rank())) < 0 {
			first = &end
		}
	}
	return first
}

// may says why a checkout cannot be this mission's own; empty where it may.
func (b *book) may(checkout *modelCheckout) v1alpha1.Reason {
	switch {
	case checkout.at < b.created, checkout.operator && checkout.of != b:
		return v1alpha1.ReasonPassportNotFound
	case checkout.void:
		return v1alpha1.ReasonNotYours
	case b.issued && !b.lives():
		return v1alpha1.ReasonCheckoutNotAvailable
	default:
		return ""
	}
}

// firstCheckout is the earliest of the checkouts that could be seen.
func (b *book) firstCheckout(seen int) *modelCheckout {
	var first *modelCheckout
	for _, checkout := range *b.checkouts {
		if checkout.passport != b.name || checkout.seen > seen || b.may(checkout) != "" || (checkout.refused > 0 && checkout.refused <= seen) {
			continue
		}
		if first == nil || cmp.Or(cmp.Compare(checkout.at, first.at), cmp.Compare(checkout.uid, first.uid)) < 0 {
			first = checkout
		}
	}
	return first
}

// own is the mission's own checkout, once the operator has said which.
func (b *book) own() *modelCheckout {
	if b.claim == 0 {
		return nil
	}
	return b.firstCheckout(b.claim)
}

// burst raises checkpoint_burst with the 11th report of each window of one interval.
func (b *book) burst(r *result, blocking map[string]bool) {
	start, count := never, 0
	for _, report := range b.folded {
		if report.at >= start+b.interval {
			start, count = report.at, 0
		}
		count++
		if count == 11 {
			severity := b.severity(v1alpha1.SeverityWarning, "checkpoint_burst", "", report.at, report.bare)
			b.raise(r, blocking, "checkpoint_burst", severity, report.bare)
		}
	}
}

// gap is the longest time without a sign of life.
func (b *book) gap(r *result) {
	sign := b.issue
	for _, report := range b.folded {
		r.Gap = max(r.Gap, report.at-sign)
		sign = max(sign, report.at)
	}
	if r.Phase != v1alpha1.PhaseActive {
		r.Gap = max(r.Gap, r.End-sign)
	}
}

// judgement is the verdict on a mission that is over, and what speaks against it.
type judgement struct {
	Verdict v1alpha1.Verdict
	// Against counts the flags that are worse than information, by type.
	Against map[string]int
	// Block says that the flags block the agent.
	Block bool
}

// judge reads the rules of detectors.md.
func (b *book) judge(r result, own *modelCheckout) judgement {
	j := judgement{Verdict: v1alpha1.VerdictClean, Against: map[string]int{}}
	worst, told := v1alpha1.Severity(""), v1alpha1.Severity("")
	flag := func(severity v1alpha1.Severity, kind, service string) {
		severity = b.severity(severity, kind, service, own.at, own.bare)
		if rankOf(severity) < rankOf(v1alpha1.SeverityWarning) {
			return
		}
		j.Against[kind]++
		if j.Verdict = v1alpha1.VerdictFlagged; severity == v1alpha1.SeverityCritical || worst == v1alpha1.SeverityCritical {
			j.Verdict, worst = v1alpha1.VerdictBlocked, v1alpha1.SeverityCritical
		}
		if kind == "signal_raised" {
			if !own.bare && b.blocks(severity) && rankOf(severity) > rankOf(told) {
				told = severity
			}
			return
		}
		j.Block = j.Block || (!own.bare && b.blocks(severity) && rankOf(severity) > rankOf(told))
	}
	known, _ := b.knowing(math.Inf(1), own.knew)
	for kind, signal := range known.Signals {
		if kind != "use_after_checkout" && kind != "use_after_revocation" {
			flag(signal.Severity, "signal_raised", "")
		}
	}
	services := append(slices.Clone(r.Services), own.services...)
	reported := slices.Clone(services)
	services = append(services, seenServices(own)...)
	slices.Sort(services)
	for _, service := range slices.Compact(services) {
		switch service {
		case "notion":
			flag(v1alpha1.SeverityWarning, "undeclared_service", service)
		case "stripe":
			flag(v1alpha1.SeverityCritical, "ungranted_service", service)
		}
	}
	if own.operator {
		flag(v1alpha1.SeverityWarning, "no_checkout", "")
	} else if r.Phase != v1alpha1.PhaseCheckedOut {
		flag(v1alpha1.SeverityWarning, "late_checkout", "")
	}
	if b.mode == v1alpha1.ModeLogged && r.Gap > b.interval {
		flag(v1alpha1.SeverityWarning, "checkpoint_gap", "")
	}
	actions := r.Actions
	if !own.operator && own.actions != nil {
		if *own.actions < actions {
			flag(v1alpha1.SeverityWarning, "actions_mismatch", "")
		}
		judgeObserved(own, reported, *own.actions, flag)
		actions = max(actions, *own.actions)
	} else {
		judgeObserved(own, reported, actions, flag)
	}
	if own.usual != nil && float64(actions) > *own.usual {
		flag(v1alpha1.SeverityWarning, "action_volume_anomaly", "")
	}
	if b.estimate > 0 && 2*(r.End-b.issue) > 3*b.estimate {
		flag(v1alpha1.SeverityWarning, "duration_overrun", "")
	}
	return j
}

// accepted is why a mission is accepted, or not, or not yet.
func (b *book) accepted(j judgement, own *modelCheckout) v1alpha1.Reason {
	switch {
	case j.Verdict == v1alpha1.VerdictClean:
		return v1alpha1.ReasonClean
	case own.review == v1alpha1.DecisionApproved:
		return v1alpha1.ReasonApproved
	case own.review == v1alpha1.DecisionBlocked:
		return v1alpha1.ReasonBlocked
	default:
		return v1alpha1.ReasonAwaitingReview
	}
}

// total is how many actions the mission took.
func (b *book) total(r result, own *modelCheckout) int64 {
	if own.actions == nil {
		return r.Actions
	}
	return max(r.Actions, *own.actions)
}

// String tells what the book was told.
func (b *book) String() string {
	text := fmt.Sprintf("%+v\n", *b)
	for _, report := range *b.reports {
		text += fmt.Sprintf("%+v\n", *report)
	}
	for _, checkout := range *b.checkouts {
		text += fmt.Sprintf("%+v\n", *checkout)
	}
	return text
}
