package steps

import (
	"time"

	"agentpassport.dev/operator/api/v1alpha1"
	"agentpassport.dev/operator/internal/audit"
)

// Block is the records of an AgentBlock: that it was made, and that it was lifted, which was seen at a
// time. One without an agent concerns the whole namespace.
func Block(block *v1alpha1.AgentBlock, at time.Time) []audit.Record {
	made := ofBlock(block, audit.AgentBlock, block.CreationTimestamp.Time)
	made.Actor, made.Facts = actorOf(block.Spec.By), &audit.Facts{Reason: audit.Redact(block.Spec.Reason)}
	records := []audit.Record{made}
	if lift := block.Spec.Lifted; lift != nil {
		lifted := ofBlock(block, audit.AgentUnblock, at)
		lifted.Actor, lifted.Facts = actorOf(lift.By), &audit.Facts{Reason: audit.Redact(lift.Reason)}
		records = append(records, lifted)
	}
	return records
}

func ofBlock(block *v1alpha1.AgentBlock, action audit.Action, at time.Time) audit.Record {
	record := record("AgentBlock", block, action, "", at)
	if block.Spec.AgentRef != nil {
		record.Agent = &audit.Agent{Name: block.Spec.AgentRef.Name}
	}
	return record
}
