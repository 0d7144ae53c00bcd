package steps

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
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

// Agent is the record of one generation of an AgentPassport, seen at a time.
func Agent(agent *v1alpha1.AgentPassport, at time.Time) (audit.Record, error) {
	spec, err := canonical(agent.Spec)
	if err != nil {
		return audit.Record{}, fmt.Errorf("agentpassport %s/%s: %w", agent.Namespace, agent.Name, err)
	}
	if agent.Generation <= 1 {
		at = agent.CreationTimestamp.Time
	}
	digest := sha256.Sum256([]byte(spec))
	changed := ofAgent(agent, changeOf(agent.Generation), at)
	changed.Actor, changed.Facts = changer(agent), &audit.Facts{Digest: hex.EncodeToString(digest[:])}
	return changed, nil
}

// AgentDeleted is the record of an AgentPassport that is gone, as it was last seen.
func AgentDeleted(agent *v1alpha1.AgentPassport, at time.Time) audit.Record {
	deleted := ofAgent(agent, "deleted", at)
	deleted.Actor, deleted.Facts = audit.Actor{Username: Deleted}, &audit.Facts{Reason: "deleted"}
	return deleted
}

func ofAgent(agent *v1alpha1.AgentPassport, which string, at time.Time) audit.Record {
	record := record("AgentPassport", agent, audit.ConfigChange, which, at)
	record.Layer = audit.System
	record.Agent = &audit.Agent{Name: agent.Name, UID: string(agent.UID), Generation: agent.Generation}
	return record
}

// changer is who changed the spec of an AgentPassport last.
func changer(agent *v1alpha1.AgentPassport) audit.Actor {
	if by := agent.Annotations[v1alpha1.AnnotationChangedBy]; by != "" {
		return audit.Actor{Username: by}
	}
	return audit.Actor{Username: Unknown}
}
