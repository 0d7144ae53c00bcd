package lifecycle

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"agentpassport.dev/operator/api/v1alpha1"
)

// modelSighting is something that a gateway saw, and repeats until its volume is lost.
type modelSighting struct {
	gateway       string
	sequence      int64
	passport      types.UID
	kind, service string
	first, last   int
	count         int
	// lost says that the gateway is gone, and nobody repeats it.
	lost bool
	// taken is when it was taken in, live that its mission was on until then, bare that the agent was gone.
	taken      int
	live, bare bool
}

// sees has a gateway see something of a mission, from so long ago until now.
func (w *world) sees(gateway, passport, kind, service string, ago, count int) {
	w.Helper()
	seen := &modelSighting{
		gateway: gateway, sequence: int64(len(w.sightings) + 1), passport: "gone", kind: kind, service: service,
		first: w.second() - ago, last: w.second(), count: count,
	}
	if its, there := named(w.passports.live(), passport); there {
		seen.passport = its.UID
	}
	w.Logf("%d: %s sees %s %s of %s since %d, as its %d", w.second(), gateway, kind, service, seen.passport, seen.first, seen.sequence)
	w.sightings = append(w.sightings, seen)
}

// loses has a gateway lose what it has not told yet.
func (w *world) loses(gateway string) {
	for _, seen := range w.sightings {
		if seen.gateway == gateway && seen.taken == 0 {
			seen.lost = true
		}
	}
}

// reportsOn is what gateways tell of a passport, all that they told before among it, as far as they get
// through.
func (w *world) reportsOn(passport *v1alpha1.Passport) []Report {
	var reports []Report
	for _, seen := range w.sightings[:min(w.reach, len(w.sightings))] {
		if seen.passport != passport.UID || seen.lost || passport.Status.Issued == nil {
			continue
		}
		reports = append(reports, Report{
			Gateway: seen.gateway, Sequence: seen.sequence, Type: seen.kind, Service: v1alpha1.ServiceName(seen.service),
			Message: "seen", First: after(seen.first), Last: after(seen.last), Count: int32(seen.count),
		})
	}
	return reports
}

// noteSightings notes what a status that was just stored takes in.
func (w *world) noteSightings(before, after *v1alpha1.Passport, asked Situation, bare bool) {
	w.Helper()
	for _, report := range asked.Reports {
		if !TakenIn(&after.Status, report.Gateway, report.Sequence) {
			continue
		}
		seen := w.sighting(report.Gateway, report.Sequence)
		if seen.taken > 0 != TakenIn(&before.Status, report.Gateway, report.Sequence) {
			w.Fatalf("%s: taken in at %d, and %v", seen.kind, seen.taken, before.Status.Observers)
		}
		if seen.taken == 0 {
			seen.taken, seen.live, seen.bare = w.version, before.Status.Phase == v1alpha1.PhaseActive, bare
			b := w.books[after.UID]
			b.sightings = append(b.sightings, seen)
		}
	}
	if !slices.IsSortedFunc(after.Status.Observers, func(a, b v1alpha1.ObserverSequence) int { return cmp.Compare(a.Gateway, b.Gateway) }) {
		w.Fatalf("observers: %v", after.Status.Observers)
	}
}

func (w *world) sighting(gateway string, sequence int64) *modelSighting {
	i := slices.IndexFunc(w.sightings, func(s *modelSighting) bool { return s.gateway == gateway && s.sequence == sequence })
	return w.sightings[i]
}

// waitsForGateway says whether a block waits for the finding that it was made for.
func (w *world) waitsForGateway(block *v1alpha1.AgentBlock) bool {
	return w.halfway[block.Name] && w.now.Before(block.CreationTimestamp.Add(time.Minute))
}

// isKnown says whether a block for a finding of a mission ended it in this write: its finding is stored
// along with it, or nobody is left to repeat it.
func (w *world) isKnown(block *v1alpha1.AgentBlock, status v1alpha1.PassportStatus, asked Situation) (known, patient bool) {
	for _, signal := range status.Signals {
		if blockName("bot", asked.Passport.UID, signal.Type) == block.Name {
			return true, true
		}
	}
	due := !w.now.Before(block.CreationTimestamp.Add(time.Minute))
	for _, kind := range []string{
		"scope_drift", "credential_burst", "constraint_violation", "use_after_checkout", "use_after_revocation", "foreign_workload", "call_rate_anomaly",
	} {
		if block.Name == blockName("bot", asked.Passport.UID, kind) {
			return due, false
		}
	}
	if block.Name == blockName("bot", asked.Passport.UID, "credential_outside_scope") {
		waits := slices.ContainsFunc(asked.Checkpoints, func(c v1alpha1.Checkpoint) bool {
			return Waiting(asked.Passport, &c) && !slices.ContainsFunc(status.Folded, func(uid types.UID) bool { return uid == c.UID })
		})
		return due && !waits, false
	}
	return true, true
}

// sighted is what a sighting is under the mission's mode.
func (b *book) sighted(kind string) (severity v1alpha1.Severity, revokes, known bool) {
	enforced := b.mode == v1alpha1.ModeEnforced
	switch kind {
	case "credential_outside_scope":
		if enforced {
			return v1alpha1.SeverityCritical, true, true
		}
		return v1alpha1.SeverityWarning, false, true
	case "foreign_workload":
		return v1alpha1.SeverityCritical, enforced, true
	case "scope_drift":
		return v1alpha1.SeverityWarning, enforced, true
	case "use_after_checkout":
		return v1alpha1.SeverityCritical, false, true
	case "use_after_revocation", "constraint_violation", "credential_burst", "call_rate_anomaly":
		return v1alpha1.SeverityWarning, false, true
	default:
		return "", false, false
	}
}

// sight raises what was taken in by then, and gives the end that it brings.
func (b *book) sight(r *result, blocking map[string]bool, knowing int) (end *modelEnd) {
	taken := slices.Clone(b.sightings)
	slices.SortFunc(taken, func(a, b *modelSighting) int {
		return cmp.Or(cmp.Compare(a.taken, b.taken), cmp.Compare(a.first, b.first), cmp.Compare(a.gateway, b.gateway), cmp.Compare(a.sequence, b.sequence))
	})
	for _, seen := range taken {
		severity, revokes, known := b.sighted(seen.kind)
		if _, drifted := r.Signals["scope_drift"]; !known || seen.kind == "scope_drift" && drifted {
			continue
		}
		at := max(seen.first, b.issue)
		accepted := b.severity(severity, seen.kind, seen.service, at, seen.bare)
		if revokes && seen.live && accepted == severity && (end == nil || at < end.at) {
			end = &modelEnd{at: at, reason: v1alpha1.ReasonSignalRaised, seen: seen.taken, reported: true}
		}
		if seen.taken > knowing {
			continue
		}
		b.raise(r, blocking, seen.kind, accepted, seen.bare)
		signal := r.Signals[seen.kind]
		signal.Count += seen.count - 1
		r.Signals[seen.kind] = signal
	}
	return end
}

// observes has the log sum what gateways saw of a mission.
func (w *world) observes(passport string, sums v1alpha1.ObservedCalls) {
	if its, there := named(w.passports.live(), passport); there {
		w.sums[its.UID] = &sums
	}
}

// judgeObserved adds what speaks against a mission by what the gateways saw.
func judgeObserved(own *modelCheckout, reported []string, total int64, flag func(v1alpha1.Severity, string, string)) {
	o := own.observed
	if o == nil {
		return
	}
	switch {
	case o.Denied >= 10:
		flag(v1alpha1.SeverityCritical, "denied_calls", "")
	case o.Denied >= 1:
		flag(v1alpha1.SeverityWarning, "denied_calls", "")
	}
	if len(o.Missing) > 0 {
		flag(v1alpha1.SeverityWarning, "observation_incomplete", "")
	}
	if own.operator {
		return
	}
	for _, service := range o.Services {
		if slices.Contains(reported, string(service.Service)) {
			continue
		}
		severity := v1alpha1.SeverityCritical
		if service.Service == "slack" {
			severity = v1alpha1.SeverityWarning
		}
		flag(severity, "unreported_service", string(service.Service))
	}
	fewer, more := o.Calls-total, total-o.Calls
	far := fewer > 5 && 5*fewer > o.Calls || more > 5 && 5*more > o.Calls && len(o.Missing) == 0
	if o.Calls > 0 && far {
		flag(v1alpha1.SeverityWarning, "actions_mismatch", "")
	}
}

// seenServices are the services that gateways let calls through to.
func seenServices(own *modelCheckout) []string {
	var services []string
	if own.observed != nil {
		for _, service := range own.observed.Services {
			services = append(services, string(service.Service))
		}
	}
	return services
}

// gatewayActions are what gateways do in a program.
func (p *program) gatewayActions() map[string]func() {
	gateway := func() string { return fmt.Sprint("gateway-", p.number("gateway", 0, 2)) }
	return map[string]func(){
		"see": func() {
			kinds := []string{"constraint_violation", "credential_burst", "call_rate_anomaly", "use_after_checkout", "use_after_revocation", "odd"}
			if p.w.duties.mode != v1alpha1.ModeEnforced || p.rarely(3) {
				kinds = append(kinds, "scope_drift", "scope_drift", "foreign_workload", "credential_outside_scope")
			}
			p.w.sees(gateway(), p.name(), p.pick("kind", kinds...), p.pick("service", "", "slack", "notion", "stripe"),
				p.number("ago", 0, 90), p.number("times", 1, 3))
		},
		"lose a gateway": func() {
			if p.rarely(6) {
				p.w.loses(gateway())
			}
		},
		"observe": func() {
			var sums v1alpha1.ObservedCalls
			for _, service := range []v1alpha1.ServiceName{"notion", "slack"} {
				if calls := int64(p.number("calls", -60, 60)); calls > 0 {
					sums.Calls += calls
					sums.Services = append(sums.Services, v1alpha1.ObservedService{Service: service, Calls: calls})
				}
			}
			sums.Denied = int64(max(0, p.number("denied", -12, 12)))
			if p.rarely(4) {
				sums.Missing = []string{"gateway-0"}
			}
			p.w.observes(p.name(), sums)
		},
	}
}
