package controller

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"agentpassport.dev/operator/api/v1alpha1"
	"agentpassport.dev/operator/internal/lifecycle"
)

// sumInterval is how often the sums on an AgentPassport are written at most.
const sumInterval = 10 * time.Second

// +kubebuilder:rbac:groups=agentpassport.dev,resources=agentpassports/status,verbs=update

// AgentPassportReconciler says on each AgentPassport what is odd about its document, whether the
// agent is blocked, how many of its passports live, and what its missions are like. Passports watch
// agents themselves.
type AgentPassportReconciler struct {
	// Client reads from the cache and writes.
	client.Client
	// Live reads from the API server itself.
	Live client.Reader
	// Clock is the API server's.
	Clock clock.PassiveClock
	// Recorder makes Events.
	Recorder events.EventRecorder

	mu      sync.Mutex
	counted map[types.UID]time.Time
}

// Reconcile writes the status, once, where it changed. A sum alone is written once in sumInterval.
func (r *AgentPassportReconciler) Reconcile(ctx context.Context, request ctrl.Request) (ctrl.Result, error) {
	var agent v1alpha1.AgentPassport
	if err := r.Get(ctx, request.NamespacedName, &agent); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	if agent.DeletionTimestamp != nil {
		r.forget(agent.UID)
		return ctrl.Result{}, nil
	}
	blocking, err := blocks(ctx, r.Client, agent.Namespace)
	if err != nil {
		return ctrl.Result{}, err
	}
	keys, err := vendorKeys(ctx, r.Client, agent.Spec.Signature)
	if err != nil {
		return ctrl.Result{}, err
	}
	now := r.Clock.Now()
	reading, err := lifecycle.ReadAgent(&agent, keys, now)
	if err != nil {
		return ctrl.Result{}, fmt.Errorf("agentpassport %s/%s: %w", agent.Namespace, agent.Name, err)
	}
	status := lifecycle.Agent(&agent, lifecycle.Blocking(blocking, agent.Name), reading, now)
	changed := !equality.Semantic.DeepEqual(status, agent.Status)
	if left := r.untilNextCount(agent.UID); left > 0 && !changed {
		return ctrl.Result{RequeueAfter: left}, nil
	}
	again := rereadAfter(reading, now)
	live, err := r.countLive(ctx, &agent)
	if err != nil {
		return ctrl.Result{}, err
	}
	if status.LivePassports == nil || *status.LivePassports != live {
		status.LivePassports, changed = &live, true
	}
	baseline, fed, more, err := r.feed(ctx, &agent)
	if err != nil {
		return ctrl.Result{}, fmt.Errorf("agentpassport %s/%s: %w", agent.Namespace, agent.Name, err)
	}
	if !equality.Semantic.DeepEqual(baseline, status.Baseline) {
		status.Baseline, changed = baseline, true
	}
	if changed {
		if err := r.store(ctx, &agent, status); err != nil {
			return ctrl.Result{}, err
		}
	}
	if err := r.markFed(ctx, fed); err != nil || !more {
		return ctrl.Result{RequeueAfter: again}, err
	}
	return ctrl.Result{RequeueAfter: sumInterval}, nil
}

// feed adds the missions that are accepted to the agent's baseline, and gives it with the Checkouts
// to mark once it is stored. It says whether more wait than one write takes.
func (r *AgentPassportReconciler) feed(
	ctx context.Context, agent *v1alpha1.AgentPassport,
) (baseline *v1alpha1.Baseline, fed []*v1alpha1.Checkout, more bool, err error) {
	checkouts, err := r.checkouts(ctx, r.Client, agent)
	if err != nil {
		return nil, nil, false, err
	}
	waits := func(c *v1alpha1.Checkout) bool { return lifecycle.Feeds(c, agent) }
	if !slices.ContainsFunc(checkouts, func(c v1alpha1.Checkout) bool { return waits(&c) }) {
		return agent.Status.Baseline, nil, false, nil
	}
	all := lifecycle.LacksFed(agent, checkouts)
	if all {
		checkouts, err = r.checkouts(ctx, r.Live, agent)
	} else {
		checkouts, err = refreshed(ctx, r.Live, checkouts, waits)
	}
	if err != nil {
		return nil, nil, false, err
	}
	baseline, fed, err = lifecycle.FeedBaseline(agent, checkouts, all, r.Clock.Now())
	more = slices.ContainsFunc(checkouts, func(c v1alpha1.Checkout) bool {
		return waits(&c) && !slices.ContainsFunc(fed, func(f *v1alpha1.Checkout) bool { return f.UID == c.UID })
	})
	return baseline, fed, more, err
}

// markFed notes on checkouts that they are in their agent's baseline.
func (r *AgentPassportReconciler) markFed(ctx context.Context, fed []*v1alpha1.Checkout) error {
	for _, checkout := range fed {
		checkout.Status.BaselineTime = &metav1.Time{Time: r.Clock.Now().Truncate(time.Second)}
		if err := r.Status().Update(ctx, checkout); client.IgnoreNotFound(err) != nil {
			return err
		}
	}
	return nil
}

// checkouts gives all of an agent's. Those of a cache are not copied: what is written to is read live.
func (r *AgentPassportReconciler) checkouts(
	ctx context.Context, reader client.Reader, agent *v1alpha1.AgentPassport,
) ([]v1alpha1.Checkout, error) {
	var list v1alpha1.CheckoutList
	err := reader.List(ctx, &list, client.InNamespace(agent.Namespace), client.MatchingFields{agentField: agent.Name}, client.UnsafeDisableDeepCopy)
	return list.Items, err
}

func (r *AgentPassportReconciler) store(ctx context.Context, agent *v1alpha1.AgentPassport, status v1alpha1.AgentPassportStatus) error {
	before := agent.Status.Conditions
	agent.Status = status
	if err := r.Status().Update(ctx, agent); err != nil {
		return client.IgnoreNotFound(err)
	}
	r.mu.Lock()
	if r.counted == nil {
		r.counted = map[types.UID]time.Time{}
	}
	r.counted[agent.UID] = r.Clock.Now()
	r.mu.Unlock()
	r.tell(agent, before)
	return nil
}

// tell makes an Event of each reason that is new.
func (r *AgentPassportReconciler) tell(agent *v1alpha1.AgentPassport, before []metav1.Condition) {
	tellOf(r.Recorder, agent, "Review", before, agent.Status.Conditions, func(condition metav1.Condition) string {
		isDocumented := condition.Type == string(v1alpha1.ConditionDocumented)
		if !isDocumented && condition.Reason != string(v1alpha1.ReasonNotBlocked) {
			return worthOfDocument(condition)
		}
		if meta.FindStatusCondition(before, condition.Type) == nil {
			return "" // it is so from the beginning
		}
		return corev1.EventTypeNormal
	})
}

func (r *AgentPassportReconciler) untilNextCount(agent types.UID) time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	last, ok := r.counted[agent]
	if !ok {
		return 0
	}
	return last.Add(sumInterval).Sub(r.Clock.Now())
}

func (r *AgentPassportReconciler) forget(agent types.UID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.counted, agent)
}

func (r *AgentPassportReconciler) countLive(ctx context.Context, agent *v1alpha1.AgentPassport) (int32, error) {
	var passports v1alpha1.PassportList
	err := r.List(ctx, &passports, client.InNamespace(agent.Namespace),
		client.MatchingFields{agentField: agent.Name}, client.UnsafeDisableDeepCopy)
	var live int32
	for i := range passports.Items {
		if status := passports.Items[i].Status; status.Phase == v1alpha1.PhaseActive && status.Issued.AgentUID == agent.UID {
			live++
		}
	}
	return live, err
}
