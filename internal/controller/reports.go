package controller

import (
	"context"
	"fmt"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"agentpassport.dev/operator/api/v1alpha1"
	"agentpassport.dev/operator/internal/channel/wire"
	"agentpassport.dev/operator/internal/lifecycle"
)

const (
	// maxHeldReports is how many reports of gateways wait at once to be taken in.
	maxHeldReports = 4096
	// reportPatience is for how long a gateway is kept waiting for an answer, at most.
	reportPatience = 10 * time.Second
)

// Reports is where gateways' reports wait until they are in the status of their Passports. It holds them
// in memory, and only as long as the gateway waits for its answer: what is not settled then, it sends
// again. Only the manager that leads takes them in. Its methods may be called at any time; a nil one
// holds none.
type Reports struct {
	cached, live client.Reader

	mu   sync.Mutex
	held int
	// waiting are the batches by their passport.
	waiting map[types.NamespacedName]map[*batch]bool
	// bring has a passport looked at; nil where nobody does.
	bring func(types.NamespacedName)
}

// batch is what one request reports on one passport.
type batch struct {
	uid     types.UID
	reports []lifecycle.Report
	// at are the places of the reports in the request.
	at []int
	// looked tells that the passport was looked at.
	looked chan struct{}
	// status that was stored last, as far as it is known here.
	status v1alpha1.PassportStatus
}

// NewReports gives an empty one. It finds passports in the cache, and in live where that shows none.
func NewReports(cached, live client.Reader) *Reports {
	return &Reports{cached: cached, live: live, waiting: map[types.NamespacedName]map[*batch]bool{}}
}

// Report has signals of gateways taken in, wire.MaxItems at most, and says of each one whether it is
// settled: stored for good, or never can be, because its passport is gone or was never issued. It waits
// for 10 seconds at most; what is not settled by then is to be reported again.
func (r *Reports) Report(ctx context.Context, signals []wire.Signal) ([]bool, error) {
	if len(signals) > wire.MaxItems {
		return nil, fmt.Errorf("%d signals are too many: %d at most", len(signals), wire.MaxItems)
	}
	ctx, cancel := context.WithTimeout(ctx, reportPatience)
	defer cancel()
	settled := make([]bool, len(signals))
	var taking sync.WaitGroup
	for passport, its := range batches(signals, settled) {
		taking.Go(func() { r.take(ctx, passport, its, settled) })
	}
	taking.Wait()
	return settled, nil
}

// Waiting says how many reports wait to be taken in.
func (r *Reports) Waiting() int {
	if r == nil {
		return 0
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.held
}

type ofPassport struct {
	types.NamespacedName
	uid types.UID
}

// batches sorts signals by their passports. What no gateway says is settled at sight.
func batches(signals []wire.Signal, settled []bool) map[ofPassport]*batch {
	all := map[ofPassport]*batch{}
	for i, signal := range signals {
		if signal.Sequence < 1 || len(validation.IsDNS1123Subdomain(signal.Gateway)) > 0 || signal.UID == "" {
			settled[i] = true
			continue
		}
		key := ofPassport{types.NamespacedName{Namespace: signal.Namespace, Name: signal.Name}, types.UID(signal.UID)}
		if all[key] == nil {
			all[key] = &batch{uid: key.uid, looked: make(chan struct{}, 1)}
		}
		all[key].at = append(all[key].at, i)
		all[key].reports = append(all[key].reports, lifecycle.Report{
			Gateway: signal.Gateway, Sequence: signal.Sequence, Type: signal.Type, Service: v1alpha1.ServiceName(signal.Service),
			Message: signal.Message, First: signal.First, Last: signal.Last, Count: signal.Count,
		})
	}
	return all
}

// take has one batch taken in, and notes what of it is settled.
func (r *Reports) take(ctx context.Context, passport ofPassport, its *batch, settled []bool) {
	if r.over(ctx, passport, its) {
		its.settle(settled)
		return
	}
	if !r.hold(passport.NamespacedName, its) {
		return
	}
	defer r.drop(passport.NamespacedName, its)
	for {
		select {
		case <-ctx.Done():
			return
		case <-its.looked:
			if r.isTaken(its) || r.over(ctx, passport, its) {
				its.settle(settled)
				return
			}
		}
	}
}

func (b *batch) settle(settled []bool) {
	for _, at := range b.at {
		settled[at] = true
	}
}

// isTaken says whether all of a batch is stored.
func (r *Reports) isTaken(its *batch) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return its.isIn(&its.status)
}

func (b *batch) isIn(status *v1alpha1.PassportStatus) bool {
	for _, report := range b.reports {
		if !lifecycle.TakenIn(status, report.Gateway, report.Sequence) {
			return false
		}
	}
	return true
}

// over says whether there is nothing left to do for a batch: it is stored, or its passport is gone or was
// never issued.
func (r *Reports) over(ctx context.Context, passport ofPassport, its *batch) bool {
	found, err := findCertainly(ctx, r.cached, r.live, passport.Namespace, passport.Name, func(p *v1alpha1.Passport) bool {
		return p.UID == passport.uid
	})
	if err != nil {
		return false
	}
	return found == nil || found.Status.Phase == v1alpha1.PhaseRejected || its.isIn(&found.Status)
}

// hold puts a batch in, where there is room, and has its passport looked at.
func (r *Reports) hold(passport types.NamespacedName, its *batch) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.held+len(its.reports) > maxHeldReports {
		return false
	}
	r.held += len(its.reports)
	if r.waiting[passport] == nil {
		r.waiting[passport] = map[*batch]bool{}
	}
	r.waiting[passport][its] = true
	if r.bring != nil {
		r.bring(passport)
	}
	return true
}

func (r *Reports) drop(passport types.NamespacedName, its *batch) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.held -= len(its.reports)
	delete(r.waiting[passport], its)
	if len(r.waiting[passport]) == 0 {
		delete(r.waiting, passport)
	}
}

// on gives the reports that wait for an issued passport.
func (r *Reports) on(passport *v1alpha1.Passport) []lifecycle.Report {
	if r == nil || passport.Status.Issued == nil {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	var reports []lifecycle.Report
	for its := range r.waiting[client.ObjectKeyFromObject(passport)] {
		if its.uid == passport.UID {
			reports = append(reports, its.reports...)
		}
	}
	return reports
}

// stored tells those who wait of a passport as it is stored.
func (r *Reports) stored(passport *v1alpha1.Passport) {
	r.tell(client.ObjectKeyFromObject(passport), func(its *batch) {
		if its.uid == passport.UID {
			its.status.Observers = append([]v1alpha1.ObserverSequence(nil), passport.Status.Observers...)
		}
	})
}

// gone tells those who wait that a passport may be gone.
func (r *Reports) gone(passport types.NamespacedName) { r.tell(passport, func(*batch) {}) }

func (r *Reports) tell(passport types.NamespacedName, note func(*batch)) {
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for its := range r.waiting[passport] {
		note(its)
		select {
		case its.looked <- struct{}{}:
		default:
		}
	}
}

// follow has passports that are reported on brought to the head of a queue.
func (r *Reports) follow(_ context.Context, queue requestQueue) error {
	if r == nil {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.bring = func(passport types.NamespacedName) { addUrgently(queue, ctrl.Request{NamespacedName: passport}) }
	for passport := range r.waiting {
		r.bring(passport)
	}
	return nil
}
