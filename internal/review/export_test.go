package review

import "agentpassport.dev/operator/api/v1alpha1"

// Named is a detector and the name that its failure is told under.
type Named struct {
	Name string
	Look Detector
}

// JudgeBy judges by other detectors than the operator's own.
func JudgeBy(m Mission, exceptions []v1alpha1.StandingException, t Thresholds, by ...Named) (v1alpha1.Verdict, []v1alpha1.Flag) {
	all := make([]detector, 0, len(by))
	for _, one := range by {
		all = append(all, detector{one.Name, one.Look})
	}
	return judge(m, exceptions, t, all)
}

// How decimals are written and read.
var (
	FormatDecimal = formatDecimal
	ParseDecimal  = parseDecimal
)

// Limits gives name, least and greatest value of every threshold.
func Limits() map[string][2]float64 {
	limits := map[string][2]float64{}
	for _, one := range new(Thresholds).all() {
		limits[one.name] = [2]float64{one.min, one.max}
	}
	return limits
}
