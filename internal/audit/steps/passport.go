package steps

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"time"

	"agentpassport.dev/operator/api/v1alpha1"
	"agentpassport.dev/operator/internal/audit"
	"agentpassport.dev/operator/internal/lifecycle"
	"agentpassport.dev/operator/internal/scope"
	"agentpassport.dev/operator/internal/token"
)

// Issue is the record of a passport that is issued with a status. It holds the terms, from which a repeat
// signs the same claims, but for the place in the status lists, which follows from where the record stands.
// attempt counts from 1: another one is made where no token came of the one before.
func Issue(passport *v1alpha1.Passport, status v1alpha1.PassportStatus, attempt int) (audit.Record, error) {
	issued := *status.Issued
	issued.StatusList = nil
	terms, err := canonical(issued)
	if err != nil {
		return audit.Record{}, fmt.Errorf("the terms of the passport: %w", err)
	}
	which := ""
	if attempt > 1 {
		which = strconv.Itoa(attempt)
	}
	record := ofPassport(passport, status, audit.PassportIssue, which, status.IssueTime.Time)
	record.Actor = actorOf(passport.Spec.RequestedBy)
	record.Facts = &audit.Facts{Services: texts(scope.Names(status.Issued.Services)), Terms: terms}
	if intent := passport.Spec.Intent; intent != nil {
		record.Facts.Summary = audit.Redact(intent.Summary)
	}
	return record, nil
}

// Issued reads back from the record of an issue with what terms, and when, the passport was issued.
func Issued(record audit.Record) (v1alpha1.IssuedTerms, time.Time, error) {
	var terms v1alpha1.IssuedTerms
	if record.Facts == nil || record.Action != audit.PassportIssue {
		return terms, time.Time{}, fmt.Errorf("audit record %s is none of an issue", record.ID)
	}
	if err := json.Unmarshal([]byte(record.Facts.Terms), &terms); err != nil {
		return terms, time.Time{}, fmt.Errorf("the terms in audit record %s: %w", record.ID, err)
	}
	return terms, record.Time, nil
}

// signals are the records of what detectors raised while a passport lived, one for each severity that a
// signal reached.
func signals(passport *v1alpha1.Passport, operator string) []audit.Record {
	records := make([]audit.Record, 0, len(passport.Status.Signals))
	for _, signal := range passport.Status.Signals {
		record := ofPassport(passport, passport.Status, audit.SignalRaise, signal.Type+"/"+string(signal.Severity), signal.FirstTime.Time)
		record.Actor = audit.Actor{Username: operator}
		record.Facts = &audit.Facts{Flags: []audit.Flag{
			{Type: signal.Type, Severity: string(signal.Severity), Message: audit.Redact(signal.Message)},
		}}
		records = append(records, record)
	}
	return records
}

// end is the record of a passport's end, where it is over; a checkout has a record of its own.
func end(m Mission, operator string) (audit.Record, bool) {
	passport := m.Passport
	status := passport.Status
	action, ends := map[v1alpha1.Phase]audit.Action{
		v1alpha1.PhaseExpired:  audit.PassportExpire,
		v1alpha1.PhaseRevoked:  audit.PassportRevoke,
		v1alpha1.PhaseRejected: audit.PassportReject,
	}[status.Phase]
	if !ends || status.EndTime == nil {
		return audit.Record{}, false
	}
	reason, message := explained(&status)
	record := ofPassport(passport, status, action, "", status.EndTime.Time)
	record.ErrorCode = errorCode(reason)
	record.Facts = &audit.Facts{
		Reason: audit.Redact(message), Services: texts(servicesOf(status)), ServicesUsed: texts(status.ServicesUsed),
		Actions: status.Actions, Checkpoints: checkpointsOf(status),
	}
	switch action {
	case audit.PassportReject:
		record.Outcome, record.Actor = audit.Blocked, actorOf(passport.Spec.RequestedBy)
	case audit.PassportExpire:
		record.Actor = audit.Actor{Username: operator}
	default:
		record.Actor = revoker(m, reason, operator)
	}
	return record, true
}

// Abandoned is the record of a passport that was deleted before it was issued.
func Abandoned(passport *v1alpha1.Passport) audit.Record {
	record := ofPassport(passport, passport.Status, audit.PassportReject, "", passport.DeletionTimestamp.Time)
	record.Actor, record.Outcome = audit.Actor{Username: Deleted}, audit.Blocked
	record.ErrorCode = errorCode(v1alpha1.ReasonPassportDeleted)
	record.Facts = &audit.Facts{Reason: "the Passport was deleted before it was issued"}
	return record
}

// revoker is who ended a passport. Who deleted something, nobody can stamp.
func revoker(m Mission, reason v1alpha1.Reason, operator string) audit.Actor {
	switch revocation := m.Passport.Spec.Revocation; {
	case reason == v1alpha1.ReasonRevokedByRequest && revocation != nil:
		return actorOf(revocation.By)
	case reason == v1alpha1.ReasonAgentBlocked:
		return blocker(m)
	case reason == v1alpha1.ReasonAgentSuspended && m.Agent != nil && m.Agent.Spec.Suspend:
		return changer(m.Agent)
	case reason == v1alpha1.ReasonSignalRaised:
		return audit.Actor{Username: operator}
	case reason == v1alpha1.ReasonPassportDeleted, reason == v1alpha1.ReasonAgentDeleted:
		return audit.Actor{Username: Deleted}
	default:
		return audit.Actor{Username: Unknown}
	}
}

// blocker is who made the block that ended a passport; unknown where it is gone.
func blocker(m Mission) audit.Actor {
	for i := range m.Blocks {
		block := &m.Blocks[i]
		concerns := block.Spec.AgentRef == nil || block.Spec.AgentRef.Name == m.Passport.Spec.AgentRef.Name
		if concerns && !block.CreationTimestamp.After(m.Passport.Status.EndTime.Time) {
			return actorOf(block.Spec.By)
		}
	}
	return audit.Actor{Username: Unknown}
}

// ofPassport is what every record of a step on a passport has. What tells the step from others of the
// same action comes after a slash.
func ofPassport(passport *v1alpha1.Passport, status v1alpha1.PassportStatus, action audit.Action, which string, at time.Time) audit.Record {
	record := record("Passport", passport, action, which, at)
	record.PassportJTI = token.JTI(string(passport.UID))
	record.SessionID = token.SessionID(string(passport.UID))
	record.Agent = agentOf(passport, status)
	return record
}

func agentOf(passport *v1alpha1.Passport, status v1alpha1.PassportStatus) *audit.Agent {
	agent := &audit.Agent{Name: passport.Spec.AgentRef.Name}
	if terms := status.Issued; terms != nil {
		agent.UID, agent.Generation, agent.DocumentSHA256 = string(terms.AgentUID), terms.AgentGeneration, terms.DocumentDigest
	}
	return agent
}

func servicesOf(status v1alpha1.PassportStatus) []v1alpha1.ServiceName {
	if status.Issued == nil {
		return nil
	}
	return scope.Names(status.Issued.Services)
}

func checkpointsOf(status v1alpha1.PassportStatus) int64 {
	if status.Checkpoints == nil {
		return 0
	}
	return int64(*status.Checkpoints)
}

// checkpoint is the record of a progress report that was accepted: that is marked so, or that its passport has
// counted and not marked yet. The passport is nil where it is gone.
func checkpoint(checkpoint *v1alpha1.Checkpoint, passport *v1alpha1.Passport) (audit.Record, bool) {
	its := checkpoint.Status.PassportUID
	if !lifecycle.Accepted(checkpoint) || its == "" {
		if passport == nil || !slices.Contains(passport.Status.Folded, checkpoint.UID) {
			return audit.Record{}, false
		}
		its = passport.UID
	}
	uid := string(its)
	record := record("Checkpoint", checkpoint, audit.PassportCheckpoint, "", checkpoint.CreationTimestamp.Time)
	record.PassportJTI, record.SessionID = token.JTI(uid), token.SessionID(uid)
	record.Agent = &audit.Agent{Name: checkpoint.Spec.AgentRef.Name}
	if passport != nil && passport.UID == its {
		record.Agent = agentOf(passport, passport.Status)
	}
	record.Actor = actorOf(checkpoint.Spec.SubmittedBy)
	record.Facts = &audit.Facts{
		ServicesUsed: texts(checkpoint.Spec.ServicesUsed),
		Actions:      int64(checkpoint.Spec.ActionsCount), Summary: audit.Redact(checkpoint.Spec.Summary),
	}
	return record, true
}

// changeOf names a generation of an object.
func changeOf(generation int64) string { return strconv.FormatInt(generation, 10) }
