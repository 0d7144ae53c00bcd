package signals

import (
	"fmt"
	"strconv"
	"sync"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"k8s.io/apimachinery/pkg/types"

	"agentpassport.dev/operator/api/v1alpha1"
	"agentpassport.dev/operator/internal/gateway/decision"
	"agentpassport.dev/operator/internal/review"
)

// maxMissions is how many missions are scored at once. The one that made no call for longest is forgotten,
// and scored anew.
const maxMissions = 1 << 16

// Seen is one call that was judged.
type Seen struct {
	// Standing of its passport; nil where no passport of ours was shown: then nothing is noted.
	Standing *decision.Standing
	// Service that it names.
	Service v1alpha1.ServiceName
	// Method and Path as they are sent, without the query.
	Method, Path string
	// Code that it was decided with, and whether it was let through.
	Code    decision.Code
	Allowed bool
	// Declared says that the intent names the service, Credential that a credential went with the call.
	Declared, Credential bool
	// At is when, by the API server's clock.
	At time.Time
}

// Tracker looks at the calls of missions, and has what deserves a second look reported. It may be used
// from many goroutines.
type Tracker struct {
	thresholds review.Thresholds
	baseline   func(namespace, agent string, uid types.UID) *v1alpha1.Baseline
	pending    *Pending
	missions   *lru.Cache[types.UID, *mission]
}

// mission is what is remembered of one.
type mission struct {
	mu    sync.Mutex
	drift drift
	burst burst
	pace  pace
}

// NewTracker gives one that reports to pending. Baseline gives that of an agent, nil where there is none;
// it is asked once a minute and mission, and may be nil itself.
func NewTracker(
	pending *Pending, thresholds review.Thresholds, baseline func(namespace, agent string, uid types.UID) *v1alpha1.Baseline,
) (*Tracker, error) {
	missions, err := lru.New[types.UID, *mission](maxMissions)
	if err != nil {
		return nil, err
	}
	return &Tracker{thresholds: thresholds, baseline: baseline, pending: pending, missions: missions}, nil
}

// Note looks at one call. It waits for nothing.
func (t *Tracker) Note(seen Seen) {
	if seen.Standing == nil {
		return
	}
	if seen.Allowed {
		t.noteAllowed(seen)
		return
	}
	if kind, message := t.refused(seen); kind != "" {
		t.pending.add(seen.Standing, kind, seen.Service, message, seen.At)
	}
}

// refused gives the signal that a refusal is, empty where it is none.
func (t *Tracker) refused(seen Seen) (kind, message string) {
	switch seen.Code {
	case decision.CodeOutsideScope:
		if !seen.Declared {
			return review.CredentialOutsideScope, fmt.Sprintf("a call names %s, which is neither granted nor in the intent", named(seen.Service))
		}
	case decision.CodeConstraint:
		return review.ConstraintViolation, fmt.Sprintf("a call to %s broke a constraint of its grant", named(seen.Service))
	case decision.CodeForeignCaller:
		return review.ForeignWorkload, fmt.Sprintf("somebody who may not use agent %s showed its token", seen.Standing.Agent)
	case decision.CodeCheckedOut:
		grace := time.Duration(t.thresholds.UseAfterCheckoutSeconds) * time.Second
		if end := seen.Standing.EndTime; !end.IsZero() && seen.At.Sub(end) > grace {
			return review.UseAfterCheckout, fmt.Sprintf("the token was used at %s; its mission checked out at %s", stamp(seen.At), stamp(end))
		}
	case decision.CodeRevoked, decision.CodeExpired:
		return review.UseAfterRevocation, fmt.Sprintf("the token was used at %s, when its passport was %s", stamp(seen.At), overOf(seen.Code))
	default: // no other refusal is a signal
	}
	return "", ""
}

func overOf(code decision.Code) string {
	if code == decision.CodeExpired {
		return "expired"
	}
	return "revoked"
}

// noteAllowed scores and counts a call that was let through.
func (t *Tracker) noteAllowed(seen Seen) {
	its := t.mission(seen.Standing.UID)
	its.mu.Lock()
	score, drifted := 0, false
	if seen.Standing.HasIntent {
		perCall, inSum := hundredths(t.thresholds.ScopeDriftCall), hundredths(t.thresholds.ScopeDriftSum)
		score, drifted = its.drift.add(seen.Service, seen.Declared, seen.Method, seen.Path, perCall, inSum)
	}
	sum := its.drift.sum
	burst := seen.Credential && its.burst.add(seen.At, int(t.thresholds.CredentialBurst))
	rushed := its.pace.add(seen.At, func() float64 { return t.usual(seen.Standing) })
	calls, limit := its.pace.calls, its.pace.limit
	its.mu.Unlock()

	if drifted {
		t.pending.add(seen.Standing, review.ScopeDrift, seen.Service,
			fmt.Sprintf("a call to %s scores %s, all calls score %s, against the intent", named(seen.Service), decimal(score), decimal(sum)), seen.At)
	}
	if burst {
		t.pending.add(seen.Standing, review.CredentialBurst, "",
			fmt.Sprintf("more than %d uses of credentials within 30 s", t.thresholds.CredentialBurst), seen.At)
	}
	if rushed {
		t.pending.add(seen.Standing, review.CallRateAnomaly, "",
			fmt.Sprintf("%d calls within a minute; up to %s are usual", calls, strconv.FormatFloat(limit, 'f', 1, 64)), seen.At)
	}
}

func (t *Tracker) mission(uid types.UID) *mission {
	if its, known := t.missions.Get(uid); known {
		return its
	}
	fresh := &mission{}
	if earlier, known, _ := t.missions.PeekOrAdd(uid, fresh); known {
		return earlier
	}
	return fresh
}

// usual is how many calls a minute are usual for the agent; zero where nobody knows.
func (t *Tracker) usual(standing *decision.Standing) float64 {
	if t.baseline == nil {
		return 0
	}
	limit, known, err := review.UsualCallRate(t.baseline(standing.Namespace, standing.Agent, standing.AgentUID), t.thresholds)
	if err != nil || !known {
		return 0
	}
	return limit
}

// named is a service as a message tells it: an agent may have written anything there.
func named(service v1alpha1.ServiceName) string {
	const limit = 63
	text := []rune(string(service))
	if len(text) > limit {
		return strconv.Quote(string(text[:limit])) + "…"
	}
	return strconv.Quote(string(text))
}

func decimal(hundredths int) string { return strconv.FormatFloat(float64(hundredths)/100, 'f', 2, 64) }

func stamp(at time.Time) string { return at.UTC().Format(time.RFC3339) }
