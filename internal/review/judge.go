package review

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"agentpassport.dev/operator/api/v1alpha1"
)

// Detector looks at a mission that is over. Judge says when its findings happened.
type Detector func(Mission, Thresholds) ([]Finding, error)

type detector struct {
	name string
	look Detector
}

// detectors in the order in which flags of one severity stand.
var detectors = []detector{
	{UngrantedService, ungrantedService},
	{UnreportedService, unreportedService},
	{DeniedCalls, deniedCalls},
	{UndeclaredService, undeclaredService},
	{NoCheckout, noCheckout},
	{LateCheckout, lateCheckout},
	{CheckpointGap, checkpointGap},
	{ActionsMismatch, actionsMismatch},
	{ObservationIncomplete, observationIncomplete},
	{ActionVolumeAnomaly, actionVolumeAnomaly},
	{SignalRaised, signalRaised},
	{DurationOverrun, durationOverrun},
	{DurationAnomaly, durationAnomaly},
	{NovelService, novelService},
	{UnusedService, unusedService},
}

// maxFlags is how many flags a Checkout holds.
const maxFlags = 256

// Judge has every detector look at a mission and gives the verdict, and the flags that it rests on,
// the worst first. A detector that fails hides no other's findings.
func Judge(m Mission, exceptions []v1alpha1.StandingException, t Thresholds) (v1alpha1.Verdict, []v1alpha1.Flag) {
	return judge(m, exceptions, t, detectors)
}

func judge(m Mission, exceptions []v1alpha1.StandingException, t Thresholds, by []detector) (v1alpha1.Verdict, []v1alpha1.Flag) {
	var found []Finding
	for _, d := range by {
		for _, finding := range d.run(m, t) {
			finding.At = m.Report.At
			found = append(found, Accept(finding, exceptions))
		}
	}
	slices.SortStableFunc(found, func(a, b Finding) int { return cmp.Compare(rank(b.Severity), rank(a.Severity)) })
	return verdict(found), flags(found)
}

// run gives what one detector found, in order of services. Its failure is a finding too.
func (d detector) run(m Mission, t Thresholds) (found []Finding) {
	defer func() {
		if cause := recover(); cause != nil {
			found = []Finding{d.failed(fmt.Sprintf("panic: %v", cause))}
		}
	}()
	found, err := d.look(m, t)
	slices.SortStableFunc(found, func(a, b Finding) int { return cmp.Compare(a.Service, b.Service) })
	if err != nil {
		found = append(found, d.failed(err.Error()))
	}
	return found
}

func (d detector) failed(why string) Finding {
	return Finding{
		Type:     DetectorError,
		Severity: v1alpha1.SeverityWarning,
		Message:  fmt.Sprintf("Detector %s failed, and may have missed something: %s", d.name, why),
		Evidence: []v1alpha1.Evidence{fact("detector", d.name), fact("error", why)},
	}
}

// verdict goes by the worst finding, which is the first.
func verdict(found []Finding) v1alpha1.Verdict {
	switch {
	case len(found) == 0 || rank(found[0].Severity) <= rank(v1alpha1.SeverityInfo):
		return v1alpha1.VerdictClean
	case found[0].Severity == v1alpha1.SeverityWarning:
		return v1alpha1.VerdictFlagged
	default:
		return v1alpha1.VerdictBlocked
	}
}

// flags are the findings as a Checkout holds them. Where there are too many, the last flag says how
// many more there were, and is as bad as the worst of them.
func flags(found []Finding) []v1alpha1.Flag {
	if len(found) > maxFlags {
		left := found[maxFlags-1:]
		found = append(slices.Clone(found[:maxFlags-1]), Finding{
			Type:     FlagsOmitted,
			Severity: left[0].Severity,
			Message:  fmt.Sprintf("%d more flags were left out; none is worse than this one", len(left)),
			Evidence: []v1alpha1.Evidence{fact("omitted", len(left))},
		})
	}
	all := make([]v1alpha1.Flag, 0, len(found))
	for _, finding := range found {
		all = append(all, v1alpha1.Flag{
			Type:     finding.Type,
			Severity: finding.Severity,
			Service:  finding.Service,
			Message:  clip(finding.Message, maxMessage),
			Evidence: finding.Evidence[:min(len(finding.Evidence), maxFacts)],
		})
	}
	return all
}

// Summary names the types of the flags that are more than information, the worst first, each once, and
// counts the others: "undeclared_service, late_checkout, 2 info".
func Summary(all []v1alpha1.Flag) string {
	var named []string
	others := 0
	for _, flag := range all {
		switch {
		case flag.Severity == v1alpha1.SeverityInfo:
			others++
		case !slices.Contains(named, flag.Type):
			named = append(named, flag.Type)
		}
	}
	if others > 0 {
		named = append(named, fmt.Sprintf("%d info", others))
	}
	return strings.Join(named, ", ")
}

// MayBlock says whether a flag is of a kind that blocks an agent: a signal did so, or not, when it was
// raised, and the failure of a detector is not the agent's.
func MayBlock(flag v1alpha1.Flag) bool {
	return flag.Type != SignalRaised && flag.Type != DetectorError
}

// Escalates says whether one of the flags blocks the agent at once. What a signal has blocked for is not
// blocked for again by a flag that is no worse.
func Escalates(all []v1alpha1.Flag, accountability v1alpha1.Accountability) bool {
	var blocked v1alpha1.Severity
	for _, flag := range all {
		if flag.Type == SignalRaised && Blocks(flag.Severity, accountability) {
			blocked = Worse(blocked, flag.Severity)
		}
	}
	return slices.ContainsFunc(all, func(flag v1alpha1.Flag) bool {
		return MayBlock(flag) && rank(flag.Severity) > rank(blocked) && Blocks(flag.Severity, accountability)
	})
}
