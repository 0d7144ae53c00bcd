package lifecycle

import (
	"time"

	"agentpassport.dev/operator/api/v1alpha1"
)

// ExpiryGrace is how long after an expiry the question whether a checkpoint was made in time stays
// open: the cut of the second, and requests in flight.
const ExpiryGrace = 5 * time.Second

// mountLag is how long a mounted Secret may lag behind its object, with some air.
const mountLag = 100 * time.Second

// firstExpiry is when a passport dies that was issued at issue and sees no checkpoint.
func firstExpiry(terms v1alpha1.IssuedTerms, issue time.Time) time.Time {
	life := seconds(terms.TTLSeconds)
	if terms.Mode == v1alpha1.ModeEnforced {
		life = min(life, seconds(terms.CheckpointIntervalSeconds))
	}
	return earliest(issue.Add(life), terms.Deadline.Time)
}

// Fresh says whether a passport that was to be issued at a time has most of its first leash left: over three
// quarters of it.
func Fresh(terms v1alpha1.IssuedTerms, issue, now time.Time) bool {
	return now.Before(issue.Add(firstExpiry(terms, issue).Sub(issue) / 4))
}

// extended is the expiry after a checkpoint that was made at the time at. Only Enforced passports
// are extended; an expiry never moves back, nor past the mission's deadline.
func extended(terms v1alpha1.IssuedTerms, expiry, at time.Time) time.Time {
	if terms.Mode != v1alpha1.ModeEnforced {
		return expiry
	}
	next := earliest(at.Add(seconds(terms.CheckpointIntervalSeconds)), terms.Deadline.Time)
	if next.Before(expiry) {
		return expiry
	}
	return next
}

// checkpointDue is by when the next checkpoint has to be made: the expiry itself where the mode is
// Enforced, one interval after the last sign of life where it is Logged. None is due in Standard,
// nor where the passport ends anyway before one would be.
func checkpointDue(terms v1alpha1.IssuedTerms, expiry, lastSign time.Time) (time.Time, bool) {
	switch terms.Mode {
	case v1alpha1.ModeEnforced:
		return expiry, expiry.Before(terms.Deadline.Time)
	case v1alpha1.ModeLogged:
		due := lastSign.Add(seconds(terms.CheckpointIntervalSeconds))
		return due, due.Before(expiry)
	default:
		return time.Time{}, false
	}
}

// checkpointBy is when an agent should have checkpointed that showed its last sign of life at
// lastSign and is due at due: half of that time earlier, and at least 100 s where it is longer than
// that, so that a token in a mounted Secret is fresh before the old one dies.
func checkpointBy(lastSign, due time.Time) time.Time {
	leash := due.Sub(lastSign)
	margin := leash / 2
	if margin < mountLag && leash > mountLag {
		margin = mountLag
	}
	return due.Add(-margin).Truncate(time.Second)
}

func seconds(n int32) time.Duration { return time.Duration(n) * time.Second }

func earliest(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}
