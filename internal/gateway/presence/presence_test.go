package presence_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/go-logr/logr"
	coordinationv1 "k8s.io/api/coordination/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	coordination "k8s.io/client-go/kubernetes/typed/coordination/v1"
	clocktesting "k8s.io/utils/clock/testing"

	"agentpassport.dev/operator/api/v1alpha1"
	"agentpassport.dev/operator/internal/gateway/presence"
	"agentpassport.dev/operator/internal/servingcert"
	"agentpassport.dev/operator/test/apiserver"
)

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// awkward is an API server that may fail, and tells of every write.
type awkward struct {
	coordination.LeaseInterface
	fails  chan error
	writes chan string
}

func (a *awkward) Get(ctx context.Context, name string, options metav1.GetOptions) (*coordinationv1.Lease, error) {
	select {
	case err := <-a.fails:
		a.writes <- "failed"
		return nil, err
	default:
		return a.LeaseInterface.Get(ctx, name, options)
	}
}

func (a *awkward) Create(ctx context.Context, lease *coordinationv1.Lease, options metav1.CreateOptions) (*coordinationv1.Lease, error) {
	defer func() { a.writes <- "created" }()
	return a.LeaseInterface.Create(ctx, lease, options)
}

func (a *awkward) Update(ctx context.Context, lease *coordinationv1.Lease, options metav1.UpdateOptions) (*coordinationv1.Lease, error) {
	defer func() { a.writes <- "updated" }()
	return a.LeaseInterface.Update(ctx, lease, options)
}

func TestPresence(t *testing.T) {
	ctx := t.Context()
	api, err := apiserver.Start(ctx, "../../..", apiserver.AllPolicies)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := api.Stop(); err != nil {
			t.Error(err)
		}
	})
	// As a gateway, with no more than its role gives it.
	typed, err := coordination.NewForConfig(api.Config(servingcert.GatewayName(apiserver.OperatorNamespace)))
	if err != nil {
		t.Fatal(err)
	}
	leases := &awkward{LeaseInterface: typed.Leases(apiserver.OperatorNamespace), fails: make(chan error, 1), writes: make(chan string, 10)}
	clock := clocktesting.NewFakeClock(noon)
	running, stop := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		presence.Keep(running, presence.Options{Leases: leases, Pod: "gateway-0", Now: clock, Timer: clock, Log: logr.Discard()})
	}()
	wrote := func(want string) {
		t.Helper()
		select {
		case got := <-leases.writes:
			if got != want {
				t.Fatalf("%s, want %s", got, want)
			}
		case <-time.After(time.Minute): //nolint:forbidigo // a test that hangs ends
			t.Fatalf("nothing came, want %s", want)
		}
	}
	// step goes on once the gateway waits.
	step := func(by time.Duration) {
		t.Helper()
		for !clock.HasWaiters() {
			if ctx.Err() != nil {
				t.Fatal(ctx.Err())
			}
		}
		clock.Step(by)
	}
	lives := func(at time.Time) bool {
		t.Helper()
		lease, err := leases.LeaseInterface.Get(ctx, "agent-passport-gateway-gateway-0", metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return false
		}
		if err != nil {
			t.Fatal(err)
		}
		if *lease.Spec.HolderIdentity != "gateway-0" || lease.Labels[v1alpha1.LabelGateway] != "true" {
			t.Errorf("%+v", lease)
		}
		return presence.Lives(lease, at)
	}

	wrote("created")
	if !lives(noon) || !lives(noon.Add(presence.Duration-time.Second)) || lives(noon.Add(presence.Duration)) {
		t.Error("a Lease holds for 30 s")
	}
	step(presence.Interval)
	wrote("updated")
	if !lives(noon.Add(presence.Interval + presence.Duration - time.Second)) {
		t.Error("it is not renewed")
	}
	// What fails is tried again, before the Lease is over.
	leases.fails <- errors.New("the API server is away")
	step(presence.Interval)
	wrote("failed")
	step(2 * time.Second)
	wrote("updated")
	if !lives(clock.Now()) {
		t.Error("it is not renewed after a failure")
	}
	stop()
	<-ended
	if lives(clock.Now()) {
		t.Error("it is not given up")
	}
}
