package lifecycle

import (
	"fmt"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"agentpassport.dev/operator/api/v1alpha1"
)

// noon is when the passports of these tests are issued.
var noon = time.Date(2026, 4, 23, 12, 0, 0, 0, time.UTC)

// after is so many seconds after noon.
func after(n int) time.Time { return noon.Add(time.Duration(n) * time.Second) }

func metaAfter(n int) metav1.Time { return metav1.NewTime(after(n)) }

// leash makes terms of a mode, with ttl, interval and the mission's limit in seconds.
func leash(mode v1alpha1.AccountabilityMode, ttl, interval int32, limit int) v1alpha1.IssuedTerms {
	return v1alpha1.IssuedTerms{
		AgentUID: "agent-uid", Mode: mode, Services: []v1alpha1.IssuedService{{Service: "slack"}},
		TTLSeconds: ttl, CheckpointIntervalSeconds: interval, Deadline: metaAfter(limit),
	}
}

// requested is a Passport as it is created, a minute before noon.
func requested(with ...func(*v1alpha1.Passport)) *v1alpha1.Passport {
	passport := &v1alpha1.Passport{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: "support", Name: "mission", UID: "passport-uid", Generation: 1, CreationTimestamp: metaAfter(-60),
		},
		Spec: v1alpha1.PassportSpec{
			AgentRef:                  v1alpha1.AgentReference{Name: "bot"},
			Intent:                    &v1alpha1.Intent{Summary: "answer tickets", Services: []v1alpha1.ServiceName{"slack"}},
			TTLSeconds:                900,
			CheckpointIntervalSeconds: 300,
			IssueDeadlineSeconds:      600,
			TokenDelivery:             v1alpha1.DeliverySecret,
		},
	}
	for _, change := range with {
		change(passport)
	}
	return passport
}

// active is a Passport that was issued at noon.
func active(terms v1alpha1.IssuedTerms, with ...func(*v1alpha1.Passport)) *v1alpha1.Passport {
	passport := requested(with...)
	passport.Status = Issue(passport, terms, noon, "pp_1", "ses_1")
	return passport
}

func agent(with ...func(*v1alpha1.AgentPassport)) *v1alpha1.AgentPassport {
	agent := &v1alpha1.AgentPassport{
		ObjectMeta: metav1.ObjectMeta{Namespace: "support", Name: "bot", UID: "agent-uid", Generation: 7},
		Spec: v1alpha1.AgentPassportSpec{
			Accountability: v1alpha1.Accountability{
				Mode: v1alpha1.ModeEnforced, OnWarning: v1alpha1.EscalateNotify, OnCritical: v1alpha1.EscalateBlock,
				UndeclaredServices: v1alpha1.UndeclaredFlag, MaxLifetimeSeconds: 86400,
			},
			Grants: []v1alpha1.ServiceGrant{
				{Service: "slack", Scopes: []v1alpha1.Scope{"chat:write"}},
				{Service: "github", Scopes: []v1alpha1.Scope{"repo:read", "repo:write"}},
			},
		},
	}
	for _, change := range with {
		change(agent)
	}
	return agent
}

// report is a Checkpoint of the mission, made so many seconds after noon.
func report(n int, uid string, with ...func(*v1alpha1.Checkpoint)) v1alpha1.Checkpoint {
	checkpoint := v1alpha1.Checkpoint{
		ObjectMeta: metav1.ObjectMeta{Namespace: "support", Name: "report-" + uid, UID: types.UID(uid), Generation: 1, CreationTimestamp: metaAfter(n)},
		Spec: v1alpha1.CheckpointSpec{
			PassportRef: v1alpha1.PassportReference{Name: "mission"}, AgentRef: v1alpha1.AgentReference{Name: "bot"}, ActionsCount: 1,
		},
	}
	for _, change := range with {
		change(&checkpoint)
	}
	return checkpoint
}

// using makes a report say which services were used.
func using(services ...v1alpha1.ServiceName) func(*v1alpha1.Checkpoint) {
	return func(c *v1alpha1.Checkpoint) { c.Spec.ServicesUsed = services }
}

// judged marks a report.
func judged(passport *v1alpha1.Passport, reason v1alpha1.Reason) func(*v1alpha1.Checkpoint) {
	return func(c *v1alpha1.Checkpoint) { c.Status = Mark{Checkpoint: c, Reason: reason}.Status(passport, noon) }
}

// reports are n Checkpoints, one a step of seconds from start on.
func reports(n, start, step int) []v1alpha1.Checkpoint {
	var made []v1alpha1.Checkpoint
	for i := range n {
		made = append(made, report(start+i*step, fmt.Sprintf("%03d", i)))
	}
	return made
}

func pointers(checkpoints []v1alpha1.Checkpoint) []*v1alpha1.Checkpoint {
	var all []*v1alpha1.Checkpoint
	for i := range checkpoints {
		all = append(all, &checkpoints[i])
	}
	return all
}

func uids(checkpoints []*v1alpha1.Checkpoint) []types.UID {
	var all []types.UID
	for _, checkpoint := range checkpoints {
		all = append(all, checkpoint.UID)
	}
	return all
}

// block is an AgentBlock, made so many seconds after noon; an empty agent blocks the namespace.
func block(n int, name, agent string, with ...func(*v1alpha1.AgentBlock)) v1alpha1.AgentBlock {
	made := v1alpha1.AgentBlock{
		ObjectMeta: metav1.ObjectMeta{Namespace: "support", Name: name, UID: types.UID(name), CreationTimestamp: metaAfter(n)},
		Spec:       v1alpha1.AgentBlockSpec{Reason: "odd"},
	}
	if agent != "" {
		made.Spec.AgentRef = &v1alpha1.AgentReference{Name: agent}
	}
	for _, change := range with {
		change(&made)
	}
	return made
}

func lifted(b *v1alpha1.AgentBlock) { b.Spec.Lifted = &v1alpha1.BlockLift{Reason: "fine"} }

// marks gives the reason of each mark by the UID of its checkpoint.
func marks(outcome Outcome) map[types.UID]v1alpha1.Reason {
	reasons := map[types.UID]v1alpha1.Reason{}
	for _, mark := range outcome.Marks {
		reasons[mark.Checkpoint.UID] = mark.Reason
	}
	return reasons
}

// written writes marks on the checkpoints that are stored.
func written(marks []Mark, passport *v1alpha1.Passport, stored []v1alpha1.Checkpoint) {
	for _, mark := range marks {
		i := slices.IndexFunc(stored, func(c v1alpha1.Checkpoint) bool { return c.UID == mark.Checkpoint.UID })
		stored[i].Status = mark.Status(passport, noon)
	}
}

// readyOf is the condition that says why: Succeeded in the place of Ready.
func readyOf(conditions []metav1.Condition) *metav1.Condition {
	for i := range conditions {
		if conditions[i].Type == string(v1alpha1.ConditionSucceeded) {
			return &conditions[i]
		}
		if conditions[i].Type == string(v1alpha1.ConditionReady) {
			return &conditions[i]
		}
	}
	return nil
}
