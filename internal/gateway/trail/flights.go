package trail

import (
	"sync"

	"k8s.io/apimachinery/pkg/types"
)

// flights counts the calls of each passport that are being judged, or on their way.
type flights struct {
	mu sync.Mutex
	of map[types.UID]*flight
}

// flight is some calls of one passport. Once someone waits for them, later calls are of another one.
type flight struct {
	calls  int
	landed chan struct{}
}

// begin counts a call, until done is called. A second done does nothing.
func (f *flights) begin(uid types.UID) (done func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.of == nil {
		f.of = map[types.UID]*flight{}
	}
	counted := f.of[uid]
	if counted == nil {
		counted = &flight{landed: make(chan struct{})}
		f.of[uid] = counted
	}
	counted.calls++
	over := false
	return func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		if over {
			return
		}
		over = true
		counted.calls--
		if counted.calls > 0 {
			return
		}
		close(counted.landed)
		if f.of[uid] == counted {
			delete(f.of, uid)
		}
	}
}

// settled is closed once all calls are over that have begun before; nil where there are none.
func (f *flights) settled(uid types.UID) <-chan struct{} {
	f.mu.Lock()
	defer f.mu.Unlock()
	counted := f.of[uid]
	if counted == nil {
		return nil
	}
	delete(f.of, uid)
	return counted.landed
}
