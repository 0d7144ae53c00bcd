package plugin

import (
	"context"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"agentpassport.dev/operator/api/v1alpha1"
)

// following keeps what there is of some kinds, as it changes. It lists again after a lost connection.
type following struct {
	changed chan struct{}
	synced  []cache.InformerSynced
}

func newFollowing() *following { return &following{changed: make(chan struct{}, 1)} }

// ring says that something changed; one ring is enough for many changes.
func (f *following) ring() {
	select {
	case f.changed <- struct{}{}:
	default:
	}
}

// follow begins to follow a kind: the objects of the namespace that match the selector. The store is filled
// once ready says so.
func (f *following) follow(ctx context.Context, c *cluster, namespace string, newList func() client.ObjectList, object client.Object, selector fields.Selector) cache.Store {
	options := func(raw metav1.ListOptions) *client.ListOptions {
		return &client.ListOptions{Namespace: namespace, FieldSelector: selector, Raw: &raw}
	}
	store, controller := cache.NewInformerWithOptions(cache.InformerOptions{
		ListerWatcher: &cache.ListWatch{
			ListWithContextFunc: func(ctx context.Context, raw metav1.ListOptions) (runtime.Object, error) {
				list := newList()
				return list, c.watching.List(ctx, list, options(raw))
			},
			WatchFuncWithContext: func(ctx context.Context, raw metav1.ListOptions) (watch.Interface, error) {
				return c.watching.Watch(ctx, newList(), options(raw))
			},
		},
		ObjectType: object,
		Handler: cache.ResourceEventHandlerFuncs{
			AddFunc:    func(any) { f.ring() },
			UpdateFunc: func(any, any) { f.ring() },
			DeleteFunc: func(any) { f.ring() },
		},
	})
	f.synced = append(f.synced, controller.HasSynced)
	go controller.RunWithContext(ctx)
	return store
}

// ready returns once all that is followed was listed, or ctx ended.
func (f *following) ready(ctx context.Context) bool {
	return cache.WaitForCacheSync(ctx.Done(), f.synced...)
}

// until looks at what there is after each change, until look says that it has seen enough, or ctx ends.
func (f *following) until(ctx context.Context, look func() (enough bool)) {
	if !f.ready(ctx) {
		return
	}
	for !look() {
		select {
		case <-f.changed:
		case <-ctx.Done():
			return
		}
	}
}

func passportLists() client.ObjectList { return &v1alpha1.PassportList{} }
func checkoutLists() client.ObjectList { return &v1alpha1.CheckoutList{} }

// named selects an object by its name.
func named(name string) fields.Selector {
	return fields.OneTermEqualSelector(metav1.ObjectNameField, name)
}

// stored is one object of a store; nil where it is not there.
func stored[T client.Object](store cache.Store, key client.ObjectKey) (found T, ok bool) {
	object, exists, err := store.GetByKey(key.String())
	if err != nil || !exists {
		return found, false
	}
	found, ok = object.(T)
	return found, ok
}

// items are the objects of a list.
func items[T client.Object](list client.ObjectList) []T {
	var all []T
	// Every list of this package is of one kind.
	must(meta.EachListItem(list, func(item runtime.Object) error {
		if one, ok := item.(T); ok {
			all = append(all, one)
		}
		return nil
	}))
	return all
}
