package lifecycle

import (
	"testing"
	"time"

	"agentpassport.dev/operator/api/v1alpha1"
)

// Programs that went wrong once, each written out. The seed finds the fault again where the mending is
// taken back, as long as the drawn program stays as it is.

// dieAt has the operator look at a passport with fresh caches, and die at a write, made or not.
func (w *world) dieAt(passport string, write int, how fate) {
	w.Helper()
	w.catchUp()
	w.fate = func() fate {
		write--
		if write >= 0 {
			return lands
		}
		return how
	}
	if err := w.reconcile("passport/"+passport, func() (time.Time, error) { return w.takePassport(passport) }); err == nil {
		w.Fatal("it is alive")
	}
}

// The write was full, and the end that the signal brought was forgotten by the next one.
// Seed 2959823118331468518 of TestLifecycleOfAMissionThatIsLeftAlone.
func TestASignalThatRevokesAmongTooManyCheckpointsEndsTheMission(t *testing.T) {
	w := newWorld(t, 0, duties{mode: v1alpha1.ModeEnforced})
	w.requests("m1", wish{ttl: 60, interval: 60, limit: 1000, keep: -1})
	w.checkpoint("m1", 0, 1, "bot", "stripe")
	for range 24 {
		w.now = w.now.Add(4 * time.Second)
		w.checkpoint("m1", 0, 1, "bot")
	}
	w.now = after(45)
	w.settle()
	w.stands("m1", v1alpha1.PhaseRevoked, v1alpha1.ReasonSignalRaised)
}

// The checkpoint after the silence was counted, so that the silence was not found again; its block was in
// force, and the mission went on.
// Seed 10398055076628147918 of TestLifecycleOfAMissionThatIsLeftAlone.
func TestABlockForSilenceThatACrashLeftEndsTheMission(t *testing.T) {
	w := newWorld(t, 0, duties{mode: v1alpha1.ModeLogged, onWarning: true})
	w.now = noon
	w.requests("m1", wish{ttl: 400, interval: 60, limit: 86400, keep: -1})
	w.settle()
	w.now = after(65)
	w.dieAt("m1", 0, diesAfter)
	w.now = after(66)
	w.checkpoint("m1", 0, 1, "bot")
	w.settle()
	w.stands("m1", v1alpha1.PhaseRevoked, v1alpha1.ReasonAgentBlocked)
}

// The operator began with an old cache, and checked out for a mission that was gone; that ended the next
// mission of its name.
// Seed 14677221047524441828 of TestLifecycleWhereEverythingHappens.
func TestTheOperatorsCheckoutOfAMissionThatIsGoneEndsNoOther(t *testing.T) {
	w := newWorld(t, 0, duties{mode: v1alpha1.ModeEnforced})
	w.now = noon
	w.requests("m1", wish{ttl: 60, interval: 60, limit: 1000, keep: 0})
	w.settle()
	w.revokes("m1")
	w.dieAt("m1", 2, diesBefore) // Its end is stored, its Secret gone, its Checkout not made.
	w.catchUp()
	old := w.passports.seen
	w.run()
	for _, checkout := range w.checkouts.live() {
		w.reviews(checkout.Name, v1alpha1.DecisionApproved)
	}
	w.settle()
	if len(w.passports.live()) > 0 {
		w.Fatal("it is not gone")
	}
	w.now = after(2)
	w.requests("m1", wish{ttl: 60, interval: 60, limit: 1000, keep: 0})
	w.passports.seen = old
	_, _ = w.takePassport("m1")
	w.settle()
	w.stands("m1", v1alpha1.PhaseActive, v1alpha1.ReasonIssued)
}

// stands says how a mission has to stand.
func (w *world) stands(name string, phase v1alpha1.Phase, reason v1alpha1.Reason) {
	w.Helper()
	passport, there := named(w.passports.live(), name)
	if !there || passport.Status.Phase != phase || readyOf(passport.Status.Conditions).Reason != string(reason) {
		w.Fatalf("%s is %s %+v", name, passport.Status.Phase, readyOf(passport.Status.Conditions))
	}
}
