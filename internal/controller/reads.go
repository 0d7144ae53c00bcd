package controller

import (
	"context"
	"errors"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"agentpassport.dev/operator/api/v1alpha1"
)

var errGone = errors.New("it is gone")

// object is a pointer to one of the operator's kinds.
type object[T any] interface {
	*T
	client.Object
}

// find gives an object, nil where the reader has none of that name.
func find[T any, P object[T]](ctx context.Context, reader client.Reader, namespace, name string) (P, error) {
	found := P(new(T))
	if err := reader.Get(ctx, client.ObjectKey{Namespace: namespace, Name: name}, found); err != nil {
		return nil, client.IgnoreNotFound(err)
	}
	return found, nil
}

// findCertainly gives the object of that name which is the one meant: by the cache first, and where it
// shows none, by the API server's word; nil where there is none.
func findCertainly[T any, P object[T]](
	ctx context.Context, cached, live client.Reader, namespace, name string, meant func(P) bool,
) (P, error) {
	for _, reader := range []client.Reader{cached, live} {
		found, err := find[T, P](ctx, reader, namespace, name)
		if err != nil || (found != nil && meant(found)) {
			return found, err
		}
	}
	return nil, nil
}

// refreshed gives cached objects with those that wait read live: the cache of a replica that has just
// begun may show one as it was before another replica counted and marked it, or deleted it.
func refreshed[T any, P object[T]](ctx context.Context, live client.Reader, cached []T, waits func(P) bool) ([]T, error) {
	read := make([]T, 0, len(cached))
	for i := range cached {
		if !waits(&cached[i]) {
			read = append(read, cached[i])
			continue
		}
		was := P(&cached[i])
		newest, err := find[T, P](ctx, live, was.GetNamespace(), was.GetName())
		if err != nil {
			return nil, err
		}
		if newest != nil && newest.GetUID() == was.GetUID() {
			read = append(read, *newest)
		}
	}
	return read, nil
}

// stillThere gives a conflict where an object, as read, is gone. Another may have its name by now, and
// what names it may be that other's.
func stillThere[T any, P object[T]](ctx context.Context, live client.Reader, read P) error {
	stored, err := find[T, P](ctx, live, read.GetNamespace(), read.GetName())
	if err != nil || (stored != nil && stored.GetUID() == read.GetUID()) {
		return err
	}
	return apierrors.NewConflict(schema.GroupResource{Group: v1alpha1.GroupVersion.Group}, read.GetName(), errGone)
}

// isNewest says whether an object, as read, is as it is stored. A write that no status write follows at
// once asks this first; where it is not, the newest comes by the watch.
func isNewest[T any, P object[T]](ctx context.Context, live client.Reader, read P) (bool, error) {
	stored, err := find[T, P](ctx, live, read.GetNamespace(), read.GetName())
	if err != nil || stored == nil {
		return false, err
	}
	if stored.GetUID() != read.GetUID() || stored.GetResourceVersion() != read.GetResourceVersion() {
		staleSkips.Inc()
		return false, nil
	}
	return true, nil
}
