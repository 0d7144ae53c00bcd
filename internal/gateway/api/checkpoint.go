package api

import (
	"context"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"agentpassport.dev/operator/api/v1alpha1"
)

// checkpointRequest is what was done since the checkpoint before.
type checkpointRequest struct {
	ServicesUsed []string `json:"services_used"`
	ActionsCount int32    `json:"actions_count"`
	Summary      string   `json:"summary"`
}

// checkpointAnswer is a checkpoint that counts. The token is absent where the manager did not give it: the
// checkpoint counts all the same, and refresh gives it later.
type checkpointAnswer struct {
	JTI          string     `json:"jti"`
	Accepted     bool       `json:"accepted"`
	ExpiresAt    *time.Time `json:"expires_at"`
	CheckpointBy *time.Time `json:"checkpoint_by,omitempty"`
	Token        string     `json:"token,omitempty"`
}

// checkpoint makes a Checkpoint and waits until the operator has counted or refused it.
func (s *service) checkpoint(c *call) error {
	var body checkpointRequest
	if err := c.read(&body); err != nil {
		return err
	}
	key, err := c.idempotencyKey()
	if err != nil {
		return err
	}
	passport, err := s.passport(c)
	if err != nil {
		return err
	}
	if err := s.may(c, toAct("checkpoints", passport.Namespace, passport.Spec.AgentRef.Name)...); err != nil {
		return err
	}
	if err := reportable(passport); err != nil && key == "" {
		return err
	}
	checkpoint := &v1alpha1.Checkpoint{
		ObjectMeta: metav1.ObjectMeta{Namespace: passport.Namespace, GenerateName: passport.Name + "-"},
		Spec: v1alpha1.CheckpointSpec{
			PassportRef:  v1alpha1.PassportReference{Name: passport.Name},
			AgentRef:     passport.Spec.AgentRef,
			ServicesUsed: named[v1alpha1.ServiceName](body.ServicesUsed),
			ActionsCount: body.ActionsCount, Summary: body.Summary, SubmittedBy: c.caller(),
		},
	}
	if name := key.name(c, "checkpoint"); name != "" {
		checkpoint.Name, checkpoint.GenerateName = name, ""
	}
	wanted := checkpoint.Spec.DeepCopy()
	if err := s.createOnce(c.r.Context(), checkpoint, func() bool { return sameReport(wanted, &checkpoint.Spec) }); err != nil {
		return err
	}
	return s.folded(c, passport, checkpoint)
}

// folded answers once a Checkpoint is counted or refused.
func (s *service) folded(c *call, passport *v1alpha1.Passport, checkpoint *v1alpha1.Checkpoint) error {
	jti := passport.Status.JTI
	ctx, cancel := context.WithTimeout(c.r.Context(), s.CheckpointTimeout)
	defer cancel()
	marked, err := s.View.AwaitCheckpoint(ctx, client.ObjectKeyFromObject(checkpoint), checkpoint.UID, func(stored *v1alpha1.Checkpoint) bool {
		return meta.FindStatusCondition(stored.Status.Conditions, string(v1alpha1.ConditionReady)) != nil
	})
	if err != nil {
		if c.r.Context().Err() != nil {
			return err
		}
		return fail(CodeCheckpointPending, "the checkpoint was made in time, and is not counted yet: GET /v1/passports/%s shows when it is", jti).
			with(details{"jti": jti})
	}
	ready := meta.FindStatusCondition(marked.Status.Conditions, string(v1alpha1.ConditionReady))
	if ready.Status != metav1.ConditionTrue {
		return refused(jti, ready)
	}
	answer := checkpointAnswer{JTI: jti, Accepted: true, ExpiresAt: moment(marked.Status.ExpirationTime)}
	latest := &v1alpha1.Passport{}
	if err := s.Client.Get(c.r.Context(), client.ObjectKeyFromObject(passport), latest); err == nil && latest.Status.Phase == v1alpha1.PhaseActive {
		answer.ExpiresAt, answer.CheckpointBy = moment(latest.Status.ExpirationTime), moment(latest.Status.CheckpointBy)
		if signed, err := s.token(c.r.Context(), latest); err == nil {
			answer.Token = signed.Token
		}
	}
	return c.give(answer)
}

// refused is why a report does not count.
func refused(jti string, ready *metav1.Condition) error {
	code, known := refusals[v1alpha1.Reason(ready.Reason)]
	if !known {
		code = CodeConflict
	}
	return fail(code, "%s", ready.Message).with(details{"jti": jti, "reason": ready.Reason})
}

// reportable says why a passport takes no report.
func reportable(passport *v1alpha1.Passport) error {
	status := passport.Status
	told := details{"jti": status.JTI, "phase": string(status.Phase)}
	switch {
	case status.Issued != nil && status.Issued.Mode == v1alpha1.ModeStandard:
		return fail(CodeCheckpointNotAvailable, "agent %s is in mode standard, which has neither checkpoints nor a checkout: the passport ends at its expires_at",
			passport.Spec.AgentRef.Name).with(told)
	case status.Phase == "" || status.Phase == v1alpha1.PhasePending:
		return fail(CodePassportNotActive, "the passport is not issued yet").with(told)
	case status.Phase.Finished():
		return over(passport)
	default:
		return nil
	}
}

// over is a passport that has ended.
func over(passport *v1alpha1.Passport) error {
	status := passport.Status
	told := details{"jti": status.JTI, "phase": string(status.Phase)}
	reason := ""
	if ready := meta.FindStatusCondition(status.Conditions, string(v1alpha1.ConditionReady)); ready != nil {
		reason = ready.Message
		told["reason"] = ready.Reason
	}
	return fail(CodePassportEnded, "the passport is %s (%s): ask for another", status.Phase, reason).with(told)
}
