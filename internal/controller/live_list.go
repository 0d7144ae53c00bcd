package controller

import (
	"context"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"agentpassport.dev/operator/api/v1alpha1"
	"agentpassport.dev/operator/internal/lifecycle"
)

// fewPassports is for how many passports their reports are listed one passport at a time. For more, one
// LIST of the namespace is cheaper, whatever it holds of missions that are over.
const fewPassports = 4

// namespaceList is what one live LIST saw of a namespace, of the passports that were asked for at
// least. It proves absence, which a cache cannot.
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
	passports map[string]bool
	done      chan struct{}
	list      *namespaceList
	err       error
}

// list gives a LIST of the namespace, of this passport at least, that begins no earlier than the call.
func (l *liveLists) list(ctx context.Context, namespace, passport string) (*namespaceList, error) {
	l.mu.Lock()
	if l.next == nil {
		l.running, l.next = map[string]bool{}, map[string]*listBatch{}
	}
	batch, joined := l.next[namespace]
	if !joined {
		batch = &listBatch{passports: map[string]bool{}, done: make(chan struct{})}
		l.next[namespace] = batch
	}
	batch.passports[passport] = true
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
		batch.list, batch.err = l.read(ctx, namespace, batch.passports)
		close(batch.done)
	}
}

func (l *liveLists) read(ctx context.Context, namespace string, passports map[string]bool) (*namespaceList, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	list := &namespaceList{beganAt: l.clock.Now()}
	for _, reports := range reportsOf(namespace, passports) {
		var checkpoints v1alpha1.CheckpointList
		if err := l.reader.List(ctx, &checkpoints, reports); err != nil {
			return nil, err
		}
		var checkouts v1alpha1.CheckoutList
		if err := l.reader.List(ctx, &checkouts, reports); err != nil {
			return nil, err
		}
		list.checkpoints = append(list.checkpoints, checkpoints.Items...)
		list.checkouts = append(list.checkouts, checkouts.Items...)
	}
	var err error
	list.blocks, err = blocks(ctx, l.reader, namespace)
	return list, err
}

// reportsOf selects the reports on a few passports one by one, and on many all of their namespace.
func reportsOf(namespace string, passports map[string]bool) []*client.ListOptions {
	if len(passports) > fewPassports {
		return []*client.ListOptions{{Namespace: namespace}}
	}
	var selections []*client.ListOptions
	for passport := range passports {
		selections = append(selections, &client.ListOptions{
			Namespace: namespace, FieldSelector: fields.OneTermEqualSelector(passportField, passport),
		})
	}
	return selections
}
