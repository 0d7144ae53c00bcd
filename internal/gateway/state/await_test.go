package state_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"agentpassport.dev/operator/api/v1alpha1"
	"agentpassport.dev/operator/internal/gateway/state"
	"agentpassport.dev/operator/test/apiserver"
)

// answer is what a wait ended with.
type answer[T any] struct {
	object T
	err    error
	took   time.Duration
}

func waiting[T any](wait func() (T, error)) <-chan answer[T] {
	ended := make(chan answer[T], 1)
	began := time.Now()
	go func() {
		object, err := wait()
		ended <- answer[T]{object, err, time.Since(began)}
	}()
	return ended
}

func TestAwaitAPassport(t *testing.T) {
	w := begin(t, nil)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	agent := w.agent("a")
	passport := &v1alpha1.Passport{ObjectMeta: w.meta("p"), Spec: v1alpha1.PassportSpec{AgentRef: v1alpha1.AgentReference{Name: agent.Name}}}
	w.do(admin.Create(ctx, passport))
	uid := passport.UID // what follows writes into the object
	active := waiting(func() (*v1alpha1.Passport, error) {
		return w.view.Await(ctx, uid, func(p *v1alpha1.Passport) bool { return p.Status.Phase == v1alpha1.PhaseRejected })
	})
	w.status(passport, func(status *v1alpha1.PassportStatus) { status.Phase = v1alpha1.PhaseRejected })
	if ended := <-active; ended.err != nil || ended.object.UID != uid {
		t.Errorf("%v", ended.err)
	}
	// At once where it is so already.
	if _, err := w.view.Await(ctx, uid, func(*v1alpha1.Passport) bool { return true }); err != nil {
		t.Error(err)
	}
	never := func(*v1alpha1.Passport) bool { return false }
	deleted := waiting(func() (*v1alpha1.Passport, error) { return w.view.Await(ctx, uid, never) })
	w.do(admin.Delete(ctx, passport))
	w.do(server.As(apiserver.Manager, nil).Patch(ctx, passport, client.RawPatch("application/merge-patch+json", []byte(`{"metadata":{"finalizers":null}}`))))
	if ended := <-deleted; !errors.Is(ended.err, state.ErrDeleted) {
		t.Error(ended.err)
	}
	ended, stop := context.WithCancelCause(ctx)
	cause := errors.New("the caller has gone")
	stop(cause)
	if _, err := w.view.Await(ended, "unknown", never); !errors.Is(err, cause) {
		t.Error(err)
	}
}

func TestAwaitACheckpointAndACheckout(t *testing.T) {
	w := begin(t, nil)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	agent := w.agent("a")
	w.passport("p", agent)
	manager := server.As(apiserver.Manager, nil)
	checkpoint := &v1alpha1.Checkpoint{ObjectMeta: w.meta("c"), Spec: v1alpha1.CheckpointSpec{
		PassportRef: v1alpha1.PassportReference{Name: "p"}, AgentRef: v1alpha1.AgentReference{Name: agent.Name},
	}}
	w.do(admin.Create(ctx, checkpoint))
	uid := checkpoint.UID // what follows writes into the object
	key := types.NamespacedName{Namespace: w.namespace, Name: "c"}
	observed := func(c *v1alpha1.Checkpoint) bool { return c.Status.ObservedGeneration > 0 }
	wait := waiting(func() (*v1alpha1.Checkpoint, error) {
		return w.view.AwaitCheckpoint(ctx, key, uid, observed)
	})
	checkpoint.Status.ObservedGeneration = 1
	w.do(manager.Status().Update(ctx, checkpoint))
	if ended := <-wait; ended.err != nil || ended.object.Name != "c" {
		t.Error(ended.err)
	} else {
		t.Log("a checkpoint after", ended.took)
	}
	if _, err := w.view.AwaitCheckpoint(ctx, key, "another", observed); !errors.Is(err, state.ErrDeleted) {
		t.Error(err)
	}
	deleted := waiting(func() (*v1alpha1.Checkpoint, error) {
		return w.view.AwaitCheckpoint(ctx, key, uid, func(*v1alpha1.Checkpoint) bool { return false })
	})
	w.do(admin.Delete(ctx, checkpoint))
	if ended := <-deleted; !errors.Is(ended.err, state.ErrDeleted) {
		t.Error(ended.err)
	}

	checkout := &v1alpha1.Checkout{ObjectMeta: w.meta("c"), Spec: v1alpha1.CheckoutSpec{
		PassportRef: v1alpha1.PassportReference{Name: "p"}, AgentRef: v1alpha1.AgentReference{Name: agent.Name},
	}}
	w.do(admin.Create(ctx, checkout))
	checkoutUID := checkout.UID
	judged := waiting(func() (*v1alpha1.Checkout, error) {
		return w.view.AwaitCheckout(ctx, key, checkoutUID, func(c *v1alpha1.Checkout) bool { return c.Status.ObservedGeneration > 0 })
	})
	checkout.Status.ObservedGeneration = 1
	w.do(manager.Status().Update(ctx, checkout))
	if ended := <-judged; ended.err != nil || ended.object.UID != checkout.UID {
		t.Error(ended.err)
	}
}
