package controller_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/utils/ptr"
	"pgregory.net/rapid"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"agentpassport.dev/operator/api/v1alpha1"
	"agentpassport.dev/operator/internal/audit"
	"agentpassport.dev/operator/internal/gateway/decision"
	"agentpassport.dev/operator/internal/lifecycle"
	"agentpassport.dev/operator/internal/token"
)

var programs = flag.Int("programs", 8, "how many random programs are run against the API server")

// program is a random sequence of what people, agents and time do in one namespace, while the
// operator's writes fail and the operator crashes.
type program struct {
	*world
	t *rapid.T
	// names of the passports that were asked for.
	missions, reports int
	// deleted says that a person deleted a Checkout, suspended that one suspended the agent.
	deleted, suspended bool
	// removed says that a person deleted a Passport, and hours that an hour has passed, for which the audit log
	// holds a deletion at most.
	removed, hours bool

	ends     map[types.UID]string
	verdicts map[types.UID]v1alpha1.CheckoutStatus
}

var errUnavailable = errors.New("the API server is not available")

// unreliable fails a share of the writes, in percent: before they land, or after.
func unreliable(percent int, seed uint64) func(int, string, func() error) error {
	random := rand.New(rand.NewPCG(seed, 0))
	return func(_ int, _ string, land func() error) error {
		if random.IntN(100) >= percent {
			return land()
		}
		if random.IntN(2) == 0 {
			return errUnavailable
		}
		return errors.Join(land(), errUnavailable)
	}
}

func runProgram(ctx context.Context, t *rapid.T) {
	p := &program{
		world: newWorld(ctx), t: t, ends: map[types.UID]string{}, verdicts: map[types.UID]v1alpha1.CheckoutStatus{},
	}
	checkouts, err := server.Watch(ctx, &v1alpha1.CheckoutList{}, p.namespace)
	Expect(err).NotTo(HaveOccurred())
	defer checkouts.Stop()
	mode := rapid.SampledFrom([]v1alpha1.AccountabilityMode{v1alpha1.ModeEnforced, v1alpha1.ModeEnforced, v1alpha1.ModeLogged, v1alpha1.ModeStandard}).Draw(t, "mode")
	escalations := rapid.SampledFrom([]v1alpha1.Escalation{v1alpha1.EscalateNotify, v1alpha1.EscalateBlock})
	p.agent(in(mode), func(a *v1alpha1.AgentPassport) {
		a.Spec.Accountability.OnWarning = escalations.Draw(t, "onWarning")
		a.Spec.Accountability.OnCritical = escalations.Draw(t, "onCritical")
	})
	p.gateways.up = rapid.SampledFrom([][]string{nil, {"gateway-0"}, {"gateway-0", "gateway-1"}}).Draw(t, "gateways")
	p.ask(t)
	percent := rapid.SampledFrom([]int{0, 10, 20, 30}).Draw(t, "failing writes, in percent")
	t.Repeat(p.inTime(map[string]func(*rapid.T){
		"ask":        p.ask,
		"checkpoint": p.report,
		"checkout":   p.checkOut,
		"review":     p.decide,
		"block":      func(*rapid.T) { p.block(fmt.Sprintf("stop-%d", p.next())) },
		"lift":       p.lift,
		"suspend":    func(t *rapid.T) { p.suspend(rapid.Bool().Draw(t, "suspend")) },
		"revoke": p.onPassport(func(m *v1alpha1.Passport) error {
			m.Spec.Revocation = &v1alpha1.Revocation{Reason: "stop"}
			return p.admin.Update(ctx, m)
		}),
		"delete a passport": p.onPassport(func(m *v1alpha1.Passport) error {
			p.removed = true
			return p.admin.Delete(ctx, m)
		}),
		"delete a checkout": p.onCheckout(func(c *v1alpha1.Checkout) error {
			p.deleted = true
			return p.admin.Delete(ctx, c)
		}),
		"edit a Secret": p.onPassport(p.tamper),
		"time": func(t *rapid.T) {
			seconds := rapid.SampledFrom([]int{1, 10, 61, 301, 3700, 90_000}).Draw(t, "seconds")
			p.hours = p.hours || seconds > 3600
			p.clock.Step(time.Duration(seconds) * time.Second)
		},
		"work badly": func(t *rapid.T) {
			p.fault = unreliable(percent, rapid.Uint64().Draw(t, "failures"))
			for range rapid.IntRange(1, 3).Draw(t, "rounds") {
				_ = p.round()
			}
			p.fault = nil
		},
		"crash": func(t *rapid.T) {
			dies := &crash{at: p.attempts + rapid.IntRange(1, 8).Draw(t, "write"), after: true}
			p.fault = dies.fault
			_ = p.round()
			p.fault = nil
			p.restart()
		},
		"a gateway sees":     p.see,
		"call":               p.call,
		"lose the audit log": func(*rapid.T) { p.log.set(true) },
		"":                   func(*rapid.T) {},
		"quiet":              func(*rapid.T) { p.quiet() },
	}))
	p.catchUp()
	p.quiet()
	p.clock.Step(10 * time.Second)
	p.quiet()
	p.fed(checkouts)
}

// inTime has the world's clock catch up with the API server's before each action.
func (p *program) inTime(actions map[string]func(*rapid.T)) map[string]func(*rapid.T) {
	for name, act := range actions {
		actions[name] = func(t *rapid.T) {
			p.catchUp()
			act(t)
		}
	}
	return actions
}

// catchUp sets the world's clock where it is behind the API server's, which stamps what is made. On a slow machine a
// program takes a minute: a block made now would come after the end of a passport that still lives by the world's clock.
func (p *program) catchUp() {
	if now := time.Now().Truncate(time.Second); now.After(p.clock.Now()) {
		p.clock.SetTime(now)
	}
}

func (p *program) next() int {
	p.reports++
	return p.reports
}

// ask asks for a passport, of which at most four are there.
func (p *program) ask(t *rapid.T) {
	if p.missions >= 4 {
		return
	}
	p.missions++
	p.passport(func(m *v1alpha1.Passport) {
		m.Name = fmt.Sprintf("mission-%d", p.missions)
		m.Spec.CheckpointIntervalSeconds = int32(rapid.SampledFrom([]int{60, 300}).Draw(t, "interval"))
		m.Spec.TTLSecondsAfterFinished = ptr.To(int32(rapid.SampledFrom([]int{0, 3600}).Draw(t, "ttl")))
	})
}

var services = rapid.SliceOfNDistinct(rapid.SampledFrom([]v1alpha1.ServiceName{"slack", "github", "notion", "stripe"}), 0, 2, rapid.ID)

// some is the name of a passport that was asked for, or of none.
func (p *program) some(t *rapid.T) string {
	return fmt.Sprintf("mission-%d", rapid.IntRange(1, p.missions+1).Draw(t, "mission"))
}

func (p *program) report(t *rapid.T) {
	name := p.some(t)
	p.checkpoint(fmt.Sprintf("report-%d", p.next()), func(c *v1alpha1.Checkpoint) {
		c.Spec.PassportRef.Name = name
		c.Spec.ServicesUsed = services.Draw(t, "services")
	})
}

func (p *program) checkOut(t *rapid.T) {
	name := p.some(t)
	p.checkout(fmt.Sprintf("done-%d", p.next()), func(c *v1alpha1.Checkout) {
		c.Spec.PassportRef.Name = name
		c.Spec.ServicesUsed = services.Draw(t, "services")
		if rapid.IntRange(0, 5).Draw(t, "whose") == 0 {
			c.Spec.AgentRef.Name = "other"
		}
	})
}

// see has a gateway see something of a passport.
func (p *program) see(t *rapid.T) {
	all := p.view().passports.Items
	if len(all) == 0 {
		return
	}
	kind := rapid.SampledFrom([]string{"scope_drift", "constraint_violation", "credential_outside_scope", "use_after_checkout", "call_rate_anomaly"}).Draw(t, "kind")
	p.saw(&all[rapid.IntRange(0, len(all)-1).Draw(t, "passport")], kind)
}

// call has a passport's agent call services through a gateway, some of which it may not.
func (p *program) call(t *rapid.T) {
	all := p.view().passports.Items
	all = slices.DeleteFunc(all, func(m v1alpha1.Passport) bool { return m.Status.Phase != v1alpha1.PhaseActive })
	if len(all) == 0 {
		return
	}
	passport := &all[rapid.IntRange(0, len(all)-1).Draw(t, "passport")]
	code := rapid.SampledFrom([]decision.Code{decision.Allowed, decision.Allowed, decision.CodeConstraint, decision.CodeUpstream}).Draw(t, "code")
	p.called(passport, rapid.SampledFrom([]string{"slack", "notion"}).Draw(t, "service"), code, rapid.IntRange(1, 6).Draw(t, "times"))
}

// decide reviews a checkout that awaits it. The API server refuses any other.
func (p *program) decide(t *rapid.T) {
	decided := rapid.SampledFrom([]v1alpha1.Decision{v1alpha1.DecisionApproved, v1alpha1.DecisionBlocked}).Draw(t, "decision")
	p.onCheckout(func(c *v1alpha1.Checkout) error {
		if c.Spec.Review != nil {
			return nil
		}
		patch := client.MergeFrom(c.DeepCopy())
		c.Spec.Review = &v1alpha1.Review{Decision: decided, Notes: "seen"}
		err := p.admin.Patch(p.ctx, c, patch)
		if c.Status.Verdict == "" || c.Status.Verdict == v1alpha1.VerdictClean {
			Expect(apierrors.IsForbidden(err) || apierrors.IsInvalid(err)).To(BeTrue(), "%v", err)
			return nil
		}
		return err
	})(t)
}

func (p *program) lift(t *rapid.T) {
	now := p.view()
	if len(now.blocks.Items) == 0 {
		return
	}
	block := &now.blocks.Items[rapid.IntRange(0, len(now.blocks.Items)-1).Draw(t, "block")]
	if block.Spec.Lifted == nil {
		block.Spec.Lifted = &v1alpha1.BlockLift{Reason: "fine"}
		Expect(p.admin.Update(p.ctx, block)).To(Succeed())
	}
}

func (p *program) suspend(suspended bool) {
	agent := &p.view().agents.Items[0]
	agent.Spec.Suspend = suspended
	p.suspended = p.suspended || suspended
	Expect(p.admin.Update(p.ctx, agent)).To(Succeed())
}

// onPassport does something to a passport that is there and not yet deleted, or revoked.
func (p *program) onPassport(do func(*v1alpha1.Passport) error) func(*rapid.T) {
	return func(t *rapid.T) {
		all := p.view().passports.Items
		all = slices.DeleteFunc(all, func(m v1alpha1.Passport) bool { return m.DeletionTimestamp != nil || m.Spec.Revocation != nil })
		if len(all) > 0 {
			Expect(do(&all[rapid.IntRange(0, len(all)-1).Draw(t, "passport")])).To(Succeed())
		}
	}
}

func (p *program) onCheckout(do func(*v1alpha1.Checkout) error) func(*rapid.T) {
	return func(t *rapid.T) {
		all := p.view().checkouts.Items
		all = slices.DeleteFunc(all, func(c v1alpha1.Checkout) bool { return c.DeletionTimestamp != nil })
		if len(all) > 0 {
			Expect(do(&all[rapid.IntRange(0, len(all)-1).Draw(t, "checkout")])).To(Succeed())
		}
	}
}

// tamper edits the token Secret of a passport, or deletes it.
func (p *program) tamper(passport *v1alpha1.Passport) error {
	secret := &corev1.Secret{}
	if err := p.get(passport.Name+"-token", secret); err != nil {
		return client.IgnoreNotFound(err)
	}
	p.restart() // the tests have no watch on Secrets: a new operator looks at all of them
	if p.next()%2 == 0 {
		return p.admin.Delete(p.ctx, secret)
	}
	secret.Data[v1alpha1.SecretKeyToken] = []byte("forged")
	return p.admin.Update(p.ctx, secret)
}

// quiet lets the operator finish, and holds the cluster to what is true whenever nothing is left to do.
func (p *program) quiet() {
	GinkgoHelper()
	p.log.set(false)
	p.settle()
	p.wrote()
	p.settle()
	Expect(p.wrote()).To(BeEmpty(), "quiet means no writes")
	now := p.view()
	own := map[types.UID]types.UID{}
	for i := range now.passports.Items {
		p.checkPassport(now, &now.passports.Items[i])
		if its := now.passports.Items[i].Status.Checkout; its != nil {
			own[its.UID] = now.passports.Items[i].UID
		}
	}
	p.checkTrails(now)
	judged := map[types.UID]int{}
	for i := range now.checkouts.Items {
		checkout := &now.checkouts.Items[i]
		p.checkCheckout(now, checkout)
		if lifecycle.Judged(checkout) {
			judged[checkout.Status.PassportUID]++
			Expect(judged[checkout.Status.PassportUID]).To(Equal(1), "a mission is judged once")
		}
		if passport, its := own[checkout.UID]; its {
			Expect(checkout.Status.PassportUID).To(Equal(passport), "%s is its passport's own, and is judged", checkout.Name)
		}
	}
}

func (p *program) checkPassport(now *view, passport *v1alpha1.Passport) {
	GinkgoHelper()
	status := &passport.Status
	secret := &corev1.Secret{}
	err := p.get(passport.Name+"-token", secret)
	Expect(status.JTI).To(BeElementOf("", token.JTI(string(passport.UID))))
	if status.Issued != nil {
		p.checkLeash(now, passport)
	}
	if status.Phase == v1alpha1.PhaseActive {
		Expect(err).NotTo(HaveOccurred())
		keys, _ := p.keys.Ring()
		claims, err := token.VerifySignature(string(secret.Data[v1alpha1.SecretKeyToken]), keys)
		Expect(err).NotTo(HaveOccurred())
		Expect(claims.ID).To(Equal(status.JTI))
		Expect(claims.Expiry).To(Equal(status.ExpirationTime.Unix()))
		Expect(p.clock.Now()).To(BeTemporally("<", status.ExpirationTime.Add(lifecycle.ExpiryGrace)), "Active past its expiry")
		Expect(lifecycle.Blocking(now.blocks.Items, "support-bot")).To(BeEmpty(), "a blocked agent has nothing")
		Expect(now.agents.Items[0].Spec.Suspend).To(BeFalse(), "a suspended agent has nothing")
		return
	}
	Expect(apierrors.IsNotFound(err)).To(BeTrue(), "%s passport %s has a token", status.Phase, passport.Name)
	if !status.Phase.Finished() {
		return
	}
	p.checkEnd(now, passport)
	end := fmt.Sprintf("%s %s %s", status.Phase, ready(status.Conditions), status.EndTime.UTC())
	if before, known := p.ends[passport.UID]; known {
		Expect(end).To(Equal(before), "a terminal phase never changes")
	}
	p.ends[passport.UID] = end
	mission := status.Issued != nil && status.Issued.Mode != v1alpha1.ModeStandard
	if mission && (status.Phase != v1alpha1.PhaseExpired || !p.clock.Now().Before(status.EndTime.Add(time.Hour))) {
		Expect(status.Checkout).NotTo(BeNil(), "a mission that is over has its Checkout")
	}
	if !mission {
		Expect(status.Checkout).To(BeNil())
	}
}

// checkLeash reckons anew, from the reports that were accepted, until when a passport was good.
func (p *program) checkLeash(now *view, passport *v1alpha1.Passport) {
	GinkgoHelper()
	status, kept := &passport.Status, 0
	interval := time.Duration(status.Issued.CheckpointIntervalSeconds) * time.Second
	life := time.Duration(status.Issued.TTLSeconds) * time.Second
	if status.Issued.Mode == v1alpha1.ModeEnforced {
		life = min(life, interval)
	}
	good := status.IssueTime.Add(life)
	for i := range now.checkpoints.Items {
		report := &now.checkpoints.Items[i]
		if report.Status.PassportUID != passport.UID || !lifecycle.Accepted(report) {
			continue
		}
		kept++
		if extended := report.CreationTimestamp.Add(interval); status.Issued.Mode == v1alpha1.ModeEnforced && extended.After(good) {
			good = extended
		}
	}
	if good.After(status.Issued.Deadline.Time) {
		good = status.Issued.Deadline.Time
	}
	Expect(status.ExpirationTime.Time).To(BeTemporally("==", good), "%s is good for one interval after its last report", passport.Name)
	Expect(kept).To(BeEquivalentTo(min(3, ptr.Deref(status.Checkpoints, 0))), "%s keeps its last three reports", passport.Name)
}

// checkEnd looks for what ended a passport, at the time at which it did.
func (p *program) checkEnd(now *view, passport *v1alpha1.Passport) {
	GinkgoHelper()
	status := &passport.Status
	since := func(made time.Time) time.Time {
		if issue := status.IssueTime.Time; made.Before(issue) {
			return issue
		}
		return made
	}
	var causes []time.Time
	switch ready(status.Conditions) {
	case v1alpha1.ReasonCheckpointSilence, v1alpha1.ReasonTTLElapsed, v1alpha1.ReasonDeadlineReached:
		causes = append(causes, status.ExpirationTime.Time)
	case v1alpha1.ReasonCheckedOut:
		for i := range now.checkouts.Items {
			if checkout := &now.checkouts.Items[i]; checkout.UID == status.Checkout.UID {
				causes = append(causes, since(checkout.CreationTimestamp.Time))
			}
		}
		if p.deleted {
			return
		}
	case v1alpha1.ReasonAgentBlocked:
		for i := range now.blocks.Items {
			causes = append(causes, since(now.blocks.Items[i].CreationTimestamp.Time))
		}
	case v1alpha1.ReasonRevokedByRequest:
		Expect(passport.Spec.Revocation).NotTo(BeNil())
		return
	case v1alpha1.ReasonAgentSuspended:
		Expect(p.suspended).To(BeTrue())
		return
	case v1alpha1.ReasonSignalRaised:
		for _, signal := range status.Signals {
			causes = append(causes, signal.FirstTime.Time, status.ExpirationTime.Time)
		}
	case v1alpha1.ReasonPassportDeleted:
		causes = append(causes, since(passport.DeletionTimestamp.Time))
	default:
		Expect(status.Phase).To(Equal(v1alpha1.PhaseRejected), "%s", ready(status.Conditions))
		return
	}
	Expect(causes).To(ContainElement(BeTemporally("==", status.EndTime.Time)), "%s %s without a cause", passport.Name, ready(status.Conditions))
}

// checkTrails holds the audit log to what is stored: each step is there once, in its place, of passports that
// are gone as well.
func (p *program) checkTrails(now *view) {
	GinkgoHelper()
	trails := map[string][]audit.Record{}
	for _, record := range p.log.records() {
		trails[record.PassportJTI] = append(trails[record.PassportJTI], record)
	}
	delete(trails, "")
	for i := range now.passports.Items {
		passport := &now.passports.Items[i]
		jti := token.JTI(string(passport.UID))
		steps := countSteps(trails[jti])
		var issue audit.Record
		for _, record := range trails[jti] {
			if record.Action == audit.PassportIssue {
				issue = record
			}
		}
		delete(trails, jti)
		if !passport.Status.Phase.Finished() && passport.Status.Phase != v1alpha1.PhaseActive {
			continue // the log may have its issue, of which it never heard
		}
		if passport.Status.Issued != nil {
			Expect(steps[audit.PassportIssue]).To(BeNumerically(">=", 1), "%s is issued", passport.Name)
			Expect(issue.Time).To(BeTemporally("==", passport.Status.IssueTime.Time), "%s is issued as its last record says", passport.Name)
		}
		Expect(steps[audit.PassportCheckpoint]).To(BeEquivalentTo(ptr.Deref(passport.Status.Checkpoints, 0)), "%s: every report that counts is recorded once", passport.Name)
		for phase, action := range map[v1alpha1.Phase]audit.Action{
			v1alpha1.PhaseExpired: audit.PassportExpire, v1alpha1.PhaseRevoked: audit.PassportRevoke, v1alpha1.PhaseRejected: audit.PassportReject,
		} {
			want := 0
			if passport.Status.Phase == phase {
				want = 1
			}
			Expect(steps[action]).To(Equal(want), "%s is %s, and has %d records of %s", passport.Name, passport.Status.Phase, steps[action], action)
		}
		if its := passport.Status.Checkout; its != nil {
			Expect(steps[audit.PassportCheckout]).To(Equal(1), "%s has its verdict recorded", passport.Name)
		}
	}
	for jti, trail := range trails {
		steps := countSteps(trail)
		ends := steps[audit.PassportExpire] + steps[audit.PassportRevoke] + steps[audit.PassportReject] + steps[audit.PassportCheckout]
		if !p.removed || !p.hours {
			Expect(ends).To(BeNumerically(">=", 1), "the trail of %s, which is gone, has no end", jti)
		}
		if steps[audit.PassportIssue] > 0 {
			Expect(trail[0].Action).To(Equal(audit.PassportIssue), "the issue comes first")
		}
	}
	for i := range now.checkouts.Items {
		checkout := &now.checkouts.Items[i]
		if checkout.Spec.Review != nil && lifecycle.Judged(checkout) {
			Expect(p.log.has(checkout.UID, audit.PassportReviewDecide)).To(BeTrue(), "the review of %s is recorded", checkout.Name)
		}
	}
	for i := range now.blocks.Items {
		block := &now.blocks.Items[i]
		Expect(p.log.has(block.UID, audit.AgentBlock)).To(BeTrue(), "block %s is recorded", block.Name)
		Expect(p.log.has(block.UID, audit.AgentUnblock)).To(Equal(block.Spec.Lifted != nil), "the lift of block %s is recorded", block.Name)
	}
}

func countSteps(trail []audit.Record) map[audit.Action]int {
	steps := map[audit.Action]int{}
	for i := range trail {
		steps[trail[i].Action]++
	}
	return steps
}

func (p *program) checkCheckout(now *view, checkout *v1alpha1.Checkout) {
	GinkgoHelper()
	status := checkout.Status
	judged := v1alpha1.CheckoutStatus{Verdict: status.Verdict, Flags: status.Flags, Mission: status.Mission, JudgedTime: status.JudgedTime}
	if before, known := p.verdicts[checkout.UID]; known {
		Expect(judged).To(Equal(before), "a verdict never changes")
	}
	if lifecycle.Judged(checkout) {
		p.verdicts[checkout.UID] = judged
	}
	if checkout.Spec.Review == nil {
		return
	}
	Expect(lifecycle.Decided(checkout)).To(BeTrue(), "a review is carried out")
	own := 0
	for i := range now.blocks.Items {
		block := &now.blocks.Items[i]
		if cause := block.Spec.Cause; cause != nil && block.Spec.Lifted == nil && (cause.UID == checkout.UID || judgedBy(checkout, block)) {
			own++
		}
	}
	limit := map[v1alpha1.Decision]int{v1alpha1.DecisionApproved: 0, v1alpha1.DecisionBlocked: 1}[checkout.Spec.Review.Decision]
	Expect(own).To(BeNumerically("<=", limit), "blocks of %s in force after it was %s", checkout.Name, checkout.Spec.Review.Decision)
}

// judgedBy says whether a signal that a mission was judged by made a block. What a gateway reports after the
// verdict blocks the agent for itself: no reviewer has seen it.
func judgedBy(checkout *v1alpha1.Checkout, block *v1alpha1.AgentBlock) bool {
	return block.Spec.Cause.UID == checkout.Status.PassportUID &&
		slices.ContainsFunc(checkout.Status.Mission.Signals, func(signal v1alpha1.Signal) bool {
			return strings.HasPrefix(block.Spec.Reason, signal.Type+" on passport ")
		})
}

// fed compares the agent's baseline with the missions that were accepted. One whose Checkout a person
// deletes at once may be missing.
func (p *program) fed(checkouts watch.Interface) {
	GinkgoHelper()
	p.checkout("fence")
	wasAccepted, wasMarked := map[types.UID]bool{}, map[types.UID]bool{}
	for event := range checkouts.ResultChan() {
		checkout, ok := event.Object.(*v1alpha1.Checkout)
		Expect(ok).To(BeTrue())
		if checkout.Name == "fence" {
			break
		}
		if strings.HasPrefix(accepted(checkout), "True") {
			wasAccepted[checkout.UID] = true
		}
		if checkout.Status.BaselineTime != nil {
			wasMarked[checkout.UID] = true
		}
	}
	missions := 0
	if baseline := p.view().agents.Items[0].Status.Baseline; baseline != nil {
		missions = int(baseline.Missions)
	}
	Expect(missions).To(BeNumerically("<=", len(wasAccepted)), "each accepted mission feeds the baseline once")
	if p.deleted {
		Expect(missions).To(BeNumerically(">=", len(wasMarked)))
	} else {
		Expect(missions).To(Equal(len(wasAccepted)), "each accepted mission feeds the baseline")
	}
}

var _ = Describe("A random program", func() {
	It("leaves the cluster as it must be whenever it is quiet", programSweep, func(ctx context.Context) {
		aSweep()
		Expect(flag.Set("rapid.checks", strconv.Itoa(*programs))).To(Succeed())
		rapid.Check(GinkgoT(), func(t *rapid.T) { runProgram(ctx, t) })
	})
})
