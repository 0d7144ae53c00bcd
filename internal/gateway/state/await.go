package state

import (
	"context"
	"errors"
	"sync"

	"k8s.io/apimachinery/pkg/types"
)

// ErrDeleted means that what is waited for was deleted.
var ErrDeleted = errors.New("the object was deleted")

// waiters are who waits for news of objects, by UID. Nobody who brings news waits for them.
type waiters[T any] struct {
	mu    sync.Mutex
	byUID map[types.UID]map[*waiter[T]]struct{}
}

// waiter holds the last news of one object.
type waiter[T any] struct {
	// signal has room for one: more news than one are told once.
	signal chan struct{}
	news   news[T]
}

// news of an object.
type news[T any] struct {
	// object as it is now.
	object T
	// deleted says that it is gone.
	deleted bool
	// missed says that news may have been missed: it has to be read.
	missed bool
}

// join begins to wait. What is told from now on is not missed; leave when done.
func (w *waiters[T]) join(uid types.UID) *waiter[T] {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.byUID == nil {
		w.byUID = map[types.UID]map[*waiter[T]]struct{}{}
	}
	if w.byUID[uid] == nil {
		w.byUID[uid] = map[*waiter[T]]struct{}{}
	}
	one := &waiter[T]{signal: make(chan struct{}, 1)}
	w.byUID[uid][one] = struct{}{}
	return one
}

func (w *waiters[T]) leave(uid types.UID, one *waiter[T]) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.byUID[uid], one)
	if len(w.byUID[uid]) == 0 {
		delete(w.byUID, uid)
	}
}

// tell that an object is new or has changed.
func (w *waiters[T]) tell(uid types.UID, object T) { w.bring(uid, news[T]{object: object}) }

// gone tells that an object is deleted.
func (w *waiters[T]) gone(uid types.UID) { w.bring(uid, news[T]{deleted: true}) }

func (w *waiters[T]) bring(uid types.UID, what news[T]) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for one := range w.byUID[uid] {
		one.take(what)
	}
}

// missed tells everybody that news may have been missed.
func (w *waiters[T]) missed() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, ones := range w.byUID {
		for one := range ones {
			one.take(news[T]{missed: true})
		}
	}
}

// take is called under the lock of the waiters.
func (o *waiter[T]) take(what news[T]) {
	o.news = what
	select {
	case o.signal <- struct{}{}:
	default:
	}
}

// next waits for news.
func (w *waiters[T]) next(ctx context.Context, one *waiter[T]) (news[T], error) {
	select {
	case <-ctx.Done():
		return news[T]{}, context.Cause(ctx)
	case <-one.signal:
		w.mu.Lock()
		defer w.mu.Unlock()
		return one.news, nil
	}
}

// await waits until an object is as wanted. read gives what is known of it now: its error ends the wait,
// and false means that nothing is known yet.
func await[T any](ctx context.Context, w *waiters[T], uid types.UID, read func() (T, bool, error), wanted func(T) bool) (T, error) {
	one := w.join(uid)
	defer w.leave(uid, one)
	var none T
	for what := (news[T]{missed: true}); ; {
		object, is := what.object, true
		var err error
		switch {
		case what.deleted:
			return none, ErrDeleted
		case what.missed:
			object, is, err = read()
		}
		if err != nil {
			return none, err
		}
		if is && wanted(object) {
			return object, nil
		}
		if what, err = w.next(ctx, one); err != nil {
			return none, err
		}
	}
}
