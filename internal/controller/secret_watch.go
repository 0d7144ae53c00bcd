package controller

import (
	"context"
	"sync"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/resourceversion"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/metadata"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"agentpassport.dev/operator/api/v1alpha1"
)

// secretWatch watches the metadata of the operator's own labelled Secrets, in the namespaces that
// have consented and nowhere else: one informer a namespace, begun when a passport first needs it.
type secretWatch struct {
	client metadata.Interface
	// changed is told of every change to a token Secret; it may block until ctx ends.
	changed func(ctx context.Context, secret *metav1.PartialObjectMetadata)
	// listed is told of a namespace once its informer has the first list: of what changed before, changed
	// is not told. It may block until ctx ends.
	listed func(ctx context.Context, namespace string)
	// wanted holds the namespaces whose informers are still to begin.
	wanted chan string

	mu        sync.Mutex
	informers map[string]toolscache.SharedIndexInformer
}

const byPassportUID = "passport-uid"

// Start runs informers as namespaces are wanted, until ctx ends. It implements manager.Runnable.
func (w *secretWatch) Start(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case namespace := <-w.wanted:
			w.begin(ctx, namespace)
		}
	}
}

// follow has the namespace watched from soon on.
func (w *secretWatch) follow(namespace string) {
	if w.informer(namespace) != nil {
		return
	}
	select {
	case w.wanted <- namespace:
	default: // Many others are wanted; whoever needs this one asks again.
	}
}

// find gives the token Secrets of a passport, and whether the answer is known: it is not before the
// namespace's informer has its first list.
func (w *secretWatch) find(namespace string, passport types.UID) ([]*metav1.PartialObjectMetadata, bool) {
	w.follow(namespace)
	informer := w.informer(namespace)
	if informer == nil || !informer.HasSynced() {
		return nil, false
	}
	objects, err := informer.GetIndexer().ByIndex(byPassportUID, string(passport))
	if err != nil {
		return nil, false
	}
	secrets := make([]*metav1.PartialObjectMetadata, 0, len(objects))
	for _, object := range objects {
		if secret, ok := object.(*metav1.PartialObjectMetadata); ok {
			secrets = append(secrets, secret)
		}
	}
	return secrets, true
}

// changedSince says whether the watch shows that a Secret was changed, or has gone, since a
// resourceVersion of its own. Before the namespace's informer has its first list, it shows nothing.
func (w *secretWatch) changedSince(secret types.NamespacedName, resourceVersion string) bool {
	informer := w.informer(secret.Namespace)
	if informer == nil || !informer.HasSynced() {
		return false
	}
	store := informer.GetStore()
	// How far the watch has come is read before the Secret: what is not there then is not still to come.
	seen := store.LastStoreSyncResourceVersion()
	if object, exists, err := store.GetByKey(secret.String()); err == nil && exists {
		if shown, ok := object.(*metav1.PartialObjectMetadata); ok {
			seen = shown.ResourceVersion
		}
	}
	order, err := resourceversion.CompareResourceVersion(seen, resourceVersion)
	return err != nil || order > 0
}

func (w *secretWatch) informer(namespace string) toolscache.SharedIndexInformer {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.informers[namespace]
}

// begin runs the namespace's informer, unless it runs already. Where consent is taken back it ends,
// and a later need begins another.
func (w *secretWatch) begin(ctx context.Context, namespace string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.informers[namespace] != nil {
		return
	}
	if w.informers == nil {
		w.informers = map[string]toolscache.SharedIndexInformer{}
	}
	ctx, stop := context.WithCancel(log.IntoContext(ctx, log.FromContext(ctx).WithValues("namespace", namespace)))
	informer := w.newInformer(ctx, namespace, func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		delete(w.informers, namespace)
		stop()
	})
	w.informers[namespace] = informer
	go informer.RunWithContext(ctx)
	go func() {
		select {
		case <-informer.HasSyncedChecker().Done():
			w.listed(ctx, namespace)
		case <-ctx.Done():
		}
	}()
}

func (w *secretWatch) newInformer(ctx context.Context, namespace string, forbidden func()) toolscache.SharedIndexInformer {
	secrets := w.client.Resource(corev1.SchemeGroupVersion.WithResource("secrets")).Namespace(namespace)
	own := func(options *metav1.ListOptions) *metav1.ListOptions {
		options.LabelSelector = v1alpha1.LabelPassportUID
		return options
	}
	informer := toolscache.NewSharedIndexInformer(&toolscache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, options metav1.ListOptions) (runtime.Object, error) {
			return secrets.List(ctx, *own(&options))
		},
		WatchFuncWithContext: func(ctx context.Context, options metav1.ListOptions) (watch.Interface, error) {
			return secrets.Watch(ctx, *own(&options))
		},
	}, &metav1.PartialObjectMetadata{}, 0, toolscache.Indexers{
		byPassportUID: func(object any) ([]string, error) {
			secret, ok := object.(*metav1.PartialObjectMetadata)
			if !ok {
				return nil, nil
			}
			return []string{secret.Labels[v1alpha1.LabelPassportUID]}, nil
		},
	})
	tell := func(object any) {
		if gone, ok := object.(toolscache.DeletedFinalStateUnknown); ok {
			object = gone.Obj
		}
		if secret, ok := object.(*metav1.PartialObjectMetadata); ok {
			w.changed(ctx, secret)
		}
	}
	// Neither call fails before the informer has run.
	_ = informer.SetWatchErrorHandlerWithContext(func(ctx context.Context, r *toolscache.Reflector, err error) {
		if apierrors.IsForbidden(err) {
			log.FromContext(ctx).Info("not allowed to watch token Secrets: the namespace has not consented, or no longer")
			forbidden()
			return
		}
		toolscache.DefaultWatchErrorHandler(ctx, r, err)
	})
	_, _ = informer.AddEventHandler(toolscache.ResourceEventHandlerFuncs{
		AddFunc:    tell,
		UpdateFunc: func(_, object any) { tell(object) },
		DeleteFunc: tell,
	})
	return informer
}
