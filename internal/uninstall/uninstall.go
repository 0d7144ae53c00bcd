// Package uninstall ends every mission before the operator goes: what would be left of one has finalizers that nobody
// would take off.
package uninstall

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/go-logr/logr"
	"golang.org/x/sync/errgroup"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"agentpassport.dev/operator/api/v1alpha1"
	"agentpassport.dev/operator/internal/watched"
)

const (
	// atOnce is how many objects are written at once.
	atOnce = 16
	// again is how soon one looks again at what is left.
	again = time.Second
	// page is how many objects one LIST brings.
	page = 500
)

// kinds are those with a finalizer of the operator's, in the order in which they go: a Passport that is deleted alive gets a
// Checkout from the operator.
var kinds = []struct {
	kind      schema.GroupVersionKind
	finalizer string
}{
	{v1alpha1.GroupVersion.WithKind("Passport"), v1alpha1.PassportFinalizer},
	{v1alpha1.GroupVersion.WithKind("Checkout"), v1alpha1.CheckoutFinalizer},
}

// Missions ends all missions of a cluster, or of some namespaces.
type Missions struct {
	// Client lists, deletes and patches Passports and Checkouts, live.
	Client client.Client
	// Namespaces whose missions end; none: all.
	Namespaces watched.Namespaces
	// Clock measures Patience.
	Clock clock.PassiveClock
	// Patience is how long the operator may take for one object, before its finalizer is taken off for it.
	Patience time.Duration
	// Log is told how far it is.
	Log logr.Logger

	// asked is since when each object is to go.
	asked map[types.UID]time.Time
	// told is what Log was told last.
	told progress
}

// progress is how many of a kind are left.
type progress struct {
	kind string
	left int
}

// End deletes every Passport, then every Checkout, and returns once none is left: nil where that is so,
// also where the cluster does not know them. It goes on until ctx ends; the error then says what is left, and why.
func (m *Missions) End(ctx context.Context) error {
	m.asked, m.told = map[types.UID]time.Time{}, progress{}
	last := errors.New("nothing was looked at yet")
	err := wait.PollUntilContextCancel(ctx, again, true, func(ctx context.Context) (bool, error) {
		left, err := m.round(ctx)
		if err == nil && left == 0 {
			return true, nil
		}
		if last = err; err == nil {
			last = fmt.Errorf("%d are still there", left)
		}
		return false, nil
	})
	if err != nil {
		return fmt.Errorf("not every mission is ended: %w (%w)", last, err)
	}
	return nil
}

// round asks for the end of what is left of the first kind of which anything is left, and says how many were left.
func (m *Missions) round(ctx context.Context) (int, error) {
	for _, of := range kinds {
		objects, err := m.list(ctx, of.kind)
		if err != nil {
			return 0, fmt.Errorf("list every %s: %w", of.kind.Kind, err)
		}
		if len(objects) == 0 {
			continue
		}
		m.tell(of.kind.Kind, len(objects))
		writes := errgroup.Group{}
		writes.SetLimit(atOnce)
		for i := range objects {
			object, since := &objects[i], m.since(objects[i].UID)
			object.SetGroupVersionKind(of.kind)
			writes.Go(func() error { return m.end(ctx, object, of.finalizer, since) })
		}
		return len(objects), writes.Wait()
	}
	return 0, nil
}

// tell tells how many of a kind are left, where that has changed.
func (m *Missions) tell(kind string, left int) {
	if now := (progress{kind, left}); m.told != now {
		m.told = now
		m.Log.Info("waiting for the operator to end them", "kind", kind, "left", left)
	}
}

// since says for how long an object has been asked to go.
func (m *Missions) since(uid types.UID) time.Duration {
	begun, known := m.asked[uid]
	if !known {
		begun = m.Clock.Now()
		m.asked[uid] = begun
	}
	return m.Clock.Since(begun)
}

// list lists the objects of a kind that are to end; none where the cluster does not serve it.
func (m *Missions) list(ctx context.Context, kind schema.GroupVersionKind) ([]metav1.PartialObjectMetadata, error) {
	var all []metav1.PartialObjectMetadata
	for _, namespace := range m.Namespaces.Each() {
		objects, err := m.listIn(ctx, namespace, kind)
		if err != nil {
			return nil, err
		}
		all = append(all, objects...)
	}
	return all, nil
}

func (m *Missions) listIn(ctx context.Context, namespace string, kind schema.GroupVersionKind) ([]metav1.PartialObjectMetadata, error) {
	var all []metav1.PartialObjectMetadata
	for next := ""; ; {
		var objects metav1.PartialObjectMetadataList
		objects.SetGroupVersionKind(kind.GroupVersion().WithKind(kind.Kind + "List"))
		err := m.Client.List(ctx, &objects, client.InNamespace(namespace), client.Limit(page), client.Continue(next))
		if meta.IsNoMatchError(err) || apierrors.IsNotFound(err) {
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		all, next = append(all, objects.Items...), objects.Continue
		if next == "" {
			return all, nil
		}
	}
}

// end deletes an object; where it is deleted and the operator has not let go of it in time, it takes the operator's
// finalizer off. What has changed or gone meanwhile is for the next round.
func (m *Missions) end(ctx context.Context, object *metav1.PartialObjectMetadata, finalizer string, since time.Duration) error {
	var err error
	switch {
	case object.DeletionTimestamp == nil:
		err = m.Client.Delete(ctx, object, client.Preconditions{UID: &object.UID})
	case since >= m.Patience && slices.Contains(object.Finalizers, finalizer):
		m.Log.Info("the operator does not let go of it: its finalizer is taken off", "kind", object.Kind, "namespace", object.Namespace, "name", object.Name)
		before := object.DeepCopy()
		object.Finalizers = slices.DeleteFunc(object.Finalizers, func(name string) bool { return name == finalizer })
		// A list of finalizers is replaced whole: it must be the one that was read.
		err = m.Client.Patch(ctx, object, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{}))
	}
	if apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
		return nil
	}
	return err
}
