package lifecycle

import (
	"fmt"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"agentpassport.dev/operator/api/v1alpha1"
	"agentpassport.dev/operator/internal/review"
)

// What others do in a world: agents, whoever runs them, responders and reviewers. The books are told.

// wish is what somebody asks for in a mission.
type wish struct {
	ttl, interval, limit, estimate int
	// keep is ttlSecondsAfterFinished; negative: none.
	keep int
}

// requests has somebody ask for a mission.
func (w *world) requests(name string, t wish) {
	w.Helper()
	made := &v1alpha1.Passport{
		ObjectMeta: metav1.ObjectMeta{Namespace: "support", Name: name, Generation: 1, Finalizers: []string{v1alpha1.PassportFinalizer}},
		Spec: v1alpha1.PassportSpec{
			AgentRef: v1alpha1.AgentReference{Name: "bot"},
			Intent: &v1alpha1.Intent{
				Summary: "answer tickets", Services: []v1alpha1.ServiceName{"slack"}, EstimatedDurationSeconds: int32(t.estimate),
			},
			TTLSeconds: int32(t.ttl), CheckpointIntervalSeconds: int32(t.interval), ActiveDeadlineSeconds: int32(t.limit),
			IssueDeadlineSeconds: 600, TokenDelivery: v1alpha1.DeliverySecret,
		},
	}
	if t.keep >= 0 {
		keep := int32(t.keep)
		made.Spec.TTLSecondsAfterFinished = &keep
	}
	if w.older {
		made.Finalizers = nil
	}
	w.must(create(w, &w.passports, made))
	w.books[made.UID] = &book{
		name: name, created: inSeconds(made.CreationTimestamp.Time), duties: w.duties, ttl: t.ttl, interval: t.interval, limit: t.limit,
		estimate: t.estimate, reports: &w.reported, checkouts: &w.checkedOut, cut: forever,
	}
}

// reports has an agent make a checkpoint, that was stamped so long ago.
func (w *world) checkpoint(passport string, ago int, actions int32, by string, services ...v1alpha1.ServiceName) *modelReport {
	w.Helper()
	return w.checkpointOf("bot", passport, ago, actions, by, services...)
}

func (w *world) checkpointOf(agent, passport string, ago int, actions int32, by string, services ...v1alpha1.ServiceName) *modelReport {
	w.Helper()
	made := &v1alpha1.Checkpoint{
		ObjectMeta: metav1.ObjectMeta{Namespace: "support", Name: fmt.Sprint("report-", w.version), Generation: 1, CreationTimestamp: w.ago(ago)},
		Spec: v1alpha1.CheckpointSpec{
			PassportRef: v1alpha1.PassportReference{Name: passport}, AgentRef: v1alpha1.AgentReference{Name: agent},
			ActionsCount: actions, ServicesUsed: services, SubmittedBy: &v1alpha1.Actor{Username: by},
		},
	}
	w.must(create(w, &w.checkpoints, made))
	report := &modelReport{
		passport: passport, at: inSeconds(made.CreationTimestamp.Time), uid: string(made.UID), seen: w.version,
		actions: int64(actions), services: texts(services), by: by, void: agent != "bot",
	}
	w.reported = append(w.reported, report)
	return report
}

// ago is the second of so long ago.
func (w *world) ago(seconds int) metav1.Time {
	return metav1.NewTime(w.now.Truncate(time.Second).Add(time.Duration(-seconds) * time.Second))
}

func texts(services []v1alpha1.ServiceName) []string {
	var names []string
	for _, service := range services {
		names = append(names, string(service))
	}
	return names
}

// checkout has an agent check out, stamped so long ago; without actions it does not say how many.
func (w *world) checksOut(agent, passport string, ago int, actions *int64, by string, services ...v1alpha1.ServiceName) string {
	w.Helper()
	made := &v1alpha1.Checkout{
		ObjectMeta: metav1.ObjectMeta{Namespace: "support", Name: fmt.Sprint("checkout-", w.version), Generation: 1, CreationTimestamp: w.ago(ago)},
		Spec: v1alpha1.CheckoutSpec{
			PassportRef: v1alpha1.PassportReference{Name: passport}, AgentRef: v1alpha1.AgentReference{Name: agent}, Source: v1alpha1.SourceAgent,
			Outcome: v1alpha1.OutcomeSucceeded, ActionsCount: actions, ServicesUsed: services, SubmittedBy: &v1alpha1.Actor{Username: by},
		},
	}
	if !w.older {
		made.Finalizers = []string{v1alpha1.CheckoutFinalizer}
	}
	w.must(create(w, &w.checkouts, made))
	w.checkedOut = append(w.checkedOut, &modelCheckout{
		passport: passport, at: inSeconds(made.CreationTimestamp.Time), uid: string(made.UID), seen: w.version, void: agent != "bot",
		services: texts(services), actions: actions, by: by,
	})
	return made.Name
}

// blocksAgent has a responder block an agent, or the namespace where it is empty.
func (w *world) blocksAgent(agent string) string {
	w.Helper()
	made := block(w.second(), fmt.Sprint("stop-", w.version), agent)
	made.UID = ""
	w.must(create(w, &w.blocks, &made))
	return made.Name
}

// lifts has somebody lift a block, if it is in force.
func (w *world) lifts(name string) {
	w.Helper()
	change(w, &w.blocks, name, func(b *v1alpha1.AgentBlock) {
		if b.Spec.Lifted == nil {
			b.Spec.Lifted = &v1alpha1.BlockLift{Reason: "fine"}
			w.lifted[name] = true
		}
	})
}

// suspends sets the switch on an agent, if it is there.
func (w *world) suspends(suspend bool) {
	w.Helper()
	if _, there := named(w.agents.live(), "bot"); there {
		change(w, &w.agents, "bot", func(a *v1alpha1.AgentPassport) { a.Spec.Suspend = suspend })
	}
}

// deletesAgent has somebody delete the agent, if it is there.
func (w *world) deletesAgent() {
	w.Helper()
	if its, there := named(w.agents.live(), "bot"); there {
		w.must(remove(w, &w.agents, its))
	}
}

// appliesAgent has somebody apply the agent, if there is none.
func (w *world) appliesAgent() {
	w.Helper()
	if _, there := named(w.agents.live(), "bot"); there {
		return
	}
	escalation := map[bool]v1alpha1.Escalation{false: v1alpha1.EscalateNotify, true: v1alpha1.EscalateBlock}
	its := agent(func(a *v1alpha1.AgentPassport) {
		a.UID = ""
		a.Spec.Accountability.Mode = w.duties.mode
		a.Spec.Accountability.OnWarning, a.Spec.Accountability.OnCritical = escalation[w.duties.onWarning], escalation[w.duties.onCritical]
		a.Spec.Grants = []v1alpha1.ServiceGrant{{Service: "slack"}, {Service: "notion"}}
	})
	for _, exception := range w.duties.accepted {
		its.Spec.Accountability.Accept = append(its.Spec.Accountability.Accept, v1alpha1.StandingException{
			Type: exception.kind, Service: v1alpha1.ServiceName(exception.service), Until: metaAfter(exception.until), Reason: "known",
		})
	}
	w.must(create(w, &w.agents, its))
}

// gainsExperience gives the agent a baseline, of seven missions of 20 actions or so.
func (w *world) gainsExperience() {
	w.Helper()
	its, _ := named(w.agents.live(), "bot")
	its.Status.Baseline = &v1alpha1.Baseline{
		Missions: 7, Actions: v1alpha1.Distribution{Mean: "20", Variance: "25"},
		DurationSeconds: v1alpha1.Distribution{Mean: "300", Variance: "100"},
	}
	w.must(update(w, &w.agents, its))
	w.begun[its.UID] = 7
}

// pastMission has a Checkout there of a mission that is over, Clean, and gone: what feeds a baseline.
func (w *world) pastMission(actions int64) {
	w.Helper()
	its, there := named(w.agents.live(), "bot")
	if !there {
		return
	}
	passport := requested(func(p *v1alpha1.Passport) { p.Name, p.UID = fmt.Sprint("past-", w.version), w.uid() })
	issued := leash(v1alpha1.ModeEnforced, 900, 300, w.second()+86400)
	issued.AgentUID = its.UID
	passport.Status = Issue(passport, issued, w.now, jtiOf(passport), "")
	finish(&passport.Status, 1, v1alpha1.PhaseCheckedOut, v1alpha1.ReasonCheckedOut, "done", w.now)
	made := &v1alpha1.Checkout{
		ObjectMeta: metav1.ObjectMeta{Namespace: "support", Name: "of-" + passport.Name, Generation: 1, Finalizers: []string{v1alpha1.CheckoutFinalizer}},
		Spec: v1alpha1.CheckoutSpec{
			PassportRef: v1alpha1.PassportReference{Name: passport.Name}, AgentRef: passport.Spec.AgentRef, Source: v1alpha1.SourceAgent,
			ActionsCount: &actions, ServicesUsed: []v1alpha1.ServiceName{"slack"},
		},
	}
	made.CreationTimestamp = w.ago(0)
	made.Status = Judge(passport, made, nil, nil, review.DefaultThresholds(), w.now)
	w.must(create(w, &w.checkouts, made))
	w.checkedOut = append(w.checkedOut, &modelCheckout{
		passport: passport.Name, at: w.second(), uid: string(made.UID), seen: w.version, services: []string{"slack"}, actions: &actions,
		judged: true, bare: true,
	})
	w.books[passport.UID] = &book{
		name: passport.Name, created: -60, duties: duties{mode: v1alpha1.ModeEnforced}, ttl: 900, interval: 300, limit: 86400,
		reports: &w.reported, checkouts: &w.checkedOut, issued: true, issue: w.second(), agent: its.UID, cut: w.version, claim: w.version,
	}
}

// revokes has somebody revoke a mission.
func (w *world) revokes(name string) {
	w.Helper()
	change(w, &w.passports, name, func(p *v1alpha1.Passport) {
		if p.Spec.Revocation == nil {
			p.Spec.Revocation = &v1alpha1.Revocation{Reason: "stop"}
		}
	})
}

// deletesPassport has somebody delete a mission.
func (w *world) deletesPassport(name string) {
	w.Helper()
	passport, _ := named(w.passports.live(), name)
	w.must(remove(w, &w.passports, passport))
}

// reviews has a reviewer decide, where admission lets them: once, on a verdict that is not Clean.
func (w *world) reviews(name string, decision v1alpha1.Decision) {
	w.Helper()
	checkout, there := named(w.checkouts.live(), name)
	if !there || checkout.Spec.Review != nil || !Judged(checkout) || checkout.Status.Verdict == v1alpha1.VerdictClean {
		return
	}
	change(w, &w.checkouts, name, func(c *v1alpha1.Checkout) {
		c.Spec.Review = &v1alpha1.Review{Decision: decision, Notes: "so it is", Reviewer: &v1alpha1.Actor{Username: "ann"}}
	})
	w.checkout(checkout.UID).review = decision
}

// deletesCheckout has somebody delete a checkout that is decided or does not count.
func (w *world) deletesCheckout(name string) {
	w.Helper()
	if checkout, there := named(w.checkouts.live(), name); there && (Decided(checkout) || WasRefused(checkout)) {
		w.must(remove(w, &w.checkouts, checkout))
	}
}

// deletesCheckpoint has somebody delete a checkpoint that is counted already.
func (w *world) deletesCheckpoint(name string) {
	w.Helper()
	checkpoint, there := named(w.checkpoints.live(), name)
	folded := func(p *v1alpha1.Passport) bool { return slices.Contains(p.Status.Folded, checkpoint.UID) }
	if there && (Marked(checkpoint) || slices.ContainsFunc(w.passports.live(), folded)) {
		w.must(remove(w, &w.checkpoints, checkpoint))
	}
}

// editsSecret has somebody write something else into a Secret.
func (w *world) editsSecret(name string) {
	w.Helper()
	if have, there := named(w.secrets.live(), name); there && have.Owner != "" {
		have.Token = nil
		w.must(update(w, &w.secrets, have))
	}
}

// deletesSecret has somebody delete a Secret.
func (w *world) deletesSecret(name string) {
	w.Helper()
	if have, there := named(w.secrets.live(), name); there {
		w.must(remove(w, &w.secrets, have))
	}
}

// takesSecretName has somebody make a Secret of their own where a passport's would be.
func (w *world) takesSecretName(name string) {
	w.Helper()
	if _, there := named(w.secrets.live(), name); !there {
		w.must(create(w, &w.secrets, &secret{ObjectMeta: metav1.ObjectMeta{Name: name}}))
	}
}
