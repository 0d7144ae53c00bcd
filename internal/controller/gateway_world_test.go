package controller_test

import (
	"context"
	"fmt"
	"slices"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"agentpassport.dev/operator/api/v1alpha1"
	"agentpassport.dev/operator/internal/audit"
	auditwire "agentpassport.dev/operator/internal/audit/wire"
	"agentpassport.dev/operator/internal/channel/wire"
	"agentpassport.dev/operator/internal/controller"
	"agentpassport.dev/operator/internal/gateway/decision"
	"agentpassport.dev/operator/internal/token"
)

// gateways are those of one world: what they saw and the manager does not have yet, and which are up.
type gateways struct {
	unsettled []wire.Signal
	sequence  int64
	// up are the names of those that are up; silent says that they leave no marks.
	up     []string
	silent bool
	calls  int
}

// saw has a gateway see something of a passport, now; it repeats it each round until it is settled.
func (w *world) saw(passport *v1alpha1.Passport, kind string, with ...func(*wire.Signal)) {
	w.gateways.sequence++
	signal := wire.Signal{
		Gateway: "gateway-0", Sequence: w.gateways.sequence, Namespace: passport.Namespace, Name: passport.Name, UID: string(passport.UID),
		Type: kind, Service: "notion", Message: "seen", First: w.clock.Now(), Last: w.clock.Now(), Count: 1,
	}
	for _, change := range with {
		change(&signal)
	}
	w.gateways.unsettled = append(w.gateways.unsettled, signal)
}

// tells has the gateways report what is not settled, one request a passport. What it gives ends the
// requests, and forgets what they settled.
func (w *world) tells(ctx context.Context) (hears func()) {
	GinkgoHelper()
	ctx, cancel := context.WithCancel(ctx)
	byPassport := map[string][]wire.Signal{}
	for _, signal := range w.gateways.unsettled {
		byPassport[signal.UID] = append(byPassport[signal.UID], signal)
	}
	type answer struct {
		signals []wire.Signal
		settled []bool
	}
	answers := make(chan answer, len(byPassport))
	for _, signals := range byPassport {
		reports, waiting, answered := w.reports, w.reports.Waiting(), len(answers)
		go func() {
			defer GinkgoRecover()
			settled, err := reports.Report(ctx, signals)
			Expect(err).NotTo(HaveOccurred())
			answers <- answer{signals, settled}
		}()
		Eventually(func() bool { return reports.Waiting() > waiting || len(answers) > answered }).WithPolling(time.Millisecond).Should(BeTrue())
	}
	return func() {
		cancel()
		for range byPassport {
			given := <-answers
			for i, signal := range given.signals {
				if given.settled[i] {
					w.gateways.unsettled = slices.DeleteFunc(w.gateways.unsettled, func(s wire.Signal) bool { return s.Sequence == signal.Sequence })
				}
			}
		}
	}
}

// called has a gateway record calls of a mission in the audit log: so many to a service, that it decided
// with a code.
func (w *world) called(passport *v1alpha1.Passport, service string, code decision.Code, times int) {
	GinkgoHelper()
	for range times {
		w.gateways.calls++
		record := w.recordOf(passport, audit.CredentialProxy, fmt.Sprint("gateway-0/", w.gateways.calls))
		record.Facts = &audit.Facts{Call: &audit.Call{Gateway: "gateway-0", Front: "proxy", Service: service, Method: "GET"}}
		if code != decision.Allowed {
			record.Outcome, record.ErrorCode = audit.Blocked, string(code)
		}
		w.log.write(w.ctx, record)
	}
}

// mark has every gateway that is up say that all it saw of the missions that are over is in the log.
func (w *world) mark() {
	GinkgoHelper()
	if len(w.gateways.up) == 0 || w.gateways.silent || w.log.isAway() {
		return
	}
	var passports v1alpha1.PassportList
	Expect(w.admin.List(w.ctx, &passports, inNamespace(w))).To(Succeed())
	for i := range passports.Items {
		passport := &passports.Items[i]
		if !passport.Status.Phase.Finished() || passport.Status.Issued == nil {
			continue
		}
		for _, name := range w.gateways.up {
			record := w.recordOf(passport, audit.PassportSeen, name)
			record.Facts = &audit.Facts{Gateway: name}
			w.log.write(w.ctx, record)
		}
	}
}

func (w *world) recordOf(passport *v1alpha1.Passport, action audit.Action, which string) audit.Record {
	step := string(action) + "/" + which
	return audit.Record{
		ID: audit.ID(string(passport.UID), step), Time: passport.CreationTimestamp.UTC(), Layer: audit.Proxy, Action: action, Step: step,
		Outcome: audit.Success, Namespace: passport.Namespace, Object: audit.Object{Kind: "Passport", Name: passport.Name, UID: string(passport.UID)},
		PassportJTI: token.JTI(string(passport.UID)), Actor: audit.Actor{Username: "gateway"},
	}
}

// write appends what others than the operator record.
func (l *logOfWorld) write(ctx context.Context, record audit.Record) {
	GinkgoHelper()
	l.mu.Lock()
	defer l.mu.Unlock()
	entries, err := ledger.Append(ctx, record)
	Expect(err).NotTo(HaveOccurred())
	for _, entry := range entries {
		l.held[entry.Index] = entry.Record
	}
}

func (l *logOfWorld) isAway() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.away
}

// sums gives what the log holds of the calls of one jti.
func (l *logOfWorld) sums(_ context.Context, namespace, jti string) (auditwire.Calls, error) {
	if l.isAway() {
		return auditwire.Calls{}, errLogAway
	}
	sums := auditwire.Calls{JTI: jti, Services: map[string]auditwire.ServiceCalls{}}
	for _, record := range l.records() {
		if record.PassportJTI != jti || record.Namespace != namespace {
			continue
		}
		switch record.Action {
		case audit.PassportSeen:
			sums.Seen = append(sums.Seen, record.Facts.Gateway)
		case audit.CredentialProxy:
			of := sums.Services[record.Facts.Call.Service]
			if record.Outcome == audit.Success {
				of.Sent++
			} else {
				if of.Refused == nil {
					of.Refused = map[string]int64{}
				}
				of.Refused[record.ErrorCode]++
			}
			sums.Services[record.Facts.Call.Service] = of
		default: // it tells of no call
		}
	}
	return sums, nil
}

// observe gives the options with what the world's gateways do.
func (w *world) observe(options *controller.Options) {
	options.Calls = w.log.sums
	options.LiveGateways = func(context.Context, time.Time) ([]string, error) { return w.gateways.up, nil }
}
