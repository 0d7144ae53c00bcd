package review

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"agentpassport.dev/operator/api/v1alpha1"
)

// What the evidence of a Flag holds.
const (
	maxFacts = 16
	maxFact  = 256
)

// fact is one piece of evidence: times in RFC 3339, durations in whole seconds.
func fact(name string, value any) v1alpha1.Evidence {
	switch v := value.(type) {
	case time.Time:
		value = stamp(v)
	case time.Duration:
		value = inSeconds(v)
	case float64:
		value = rounded(v)
	case []v1alpha1.ServiceName:
		value = listed(v)
	}
	return v1alpha1.Evidence{Name: name, Value: clip(fmt.Sprint(value), maxFact)}
}

// namedBy tells who named a service: the checkpoints, the checkout, the gateways.
func (m Mission) namedBy(service v1alpha1.ServiceName) v1alpha1.Evidence {
	var by []string
	if slices.Contains(m.CheckpointServices, service) {
		by = append(by, "checkpoints")
	}
	if slices.Contains(m.Report.Services, service) {
		by = append(by, "checkout")
	}
	if slices.Contains(m.seen(), service) {
		by = append(by, "gateways")
	}
	return fact("reportedBy", strings.Join(by, ", "))
}

func stamp(at time.Time) string {
	return at.UTC().Format(time.RFC3339)
}

func inSeconds(d time.Duration) int64 {
	return int64(d / time.Second)
}

// rounded writes a number with one decimal at most.
func rounded(x float64) string {
	return strconv.FormatFloat(math.Round(x*10)/10, 'f', -1, 64)
}

func listed(services []v1alpha1.ServiceName) string {
	texts := make([]string, len(services))
	for i, service := range services {
		texts[i] = string(service)
	}
	return strings.Join(texts, ", ")
}
