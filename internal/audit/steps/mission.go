package steps

import (
	"cmp"
	"slices"

	"agentpassport.dev/operator/api/v1alpha1"
	"agentpassport.dev/operator/internal/audit"
)

// Mission is what is stored of the missions of one name, and what they are judged by.
type Mission struct {
	// Passport of the name; nil where there is none any longer.
	Passport *v1alpha1.Passport
	// Checkpoints and Checkouts that name the Passport.
	Checkpoints []v1alpha1.Checkpoint
	Checkouts   []v1alpha1.Checkout
	// Blocks of the namespace and Agent of the Passport: they say who ended it. Agent may be nil.
	Blocks []v1alpha1.AgentBlock
	Agent  *v1alpha1.AgentPassport
}

// Records are those of a mission so far, in the order of its steps. Operator is the operator's own
// username, in which detectors and time act.
func (m Mission) Records(operator string) ([]audit.Record, error) {
	var records []audit.Record
	if m.Passport != nil && m.Passport.Status.Issued != nil {
		issue, err := Issue(m.Passport, m.Passport.Status, 1)
		if err != nil {
			return nil, err
		}
		records = append(records, issue)
	}
	var under []audit.Record
	for i := range m.Checkpoints {
		if report, counts := checkpoint(&m.Checkpoints[i], m.Passport); counts {
			under = append(under, report)
		}
	}
	if m.Passport != nil {
		under = append(under, signals(m.Passport, operator)...)
	}
	slices.SortStableFunc(under, func(a, b audit.Record) int {
		// In one second a report comes before the signals that it raised.
		return cmp.Or(a.Time.Compare(b.Time), cmp.Compare(a.Action, b.Action), cmp.Compare(a.Object.UID, b.Object.UID))
	})
	records = append(records, under...)
	if m.Passport != nil {
		if last, over := end(m, operator); over {
			records = append(records, last)
		}
	}
	for i := range m.Checkouts {
		for _, record := range Checkout(&m.Checkouts[i], operator) {
			if m.Passport != nil && m.Passport.UID == m.Checkouts[i].Status.PassportUID {
				record.Agent = agentOf(m.Passport, m.Passport.Status) // it knows the generation too
			}
			records = append(records, record)
		}
	}
	return records, nil
}
