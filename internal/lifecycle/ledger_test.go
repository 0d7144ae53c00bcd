package lifecycle

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/types"

	"agentpassport.dev/operator/api/v1alpha1"
)

// ledger holds the books, and notes what the operator writes that the books cannot know.
type ledger struct {
	books      map[types.UID]*book
	reported   []*modelReport
	checkedOut []*modelCheckout

	// cut is what was stored when the operator last began a live LIST.
	cut int
	// verdicts are the reasons of the marks on checkpoints.
	verdicts map[types.UID]v1alpha1.Reason
	// refusing is why the checkout that the operator now refuses does not count.
	refusing v1alpha1.Reason
	// halfway are blocks for findings that are not stored yet, by name.
	halfway map[string]bool
	// lifted are the blocks that people lifted, by name.
	lifted map[string]bool
	// fed are the checkouts that entered a baseline, by the agent's UID; begun is how many there were
	// before.
	fed   map[types.UID][]*modelCheckout
	begun map[types.UID]int64
	// underWay is for how long at most, in seconds, a report is on its way: behind younger ones then.
	underWay int
}

func newLedger() ledger {
	return ledger{
		books: map[types.UID]*book{}, verdicts: map[types.UID]v1alpha1.Reason{}, halfway: map[string]bool{}, lifted: map[string]bool{},
		fed: map[types.UID][]*modelCheckout{}, begun: map[types.UID]int64{},
	}
}

func (l *ledger) report(uid types.UID) *modelReport {
	i := slices.IndexFunc(l.reported, func(r *modelReport) bool { return r.uid == string(uid) })
	return l.reported[i]
}

func (l *ledger) checkout(uid types.UID) *modelCheckout {
	i := slices.IndexFunc(l.checkedOut, func(c *modelCheckout) bool { return c.uid == string(uid) })
	return l.checkedOut[i]
}

// sane holds an answer of the rules to what is true of all.
func (w *world) sane(s Situation, outcome Outcome) {
	w.Helper()
	old, status := s.Passport.Status, outcome.Status
	if old.Phase.Finished() {
		old.Observers = status.Observers
		if len(s.Reports) > 0 || old.Checkout == nil {
			old.Signals = status.Signals
		}
		if old.Checkout == nil {
			old.Checkout = status.Checkout
		}
		if !equality.Semantic.DeepEqual(old, status) {
			w.Fatalf("an end changed: %s", gocmp.Diff(old, status))
		}
		return
	}
	if len(status.Folded) > 20 {
		w.Fatalf("%d folded", len(status.Folded))
	}
	if status.ExpirationTime.Time.Before(old.ExpirationTime.Time) || status.ExpirationTime.After(status.Issued.Deadline.Time) {
		w.Fatalf("the expiry moved from %v to %v, with a limit of %v", old.ExpirationTime, status.ExpirationTime, status.Issued.Deadline)
	}
	if *status.Checkpoints < *old.Checkpoints || status.Actions < old.Actions {
		w.Fatal("a checkpoint counts no longer")
	}
	if status.CheckpointBy != nil && !status.CheckpointBy.Time.Before(status.ExpirationTime.Time) {
		w.Fatalf("checkpointBy %v, expiry %v", status.CheckpointBy, status.ExpirationTime)
	}
	full := len(status.Folded) == 20
	if !status.Phase.Finished() && !full && !outcome.Confirm && (!outcome.Wake.After(s.Now) || outcome.Wake.After(status.ExpirationTime.Add(ExpiryGrace))) {
		w.Fatalf("wakes at %v, expiry %v, now %v", outcome.Wake, status.ExpirationTime, s.Now)
	}
}

// notePassport notes a status that was just stored.
func (w *world) notePassport(before, after *v1alpha1.Passport, asked Situation) {
	w.Helper()
	b, old, status := w.books[after.UID], before.Status, after.Status
	if old.Phase == v1alpha1.PhasePending || old.Phase == "" {
		if status.Phase == v1alpha1.PhaseActive {
			b.issued, b.issue, b.agent = true, inSeconds(status.IssueTime.Time), status.Issued.AgentUID
		}
		return
	}
	for _, kept := range [][2]any{
		{old.JTI, status.JTI}, {old.SessionID, status.SessionID}, {old.IssueTime, status.IssueTime}, {old.Issued, status.Issued},
	} {
		if !equality.Semantic.DeepEqual(kept[0], kept[1]) {
			w.Fatalf("%s was issued with %v, and has %v", after.Name, kept[0], kept[1])
		}
	}
	saw := map[v1alpha1.Reason]int{
		v1alpha1.ReasonCheckedOut: w.checkouts.version(), v1alpha1.ReasonAgentBlocked: w.blocks.version(),
		v1alpha1.ReasonSignalRaised: w.checkpoints.version(),
	}
	if !asked.ListedAt.IsZero() {
		for reason := range saw {
			saw[reason] = w.cut
		}
	}
	bare := asked.Agent == nil || asked.Agent.UID != status.Issued.AgentUID
	w.noteSightings(before, after, asked, bare)
	last := never
	for _, uid := range status.Folded {
		if slices.Contains(old.Folded, uid) {
			continue
		}
		report := w.report(uid)
		if report.folded > 0 {
			w.Fatalf("%s was counted twice", uid)
		}
		if report.folded, report.saw, report.bare = w.version, saw, bare; report.at < last && w.underWay == 0 {
			w.Fatalf("%s was counted behind a younger one", uid)
		}
		last = report.at
		b.folded = append(b.folded, report)
	}
	for _, signal := range status.Signals {
		had := int32(0)
		if told := findSignal(old, signal.Type); told != nil {
			had = told.Count
		}
		if signal.Type == "checkpoint_silence" && signal.Count > had && b.mode == v1alpha1.ModeLogged {
			b.silences = append(b.silences, modelSilence{due: inSeconds(signal.LastTime.Time), bare: bare})
		}
		if signal.Count > had && !bare {
			delete(w.halfway, blockName("bot", after.UID, signal.Type))
		}
	}
	if old.Phase == v1alpha1.PhaseActive && status.Phase.Finished() {
		b.endedBare = bare
		for _, mark := range w.answer.Marks {
			w.noteTooMany(b, mark)
		}
		w.noteEnd(b, old, status, asked)
	}
	if old.Checkout == nil && status.Checkout != nil {
		b.claim, b.claimedBare = w.cut, bare
	}
}

func findSignal(status v1alpha1.PassportStatus, kind string) *v1alpha1.Signal {
	return signal(&status, kind)
}

// noteEnd notes what the operator saw that might have ended the mission.
func (w *world) noteEnd(b *book, old, status v1alpha1.PassportStatus, asked Situation) {
	if status.Phase != v1alpha1.PhaseExpired {
		b.cut = w.cut
	}
	see := func(is bool, at int, reason v1alpha1.Reason, seen int) {
		if is {
			b.ends = append(b.ends, modelEnd{at: at, reason: reason, seen: seen})
		}
	}
	now, its := w.second(), asked.Agent
	there := its != nil && its.UID == status.Issued.AgentUID
	see(asked.Passport.Spec.Revocation != nil, now, v1alpha1.ReasonRevokedByRequest, w.cut)
	see(!there, now, v1alpha1.ReasonAgentDeleted, w.cut)
	see(there && its.Spec.Suspend, now, v1alpha1.ReasonAgentSuspended, w.cut)
	if deleted := asked.Passport.DeletionTimestamp; deleted != nil {
		see(true, inSeconds(deleted.Time), v1alpha1.ReasonPassportDeleted, w.cut)
	}
	for _, block := range asked.Blocks {
		if !isFor(&block, "bot") || block.Spec.Lifted != nil {
			continue
		}
		known, patient := w.isKnown(&block, status, asked)
		if !known {
			continue
		}
		told := func(s v1alpha1.Signal) bool { return blockName("bot", asked.Passport.UID, s.Type) == block.Name }
		its := block.Spec.Cause != nil && block.Spec.Cause.UID == asked.Passport.UID
		b.ends = append(b.ends, modelEnd{
			at: inSeconds(block.CreationTimestamp.Time), reason: v1alpha1.ReasonAgentBlocked, seen: w.made[block.UID],
			halfway: its && patient && !slices.ContainsFunc(old.Signals, told),
		})
	}
}

func isFor(block *v1alpha1.AgentBlock, agent string) bool {
	return block.Spec.AgentRef == nil || block.Spec.AgentRef.Name == agent
}

// noteFinding notes that a block is made before the finding that it is for is stored.
func (w *world) noteFinding(block *v1alpha1.AgentBlock) { w.halfway[block.Name] = true }

// noteMark notes a mark. A checkpoint gets one, and TooMany only behind twenty of the same interval.
func (w *world) noteMark(passport *v1alpha1.Passport, mark Mark) {
	w.Helper()
	uid, b := mark.Checkpoint.UID, w.books[passport.UID]
	if old, marked := w.verdicts[uid]; marked {
		w.Fatalf("%s was %s, and is marked %s", uid, old, mark.Reason)
	}
	w.verdicts[uid] = mark.Reason
	this := w.report(uid)
	if mark.Reason == v1alpha1.ReasonAccepted {
		deadline := b.issue + b.limit
		expiry := min(b.issue+b.ttl, deadline)
		if b.mode == v1alpha1.ModeEnforced {
			expiry = min(max(b.issue+min(b.ttl, b.interval), this.at+b.interval), deadline)
		}
		if !mark.Expiry.Equal(after(expiry)) {
			w.Fatalf("%s: good until %v, want %v", uid, mark.Expiry, after(expiry))
		}
	}
	w.noteTooMany(b, mark)
}

// noteTooMany notes a checkpoint that is one of too many, and never counts any more.
func (w *world) noteTooMany(b *book, mark Mark) {
	w.Helper()
	this := w.report(mark.Checkpoint.UID)
	if mark.Reason != v1alpha1.ReasonTooMany || (this.seen > b.cut && b.cut != forever) {
		return
	}
	ahead := 0
	for _, other := range w.reported {
		if other != this && other.passport == this.passport && !other.void && other.at <= this.at && other.at > this.at-b.interval {
			ahead++
		}
	}
	if ahead < 20 && this.at >= b.issue {
		w.Fatalf("%s is one of too many behind %d", this.uid, ahead)
	}
	this.void = true
}

// noteCheckout notes the operator's own checkout. It is made where nobody else's was, and not too early.
func (w *world) noteCheckout(made *v1alpha1.Checkout) {
	w.Helper()
	passport := w.asked.Passport
	b := w.books[passport.UID]
	if other := b.firstCheckout(w.cut); other != nil && !w.isGone(passport) {
		w.Fatalf("the operator checks out beside %s", other.uid)
	}
	r, _ := b.at(w.now.Sub(noon).Seconds())
	if r.Phase == v1alpha1.PhaseActive || (r.Phase == v1alpha1.PhaseExpired && w.second() < r.End+3600 && passport.DeletionTimestamp == nil) {
		w.Fatalf("the operator checks out at %d of a mission that is %s since %d", w.second(), r.Phase, r.End)
	}
	if !strings.HasPrefix(made.Name, "operator-") || made.Spec.Source != v1alpha1.SourceOperator || made.Spec.Outcome != v1alpha1.OutcomeAborted {
		w.Fatalf("the operator's checkout: %s %+v", made.Name, made.Spec)
	}
	w.checkedOut = append(w.checkedOut, &modelCheckout{
		passport: b.name, at: inSeconds(made.CreationTimestamp.Time), uid: string(made.UID), seen: w.version, operator: true, of: b,
	})
}

// noteJudgement notes a status of a checkout that was just stored, and the agent that it was judged with.
func (w *world) noteJudgement(before, after *v1alpha1.Checkout, agent *v1alpha1.AgentPassport) {
	w.Helper()
	c := w.checkout(after.UID)
	if WasRefused(after) && !WasRefused(before) {
		reason := v1alpha1.Reason(readyOf(after.Status.Conditions).Reason)
		if b, is := w.mission(c); reason != w.refusing || (is && !b.letGo) {
			w.Fatalf("checkout %s is refused as %s, want %q", c.uid, reason, w.refusing)
		}
		c.refused = w.version
		return
	}
	if Decided(after) && !Decided(before) {
		c.decided = w.version
	}
	if Judged(before) {
		kept := before.Status.DeepCopy()
		kept.Conditions, kept.DecidedTime, kept.ObservedGeneration = after.Status.Conditions, after.Status.DecidedTime, after.Status.ObservedGeneration
		if !equality.Semantic.DeepEqual(*kept, after.Status) || Decided(before) && !before.Status.DecidedTime.Equal(after.Status.DecidedTime) {
			w.Fatalf("a verdict changed: %s", gocmp.Diff(before.Status, after.Status))
		}
		return
	}
	c.knew, c.observed = w.judging, after.Status.Mission.Observed.DeepCopy()
	c.judged, c.bare = true, agent == nil || agent.UID != w.books[after.Status.PassportUID].agent
	if c.bare {
		return
	}
	if usual := agent.Status.Baseline; usual != nil && usual.Missions >= 5 {
		mean, variance := number(usual.Actions.Mean), number(usual.Actions.Variance)
		limit := mean + 3*max(math.Sqrt(variance), 3, mean/10)
		c.usual = &limit
	}
}

func number(decimal v1alpha1.Decimal) float64 {
	x, err := strconv.ParseFloat(string(decimal), 64)
	if err != nil {
		return math.NaN()
	}
	return x
}

// refusal is why a checkout does not count for a passport, nil where there is none; empty where it may.
func (w *world) refusal(c *modelCheckout, passport *v1alpha1.Passport) v1alpha1.Reason {
	if passport == nil {
		return v1alpha1.ReasonPassportNotFound
	}
	b := w.books[passport.UID]
	if reason := b.may(c); reason != "" {
		return reason
	}
	if passport.Status.Phase == v1alpha1.PhaseRejected {
		return v1alpha1.ReasonPassportEnded
	}
	if own := b.own(); own != nil && own != c {
		return v1alpha1.ReasonAlreadyCheckedOut
	}
	return ""
}

// noteBaseline notes which checkouts a baseline was fed with.
func (w *world) noteBaseline(agent *v1alpha1.AgentPassport, before *v1alpha1.Baseline) {
	w.Helper()
	if len(agent.Status.Baseline.Fed) > 20 {
		w.Fatalf("%d fed", len(agent.Status.Baseline.Fed))
	}
	for _, uid := range agent.Status.Baseline.Fed {
		if before != nil && slices.Contains(before.Fed, uid) {
			continue
		}
		c := w.checkout(uid)
		if c.fed {
			w.Fatalf("%s enters a baseline twice", uid)
		}
		c.fed = true
		w.fed[agent.UID] = append(w.fed[agent.UID], c)
	}
}

// settle has the operator look at everything, with fresh caches, until there is nothing left to do, and
// compares with the books.
func (w *world) settle() {
	w.Helper()
	w.run()
	w.restart()
	for _, err := range w.round() {
		w.Fatal(err)
	}
	if w.writes > 0 {
		w.Fatal("settled, and a restart brings another write")
	}
	w.compare()
}

// run has the operator look at everything until a look brings no write.
func (w *world) run() {
	w.Helper()
	w.meanwhile, w.fate, w.reach = nil, func() fate { return lands }, forever
	for rounds := 0; ; rounds++ {
		w.collectGarbage()
		if errs := w.round(); w.writes == 0 && len(errs) == 0 {
			return
		} else if rounds > 100 {
			w.Fatalf("never done: %v", errs)
		}
	}
}

// collectGarbage deletes the Secrets of passports that are gone, as Kubernetes does.
func (w *world) collectGarbage() {
	w.Helper()
	for _, s := range w.secrets.live() {
		owned := func(p *v1alpha1.Passport) bool { return p.UID == s.Owner }
		if s.Owner != "" && !slices.ContainsFunc(w.passports.live(), owned) {
			w.must(remove(w, &w.secrets, s))
		}
	}
}

// round looks once at every object.
func (w *world) round() (errs []error) {
	w.writes = 0
	for _, look := range w.looks() {
		w.catchUp()
		if err := look(); err != nil {
			errs = append(errs, err)
		}
	}
	return errs
}

func (w *world) catchUp() {
	w.passports.catchUp()
	w.agents.catchUp()
	w.blocks.catchUp()
	w.checkpoints.catchUp()
	w.checkouts.catchUp()
	w.secrets.catchUp()
}

// looks are all that the operator may look at now.
func (w *world) looks() []func() error {
	var looks []func() error
	add := func(kind, name string, take func(string) (time.Time, error)) {
		looks = append(looks, func() error {
			return w.reconcile(kind+"/"+name, func() (time.Time, error) { return take(name) })
		})
	}
	for _, passport := range w.passports.live() {
		add("passport", passport.Name, w.takePassport)
	}
	for _, checkout := range w.checkouts.live() {
		add("checkout", checkout.Name, w.takeCheckout)
	}
	for _, agent := range w.agents.live() {
		add("agent", agent.Name, w.takeAgent)
	}
	for _, checkpoint := range w.checkpoints.live() {
		add("checkpoint", checkpoint.Name, w.takeCheckpoint)
	}
	return looks
}

// next is when the operator has to look again; zero: not before something changes.
func (w *world) next() (next time.Time) {
	for _, wake := range w.wakes {
		if next.IsZero() || wake.Before(next) {
			next = wake
		}
	}
	return next
}

// compare holds all that is stored against the books.
func (w *world) compare() {
	w.Helper()
	for _, passport := range w.passports.live() {
		w.comparePassport(passport, w.books[passport.UID])
	}
	for _, checkout := range w.checkouts.live() {
		w.compareCheckout(checkout)
	}
	for _, checkpoint := range w.checkpoints.live() {
		w.compareCheckpoint(checkpoint)
	}
	for uid, b := range w.books {
		gone := !slices.ContainsFunc(w.passports.live(), func(p *v1alpha1.Passport) bool { return p.UID == uid })
		if own := b.own(); gone && b.issued && b.lives() && !b.letGo && (own == nil || !own.judged) {
			w.Fatalf("%s is gone, and was never judged", b.name)
		}
	}
	w.compareIssue()
	w.compareSecrets()
	w.compareBlocks()
	w.compareBaselines()
}

func (w *world) comparePassport(passport *v1alpha1.Passport, b *book) {
	w.Helper()
	status := passport.Status
	blocked := func(until int) bool {
		return slices.ContainsFunc(w.blocks.live(), func(block *v1alpha1.AgentBlock) bool {
			return isFor(block, "bot") && block.Spec.Lifted == nil && inSeconds(block.CreationTimestamp.Time) <= until && !w.waitsForGateway(block)
		})
	}
	if meta.IsStatusConditionTrue(status.Conditions, "Ready") != (status.Phase == v1alpha1.PhaseActive) {
		w.Fatalf("%s: %+v", status.Phase, status.Conditions)
	}
	if !b.issued {
		if _, there := named(w.agents.live(), "bot"); there && blocked(forever) && status.Phase != v1alpha1.PhaseRejected {
			w.Fatalf("%s is %s, and its agent is blocked", passport.Name, status.Phase)
		}
		return
	}
	if expiry := status.ExpirationTime.Time; status.Phase == v1alpha1.PhaseActive && (!w.now.Before(expiry.Add(ExpiryGrace)) || blocked(inSeconds(expiry))) {
		w.Fatalf("%s is Active at %d, good until %d", passport.Name, w.second(), inSeconds(expiry))
	}
	want, _ := b.at(w.now.Sub(noon).Seconds())
	want.Counted = nil
	slices.Sort(want.Services)
	want.Services = slices.Compact(want.Services)
	slices.Sort(want.Submitters)
	want.Submitters = slices.Compact(want.Submitters)
	if diff := gocmp.Diff(want, resultOf(&status)); diff != "" {
		w.Fatalf("%s at %d: want -, got +:\n%s\n%s", passport.Name, w.second(), diff, b)
	}
	if status.Phase.Finished() && b.lives() && status.Checkout == nil {
		waits := status.Phase == v1alpha1.PhaseExpired && w.second() < want.End+3600 && passport.DeletionTimestamp == nil
		if first := b.firstCheckout(forever); first != nil || !waits {
			w.Fatalf("%s is %s since %d, and has no checkout of %v", passport.Name, status.Phase, want.End, first)
		}
	}
}

// resultOf reads a result from a status.
func resultOf(status *v1alpha1.PassportStatus) result {
	got := result{
		Phase: status.Phase, Reason: v1alpha1.Reason(readyOf(status.Conditions).Reason), Expiry: inSeconds(status.ExpirationTime.Time),
		Checkpoints: int(*status.Checkpoints), Actions: status.Actions, Last: never, Gap: int(status.LongestGapSeconds),
		Submitters: status.Submitters, Signals: map[string]modelSignal{},
	}
	for _, service := range status.ServicesUsed {
		got.Services = append(got.Services, string(service))
	}
	if status.EndTime != nil {
		got.End = inSeconds(status.EndTime.Time)
	}
	if status.LastCheckpointTime != nil {
		got.Last = inSeconds(status.LastCheckpointTime.Time)
	}
	for _, signal := range status.Signals {
		got.Signals[signal.Type] = modelSignal{Severity: signal.Severity, Count: int(signal.Count)}
	}
	if status.Checkout != nil {
		got.Own = string(status.Checkout.UID)
	}
	return got
}

// compareCheckpoint holds a checkpoint against the book of its mission.
func (w *world) compareCheckpoint(checkpoint *v1alpha1.Checkpoint) {
	w.Helper()
	passport, there := named(w.passports.live(), checkpoint.Spec.PassportRef.Name)
	if !there {
		if !Marked(checkpoint) {
			w.Fatalf("%s has no passport, and is not marked", checkpoint.Name)
		}
		return
	}
	b, report := w.books[passport.UID], w.report(checkpoint.UID)
	if !b.issued || report.at < b.created {
		return
	}
	r, _ := b.at(w.now.Sub(noon).Seconds())
	late := r.Phase == v1alpha1.PhaseActive && report.at > r.Expiry
	verdict, marked := w.verdicts[checkpoint.UID]
	if marked != Marked(checkpoint) || (!marked && !late) {
		w.Fatalf("%s was made at %d and is not judged", checkpoint.UID, report.at)
	}
	if counted := slices.Contains(r.Counted, report.uid); marked && counted != (verdict == v1alpha1.ReasonAccepted) {
		w.Fatalf("%s, made at %d, is marked %s", checkpoint.UID, report.at, verdict)
	}
}

// compareCheckout holds a checkout against the book of its mission.
func (w *world) compareCheckout(checkout *v1alpha1.Checkout) {
	w.Helper()
	c := w.checkout(checkout.UID)
	if c.refused > 0 {
		return
	}
	b, is := w.mission(c)
	if !is {
		passport, there := named(w.passports.live(), c.passport)
		if there && w.refusal(c, passport) == "" {
			book := w.books[passport.UID]
			// It waits for the issue, or for certainty about an expiry that it came after.
			if r, _ := book.at(w.now.Sub(noon).Seconds()); !book.issued || r.Phase == v1alpha1.PhaseActive && c.at > r.Expiry {
				return
			}
		}
		w.Fatalf("checkout %s of %s, made at %d, is nobody's", c.uid, c.passport, c.at)
	}
	r, _ := b.at(w.now.Sub(noon).Seconds())
	want, status := b.judge(r, c), checkout.Status
	got := judgement{Verdict: status.Verdict, Against: map[string]int{}, Block: status.Escalation == v1alpha1.EscalateBlock}
	for _, flag := range status.Flags {
		if flag.Severity != v1alpha1.SeverityInfo {
			got.Against[flag.Type]++
		}
	}
	if diff := gocmp.Diff(want, got); diff != "" {
		w.Fatalf("checkout %s at %d: want -, got +:\n%s\n%s", c.uid, w.second(), diff, b)
	}
	if ready := readyOf(status.Conditions); ready == nil || ready.Reason != string(v1alpha1.ReasonJudged) {
		w.Fatalf("checkout %s: %+v", c.uid, status.Conditions)
	}
	accepted := meta.FindStatusCondition(status.Conditions, "Accepted")
	if accepted == nil || accepted.Reason != string(b.accepted(want, c)) || Decided(checkout) != (accepted.Reason != string(v1alpha1.ReasonAwaitingReview)) {
		w.Fatalf("checkout %s is %s, review %q: %+v", c.uid, want.Verdict, c.review, status.Conditions)
	}
	if record := status.Mission; record.Actions != b.total(r, c) || record.EndTime.Time != after(r.End) || record.LongestGapSeconds != int64(r.Gap) {
		w.Fatalf("checkout %s keeps %+v", c.uid, record)
	}
}

// mission is the book of the mission whose own checkout this is.
func (w *world) mission(c *modelCheckout) (*book, bool) {
	for _, b := range w.books {
		if b.name == c.passport && b.own() == c {
			return b, true
		}
	}
	return nil, false
}

// compareIssue sees to it that an agent that is blocked or suspended gets nothing issued, and another does.
func (w *world) compareIssue() {
	w.Helper()
	its, there := named(w.agents.live(), "bot")
	if !there {
		return
	}
	asked := requested(func(p *v1alpha1.Passport) { p.CreationTimestamp = w.ago(0) })
	decision := w.decide(asked, w.agents.live(), w.blocks.live())
	blocked := slices.ContainsFunc(w.blocks.live(), func(b *v1alpha1.AgentBlock) bool { return isFor(b, "bot") && b.Spec.Lifted == nil })
	if want := blocked || its.Spec.Suspend; want != (decision.Reason == v1alpha1.ReasonPassportBlocked) || want == (decision.Verdict == VerdictIssue) {
		w.Fatalf("blocked: %v, suspended: %v, and a new passport: %+v", blocked, its.Spec.Suspend, decision)
	}
}

// compareSecrets sees to it that no token is there but those of Active passports, each just as its
// passport is.
func (w *world) compareSecrets() {
	w.Helper()
	held := map[types.UID]bool{}
	for _, s := range w.secrets.live() {
		if s.Owner == "" {
			continue
		}
		held[s.Owner] = true
		i := slices.IndexFunc(w.passports.live(), func(p *v1alpha1.Passport) bool { return p.UID == s.Owner })
		if i < 0 || w.passports.live()[i].Status.Phase.Finished() {
			w.Fatalf("Secret %s of %s is there, and no Active passport", s.Name, s.Owner)
		}
		passport := w.passports.live()[i]
		if !w.books[passport.UID].issued {
			// The answer to its creation was lost. No gateway takes the token of a Pending passport.
			delete(held, s.Owner)
			continue
		}
		if !equality.Semantic.DeepEqual(s.Token, secretOf(passport, passport.Status).Token) {
			w.Fatalf("Secret %s is not as its passport", s.Name)
		}
	}
	for _, passport := range w.passports.live() {
		delivered := meta.IsStatusConditionTrue(passport.Status.Conditions, "TokenDelivered")
		if delivered != held[passport.UID] {
			w.Fatalf("TokenDelivered of %s is %v, its Secret is there: %v", passport.Name, delivered, held[passport.UID])
		}
	}
}

// compareBlocks holds the blocks that the operator made against what the books say: for a finding of a
// mission, for its flags, and by its review, which lifts all the others and nobody else's.
func (w *world) compareBlocks() {
	w.Helper()
	want := map[string]int{} // blocks made before then are to be lifted
	for uid, b := range w.books {
		if !b.issued {
			continue
		}
		r, blocking := b.at(w.now.Sub(noon).Seconds())
		own := b.own()
		decided := 0
		var known result
		if own != nil && own.review != "" {
			decided = own.decided
			known, _ = b.knowing(math.Inf(1), own.knew)
		}
		for kind := range blocking {
			key := fmt.Sprint("Passport ", uid, " ", kind)
			if _, judged := known.Signals[kind]; judged && kind != "use_after_checkout" && kind != "use_after_revocation" {
				want[key] = decided
			} else {
				want[key] = 0
			}
		}
		if own == nil || !own.judged {
			continue
		}
		if b.judge(r, own).Block {
			want["Checkout "+own.uid+" flags"] = decided
		}
		if own.review == v1alpha1.DecisionBlocked {
			want["Checkout "+own.uid+" review"] = 0
		}
	}
	for _, block := range w.blocks.live() {
		if block.Spec.Cause == nil {
			if (block.Spec.Lifted != nil) != w.lifted[block.Name] {
				w.Fatalf("a block that people made: %+v", block.Spec)
			}
			continue
		}
		key := causeOf(block)
		before, known := want[key]
		inForce := w.made[block.UID] >= before
		delete(want, key)
		if !known && !w.halfway[block.Name] {
			w.Fatalf("nothing brings block %s: %+v", key, block.Spec)
		}
		if known && (block.Spec.Lifted == nil) != (inForce && !w.lifted[block.Name]) {
			w.Fatalf("block %s is to be in force: %v; lifted by people: %v; %+v", key, inForce, w.lifted[block.Name], block.Spec.Lifted)
		}
	}
	if len(want) > 0 {
		w.Fatalf("blocks are missing: %v", want)
	}
}

// causeOf names what a block was made for.
func causeOf(block *v1alpha1.AgentBlock) string {
	finding := "unknown"
	for _, kind := range []string{
		"checkpoint_silence", "credential_outside_scope", "checkpoint_burst", "abandoned_mission", "flags", "review",
		"scope_drift", "foreign_workload", "constraint_violation", "credential_burst", "call_rate_anomaly", "use_after_checkout", "use_after_revocation",
	} {
		if block.Name == blockName("bot", block.Spec.Cause.UID, kind) {
			finding = kind
		}
	}
	return fmt.Sprintf("%s %s %s", block.Spec.Cause.Kind, block.Spec.Cause.UID, finding)
}

// compareBaselines sees to it that each accepted mission is in the baseline of its agent, once.
func (w *world) compareBaselines() {
	w.Helper()
	for _, agent := range w.agents.live() {
		for _, checkout := range w.checkouts.live() {
			accepted := meta.IsStatusConditionTrue(checkout.Status.Conditions, "Accepted")
			its := accepted && checkout.Status.Mission.AgentUID == agent.UID
			if c := w.checkout(checkout.UID); its && (!c.fed || checkout.Status.BaselineTime == nil) {
				w.Fatalf("checkout %s is accepted, and not in the baseline", c.uid)
			}
		}
		total, fed := 0.0, w.fed[agent.UID]
		for _, c := range fed {
			b, _ := w.mission(c)
			r, _ := b.at(w.now.Sub(noon).Seconds())
			if a := b.accepted(b.judge(r, c), c); b.agent != agent.UID || (a != v1alpha1.ReasonClean && a != v1alpha1.ReasonApproved) {
				w.Fatalf("checkout %s of agent %s is in the baseline of %s, and %s", c.uid, b.agent, agent.UID, a)
			}
			total += float64(b.total(r, c))
		}
		baseline, before := agent.Status.Baseline, w.begun[agent.UID]
		if baseline == nil {
			baseline = &v1alpha1.Baseline{}
		}
		if baseline.Missions != before+int64(len(fed)) {
			w.Fatalf("the baseline holds %d missions, want %d", baseline.Missions, before+int64(len(fed)))
		}
		// Beyond a hundred missions, the old ones fade.
		if len(fed) == 0 || len(fed) > 100 || before > 0 {
			continue
		}
		if want := total / float64(len(fed)); math.Abs(number(baseline.Actions.Mean)-want) > 1e-6 {
			w.Fatalf("the baseline's actions are %+v, want %v", baseline.Actions, want)
		}
	}
}
