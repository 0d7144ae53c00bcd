package controller

import (
	"context"
	"sync"
	"time"

	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"agentpassport.dev/operator/api/v1alpha1"
	"agentpassport.dev/operator/internal/lifecycle"
)

// namespaceList is what one live LIST saw of a namespace. It proves absence, which a cache cannot.
type namespaceList struct {
	checkpoints []v1alpha1.Checkpoint
	checkouts   []v1alpha1.Checkout
	blocks      []v1alpha1.AgentBlock
	// beganAt is when the LIST began, by the API server's clock.
	beganAt time.Time
}

// fill puts into a situation what the LIST saw of its passport.
func (l *namespaceList) fill(situation *lifecycle.Situation) {
	passport := situation.Passport.Name
	situation.Checkpoints, situation.Checkouts, situation.Blocks = nil, nil, l.blocks
	for i := range l.checkpoints {
		if l.checkpoints[i].Spec.PassportRef.Name == passport {
			situation.Checkpoints = append(situation.Checkpoints, *l.checkpoints[i].DeepCopy())
		}
	}
	for i := range l.checkouts {
		if l.checkouts[i].Spec.PassportRef.Name == passport {
			situation.Checkouts = append(situation.Checkouts, *l.checkouts[i].DeepCopy())
		}
	}
	situation.ListedAt, situation.Now = l.beganAt, l.beganAt
}

// liveLists reads namespaces from the API server itself. Callers that come while a LIST of their
// namespace runs share the next one, so that a thousand expiries in one second cost two.
type liveLists struct {
	reader client.Reader
	clock  clock.PassiveClock

	mu      sync.Mutex
	running map[string]bool
	next    map[string]*listBatch
}

type listBatch struct {
	done chan struct{}
	list *namespaceList
	err  error
}

// list gives a LIST of the namespace that begins no earlier than the call.
func (l *liveLists) list(ctx context.Context, namespace string) (*namespaceList, error) {
	l.mu.Lock()
	if l.next == nil {
		l.running, l.next = map[string]bool{}, map[string]*listBatch{}
	}
	batch, joined := l.next[namespace]
	if !joined {
		batch = &listBatch{done: make(chan struct{})}
		l.next[namespace] = batch
	}
	if !l.running[namespace] {
		l.running[namespace] = true
		go l.run(context.WithoutCancel(ctx), namespace)
	}
	l.mu.Unlock()
	select {
	case <-batch.done:
		return batch.list, batch.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// run serves the batches of one namespace until none is waiting.
func (l *liveLists) run(ctx context.Context, namespace string) {
	for {
		l.mu.Lock()
		batch := l.next[namespace]
		delete(l.next, namespace)
		if batch == nil {
			delete(l.running, namespace)
			l.mu.Unlock()
			return
		}
		l.mu.Unlock()
		batch.list, batch.err = l.read(ctx, namespace)
		close(batch.done)
	}
}

func (l *liveLists) read(ctx context.Context, namespace string) (*namespaceList, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	list := &namespaceList{beganAt: l.clock.Now()}
	var checkpoints v1alpha1.CheckpointList
	if err := l.reader.List(ctx, &checkpoints, client.InNamespace(namespace)); err != nil {
		return nil, err
	}
	var blocks v1alpha1.AgentBlockList
	if err := l.reader.List(ctx, &blocks, client.InNamespace(namespace)); err != nil {
		return nil, err
	}
	var checkouts v1alpha1.CheckoutList
	if err := l.reader.List(ctx, &checkouts, client.InNamespace(namespace)); err != nil {
		return nil, err
	}
	list.checkpoints, list.checkouts, list.blocks = checkpoints.Items, checkouts.Items, blocks.Items
	return list, nil
}
