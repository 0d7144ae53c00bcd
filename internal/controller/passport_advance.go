package controller

import (
	"context"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"agentpassport.dev/operator/api/v1alpha1"
	"agentpassport.dev/operator/internal/lifecycle"
	"agentpassport.dev/operator/internal/token"
)

// advance takes an Active passport on: judge, blocks, status, Secret, marks on its checkpoints. The
// status decides; what follows it is made to agree with it, now or after a crash.
func (r *PassportReconciler) advance(ctx context.Context, passport *v1alpha1.Passport, ring token.Ring) (ctrl.Result, error) {
	outcome, err := r.outcome(ctx, passport)
	if err != nil {
		return ctrl.Result{}, err
	}
	stale, err := r.block(ctx, passport, outcome.Blocks)
	if err != nil {
		return ctrl.Result{}, err
	}
	if stale {
		return r.wake(r.Clock.Now().Add(time.Second)), nil
	}
	if outcome.Status.Phase.Finished() {
		if err := r.store(ctx, passport, outcome.Status, outcome.News); err != nil {
			return ctrl.Result{}, err
		}
		return r.conclude(ctx, passport)
	}
	delivered, err := r.deliver(ctx, passport, &outcome, ring)
	if err != nil {
		return ctrl.Result{}, err
	}
	if err := r.mark(ctx, passport, outcome.Marks); err != nil {
		return ctrl.Result{}, err
	}
	if err := r.trim(ctx, passport); err != nil {
		return ctrl.Result{}, err
	}
	if again := r.Clock.Now().Add(retryWaiting); !delivered && (outcome.Wake.IsZero() || again.Before(outcome.Wake)) {
		return r.wake(again), nil
	}
	return r.wake(outcome.Wake), nil
}

// block makes the blocks that findings on a passport bring. They come before the status, whose write
// would refuse an old view; so the view is compared with the stored Passport first.
func (r *PassportReconciler) block(ctx context.Context, passport *v1alpha1.Passport, blocks []v1alpha1.AgentBlock) (stale bool, err error) {
	if len(blocks) == 0 {
		return false, nil
	}
	if newest, err := isNewest(ctx, r.Live, passport); err != nil || !newest {
		return true, err
	}
	for i := range blocks {
		if err := makeBlock(ctx, r.Client, r.Live, &blocks[i]); err != nil {
			return false, err
		}
	}
	return false, nil
}

// outcome asks the rules, by the cache first. What rests on an absence is asked again of a live LIST.
func (r *PassportReconciler) outcome(ctx context.Context, passport *v1alpha1.Passport) (lifecycle.Outcome, error) {
	situation := lifecycle.Situation{Passport: passport, Reports: r.reports.on(passport), Thresholds: r.Thresholds, Now: r.Clock.Now()}
	var err error
	if situation.Agent, err = r.agent(ctx, passport); err != nil {
		return lifecycle.Outcome{}, err
	}
	if situation.Blocks, err = blocks(ctx, r.Client, passport.Namespace); err != nil {
		return lifecycle.Outcome{}, err
	}
	if situation.Checkpoints, err = checkpointsOf(ctx, r.Client, passport.Namespace, passport.Name); err != nil {
		return lifecycle.Outcome{}, err
	}
	waits := func(c *v1alpha1.Checkpoint) bool { return lifecycle.Waiting(passport, c) }
	if situation.Checkpoints, err = refreshed(ctx, r.Live, situation.Checkpoints, waits); err != nil {
		return lifecycle.Outcome{}, err
	}
	if situation.Checkouts, err = checkoutsOf(ctx, r.Client, passport.Namespace, passport.Name); err != nil {
		return lifecycle.Outcome{}, err
	}
	outcome := lifecycle.Advance(situation)
	if !outcome.Confirm {
		return outcome, nil
	}
	return r.confirmed(ctx, situation)
}

// confirmed asks the rules by a live LIST.
func (r *PassportReconciler) confirmed(ctx context.Context, situation lifecycle.Situation) (lifecycle.Outcome, error) {
	list, err := r.lists.list(ctx, situation.Passport.Namespace, situation.Passport.Name)
	if err != nil {
		return lifecycle.Outcome{}, err
	}
	list.fill(&situation)
	return lifecycle.Advance(situation), nil
}

// agent gives the AgentPassport that a passport was issued under; nil only where the API server
// itself has none.
func (r *PassportReconciler) agent(ctx context.Context, passport *v1alpha1.Passport) (*v1alpha1.AgentPassport, error) {
	agent, err := agentOf(ctx, r.Client, passport)
	if err != nil || (agent != nil && agent.UID == passport.Status.Issued.AgentUID) {
		return agent, err
	}
	return agentOf(ctx, r.Live, passport)
}

// deliver stores the status and brings the Secret in line with it. Where the token is the same as
// before, the Secret is looked at first, so that the one status write tells of a problem too.
func (r *PassportReconciler) deliver(
	ctx context.Context, passport *v1alpha1.Passport, outcome *lifecycle.Outcome, ring token.Ring,
) (delivered bool, err error) {
	status := &outcome.Status
	moved := !status.ExpirationTime.Equal(passport.Status.ExpirationTime)
	if status.Issued.SecretName == "" {
		return true, r.store(ctx, passport, *status, outcome.News)
	}
	if moved {
		r.secrets.distrust(passport.UID)
		if err := r.store(ctx, passport, *status, outcome.News); err != nil {
			return false, err
		}
		return r.keepToken(ctx, passport, ring, func(*deliveryProblem) error { return nil })
	}
	return r.keepToken(ctx, passport, ring, func(problem *deliveryProblem) error {
		reason, message := v1alpha1.ReasonDelivered, "Secret "+status.Issued.SecretName+" holds the token"
		if problem != nil {
			reason, message = problem.reason, problem.message
		}
		lifecycle.SetDelivered(status, passport.Generation, reason, message, r.Clock.Now())
		return r.store(ctx, passport, *status, outcome.News)
	})
}

// keepToken keeps the Secret right, and has a problem noted that a person has to mend.
func (r *PassportReconciler) keepToken(
	ctx context.Context, passport *v1alpha1.Passport, ring token.Ring, noted func(*deliveryProblem) error,
) (bool, error) {
	err := r.secrets.keep(ctx, passport, ring)
	problem := asProblem(err)
	if err != nil && problem == nil {
		return false, err
	}
	if problem != nil {
		deliveryProblems.WithLabelValues(string(problem.reason)).Inc()
	}
	return problem == nil, noted(problem)
}

// mark writes on checkpoints what became of them.
func (r *PassportReconciler) mark(ctx context.Context, passport *v1alpha1.Passport, marks []lifecycle.Mark) error {
	if len(marks) == 0 {
		return nil
	}
	if err := stillThere(ctx, r.Live, passport); err != nil {
		return err
	}
	for _, mark := range marks {
		checkpoint := mark.Checkpoint.DeepCopy()
		checkpoint.Status = mark.Status(passport, r.Clock.Now())
		if err := r.Status().Update(ctx, checkpoint); err != nil {
			if apierrors.IsNotFound(err) {
				continue
			}
			return err
		}
		if mark.Reason != v1alpha1.ReasonAccepted {
			tell(r.Recorder, passport, []lifecycle.News{{
				Kind: lifecycle.NewsCheckpointRejected, Reason: string(mark.Reason), Checkpoint: checkpoint,
				Message: "checkpoint " + checkpoint.Name + " does not count: " + mark.Message,
			}})
		}
	}
	return nil
}

// trim deletes the checkpoints that are no longer kept.
func (r *PassportReconciler) trim(ctx context.Context, passport *v1alpha1.Passport) error {
	checkpoints, err := checkpointsOf(ctx, r.Client, passport.Namespace, passport.Name)
	if err != nil {
		return err
	}
	surplus := lifecycle.Surplus(checkpoints)
	if len(surplus) == 0 || r.trail.mission(ctx, r.Client, passport) != nil {
		return nil //nolint:nilerr // what is not in the audit log yet stays; the next checkpoint asks again
	}
	for _, checkpoint := range surplus {
		if err := r.Delete(ctx, checkpoint, client.Preconditions{UID: &checkpoint.UID}); client.IgnoreNotFound(err) != nil {
			return err
		}
	}
	return nil
}
