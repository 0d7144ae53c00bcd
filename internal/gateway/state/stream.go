package state

import (
	"context"
	"time"

	"github.com/go-logr/logr"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	toolswatch "k8s.io/client-go/tools/watch"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// streamRetry is how long a stream that broke off waits before it begins anew.
const streamRetry = time.Second

// stream watches a kind for those who wait for single objects, and keeps none of it: there may be very
// many.
type stream[T client.Object] struct {
	client client.WithWatch
	clock  clock.WithTicker
	log    logr.Logger
	// list makes an empty list of the kind, object an empty one.
	list   func() client.ObjectList
	object func() T

	waiters waiters[T]
}

// run watches a namespace until ctx ends; an empty one is all of the cluster.
func (s *stream[T]) run(ctx context.Context, namespace string) error {
	for ctx.Err() == nil {
		if err := s.watch(ctx, namespace); err != nil && ctx.Err() == nil {
			s.log.Error(err, "the watch broke off; it begins anew")
		}
		timer := s.clock.NewTimer(streamRetry)
		select {
		case <-ctx.Done():
		case <-timer.C():
		}
		timer.Stop()
	}
	return nil
}

// watch tells what happens from now on, until the watch cannot go on where it was.
func (s *stream[T]) watch(ctx context.Context, namespace string) error {
	now := s.list()
	if err := s.client.List(ctx, now, client.InNamespace(namespace), client.Limit(1)); err != nil {
		return err
	}
	watcher, err := toolswatch.NewRetryWatcherWithContext(ctx, now.GetResourceVersion(), watcherIn[T]{s, namespace})
	if err != nil {
		return err
	}
	defer watcher.Stop()
	s.waiters.missed() // what happened while nobody watched
	for event := range watcher.ResultChan() {
		switch object, ok := event.Object.(T); {
		case event.Type == watch.Error:
			return apierrors.FromObject(event.Object)
		case !ok:
		case event.Type == watch.Deleted:
			s.waiters.gone(object.GetUID())
		case event.Type == watch.Added, event.Type == watch.Modified:
			s.waiters.tell(object.GetUID(), object)
		}
	}
	return nil
}

// watcherIn begins the watches of a stream in one namespace.
type watcherIn[T client.Object] struct {
	*stream[T]
	namespace string
}

// WatchWithContext implements the WatcherWithContext of client-go.
func (w watcherIn[T]) WatchWithContext(ctx context.Context, options metav1.ListOptions) (watch.Interface, error) {
	return w.client.Watch(ctx, w.list(), &client.ListOptions{Namespace: w.namespace, Raw: &options})
}

// await waits until an object is as wanted.
func (s *stream[T]) await(ctx context.Context, key types.NamespacedName, uid types.UID, wanted func(T) bool) (T, error) {
	read := func() (T, bool, error) {
		object := s.object()
		err := s.client.Get(ctx, key, object)
		if apierrors.IsNotFound(err) || (err == nil && object.GetUID() != uid) {
			return object, false, ErrDeleted
		}
		return object, err == nil, err
	}
	return await(ctx, &s.waiters, uid, read, wanted)
}
