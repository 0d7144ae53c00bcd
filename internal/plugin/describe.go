package plugin

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"agentpassport.dev/operator/api/v1alpha1"
	"agentpassport.dev/operator/internal/lifecycle"
)

type describeCommand struct {
	*session
	trail bool
	log   auditLog
}

func (s *session) newDescribe() *cobra.Command {
	d := &describeCommand{session: s}
	cmd := &cobra.Command{
		Use:   "describe PASSPORT",
		Short: "A mission's story on one screen: leash, checkpoints, signals, flags, review, blocks, trail",
		Long: `A mission's story on one screen: leash, checkpoints, signals, flags, review, blocks, trail.

The trail is that of Events, which the API server keeps for an hour or so. With --audit it is the one of the audit
log, which keeps it for good: see kubectl passport audit --help.`,
		Example: `  kubectl passport describe answer-ticket-4711 -n agents
  kubectl passport describe answer-ticket-4711 -n agents --audit --service-account=auditor --connect-to=127.0.0.1:8443`,
		GroupID:           groupMission,
		Args:              exactly(1, "one passport"),
		ValidArgsFunction: s.completePassports,
		RunE:              func(cmd *cobra.Command, args []string) error { return d.run(cmd.Context(), args[0]) },
	}
	cmd.Flags().BoolVar(&d.trail, "audit", false, "Show the trail of the audit log, in place of Events.")
	d.log.add(s, cmd)
	return cmd
}

// story is all that is known of a mission.
type story struct {
	passport    *v1alpha1.Passport
	checkpoints []*v1alpha1.Checkpoint
	checkout    *v1alpha1.Checkout
	blocks      []*v1alpha1.AgentBlock
	trail       []string
	// notes say what could not be had.
	notes []string
}

func (d *describeCommand) run(ctx context.Context, name string) error {
	c, err := d.connect()
	if err != nil {
		return err
	}
	passport := &v1alpha1.Passport{}
	if err := c.Get(ctx, c.key(name), passport); err != nil {
		return err
	}
	told := &story{passport: passport}
	told.readCheckpoints(ctx, c)
	told.readCheckout(ctx, c)
	told.readBlocks(ctx, c)
	if d.trail {
		if err := d.readTrail(ctx, c, told); err != nil {
			return err
		}
	} else {
		told.readEvents(ctx, c)
	}
	return d.print(told)
}

// note keeps what could not be read as a line; the rest of the story is told.
func (t *story) note(what string, err error) {
	t.notes = append(t.notes, what+" not shown: "+explain(err))
}

func (t *story) readCheckpoints(ctx context.Context, c *cluster) {
	all, err := listed[*v1alpha1.Checkpoint](ctx, c, &v1alpha1.CheckpointList{}, c.in(false))
	if err != nil {
		t.note("checkpoints", err)
	}
	for _, checkpoint := range all {
		if checkpoint.Spec.PassportRef.Name == t.passport.Name {
			t.checkpoints = append(t.checkpoints, checkpoint)
		}
	}
	slices.SortFunc(t.checkpoints, func(a, b *v1alpha1.Checkpoint) int {
		return a.CreationTimestamp.Compare(b.CreationTimestamp.Time)
	})
}

func (t *story) readCheckout(ctx context.Context, c *cluster) {
	reference := t.passport.Status.Checkout
	if reference == nil {
		return
	}
	checkout := &v1alpha1.Checkout{}
	switch err := c.Get(ctx, c.key(reference.Name), checkout); {
	case apierrors.IsNotFound(err) || (err == nil && checkout.UID != reference.UID):
		t.notes = append(t.notes, "checkout "+reference.Name+" was deleted")
	case err != nil:
		t.note("the checkout is", err)
	default:
		t.checkout = checkout
	}
}

func (t *story) readBlocks(ctx context.Context, c *cluster) {
	all, err := listed[*v1alpha1.AgentBlock](ctx, c, &v1alpha1.AgentBlockList{}, c.in(false))
	if err != nil {
		t.note("blocks", err)
	}
	for _, block := range all {
		if lifecycle.Blocks(block, t.passport.Spec.AgentRef.Name) {
			t.blocks = append(t.blocks, block)
		}
	}
}

// print prints the story, in the order in which it happened.
func (d *describeCommand) print(t *story) error {
	p := &page{out: d.Out}
	d.head(p, t)
	d.leash(p, t)
	d.reports(p, t)
	d.findings(p, t)
	d.end(p, t)
	for _, block := range t.blocks {
		p.row("blocked by", "%s, since %s: %s: %s", block.Name, stamp(block.CreationTimestamp.Time), actor(block.Spec.By), block.Spec.Reason)
	}
	for i, line := range t.trail {
		name := ""
		if i == 0 {
			name = "trail"
		}
		p.row(name, "%s", line)
	}
	for _, note := range t.notes {
		p.row("note", "%s", note)
	}
	if next := d.next(t); next != "" {
		p.row("next", "%s", next)
	}
	return p.err
}

func (d *describeCommand) head(p *page, t *story) {
	passport := t.passport
	reason, message := whyOf(passport)
	p.line("Passport %s in namespace %s: %s%s", passport.Name, passport.Namespace, phaseOf(passport), inBrackets(reason, message))
	mode := "not issued"
	if passport.Status.Issued != nil {
		mode = string(passport.Status.Issued.Mode)
	}
	p.row("agent", "%s (%s)", passport.Spec.AgentRef.Name, mode)
	if intent := passport.Spec.Intent; intent != nil {
		p.row("mission", "%s", intent.Summary)
		p.row("intent", "%s", joined(intent.Services))
	}
	if passport.Status.JTI != "" {
		p.row("jti", "%s, session %s", passport.Status.JTI, passport.Status.SessionID)
	}
	p.row("asked for by", "%s at %s", actor(passport.Spec.RequestedBy), stamp(passport.CreationTimestamp.Time))
	if passport.Status.Phase == v1alpha1.PhaseActive {
		p.row("token", "%s", whereTheTokenIs(passport))
	}
	if revocation := passport.Spec.Revocation; revocation != nil {
		p.row("revoked by", "%s: %s", actor(revocation.By), revocation.Reason)
	}
}

func (d *describeCommand) leash(p *page, t *story) {
	status := t.passport.Status
	if status.Issued == nil {
		return
	}
	names := make([]string, len(status.Issued.Services))
	for i, service := range status.Issued.Services {
		names[i] = string(service.Service)
	}
	p.row("carries", "%s", strings.Join(names, ", "))
	p.row("issued", "%s", moment(status.IssueTime))
	if status.Phase.Finished() {
		p.row("ended", "%s", moment(status.EndTime))
		return
	}
	now := d.clock.Now()
	leash := "expires " + moment(status.ExpirationTime) + " (" + timeLeft(t.passport, now) + " left)"
	if interval := status.Issued.CheckpointIntervalSeconds; interval > 0 {
		leash = fmt.Sprintf("a checkpoint every %ds; ", interval) + leash
	}
	if status.CheckpointBy != nil {
		leash += "; checkpoint by " + moment(status.CheckpointBy)
	}
	p.row("leash", "%s; at most until %s", leash, stamp(status.Issued.Deadline.Time))
}

func (d *describeCommand) reports(p *page, t *story) {
	status := t.passport.Status
	if status.Checkpoints != nil {
		p.row("checkpoints", "%s, %s, used: %s", counted(int(*status.Checkpoints), "accepted", "accepted"),
			counted(int(status.Actions), "action", "actions"), orNone(joined(status.ServicesUsed)))
	}
	for _, checkpoint := range t.checkpoints {
		reason, _ := readyOf(checkpoint.Status.Conditions)
		if reason == "" {
			reason = "not counted yet"
		}
		p.row("", "%s  %s, %s, %s: %s", stamp(checkpoint.CreationTimestamp.Time), reason,
			counted(int(checkpoint.Spec.ActionsCount), "action", "actions"), orNone(joined(checkpoint.Spec.ServicesUsed)), checkpoint.Spec.Summary)
	}
}

func (d *describeCommand) findings(p *page, t *story) {
	for i, signal := range t.passport.Status.Signals {
		name := ""
		if i == 0 {
			name = "signals"
		}
		p.row(name, "%-8s  %s, %s, last %s: %s", signal.Severity, signal.Type, counted(int(signal.Count), "time", "times"),
			stamp(signal.LastTime.Time), signal.Message)
	}
}

func (d *describeCommand) end(p *page, t *story) {
	checkout := t.checkout
	if checkout == nil {
		return
	}
	actions := ""
	if checkout.Spec.ActionsCount != nil {
		actions = ", " + counted(int(*checkout.Spec.ActionsCount), "action", "actions")
	}
	p.row("checkout", "%s at %s by %s: %s%s, used %s: %s", checkout.Name, stamp(checkout.CreationTimestamp.Time), actor(checkout.Spec.SubmittedBy),
		checkout.Spec.Outcome, actions, orNone(joined(checkout.Spec.ServicesUsed)), checkout.Spec.Summary)
	if checkout.Status.Verdict == "" {
		return
	}
	p.row("verdict", "%s", checkout.Status.Verdict)
	for i, flag := range checkout.Status.Flags {
		name := ""
		if i == 0 {
			name = "flags"
		}
		p.row(name, "%s", flagLine(flag))
	}
	switch review := checkout.Spec.Review; {
	case review != nil:
		p.row("review", "%s by %s: %s", review.Decision, actor(review.Reviewer), review.Notes)
	case awaitsReview(checkout):
		p.row("review", "awaited since %s", moment(checkout.Status.JudgedTime))
	}
}

// next is the command that somebody has to run now; empty where nobody has to.
func (d *describeCommand) next(t *story) string {
	at := " " + t.passport.Name + " -n " + t.passport.Namespace
	switch {
	case t.checkout != nil && awaitsReview(t.checkout):
		return "a reviewer decides: kubectl passport review approve " + t.checkout.Name + " -n " + t.passport.Namespace + ", or block"
	case t.passport.Status.Phase == v1alpha1.PhaseActive && t.passport.Status.CheckpointBy != nil:
		return "the agent checkpoints by " + moment(t.passport.Status.CheckpointBy) + ": kubectl passport checkpoint" + at
	case phaseOf(t.passport) == v1alpha1.PhasePending:
		return "kubectl passport wait" + at + " --for=issued"
	default:
		return ""
	}
}

// actor is who did something.
func actor(by *v1alpha1.Actor) string {
	switch {
	case by == nil || by.Username == "":
		return "somebody (the API server noted no name)"
	case by.Via != "":
		return by.Username + " through " + by.Via
	default:
		return by.Username
	}
}
