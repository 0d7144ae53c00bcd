// Package presence tells the manager which gateways live: each one keeps a Lease, and renews it. A verdict
// waits for the counts of those that live, and for no other.
package presence

import (
	"context"
	"fmt"
	"time"

	"github.com/go-logr/logr"
	coordinationv1 "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	coordination "k8s.io/client-go/kubernetes/typed/coordination/v1"
	"k8s.io/utils/clock"
	"k8s.io/utils/ptr"

	"agentpassport.dev/operator/api/v1alpha1"
)

const (
	// NamePrefix begins the name of a gateway's Lease; the name of its Pod follows.
	NamePrefix = "agent-passport-gateway-"
	// Duration is how long a Lease holds after it was renewed.
	Duration = 30 * time.Second
	// Interval is how often one is renewed.
	Interval = 10 * time.Second

	// retry is how soon a renewal that failed is tried again.
	retry = 2 * time.Second
	// timeout bounds one renewal, and the release.
	timeout = 5 * time.Second
)

// Options of a gateway's presence.
type Options struct {
	// Leases of the operator's namespace.
	Leases coordination.LeaseInterface
	// Pod is the gateway's name.
	Pod string
	// PodUID makes the Pod the owner of the Lease, so that it goes with it; empty: nobody is.
	PodUID types.UID
	// Now is the API server's clock: by it the manager tells who lives.
	Now clock.PassiveClock
	// Timer tells when the next renewal is due.
	Timer clock.WithTicker
	Log   logr.Logger
}

// Keep keeps the Lease until the context ends, and then gives it up. What fails is tried again.
func Keep(ctx context.Context, o Options) {
	defer o.release(context.WithoutCancel(ctx))
	for {
		next := Interval
		if err := o.renew(ctx); err != nil && ctx.Err() == nil {
			o.Log.Error(err, "this gateway's Lease is not renewed; verdicts do not wait for what it saw until it is", "lease", o.name())
			next = retry
		}
		timer := o.Timer.NewTimer(next)
		select {
		case <-timer.C():
		case <-ctx.Done():
			timer.Stop()
			return
		}
	}
}

// Lives says whether a Lease holds at a time by the API server's clock.
func Lives(lease *coordinationv1.Lease, at time.Time) bool {
	spec := lease.Spec
	if ptr.Deref(spec.HolderIdentity, "") == "" || spec.RenewTime == nil || lease.DeletionTimestamp != nil {
		return false
	}
	return at.Before(spec.RenewTime.Add(time.Duration(ptr.Deref(spec.LeaseDurationSeconds, 0)) * time.Second))
}

func (o *Options) name() string { return NamePrefix + o.Pod }

func (o *Options) renew(ctx context.Context) error {
	limited, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	lease, err := o.Leases.Get(limited, o.name(), metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		made := &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Name: o.name()}}
		o.hold(made)
		_, err = o.Leases.Create(limited, made, metav1.CreateOptions{})
	case err == nil:
		o.hold(lease)
		_, err = o.Leases.Update(limited, lease, metav1.UpdateOptions{})
	}
	if err != nil {
		return fmt.Errorf("renew lease %s: %w", o.name(), err)
	}
	return nil
}

// hold makes a Lease this gateway's, from now on. One that a Pod of the same name left behind is taken over.
func (o *Options) hold(lease *coordinationv1.Lease) {
	now := metav1.NewMicroTime(o.Now.Now())
	lease.Labels = map[string]string{v1alpha1.LabelGateway: "true"}
	lease.OwnerReferences = nil
	if o.PodUID != "" {
		lease.OwnerReferences = []metav1.OwnerReference{{APIVersion: "v1", Kind: "Pod", Name: o.Pod, UID: o.PodUID}}
	}
	if ptr.Deref(lease.Spec.HolderIdentity, "") != o.Pod || lease.Spec.AcquireTime == nil {
		lease.Spec.AcquireTime = &now
	}
	lease.Spec.HolderIdentity = &o.Pod
	lease.Spec.LeaseDurationSeconds = ptr.To(int32(Duration / time.Second))
	lease.Spec.RenewTime = &now
}

// release gives the Lease up: nobody waits for a gateway that has stopped.
func (o *Options) release(ctx context.Context) {
	limited, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	if err := o.Leases.Delete(limited, o.name(), metav1.DeleteOptions{}); err != nil && !apierrors.IsNotFound(err) {
		o.Log.Error(err, "this gateway's Lease is not given up; it ends by itself", "lease", o.name())
	}
}
