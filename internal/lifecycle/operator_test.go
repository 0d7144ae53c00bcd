package lifecycle

import (
	"errors"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/types"

	"agentpassport.dev/operator/api/v1alpha1"
	"agentpassport.dev/operator/internal/review"
)

// operatorName is the operator's username, in which it acts for reviewers.
const operatorName = "manager"

// operator does in a world what the controllers do, in their order of writes.
type operator struct {
	// fate decides what becomes of the next write.
	fate func() fate
	// meanwhile lets others act between what the operator read and what it writes; nil: nobody does.
	meanwhile func()
	dead      bool
	writes    int

	// What the operator remembers until it is restarted: the versions that it wrote itself, the Secrets
	// that it knows to be right, since when it has been at work on each deletion, whether it watches
	// Secrets, and when to look again.
	written   map[types.UID]int
	good      map[types.UID]trust
	deletions map[types.UID]time.Time
	following bool
	wakes     map[string]time.Time

	// judging is the version of the passport that is judged.
	judging int
	// asked is the situation that the rules were last asked about, and answer what they said.
	asked  Situation
	answer Outcome
}

// trust is what is known of a passport's Secret: the version at which it was right, and the token in it.
type trust struct {
	version int
	token   *signed
}

// fate is what becomes of a write.
type fate int

const (
	// lands: the write is made.
	lands fate = iota
	// fails: the API server does not make it.
	fails
	// unanswered: it is made, and nobody hears of it.
	unanswered
	// diesBefore, diesAfter: the operator does not outlive it.
	diesBefore
	diesAfter
)

// What the operator meets.
var (
	errUnavailable = errors.New("the API server is not available")
	errDead        = errors.New("the operator is dead")
)

// restart drops all that the operator remembers.
func (w *world) restart() {
	w.fate = func() fate { return lands }
	w.dead, w.following = false, false
	w.written, w.good, w.wakes = map[types.UID]int{}, map[types.UID]trust{}, map[string]time.Time{}
	w.deletions = map[types.UID]time.Time{}
}

// do makes one write, or not, as fate has it.
func (w *world) do(write func() error) error {
	if w.dead {
		return errDead
	}
	if w.meanwhile != nil {
		w.meanwhile()
	}
	switch w.fate() {
	case fails:
		return errUnavailable
	case unanswered:
		_ = write()
		return errUnavailable
	case diesBefore:
		w.dead = true
		return errDead
	case diesAfter:
		_ = write()
		w.dead = true
		return errDead
	default:
		err := write()
		if !errors.Is(err, errExists) { // To ask whether a name is free is no write.
			w.writes++
		}
		return err
	}
}

// but gives an error, unless it is one that does not matter.
func but(does, not error) error {
	if errors.Is(does, not) {
		return nil
	}
	return does
}

// isBehind says whether an object as read is older than the operator's own last write.
func isBehind[T stored[T]](w *world, object T) bool {
	written, known := w.written[object.GetUID()]
	if known && versionOf(object) < written {
		return true
	}
	delete(w.written, object.GetUID())
	return false
}

func wrote[T stored[T]](w *world, object T) {
	w.written[object.GetUID()] = versionOf(object)
}

// holdBy sets or takes away an object's one finalizer.
func holdBy[T stored[T]](w *world, k *kind[T], object T, finalizers ...string) error {
	if slices.Equal(object.GetFinalizers(), finalizers) {
		return nil
	}
	object.SetFinalizers(finalizers)
	if err := w.do(func() error { return update(w, k, object) }); err != nil {
		return but(err, errNotFound)
	}
	wrote(w, object)
	return nil
}

// heldUntil is when a deletion is let go at the latest: an hour after this operator first saw it.
func (w *world) heldUntil(uid types.UID) time.Time {
	if _, seen := w.deletions[uid]; !seen {
		w.deletions[uid] = w.now
	}
	return w.deletions[uid].Add(time.Hour)
}

// reconcile takes one object as far as it goes now, and notes when to look again.
func (w *world) reconcile(key string, take func() (wake time.Time, err error)) error {
	delete(w.wakes, key)
	wake, err := take()
	if err != nil {
		wake = w.now
	}
	if !wake.IsZero() {
		w.wakes[key] = wake
	}
	if w.dead {
		w.restart()
	}
	return err
}

// takePassport is PassportReconciler.Reconcile.
func (w *world) takePassport(name string) (time.Time, error) {
	passport, there := named(w.passports.cached(), name)
	if !there || isBehind(w, passport) {
		return time.Time{}, nil
	}
	if passport.DeletionTimestamp == nil && len(passport.Finalizers) == 0 {
		return time.Time{}, holdBy(w, &w.passports, passport, v1alpha1.PassportFinalizer)
	}
	switch phase := passport.Status.Phase; {
	case phase.Finished():
		return w.conclude(passport)
	case phase == v1alpha1.PhaseActive:
		return w.advance(passport)
	case passport.DeletionTimestamp != nil:
		return w.abandon(passport)
	default:
		return w.issue(passport)
	}
}

// storePassport writes a passport's status, if it changed.
func (w *world) storePassport(passport *v1alpha1.Passport, status v1alpha1.PassportStatus) error {
	if equality.Semantic.DeepEqual(passport.Status, status) {
		return nil
	}
	before, asked := passport.DeepCopy(), w.asked
	passport.Status = *status.DeepCopy()
	err := w.do(func() error {
		err := update(w, &w.passports, passport)
		if err == nil {
			w.notePassport(before, passport, asked)
		}
		return err
	})
	if err == nil {
		wrote(w, passport)
	}
	return err
}

// issue takes a Pending passport to Active, or says why not: Secret, status.
func (w *world) issue(passport *v1alpha1.Passport) (time.Time, error) {
	decision := w.decide(passport, w.agents.cached(), w.blocks.cached())
	if decision.Verdict != VerdictIssue {
		if adopted, _, err := w.adopt(passport); err != nil || adopted != nil {
			if err != nil {
				return time.Time{}, err
			}
			return w.activate(passport, *adopted)
		}
	}
	if decision.Verdict == VerdictReject {
		return w.reject(passport)
	}
	if decision.Verdict == VerdictIssue && w.now.Sub(passport.CreationTimestamp.Time) > 10*time.Second && !w.isNewest(passport) {
		return w.now.Add(time.Second), nil
	}
	if decision.Verdict == VerdictIssue {
		status := Issue(passport, decision.Terms, w.now, jtiOf(passport), "ses_"+string(passport.UID))
		adopted, conflict, err := w.createSecret(passport, status)
		switch {
		case err != nil:
			return time.Time{}, err
		case adopted != nil:
			return w.activate(passport, *adopted)
		case !conflict:
			return w.activate(passport, status)
		}
		decision = wait(v1alpha1.ReasonSecretConflict, "a Secret is in the way")
	}
	if err := w.storePassport(passport, Pending(passport, decision, w.now)); err != nil {
		return time.Time{}, err
	}
	again := IssueDeadline(passport).Add(time.Second)
	if retry := w.now.Add(10 * time.Second); decision.Reason != v1alpha1.ReasonAgentNotFound && retry.Before(again) {
		again = retry
	}
	return again, nil
}

func jtiOf(passport *v1alpha1.Passport) string { return "pp_" + string(passport.UID) }

func (w *world) decide(passport *v1alpha1.Passport, agents []*v1alpha1.AgentPassport, blocks []*v1alpha1.AgentBlock) Decision {
	its, _ := named(agents, passport.Spec.AgentRef.Name)
	return Decide(passport, its, Rules{Blocks: values(blocks, all)}, authority, w.now)
}

// reject looks once more, live, before it writes what never changes.
func (w *world) reject(passport *v1alpha1.Passport) (time.Time, error) {
	decision := w.decide(passport, w.agents.live(), w.blocks.live())
	if decision.Verdict != VerdictReject {
		return w.now.Add(time.Second), nil
	}
	if err := w.storePassport(passport, Reject(passport, decision, w.now)); err != nil {
		return time.Time{}, err
	}
	return w.conclude(passport)
}

func (w *world) activate(passport *v1alpha1.Passport, status v1alpha1.PassportStatus) (time.Time, error) {
	err := w.storePassport(passport, status)
	if errors.Is(err, errNotFound) {
		return time.Time{}, w.removeSecret(passport)
	}
	return status.ExpirationTime.Add(ExpiryGrace), err
}

// abandon lets go of a passport that is deleted before it was issued.
func (w *world) abandon(passport *v1alpha1.Passport) (time.Time, error) {
	adopted, _, err := w.adopt(passport)
	if err != nil {
		return time.Time{}, err
	}
	if adopted != nil {
		return w.activate(passport, *adopted)
	}
	if err := w.deleteCheckpoints(passport); err != nil {
		return time.Time{}, err
	}
	return time.Time{}, w.release(passport)
}

func (w *world) release(passport *v1alpha1.Passport) error {
	if err := holdBy(w, &w.passports, passport); err != nil {
		return err
	}
	delete(w.good, passport.UID)
	delete(w.written, passport.UID)
	return nil
}

// ask asks the rules, and holds every answer to what is true of all.
func (w *world) ask(s Situation) Outcome {
	before := s.Passport.DeepCopy()
	outcome := Advance(s)
	w.asked, w.answer = s, outcome
	if !equality.Semantic.DeepEqual(before, s.Passport) {
		w.Fatal("the Passport that was read changed")
	}
	w.sane(s, outcome)
	return outcome
}

// situation is what the caches tell of a passport.
func (w *world) situation(passport *v1alpha1.Passport) Situation {
	return Situation{
		Passport:    passport,
		Checkpoints: values(w.checkpoints.cached(), func(c *v1alpha1.Checkpoint) bool { return c.Spec.PassportRef.Name == passport.Name }),
		Checkouts:   values(w.checkouts.cached(), func(c *v1alpha1.Checkout) bool { return c.Spec.PassportRef.Name == passport.Name }),
		Reports:     w.reportsOn(passport),
		Now:         w.now,
	}
}

// confirmed asks the rules by a live LIST.
func (w *world) confirmed(s Situation) Outcome {
	s.Blocks = values(w.blocks.live(), all)
	s.Checkpoints = values(w.checkpoints.live(), func(c *v1alpha1.Checkpoint) bool { return c.Spec.PassportRef.Name == s.Passport.Name })
	s.Checkouts = values(w.checkouts.live(), func(c *v1alpha1.Checkout) bool { return c.Spec.PassportRef.Name == s.Passport.Name })
	s.ListedAt = w.now
	outcome := w.ask(s)
	w.cut = w.version
	if outcome.Confirm {
		w.Fatal("a live LIST does not settle it")
	}
	return outcome
}

// agentOf is the AgentPassport that a passport was issued under; nil only where there is none.
func (w *world) agentOf(passport *v1alpha1.Passport) *v1alpha1.AgentPassport {
	its, there := named(w.agents.cached(), passport.Spec.AgentRef.Name)
	if !there || its.UID != passport.Status.Issued.AgentUID {
		its, _ = named(w.agents.live(), passport.Spec.AgentRef.Name)
	}
	return its
}

// advance takes an Active passport on: blocks, status, Secret, marks on its checkpoints.
func (w *world) advance(passport *v1alpha1.Passport) (time.Time, error) {
	situation := w.situation(passport)
	situation.Agent, situation.Blocks = w.agentOf(passport), values(w.blocks.cached(), all)
	situation.Checkpoints = refreshed(passport, situation.Checkpoints, values(w.checkpoints.live(), all))
	outcome := w.ask(situation)
	if outcome.Confirm {
		outcome = w.confirmed(situation)
	}
	if stale, err := w.block(passport, outcome.Blocks); err != nil || stale {
		return w.now.Add(time.Second), err
	}
	if outcome.Status.Phase.Finished() {
		if err := w.storePassport(passport, outcome.Status); err != nil {
			return time.Time{}, err
		}
		return w.conclude(passport)
	}
	delivered, err := w.deliver(passport, outcome.Status)
	if err != nil {
		return time.Time{}, err
	}
	if err := w.mark(passport, outcome.Marks); err != nil {
		return time.Time{}, err
	}
	if again := w.now.Add(10 * time.Second); !delivered && (outcome.Wake.IsZero() || again.Before(outcome.Wake)) {
		outcome.Wake = again
	}
	return outcome.Wake, w.trim(passport)
}

// block makes the blocks that findings on a passport bring, if the passport that was read is the newest.
func (w *world) block(passport *v1alpha1.Passport, blocks []v1alpha1.AgentBlock) (stale bool, err error) {
	if len(blocks) == 0 {
		return false, nil
	}
	if !w.isNewest(passport) {
		return true, nil
	}
	for i := range blocks {
		err := w.do(func() error {
			w.noteFinding(&blocks[i])
			return create(w, &w.blocks, &blocks[i])
		})
		if but(err, errExists) != nil {
			return false, err
		}
	}
	return false, nil
}

// isNewest says whether a passport, as read, is as it is stored.
func (w *world) isNewest(passport *v1alpha1.Passport) bool {
	newest, there := named(w.passports.live(), passport.Name)
	return there && newest.UID == passport.UID && newest.ResourceVersion == passport.ResourceVersion
}

// deliver stores the status and brings the Secret in line with it; where the token stays as it is, the
// Secret comes first.
func (w *world) deliver(passport *v1alpha1.Passport, status v1alpha1.PassportStatus) (delivered bool, err error) {
	if !status.ExpirationTime.Equal(passport.Status.ExpirationTime) {
		delete(w.good, passport.UID)
		if err := w.storePassport(passport, status); err != nil {
			return false, err
		}
		conflict, err := w.keepSecret(passport)
		return !conflict, err
	}
	conflict, err := w.keepSecret(passport)
	if err != nil {
		return false, err
	}
	reason := v1alpha1.ReasonDelivered
	if conflict {
		reason = v1alpha1.ReasonSecretConflict
	}
	SetDelivered(&status, passport.Generation, reason, "Secret "+status.Issued.SecretName, w.now)
	return !conflict, w.storePassport(passport, status)
}

// isGone says whether a passport that a cache shows is there no longer. Reports on its name may be for
// another by now.
func (w *world) isGone(passport *v1alpha1.Passport) bool {
	newest, there := named(w.passports.live(), passport.Name)
	return !there || newest.UID != passport.UID
}

// mark writes on checkpoints what became of them.
func (w *world) mark(passport *v1alpha1.Passport, marks []Mark) error {
	if len(marks) > 0 && w.isGone(passport) {
		return errConflict
	}
	for _, mark := range marks {
		checkpoint := mark.Checkpoint.DeepCopy()
		checkpoint.Status = mark.Status(passport, w.now)
		err := w.do(func() error {
			err := update(w, &w.checkpoints, checkpoint)
			if err == nil {
				w.noteMark(passport, mark)
			}
			return err
		})
		if but(err, errNotFound) != nil {
			return err
		}
	}
	return nil
}

// trim deletes the checkpoints that are no longer kept.
func (w *world) trim(passport *v1alpha1.Passport) error {
	for _, surplus := range Surplus(w.situation(passport).Checkpoints) {
		if err := w.delete(surplus); err != nil {
			return err
		}
	}
	return nil
}

func (w *world) delete(checkpoint *v1alpha1.Checkpoint) error {
	return but(w.do(func() error { return remove(w, &w.checkpoints, checkpoint) }), errNotFound)
}

// conclude takes a finished passport out of the world.
func (w *world) conclude(passport *v1alpha1.Passport) (time.Time, error) {
	held := passport.DeletionTimestamp != nil && !w.now.Before(w.heldUntil(passport.UID))
	if err := w.removeSecret(passport); err != nil && !held {
		return time.Time{}, err
	}
	outcome, stale, err := w.checkOut(passport)
	if err != nil && !held {
		return time.Time{}, err
	}
	if stale {
		return w.now.Add(time.Second), nil
	}
	if err := w.mark(passport, outcome.Marks); err != nil {
		return time.Time{}, err
	}
	if kept, wake := w.keptFor(passport, held, outcome.Wake); kept {
		return wake, w.trim(passport)
	}
	if err := w.deleteCheckpoints(passport); err != nil {
		return time.Time{}, err
	}
	if passport.DeletionTimestamp == nil {
		return time.Time{}, but(w.do(func() error { return remove(w, &w.passports, passport) }), errNotFound)
	}
	w.books[passport.UID].letGo = held
	return time.Time{}, w.release(passport)
}

// checkOut sees to it that the mission has its one Checkout: block, Checkout, status.
func (w *world) checkOut(passport *v1alpha1.Passport) (outcome Outcome, stale bool, err error) {
	situation := w.situation(passport)
	if len(situation.Reports) > 0 {
		situation.Agent = w.agentOf(passport)
	}
	if outcome = w.ask(situation); outcome.Confirm {
		situation.Agent = w.agentOf(passport)
		outcome = w.confirmed(situation)
	}
	if outcome.Checkout != nil {
		if !w.isNewest(passport) {
			return outcome, true, nil
		}
		made := outcome.Checkout
		err := w.do(func() error {
			err := create(w, &w.checkouts, made)
			if err == nil {
				w.noteCheckout(made)
			}
			return err
		})
		if but(err, errExists) != nil {
			return outcome, false, err
		}
		outcome = w.confirmed(situation)
	}
	if stale, err = w.block(passport, outcome.Blocks); err != nil || stale {
		return outcome, stale, err
	}
	return outcome, false, w.storePassport(passport, outcome.Status)
}

// keptFor says whether a finished passport is still kept, and when to ask again.
func (w *world) keptFor(passport *v1alpha1.Passport, held bool, again time.Time) (kept bool, wake time.Time) {
	its := w.ownCheckout(passport)
	if passport.DeletionTimestamp != nil {
		if its == nil || Judged(its) || held {
			return false, time.Time{}
		}
		return true, w.heldUntil(passport.UID)
	}
	if passport.Status.Checkout == nil && !again.IsZero() {
		return true, again
	}
	keepUntil := KeepUntil(passport.Status.EndTime.Time, nil, passport.Spec.TTLSecondsAfterFinished)
	if its != nil {
		agent, _ := named(w.agents.cached(), passport.Spec.AgentRef.Name)
		if !Decided(its) || Feeds(its, agent) {
			return true, time.Time{}
		}
		keepUntil = KeepUntil(passport.Status.EndTime.Time, its.Status.DecidedTime, passport.Spec.TTLSecondsAfterFinished)
	}
	return w.now.Before(keepUntil), keepUntil
}

// ownCheckout is the passport's own Checkout; nil where there is none, or none any longer.
func (w *world) ownCheckout(passport *v1alpha1.Passport) *v1alpha1.Checkout {
	if passport.Status.Checkout == nil {
		return nil
	}
	for _, checkouts := range [][]*v1alpha1.Checkout{w.checkouts.cached(), w.checkouts.live()} {
		if its, there := named(checkouts, passport.Status.Checkout.Name); there && its.UID == passport.Status.Checkout.UID {
			return its
		}
	}
	return nil
}

func (w *world) deleteCheckpoints(passport *v1alpha1.Passport) error {
	if w.isGone(passport) {
		return errConflict
	}
	for _, checkpoint := range w.situation(passport).Checkpoints {
		if checkpoint.CreationTimestamp.Before(&passport.CreationTimestamp) {
			continue
		}
		if err := w.delete(&checkpoint); err != nil {
			return err
		}
	}
	return nil
}

// createSecret writes the first Secret of a passport, or adopts the token that is in it.
func (w *world) createSecret(passport *v1alpha1.Passport, status v1alpha1.PassportStatus) (*v1alpha1.PassportStatus, bool, error) {
	made := secretOf(passport, status)
	err := w.do(func() error { return create(w, &w.secrets, made) })
	if errors.Is(err, errExists) {
		return w.adopt(passport)
	}
	if err == nil {
		w.trustIn(passport, made)
		w.follow()
	}
	return nil, false, err
}

func secretOf(passport *v1alpha1.Passport, status v1alpha1.PassportStatus) *secret {
	made := &secret{Owner: passport.UID, Token: &signed{
		JTI: status.JTI, Session: status.SessionID, Issue: *status.IssueTime, Expiry: *status.ExpirationTime, Terms: *status.Issued,
	}}
	made.Name = SecretName(passport)
	return made
}

// adopt gives the status that the token in a passport's Secret tells; nil where there is none.
func (w *world) adopt(passport *v1alpha1.Passport) (status *v1alpha1.PassportStatus, conflict bool, err error) {
	have, there := named(w.secrets.live(), SecretName(passport))
	if !there {
		return nil, false, nil
	}
	if have.Owner != passport.UID {
		return nil, true, nil
	}
	if have.Token == nil || have.Token.JTI != jtiOf(passport) {
		return nil, false, but(w.do(func() error { return remove(w, &w.secrets, have) }), errNotFound)
	}
	w.trustIn(passport, have)
	issued := Issue(passport, have.Token.Terms, have.Token.Issue.Time, have.Token.JTI, have.Token.Session)
	return &issued, false, nil
}

// keepSecret sees to it that the Secret of an Active passport holds the token of its claims.
func (w *world) keepSecret(passport *v1alpha1.Passport) (conflict bool, err error) {
	w.follow()
	if w.trusts(passport) {
		return false, nil
	}
	want := secretOf(passport, passport.Status)
	have, there := named(w.secrets.live(), want.Name)
	switch {
	case there && have.Owner != passport.UID:
		return true, nil
	case there && equality.Semantic.DeepEqual(have.Token, want.Token):
		w.trustIn(passport, have)
		return false, nil
	case !w.isMeant(passport, want.Token):
		return false, nil
	case !there:
		err = w.do(func() error { return create(w, &w.secrets, want) })
	default:
		want.UID, want.CreationTimestamp, want.ResourceVersion = have.UID, have.CreationTimestamp, have.ResourceVersion
		err = w.do(func() error { return update(w, &w.secrets, want) })
	}
	if err == nil {
		w.trustIn(passport, want)
	}
	return false, err
}

// isMeant says whether the stored Passport is Active with this token.
func (w *world) isMeant(passport *v1alpha1.Passport, token *signed) bool {
	newest, there := named(w.passports.live(), passport.Name)
	return there && newest.UID == passport.UID && newest.Status.Phase == v1alpha1.PhaseActive &&
		equality.Semantic.DeepEqual(secretOf(newest, newest.Status).Token, token)
}

func (w *world) removeSecret(passport *v1alpha1.Passport) error {
	watched := func(s *secret) bool { return s.Owner == passport.UID }
	if w.good[passport.UID].version == 0 && w.following && !slices.ContainsFunc(w.secrets.cached(), watched) {
		return nil
	}
	have, there := named(w.secrets.live(), SecretName(passport))
	if there && have.Owner == passport.UID {
		if err := but(w.do(func() error { return remove(w, &w.secrets, have) }), errNotFound); err != nil {
			return err
		}
	}
	delete(w.good, passport.UID)
	return nil
}

// follow has Secrets watched from now on.
func (w *world) follow() {
	if !w.following {
		w.following = true
		w.secrets.catchUp()
	}
}

// trusts says whether a passport's Secret needs no look: it was right once, and the watch shows no change
// since.
func (w *world) trusts(passport *v1alpha1.Passport) bool {
	seen := w.secrets.version()
	if shown, there := named(w.secrets.cached(), SecretName(passport)); there {
		seen = versionOf(shown)
	}
	good := w.good[passport.UID]
	return equality.Semantic.DeepEqual(good.token, secretOf(passport, passport.Status).Token) && (!w.following || seen <= good.version)
}

func (w *world) trustIn(passport *v1alpha1.Passport, right *secret) {
	w.good[passport.UID] = trust{version: versionOf(right), token: right.Token}
}

// takeCheckout is CheckoutReconciler.Reconcile.
func (w *world) takeCheckout(name string) (time.Time, error) {
	checkout, there := named(w.checkouts.cached(), name)
	if !there || isBehind(w, checkout) {
		return time.Time{}, nil
	}
	if checkout.DeletionTimestamp == nil && len(checkout.Finalizers) == 0 {
		return time.Time{}, holdBy(w, &w.checkouts, checkout, v1alpha1.CheckoutFinalizer)
	}
	passport := w.passportOf(checkout)
	if !Judged(checkout) && !WasRefused(checkout) {
		if settled, err := w.judge(checkout, passport); err != nil || !settled {
			return w.waitForMission(checkout, err)
		}
	}
	for !WasRefused(checkout) {
		consequence := Pursue(checkout, operatorName, w.now)
		if consequence == nil {
			break
		}
		if done, err := w.pursue(checkout, consequence); err != nil || !done {
			return time.Time{}, err
		}
	}
	return w.cleanUp(checkout, passport)
}

// passportOf is the Passport that a checkout is for: by the cache first, then for certain.
func (w *world) passportOf(checkout *v1alpha1.Checkout) *v1alpha1.Passport {
	for _, passports := range [][]*v1alpha1.Passport{w.passports.cached(), w.passports.live()} {
		passport, there := named(passports, checkout.Spec.PassportRef.Name)
		if there && (checkout.Status.PassportUID == "" || checkout.Status.PassportUID == passport.UID) {
			return passport
		}
	}
	return nil
}

// judge gives a checkout its verdict, or says why it does not count.
func (w *world) judge(checkout *v1alpha1.Checkout, passport *v1alpha1.Passport) (settled bool, err error) {
	if Refuse(passport, checkout) != nil {
		return w.refuse(checkout)
	}
	its := passport.Status.Checkout
	if !passport.Status.Phase.Finished() || its == nil || its.UID != checkout.UID {
		return false, nil
	}
	agent, _ := named(w.agents.cached(), passport.Spec.AgentRef.Name)
	w.judging = versionOf(passport)
	status := Judge(passport, checkout, agent, w.sums[passport.UID], review.DefaultThresholds(), w.now)
	return true, w.storeCheckout(checkout, status, agent)
}

// refuse says why a checkout does not count, by a live read.
func (w *world) refuse(checkout *v1alpha1.Checkout) (settled bool, err error) {
	passport, _ := named(w.passports.live(), checkout.Spec.PassportRef.Name)
	refusal := Refuse(passport, checkout)
	if refusal == nil {
		return false, nil
	}
	w.refusing = w.refusal(w.checkout(checkout.UID), passport)
	return true, w.storeCheckout(checkout, Refused(passport, checkout, *refusal, w.now), nil)
}

func (w *world) waitForMission(checkout *v1alpha1.Checkout, err error) (time.Time, error) {
	if checkout.DeletionTimestamp == nil {
		return time.Time{}, err
	}
	hold := w.heldUntil(checkout.UID)
	if !w.now.Before(hold) {
		return time.Time{}, holdBy(w, &w.checkouts, checkout)
	}
	return hold, err
}

// pursue does what follows from a verdict or a review, if the checkout read is the newest: block, lift,
// status.
func (w *world) pursue(checkout *v1alpha1.Checkout, c *Consequence) (done bool, err error) {
	if newest, there := named(w.checkouts.live(), checkout.Name); !there || newest.UID != checkout.UID || newest.ResourceVersion != checkout.ResourceVersion {
		return false, nil
	}
	if c.Block != nil {
		if err := but(w.do(func() error { return create(w, &w.blocks, c.Block) }), errExists); err != nil {
			return false, err
		}
	}
	for _, name := range c.Lift {
		if err := w.lift(name, c.Lifting); err != nil {
			return false, err
		}
	}
	return true, w.storeCheckout(checkout, c.Status, nil)
}

func (w *world) lift(name string, lifting v1alpha1.BlockLift) error {
	block, there := named(w.blocks.live(), name)
	if !there || block.Spec.Lifted != nil || block.Spec.Cause == nil {
		return nil
	}
	block.Spec.Lifted = &lifting
	return but(w.do(func() error { return update(w, &w.blocks, block) }), errNotFound)
}

// cleanUp deletes a checkout whose time is over, and lets go of one that is being deleted.
func (w *world) cleanUp(checkout *v1alpha1.Checkout, passport *v1alpha1.Passport) (time.Time, error) {
	if checkout.DeletionTimestamp != nil {
		if err := holdBy(w, &w.checkouts, checkout); err != nil {
			return time.Time{}, err
		}
		delete(w.written, checkout.UID)
		return time.Time{}, nil
	}
	until := checkout.CreationTimestamp.Add(time.Hour)
	if !WasRefused(checkout) {
		if passport != nil || !Decided(checkout) {
			return time.Time{}, nil
		}
		if agent, _ := named(w.agents.cached(), checkout.Spec.AgentRef.Name); Feeds(checkout, agent) {
			return time.Time{}, nil
		}
		mission := checkout.Status.Mission
		until = KeepUntil(mission.EndTime.Time, checkout.Status.DecidedTime, mission.TTLSecondsAfterFinished)
	}
	if w.now.Before(until) {
		return until, nil
	}
	return time.Time{}, but(w.do(func() error { return remove(w, &w.checkouts, checkout) }), errNotFound)
}

// storeCheckout writes a checkout's status, if it changed; the agent is the one that it was judged with.
func (w *world) storeCheckout(checkout *v1alpha1.Checkout, status v1alpha1.CheckoutStatus, agent *v1alpha1.AgentPassport) error {
	if equality.Semantic.DeepEqual(checkout.Status, status) {
		return nil
	}
	before := checkout.DeepCopy()
	checkout.Status = status
	err := w.do(func() error {
		err := update(w, &w.checkouts, checkout)
		if err == nil {
			w.noteJudgement(before, checkout, agent)
		}
		return err
	})
	if err == nil {
		wrote(w, checkout)
	}
	return err
}

// takeAgent is what AgentPassportReconciler.Reconcile does about the baseline.
func (w *world) takeAgent(name string) (time.Time, error) {
	agent, there := named(w.agents.cached(), name)
	if !there || agent.DeletionTimestamp != nil {
		return time.Time{}, nil
	}
	its := func(c *v1alpha1.Checkout) bool { return c.Spec.AgentRef.Name == name }
	checkouts := values(w.checkouts.cached(), its)
	entire := false
	if waits := func(c v1alpha1.Checkout) bool { return Feeds(&c, agent) }; slices.ContainsFunc(checkouts, waits) {
		if entire = LacksFed(agent, checkouts); entire {
			checkouts = values(w.checkouts.live(), its)
		} else {
			checkouts = reread(checkouts, waits, w.checkouts.live())
		}
	}
	baseline, fed, err := FeedBaseline(agent, checkouts, entire, w.now)
	if err != nil {
		w.Fatal(err)
	}
	if before := agent.Status.Baseline; !equality.Semantic.DeepEqual(baseline, before) {
		agent.Status.Baseline = baseline
		err := w.do(func() error {
			err := update(w, &w.agents, agent)
			if err == nil {
				w.noteBaseline(agent, before)
			}
			return err
		})
		if but(err, errNotFound) != nil {
			return time.Time{}, err
		}
	}
	for _, checkout := range fed {
		checkout = checkout.DeepCopy()
		checkout.Status.BaselineTime = second(w.now)
		if err := but(w.do(func() error { return update(w, &w.checkouts, checkout) }), errNotFound); err != nil {
			return time.Time{}, err
		}
	}
	if more := slices.ContainsFunc(checkouts, func(c v1alpha1.Checkout) bool {
		return Feeds(&c, agent) && !slices.ContainsFunc(fed, func(f *v1alpha1.Checkout) bool { return f.UID == c.UID })
	}); more {
		return w.now.Add(10 * time.Second), nil
	}
	return time.Time{}, nil
}

// reread reads those of the checkouts live that wait.
func reread(cached []v1alpha1.Checkout, waits func(v1alpha1.Checkout) bool, live []*v1alpha1.Checkout) []v1alpha1.Checkout {
	var read []v1alpha1.Checkout
	for _, checkout := range cached {
		if !waits(checkout) {
			read = append(read, checkout)
			continue
		}
		if newest, there := named(live, checkout.Name); there && newest.UID == checkout.UID {
			read = append(read, *newest)
		}
	}
	return read
}

// takeCheckpoint is CheckpointReconciler.Reconcile: it sees to checkpoints without a Passport.
func (w *world) takeCheckpoint(name string) (time.Time, error) {
	checkpoint, there := named(w.checkpoints.cached(), name)
	if !there {
		return time.Time{}, nil
	}
	for _, passports := range [][]*v1alpha1.Passport{w.passports.cached(), w.passports.live()} {
		if passport, is := named(passports, checkpoint.Spec.PassportRef.Name); is {
			if its := checkpoint.Status.PassportUID; its != "" && its != passport.UID {
				break
			}
			return time.Time{}, nil
		}
	}
	if !Marked(checkpoint) {
		mark := Mark{Checkpoint: checkpoint, Reason: v1alpha1.ReasonPassportNotFound, Message: "there is no such Passport"}
		checkpoint.Status = mark.Status(nil, w.now)
		if err := w.do(func() error { return update(w, &w.checkpoints, checkpoint) }); err != nil {
			return time.Time{}, but(err, errNotFound)
		}
	}
	if until := checkpoint.CreationTimestamp.Add(time.Hour); w.now.Before(until) && checkpoint.Status.PassportUID == "" {
		return until, nil
	}
	return time.Time{}, w.delete(checkpoint)
}
