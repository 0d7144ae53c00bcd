package controller

import (
	"sync"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/resourceversion"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// ownWrites remembers how far the cache has to be before an object is worth another look: at the
// controller's own last write. It saves work; what keeps it right is the resourceVersion on every
// write.
type ownWrites struct {
	mu      sync.Mutex
	written map[types.UID]string
}

// record notes a write of the controller's own.
func (w *ownWrites) record(object client.Object) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.written == nil {
		w.written = map[types.UID]string{}
	}
	w.written[object.GetUID()] = object.GetResourceVersion()
}

// missingIn says whether the object, as read, is older than the controller's own last write. The
// watch brings the newer one, and with it another reconcile.
func (w *ownWrites) missingIn(object client.Object) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	written, ok := w.written[object.GetUID()]
	if !ok {
		return false
	}
	if order, err := resourceversion.CompareResourceVersion(object.GetResourceVersion(), written); err == nil && order < 0 {
		staleSkips.Inc()
		return true
	}
	delete(w.written, object.GetUID())
	return false
}

// forget drops what is known of an object that is gone.
func (w *ownWrites) forget(uid types.UID) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.written, uid)
}
