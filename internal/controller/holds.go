package controller

import (
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// maxHold is for how long a finalizer holds a deletion whose clean-up fails.
const maxHold = time.Hour

// holds remembers since when the operator has been at work on each deletion: one that came while it was
// down has had no clean-up yet, and is not let go for its age.
type holds struct {
	mu   sync.Mutex
	seen map[types.UID]time.Time
}

// until is when a deletion that is seen now is let go at the latest.
func (h *holds) until(object client.Object, now time.Time) time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.seen == nil {
		h.seen = map[types.UID]time.Time{}
	}
	first, known := h.seen[object.GetUID()]
	if !known {
		first = now
		h.seen[object.GetUID()] = now
	}
	return first.Add(maxHold)
}

// forget drops what is known of an object that is gone.
func (h *holds) forget(uid types.UID) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.seen, uid)
}
