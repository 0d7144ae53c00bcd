package lifecycle

import (
	"fmt"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"agentpassport.dev/operator/api/v1alpha1"
)

// MaxWaiting is how many checkpoints of one interval may wait for one passport, and how many one
// write folds.
const MaxWaiting = 20

// Mark is what has to be written on a Checkpoint itself.
type Mark struct {
	// Checkpoint as it was read.
	Checkpoint *v1alpha1.Checkpoint
	// Reason is Accepted, or why it is rejected.
	Reason v1alpha1.Reason
	// Message for people.
	Message string
	// Expiry of the passport after the checkpoint; zero where it is rejected.
	Expiry time.Time
}

// Status is the Checkpoint's status with the mark on it.
func (m Mark) Status(passport *v1alpha1.Passport, now time.Time) v1alpha1.CheckpointStatus {
	status := *m.Checkpoint.Status.DeepCopy()
	generation := m.Checkpoint.Generation
	status.ObservedGeneration = generation
	if passport != nil {
		status.PassportUID = passport.UID
	}
	ready := metav1.ConditionFalse
	if m.Reason == v1alpha1.ReasonAccepted {
		ready = metav1.ConditionTrue
		status.ExpirationTime = &metav1.Time{Time: m.Expiry}
	} else {
		SetCondition(&status.Conditions, generation, v1alpha1.ConditionStalled, metav1.ConditionTrue, m.Reason, m.Message, now)
	}
	SetCondition(&status.Conditions, generation, v1alpha1.ConditionReady, ready, m.Reason, m.Message, now)
	return status
}

// Marked says whether a Checkpoint already carries what became of it.
func Marked(checkpoint *v1alpha1.Checkpoint) bool {
	return meta.FindStatusCondition(checkpoint.Status.Conditions, string(v1alpha1.ConditionReady)) != nil
}

// Accepted says whether a Checkpoint is marked as accepted.
func Accepted(checkpoint *v1alpha1.Checkpoint) bool {
	return meta.IsStatusConditionTrue(checkpoint.Status.Conditions, string(v1alpha1.ConditionReady))
}

// inOrder sorts checkpoints by the time the API server stamped on them, then by UID.
func inOrder(checkpoints []*v1alpha1.Checkpoint) {
	slices.SortFunc(checkpoints, func(a, b *v1alpha1.Checkpoint) int {
		return older(a, b)
	})
}

// foreign says why a checkpoint cannot belong to the passport, whenever it was made.
func foreign(passport *v1alpha1.Passport, checkpoint *v1alpha1.Checkpoint) (Mark, bool) {
	mark := Mark{Checkpoint: checkpoint}
	switch {
	case checkpoint.CreationTimestamp.Before(&passport.CreationTimestamp):
		mark.Reason = v1alpha1.ReasonPassportNotFound
		mark.Message = fmt.Sprintf("Passport %s is younger than this checkpoint, which was for another of that name", passport.Name)
	case checkpoint.Spec.AgentRef.Name != passport.Spec.AgentRef.Name:
		mark.Reason = v1alpha1.ReasonNotYours
		mark.Message = fmt.Sprintf("Passport %s belongs to agent %s, not to %s", passport.Name, passport.Spec.AgentRef.Name, checkpoint.Spec.AgentRef.Name)
	case passport.Status.Issued != nil && passport.Status.Issued.Mode == v1alpha1.ModeStandard:
		mark.Reason = v1alpha1.ReasonCheckpointNotAvailable
		mark.Message = fmt.Sprintf("Passport %s is in mode Standard, which has no checkpoints; it ends at %s", passport.Name, stamp(passport.Status.ExpirationTime.Time))
	default:
		return Mark{}, false
	}
	return mark, true
}

// tooMany splits off those of the waiting checkpoints, in order, that would be the 21st or later
// within one interval. What waits because the operator was away is spread over intervals and stays.
func tooMany(waiting []*v1alpha1.Checkpoint, interval time.Duration) (kept, refused []*v1alpha1.Checkpoint) {
	for _, checkpoint := range waiting {
		at := checkpoint.CreationTimestamp.Time
		if len(kept) >= MaxWaiting && kept[len(kept)-MaxWaiting].CreationTimestamp.Add(interval).After(at) {
			refused = append(refused, checkpoint)
			continue
		}
		kept = append(kept, checkpoint)
	}
	return kept, refused
}

// acceptedMark is the mark of a folded checkpoint; it depends on the terms and the checkpoint alone,
// so that a repeat writes the same.
func acceptedMark(passport *v1alpha1.Passport, status *v1alpha1.PassportStatus, checkpoint *v1alpha1.Checkpoint) Mark {
	terms := *status.Issued
	expiry := extended(terms, firstExpiry(terms, status.IssueTime.Time), checkpoint.CreationTimestamp.Time)
	message := fmt.Sprintf("counted; passport %s is good until %s", passport.Name, stamp(expiry))
	if terms.Mode != v1alpha1.ModeEnforced {
		message = fmt.Sprintf("recorded; mode %s does not extend: passport %s is good until %s", terms.Mode, passport.Name, stamp(expiry))
	}
	return Mark{Checkpoint: checkpoint, Reason: v1alpha1.ReasonAccepted, Message: message, Expiry: expiry}
}

func lateMark(passport *v1alpha1.Passport, checkpoint *v1alpha1.Checkpoint, expiry time.Time) Mark {
	return Mark{
		Checkpoint: checkpoint,
		Reason:     v1alpha1.ReasonTooLate,
		Message: fmt.Sprintf("made at %s; passport %s had expired at %s",
			stamp(checkpoint.CreationTimestamp.Time), passport.Name, stamp(expiry)),
	}
}

func endedMark(passport *v1alpha1.Passport, checkpoint *v1alpha1.Checkpoint, phase v1alpha1.Phase, end time.Time) Mark {
	return Mark{
		Checkpoint: checkpoint,
		Reason:     v1alpha1.ReasonPassportEnded,
		Message:    fmt.Sprintf("passport %s is %s since %s: create another Passport", passport.Name, phase, stamp(end)),
	}
}

func tooManyMark(checkpoint *v1alpha1.Checkpoint) Mark {
	return Mark{
		Checkpoint: checkpoint,
		Reason:     v1alpha1.ReasonTooMany,
		Message:    fmt.Sprintf("%d checkpoints of the same interval were waiting already; the next one counts once they are folded", MaxWaiting),
	}
}

// Surplus gives the checkpoints of a passport that are no longer kept: all marked ones but the last
// three accepted and the last three rejected.
func Surplus(checkpoints []v1alpha1.Checkpoint) []*v1alpha1.Checkpoint {
	const kept = 3
	var accepted, rejected []*v1alpha1.Checkpoint
	for i := range checkpoints {
		switch checkpoint := &checkpoints[i]; {
		case !Marked(checkpoint):
		case Accepted(checkpoint):
			accepted = append(accepted, checkpoint)
		default:
			rejected = append(rejected, checkpoint)
		}
	}
	var surplus []*v1alpha1.Checkpoint
	for _, marked := range [][]*v1alpha1.Checkpoint{accepted, rejected} {
		inOrder(marked)
		surplus = append(surplus, marked[:max(0, len(marked)-kept)]...)
	}
	return surplus
}
