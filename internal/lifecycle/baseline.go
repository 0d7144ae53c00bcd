package lifecycle

import (
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"agentpassport.dev/operator/api/v1alpha1"
	"agentpassport.dev/operator/internal/review"
)

// maxFed is how many Checkouts may be counted in a baseline and not yet be marked themselves.
const maxFed = 20

// FeedBaseline adds the missions that wait to an agent's baseline, at most 20 unmarked ones at a time,
// in the order of their Checkouts, and gives it with the Checkouts to mark once it is stored. Those
// that feed were read live: a cache may show one as it was before it was marked. Where all says that
// these are all Checkouts of the agent that there are, ones that are gone are forgotten. An error is
// one in the stored numbers.
func FeedBaseline(
	agent *v1alpha1.AgentPassport, checkouts []v1alpha1.Checkout, all bool, now time.Time,
) (*v1alpha1.Baseline, []*v1alpha1.Checkout, error) {
	baseline := agent.Status.Baseline.DeepCopy()
	var waiting, marks []*v1alpha1.Checkout
	unmarked, seen := map[types.UID]bool{}, map[types.UID]bool{}
	for i := range checkouts {
		checkout := &checkouts[i]
		seen[checkout.UID] = true
		if !Feeds(checkout, agent) {
			continue
		}
		unmarked[checkout.UID] = true
		if baseline != nil && slices.Contains(baseline.Fed, checkout.UID) {
			marks = append(marks, checkout)
			continue
		}
		waiting = append(waiting, checkout)
	}
	if len(waiting) == 0 {
		return baseline, marks, nil
	}
	if baseline == nil {
		baseline = &v1alpha1.Baseline{}
	}
	// Written along with what feeds: a list of marked ones alone is worth no write.
	baseline.Fed = slices.DeleteFunc(baseline.Fed, func(uid types.UID) bool { return !unmarked[uid] && (seen[uid] || all) })
	slices.SortFunc(waiting, func(a, b *v1alpha1.Checkout) int {
		return older(a, b)
	})
	for _, checkout := range waiting[:min(len(waiting), max(0, maxFed-len(baseline.Fed)))] {
		mission := checkout.Status.Mission
		fed, err := review.Feed(baseline, review.Feeding{
			UID: checkout.UID, Actions: mission.Actions, Duration: time.Duration(mission.DurationSeconds) * time.Second,
			Services: usedServices(mission), At: now,
		})
		if err != nil {
			return nil, nil, err
		}
		baseline = &fed
		marks = append(marks, checkout)
	}
	return baseline, marks, nil
}

// usedServices are those that a mission's reports name, and those that gateways saw it use.
func usedServices(mission *v1alpha1.MissionRecord) []v1alpha1.ServiceName {
	used := slices.Clone(mission.ServicesUsed)
	if mission.Observed != nil {
		for _, service := range mission.Observed.Services {
			used = append(used, service.Service)
		}
	}
	return used
}

// LacksFed says whether a Checkout that is counted in an agent's baseline is missing from what was read.
func LacksFed(agent *v1alpha1.AgentPassport, checkouts []v1alpha1.Checkout) bool {
	if agent.Status.Baseline == nil {
		return false
	}
	return slices.ContainsFunc(agent.Status.Baseline.Fed, func(uid types.UID) bool {
		return !slices.ContainsFunc(checkouts, func(c v1alpha1.Checkout) bool { return c.UID == uid })
	})
}
