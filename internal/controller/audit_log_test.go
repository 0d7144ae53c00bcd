package controller_test

import (
	"context"
	"crypto/rand"
	"errors"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"golang.org/x/mod/sumdb/note"
	"k8s.io/apimachinery/pkg/types"

	"agentpassport.dev/operator/internal/audit"
	auditclient "agentpassport.dev/operator/internal/audit/client"
	"agentpassport.dev/operator/internal/audit/tlog"
	"agentpassport.dev/operator/internal/audit/tlog/posix"
)

// ledger is the one audit log of the suite: a real one, in a folder of its own.
var ledger *tlog.Log

// openLedger opens it. What the suite leaves in it has to hold.
func openLedger(ctx context.Context) {
	GinkgoHelper()
	private, public, err := note.GenerateKey(rand.Reader, "test")
	Expect(err).NotTo(HaveOccurred())
	signer, err := note.NewSigner(private)
	Expect(err).NotTo(HaveOccurred())
	verifier, err := note.NewVerifier(public)
	Expect(err).NotTo(HaveOccurred())
	path, err := os.MkdirTemp("", "audit-log-")
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(os.RemoveAll, path)
	storage, err := posix.Open(path, signer)
	Expect(err).NotTo(HaveOccurred())
	ledger, err = tlog.Open(context.WithoutCancel(ctx), storage, signer, verifier)
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(func(ctx context.Context) {
		Expect(ledger.Close()).To(Succeed())
		_, err := tlog.VerifyFolder(ctx, path, verifier)
		Expect(err).NotTo(HaveOccurred(), "the trail of the whole suite holds")
	})
}

var errLogAway = errors.New("the audit log is away")

// logOfWorld is the suite's audit log as one world sees it.
type logOfWorld struct {
	w *world

	mu sync.Mutex
	// away refuses everything, and hangs leaves everybody without an answer.
	away, hangs bool
	// refuses says which records the log does not take, as the service answers: none of their request is.
	refuses func(audit.Record) bool
	// refused counts the requests that were.
	refused int
	// waiting are those without an answer now, most at once since hang.
	waiting, most int
	// epoch is what the log says that it is in.
	epoch uint64
	// held are the world's records in the log, in its order.
	held map[uint64]audit.Record
	// appended counts the records that were new, and repeats, by step, those that were not.
	appended int
	repeats  map[string]int
}

// Append implements controller.AuditLog.
func (l *logOfWorld) Append(ctx context.Context, records ...audit.Record) (entries []audit.Entry, err error) {
	names := make([]string, len(records))
	for i := range records {
		names[i] = records[i].Step + " " + records[i].Object.Name
	}
	land := func() error {
		entries, err = l.land(ctx, records)
		return err
	}
	l.w.mu.Lock()
	fault := l.w.fault
	if fault != nil {
		l.w.attempts++
	}
	number := l.w.attempts
	l.w.mu.Unlock()
	if fault == nil {
		err := land()
		return entries, err
	}
	if err := fault(number, "append "+strings.Join(names, ", "), land); err != nil {
		return nil, err
	}
	return entries, nil
}

func (l *logOfWorld) land(ctx context.Context, records []audit.Record) ([]audit.Entry, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.away {
		return nil, errLogAway
	}
	if l.hangs {
		l.waiting++
		l.most = max(l.most, l.waiting)
		l.mu.Unlock()
		<-ctx.Done()
		l.mu.Lock()
		l.waiting--
		return nil, ctx.Err()
	}
	if l.refuses != nil && slices.ContainsFunc(records, l.refuses) {
		l.refused++
		return nil, &auditclient.BadRecord{Message: "record 1: not an audit record: facts.notes holds what looks like a token"}
	}
	entries, err := ledger.Append(ctx, records...)
	for i := range entries {
		entries[i].Epoch = l.epoch
		if _, known := l.held[entries[i].Index]; !known {
			l.held[entries[i].Index] = entries[i].Record
			l.appended++
			continue
		}
		if l.repeats == nil {
			l.repeats = map[string]int{}
		}
		l.repeats[entries[i].Record.Step]++
	}
	return entries, err
}

// set makes the log go away, or come back.
func (l *logOfWorld) set(away bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.away = away
}

// refuse makes the log take other records alone, or all again.
func (l *logOfWorld) refuse(which func(audit.Record) bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.refuses, l.refused = which, 0
}

// refusals says how many requests were refused since refuse.
func (l *logOfWorld) refusals() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.refused
}

// hang leaves everybody who appends without an answer.
func (l *logOfWorld) hang(hangs bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.hangs, l.most = hangs, l.waiting
}

func (l *logOfWorld) nowWaiting() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.waiting
}

func (l *logOfWorld) mostWaiting() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.most
}

// begin has the log say that it is in another epoch, as one does that was lost.
func (l *logOfWorld) begin(epoch uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.epoch, l.repeats = epoch, nil
}

// repeated says how often a step was appended again.
func (l *logOfWorld) repeated(step string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.repeats[step]
}

// records are the world's, in the order of the log.
func (l *logOfWorld) records() []audit.Record {
	l.mu.Lock()
	defer l.mu.Unlock()
	var places []uint64
	for place := range l.held {
		places = append(places, place)
	}
	slices.Sort(places)
	var records []audit.Record
	for _, place := range places {
		records = append(records, l.held[place])
	}
	return records
}

// lastIssue is where the last attempt to issue the mission stands in the log; false where there was none.
func (l *logOfWorld) lastIssue() (index uint64, issued bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for place, record := range l.held {
		if record.Action == audit.PassportIssue && record.Object.Name == "mission" && place >= index {
			index, issued = place, true
		}
	}
	return index, issued
}

// has says whether the log holds a step of an object.
func (l *logOfWorld) has(uid types.UID, action audit.Action) bool {
	return slices.ContainsFunc(l.records(), func(r audit.Record) bool { return r.Object.UID == string(uid) && r.Action == action })
}

// told tells the records of passports' chains, in order, such as "passport.issue success by admin".
func (l *logOfWorld) told() []string {
	var told []string
	for _, record := range l.records() {
		if record.PassportJTI != "" {
			told = append(told, tell(record))
		}
	}
	return told
}

// configured tells the other records, in no order: each has a chain of its own.
func (l *logOfWorld) configured() []string {
	var told []string
	for _, record := range l.records() {
		if record.PassportJTI == "" {
			told = append(told, tell(record))
		}
	}
	slices.Sort(told)
	return told
}

// verification is the step of a signature that was looked at.
var verification = regexp.MustCompile(`^(document\.verify)/[0-9a-f]+/(.*)/\d+$`)

func tell(record audit.Record) string {
	// The digest of a signed document, and when its signature was looked at, differ from world to world.
	record.Step = verification.ReplaceAllString(record.Step, "$1/$2")
	who := record.Actor.Username[strings.LastIndex(record.Actor.Username, ":")+1:]
	if record.ErrorCode != "" {
		return record.Step + " " + string(record.Outcome) + " " + record.ErrorCode + " by " + who
	}
	return record.Step + " " + string(record.Outcome) + " by " + who
}
