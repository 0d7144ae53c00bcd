package lifecycle

import (
	"fmt"
	"slices"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"pgregory.net/rapid"

	"agentpassport.dev/operator/api/v1alpha1"
)

// features are what may happen in a world beyond reports, lagging caches and crashes.
type features struct {
	// ends: blocks, suspensions, revocations and deletions, and reports that revoke.
	ends bool
	// inFlight: a report may become visible up to four seconds after its stamp, behind younger ones.
	inFlight bool
	// cleaning: people delete checkpoints that are counted.
	cleaning bool
	// regress: a restarted operator may see checkpoints as they were before its last look.
	regress bool
	// hasty: a revocation may be seen through a cache that lacks reports made before.
	hasty bool
}

// objects are what the API server stores. A change makes new ones, so that old ones stay as a past
// that a cache still shows.
type objects struct {
	passport    *v1alpha1.Passport
	agent       *v1alpha1.AgentPassport
	blocks      []v1alpha1.AgentBlock
	checkpoints []v1alpha1.Checkpoint
	checkouts   []v1alpha1.Checkout
	at          time.Time
}

// world is an API server, and an operator that looks at it through caches, writes in the order of the
// real one, and crashes.
type world struct {
	*rapid.T
	features
	now     time.Time
	past    []objects // the last of them is what is stored
	version int

	// What the operator's caches have reached, as indices of past.
	passportSeen, restSeen, ownWrite int
	wake                             time.Time
	budget                           int // writes until the crash; negative: none comes

	model    model
	sequence int
	verdicts map[types.UID]v1alpha1.Reason
	// consequences are the blocks that were made because of what ended the mission.
	consequences map[string]bool
}

func newWorld(t *rapid.T, with features) *world {
	w := &world{T: t, features: with, budget: -1, verdicts: map[types.UID]v1alpha1.Reason{}, consequences: map[string]bool{}}
	mode := rapid.SampledFrom([]v1alpha1.AccountabilityMode{
		v1alpha1.ModeEnforced, v1alpha1.ModeEnforced, v1alpha1.ModeEnforced, v1alpha1.ModeLogged, v1alpha1.ModeStandard,
	}).Draw(t, "mode")
	ttl, interval := rapid.IntRange(60, 400).Draw(t, "ttl"), rapid.IntRange(60, 300).Draw(t, "interval")
	limit := rapid.SampledFrom([]int{60, 100, 350, 1000, 86400}).Draw(t, "limit")
	w.model = model{mode: mode, ttl: ttl, interval: interval, limit: limit}
	its := agent(func(a *v1alpha1.AgentPassport) {
		a.Spec.Accountability.Mode = mode
		a.Spec.Accountability.OnWarning = rapid.SampledFrom([]v1alpha1.Escalation{v1alpha1.EscalateNotify, v1alpha1.EscalateBlock}).Draw(t, "onWarning")
		a.Spec.Accountability.OnCritical = rapid.SampledFrom([]v1alpha1.Escalation{v1alpha1.EscalateNotify, v1alpha1.EscalateBlock}).Draw(t, "onCritical")
		if !w.ends {
			a.Spec.Accountability.OnWarning, a.Spec.Accountability.OnCritical = v1alpha1.EscalateNotify, v1alpha1.EscalateNotify
		}
	})
	terms := leash(mode, int32(ttl), int32(interval), limit)
	w.past = []objects{{passport: active(terms), agent: its, at: after(-60)}}
	for range rapid.IntRange(0, 2).Draw(t, "early") {
		w.now = after(rapid.IntRange(-60, -1).Draw(t, "before"))
		w.report(0)
	}
	w.now = noon
	w.passportSeen, w.restSeen, w.ownWrite = len(w.past)-1, len(w.past)-1, len(w.past)-1
	return w
}

func (w *world) stored() objects { return w.past[len(w.past)-1] }

// commit stores a change.
func (w *world) commit(change func(*objects)) {
	next := w.stored()
	next.at = w.now
	next.blocks, next.checkpoints, next.checkouts = slices.Clone(next.blocks), slices.Clone(next.checkpoints), slices.Clone(next.checkouts)
	next.passport = next.passport.DeepCopy()
	if next.agent != nil {
		next.agent = next.agent.DeepCopy()
	}
	change(&next)
	w.past = append(w.past, next)
}

// nextVersion is the resourceVersion of a write.
func (w *world) nextVersion() string {
	w.version++
	return fmt.Sprint(w.version)
}

func (w *world) second() int { return int(w.now.Sub(noon).Truncate(time.Second) / time.Second) }

// step lets time pass. Where ends are about, what the operator sees and what others do are never in
// the same second: in one second, what the operator sees first counts.
func (w *world) step(d time.Duration) {
	if w.ends {
		d = max(d.Truncate(time.Second), time.Second)
	}
	w.now = w.now.Add(d)
}

// report makes a checkpoint, stamped so long ago.
func (w *world) report(ago time.Duration) {
	w.sequence++
	uid := fmt.Sprintf("%06d", w.sequence)
	if !w.ends {
		uid = fmt.Sprintf("%02x-%s", rapid.Byte().Draw(w.T, "uid"), uid)
	}
	stamp := w.now.Add(-ago).Truncate(time.Second)
	if stamp.Before(after(-60)) {
		stamp = after(-60)
	}
	second := int(stamp.Sub(noon) / time.Second)
	checkpoint := report(second, uid)
	checkpoint.ResourceVersion = w.nextVersion()
	checkpoint.Spec.ActionsCount = int32(rapid.IntRange(0, 1000).Draw(w.T, "actions"))
	checkpoint.Spec.ServicesUsed = rapid.SliceOfNDistinct(rapid.SampledFrom([]v1alpha1.ServiceName{"slack", "github"}), 0, 1, rapid.ID).Draw(w.T, "used")
	if w.model.mode == v1alpha1.ModeEnforced && !w.ends {
		checkpoint.Spec.ServicesUsed = nil
	}
	void := rapid.IntRange(0, 9).Draw(w.T, "whose") == 9
	if void {
		checkpoint.Spec.AgentRef.Name = "other"
	}
	w.model.reports = append(w.model.reports, modelReport{
		at: second, uid: uid, actions: int64(checkpoint.Spec.ActionsCount), void: void,
		outside: slices.Contains(checkpoint.Spec.ServicesUsed, "github"),
	})
	w.commit(func(o *objects) { o.checkpoints = append(o.checkpoints, checkpoint) })
}

// block makes an AgentBlock, one of each name.
func (w *world) block(made v1alpha1.AgentBlock) {
	if slices.ContainsFunc(w.stored().blocks, named(made.Name)) {
		return
	}
	made.UID, made.CreationTimestamp = types.UID(made.Name), metav1.NewTime(w.now.Truncate(time.Second))
	w.commit(func(o *objects) { o.blocks = append(o.blocks, made) })
}

func named(name string) func(v1alpha1.AgentBlock) bool {
	return func(b v1alpha1.AgentBlock) bool { return b.Name == name }
}

// view is what the operator's caches show next. They never go back, but where a restart may regress.
func (w *world) view() objects {
	latest := len(w.past) - 1
	w.passportSeen = rapid.IntRange(max(w.passportSeen, w.ownWrite), latest).Draw(w.T, "passportSeen")
	w.restSeen = rapid.IntRange(w.restSeen, latest).Draw(w.T, "restSeen")
	if w.ends {
		// A whole second is seen or not.
		for w.restSeen < latest && w.past[w.restSeen+1].at.Truncate(time.Second).Equal(w.past[w.restSeen].at.Truncate(time.Second)) {
			w.restSeen++
		}
	}
	shown := w.past[w.restSeen]
	shown.passport = w.past[w.passportSeen].passport
	if !w.hasty && (shown.passport.Spec.Revocation != nil || shown.passport.DeletionTimestamp != nil || bySight(shown)) {
		return w.latest()
	}
	if shown.agent == nil || shown.agent.UID != "agent-uid" {
		shown.agent = w.stored().agent
	}
	return shown
}

// bySight says whether the agent's state ends the mission.
func bySight(o objects) bool {
	return o.agent == nil || o.agent.UID != "agent-uid" || o.agent.Spec.Suspend
}

func (w *world) latest() objects {
	w.passportSeen, w.restSeen = len(w.past)-1, len(w.past)-1
	return w.stored()
}

// write says whether the operator is still alive to make one more write.
func (w *world) write() bool {
	if w.budget == 0 {
		return false
	}
	w.budget--
	return true
}

// reconcile does what the controller does with a passport, and says whether anything was written.
func (w *world) reconcile(shown objects) (wrote bool) {
	if shown.passport.Status.Phase.Finished() {
		return w.conclude(shown)
	}
	situation := Situation{Passport: shown.passport, Agent: shown.agent, Blocks: shown.blocks, Checkouts: shown.checkouts, Now: w.now}
	situation.Checkpoints = refreshed(shown.passport, shown.checkpoints, w.stored().checkpoints)
	outcome := w.advance(situation)
	if outcome.Confirm {
		live := w.stored()
		situation.Blocks, situation.Checkpoints, situation.Checkouts, situation.ListedAt = live.blocks, live.checkpoints, live.checkouts, w.now
		outcome = w.advance(situation)
		if outcome.Confirm {
			w.Fatal("a live LIST does not settle it")
		}
	}
	if len(outcome.Blocks) > 0 && shown.passport.ResourceVersion != w.stored().passport.ResourceVersion {
		return wrote // a block is made by the newest Passport alone
	}
	for _, made := range outcome.Blocks {
		if !w.write() {
			return wrote
		}
		w.block(made)
	}
	if !equality.Semantic.DeepEqual(outcome.Status, shown.passport.Status) {
		if !w.write() || shown.passport.ResourceVersion != w.stored().passport.ResourceVersion {
			return wrote
		}
		w.store(outcome.Status, situation)
		wrote = true
		for _, made := range outcome.Blocks {
			w.consequences[made.Name] = outcome.Status.Phase.Finished() && !slices.ContainsFunc(situation.Blocks, named(made.Name))
		}
	}
	if outcome.Status.Phase.Finished() {
		shown.passport = w.stored().passport
		return w.conclude(shown) || wrote
	}
	w.wake = outcome.Wake
	return w.mark(shown.passport, outcome.Marks) || wrote
}

func (w *world) conclude(shown objects) (wrote bool) {
	situation := Situation{Passport: shown.passport, Agent: shown.agent, Checkpoints: shown.checkpoints, Checkouts: shown.checkouts, Now: w.now}
	outcome := w.advance(situation)
	for outcome.Confirm {
		live := w.stored()
		situation.Blocks, situation.Checkpoints, situation.Checkouts, situation.ListedAt = live.blocks, live.checkpoints, live.checkouts, w.now
		if outcome = w.advance(situation); outcome.Checkout == nil {
			break
		}
		if !w.write() {
			return wrote
		}
		w.checkOut(*outcome.Checkout)
		wrote = true
	}
	if outcome.Status.Phase != shown.passport.Status.Phase {
		w.Fatalf("a terminal phase changed: %s", gocmp.Diff(shown.passport.Status, outcome.Status))
	}
	if !equality.Semantic.DeepEqual(outcome.Status, shown.passport.Status) {
		if shown.passport.ResourceVersion != w.stored().passport.ResourceVersion {
			return wrote
		}
		for _, made := range outcome.Blocks {
			if !w.write() {
				return wrote
			}
			w.block(made)
			w.consequences[made.Name] = true
		}
		if !w.write() {
			return wrote
		}
		w.commit(func(o *objects) {
			o.passport.Status = *outcome.Status.DeepCopy()
			o.passport.ResourceVersion = w.nextVersion()
		})
		w.ownWrite, wrote = len(w.past)-1, true
	}
	w.wake = outcome.Wake
	return w.mark(shown.passport, outcome.Marks) || wrote
}

// checkOut makes a Checkout, one of each name.
func (w *world) checkOut(made v1alpha1.Checkout) {
	if slices.ContainsFunc(w.stored().checkouts, func(c v1alpha1.Checkout) bool { return c.Name == made.Name }) {
		return
	}
	made.UID, made.CreationTimestamp = types.UID(made.Name), metav1.NewTime(w.now.Truncate(time.Second))
	w.commit(func(o *objects) { o.checkouts = append(o.checkouts, made) })
}

// advance asks the rules, and holds every answer to what is true of all.
func (w *world) advance(s Situation) Outcome {
	before := s.Passport.DeepCopy()
	outcome := Advance(s)
	if !equality.Semantic.DeepEqual(before, s.Passport) {
		w.Fatal("the Passport that was read changed")
	}
	old, status := before.Status, outcome.Status
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
	return outcome
}

// store writes the passport's status, and notes what the operator had seen where that ended it.
func (w *world) store(status v1alpha1.PassportStatus, s Situation) {
	w.commit(func(o *objects) {
		o.passport.Status = *status.DeepCopy()
		o.passport.ResourceVersion = w.nextVersion()
	})
	w.ownWrite = len(w.past) - 1
	if !status.Phase.Finished() {
		return
	}
	see := func(seen bool, reason v1alpha1.Reason) {
		if seen {
			w.model.ends = append(w.model.ends, modelEnd{at: w.second(), reason: reason})
		}
	}
	see(s.Passport.Spec.Revocation != nil, v1alpha1.ReasonRevokedByRequest)
	see(s.Agent == nil || s.Agent.UID != "agent-uid", v1alpha1.ReasonAgentDeleted)
	see(s.Agent != nil && s.Agent.UID == "agent-uid" && s.Agent.Spec.Suspend, v1alpha1.ReasonAgentSuspended)
	w.blockEnds(s.Blocks)
}

// blockEnds tells the model of blocks that are in force.
func (w *world) blockEnds(blocks []v1alpha1.AgentBlock) {
	for _, b := range blocks {
		if b.Spec.Lifted == nil && !w.consequences[b.Name] && (b.Spec.AgentRef == nil || b.Spec.AgentRef.Name == "bot") {
			w.model.ends = append(w.model.ends, modelEnd{
				at: int(b.CreationTimestamp.Sub(noon) / time.Second), reason: v1alpha1.ReasonAgentBlocked,
			})
		}
	}
}

// mark writes on checkpoints, and deletes those that are no longer kept.
func (w *world) mark(passport *v1alpha1.Passport, all []Mark) (wrote bool) {
	for _, mark := range all {
		i := slices.IndexFunc(w.stored().checkpoints, func(c v1alpha1.Checkpoint) bool { return c.UID == mark.Checkpoint.UID })
		if i < 0 {
			continue
		}
		if !w.write() || w.stored().checkpoints[i].ResourceVersion != mark.Checkpoint.ResourceVersion {
			return wrote
		}
		w.judge(mark)
		w.commit(func(o *objects) {
			o.checkpoints[i].Status = mark.Status(passport, w.now)
			o.checkpoints[i].ResourceVersion = w.nextVersion()
		})
		wrote = true
	}
	for _, surplus := range Surplus(w.past[w.restSeen].checkpoints) {
		if !w.write() {
			return wrote
		}
		wrote = w.remove(surplus.UID) || wrote
	}
	return wrote
}

// remove deletes a checkpoint.
func (w *world) remove(uid types.UID) bool {
	i := slices.IndexFunc(w.stored().checkpoints, func(c v1alpha1.Checkpoint) bool { return c.UID == uid })
	if i < 0 {
		return false
	}
	w.commit(func(o *objects) { o.checkpoints = slices.Delete(o.checkpoints, i, i+1) })
	return true
}

// judge notes a mark. A checkpoint gets one, and TooMany only behind twenty of the same interval.
func (w *world) judge(mark Mark) {
	uid := mark.Checkpoint.UID
	if old, marked := w.verdicts[uid]; marked {
		w.Fatalf("%s was %s, and is marked %s", uid, old, mark.Reason)
	}
	w.verdicts[uid] = mark.Reason
	i := slices.IndexFunc(w.model.reports, func(r modelReport) bool { return r.uid == string(uid) })
	this := &w.model.reports[i]
	if mark.Reason == v1alpha1.ReasonAccepted {
		expiry := min(w.model.ttl, w.model.limit)
		if w.model.mode == v1alpha1.ModeEnforced {
			expiry = min(max(min(w.model.ttl, w.model.interval), this.at+w.model.interval), w.model.limit)
		}
		if !mark.Expiry.Equal(after(expiry)) {
			w.Fatalf("%s: good until %v, want %v", uid, mark.Expiry, after(expiry))
		}
	}
	if mark.Reason == v1alpha1.ReasonTooMany {
		ahead := 0
		for _, other := range w.model.reports {
			if other.uid != this.uid && !other.void && other.at <= this.at && other.at > this.at-w.model.interval {
				ahead++
			}
		}
		if ahead < 20 {
			w.Fatalf("%s is one of too many behind %d", uid, ahead)
		}
		this.void = true
	}
}

// settle reconciles with fresh caches until there is nothing left to do, and compares with the model.
func (w *world) settle() {
	w.step(time.Millisecond)
	for rounds := 0; w.reconcile(w.latest()); rounds++ {
		if rounds > 100 {
			w.Fatal("never done")
		}
	}
	w.compare()
	w.repeat()
}

func (w *world) compare() {
	status := w.stored().passport.Status
	book := w.model
	book.ends = slices.Clone(book.ends)
	if deleted := w.stored().passport.DeletionTimestamp; deleted != nil {
		book.ends = append(book.ends, modelEnd{at: int(deleted.Sub(noon) / time.Second), reason: v1alpha1.ReasonPassportDeleted})
	}
	live := world{T: w.T, model: book, consequences: w.consequences}
	live.blockEnds(w.stored().blocks)
	want := live.model.at(w.now.Sub(noon).Seconds())
	got := result{
		Phase: status.Phase, Reason: v1alpha1.Reason(readyOf(status.Conditions).Reason), Expiry: int(status.ExpirationTime.Sub(noon) / time.Second),
		Checkpoints: int(*status.Checkpoints), Actions: status.Actions, Last: never,
	}
	if status.EndTime != nil {
		got.End = int(status.EndTime.Sub(noon) / time.Second)
	}
	if status.LastCheckpointTime != nil {
		got.Last = int(status.LastCheckpointTime.Sub(noon) / time.Second)
	}
	if outside := signal(&status, "credential_outside_scope"); outside != nil {
		got.Outside = int(outside.Count)
	}
	for uid, verdict := range w.verdicts {
		if verdict == v1alpha1.ReasonAccepted {
			got.Counted = append(got.Counted, string(uid))
		}
	}
	sorted := func(uids []string) []string { return slices.Sorted(slices.Values(uids)) }
	got.Counted, want.Counted = sorted(got.Counted), sorted(want.Counted)
	if w.cleaning {
		// A checkpoint that is deleted before it is marked counts all the same.
		got.Counted, want.Counted = nil, nil
	}
	if diff := gocmp.Diff(want, got); diff != "" {
		w.Fatalf("at %d: want -, got +:\n%s\n%+v", w.second(), diff, live.model)
	}
	if status.Phase == v1alpha1.PhaseActive && !w.now.Before(status.ExpirationTime.Add(ExpiryGrace)) {
		w.Fatal("Active beyond its expiry")
	}
	if meta.IsStatusConditionTrue(status.Conditions, "Ready") != (status.Phase == v1alpha1.PhaseActive) {
		w.Fatalf("%s: %+v", status.Phase, status.Conditions)
	}
	for _, checkpoint := range w.stored().checkpoints {
		late := int(checkpoint.CreationTimestamp.Sub(noon)/time.Second) > got.Expiry
		if !Marked(&checkpoint) && (status.Phase != v1alpha1.PhaseActive || !late) {
			w.Fatalf("%s was made at %v and is not judged", checkpoint.UID, checkpoint.CreationTimestamp)
		}
	}
}

// repeat looks once more at what is settled: nothing is left to tell or to write.
func (w *world) repeat() {
	seen := w.stored()
	situation := Situation{Passport: seen.passport, Agent: seen.agent, Blocks: seen.blocks, Checkpoints: seen.checkpoints, Checkouts: seen.checkouts, Now: w.now}
	again := w.advance(situation)
	if again.Confirm {
		w.Fatal("settled, and not certain")
	}
	if !equality.Semantic.DeepEqual(again.Status, seen.passport.Status) || len(again.Marks)+len(again.News)+len(again.Blocks) > 0 {
		w.Fatalf("an unchanged situation brings %s\n%+v", gocmp.Diff(seen.passport.Status, again.Status), again)
	}
}
