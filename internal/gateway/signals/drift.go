package signals

import (
	"math"

	"agentpassport.dev/operator/api/v1alpha1"
)

// What is new in a call scores, in hundredths: so that sums are exact.
const (
	// novelService is a service that the intent does not name.
	novelService = 60
	// What an action scores on a service that the intent does not name.
	novelRead, novelWrite, novelDestruction = 5, 10, 25
	// declaredDestruction is an action that destroys on a service that the intent names.
	declaredDestruction = 10
)

// drift is how far the calls of one mission strayed from its intent. Only what scores is remembered, and
// nothing any more once it is told: so it holds a hundred things or so.
type drift struct {
	services map[v1alpha1.ServiceName]bool
	actions  map[string]bool
	// sum of all scores, in hundredths.
	sum  int
	told bool
}

// add gives the score of a call, in hundredths, and says whether the mission drifted with it: once.
func (d *drift) add(service v1alpha1.ServiceName, declared bool, method, path string, perCall, inSum int) (score int, drifted bool) {
	if d.told {
		return 0, false
	}
	if !declared && !d.services[service] {
		if d.services == nil {
			d.services = map[v1alpha1.ServiceName]bool{}
		}
		d.services[service] = true
		score += novelService
	}
	if worth := actionScore(effectOf(method), declared); worth > 0 {
		action := string(service) + " " + Action(method, path)
		if !d.actions[action] {
			if d.actions == nil {
				d.actions = map[string]bool{}
			}
			d.actions[action] = true
			score += worth
		}
	}
	d.sum += score
	if score == 0 || score < perCall && d.sum < inSum {
		return score, false
	}
	d.told, d.services, d.actions = true, nil, nil
	return score, true
}

// actionScore is what a new action scores.
func actionScore(does effect, declared bool) int {
	switch {
	case declared && does == destroys:
		return declaredDestruction
	case declared:
		return 0
	case does == destroys:
		return novelDestruction
	case does == writes:
		return novelWrite
	default:
		return novelRead
	}
}

// hundredths of a score that is a decimal.
func hundredths(score float64) int { return int(math.Round(score * 100)) }
