package controller

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"k8s.io/utils/lru"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"agentpassport.dev/operator/api/v1alpha1"
	"agentpassport.dev/operator/internal/audit"
	auditclient "agentpassport.dev/operator/internal/audit/client"
	"agentpassport.dev/operator/internal/audit/steps"
)

// AuditLog takes audit records: the client of the log service, or the log itself.
type AuditLog interface {
	// Append puts records into the log, in their order, and gives them as they stand there once they are
	// durable. A record whose id is known is not written again: the first one is given. Where it fails,
	// nobody knows which of them were written; the same call again finds out.
	Append(ctx context.Context, records ...audit.Record) ([]audit.Entry, error)
}

const (
	// maxKnown is how many records are known to be in the log; the log itself is asked about others.
	maxKnown = 1 << 17
	// maxRecords is how many records one request appends.
	maxRecords = 256
	// appendTimeout is how long an answer of the log is waited for.
	appendTimeout = 5 * time.Second
)

// errAway is what all others get while one caller asks whether a log that did not answer is back: missions
// that live must not queue behind those that wait for it.
var errAway = errors.New("the audit log did not answer the last time, and is being asked again")

// AuditTrail keeps the audit log in line with what is stored. What it knows to be in the log saves work;
// the log itself writes nothing twice.
type AuditTrail struct {
	log AuditLog
	// operator is the operator's own username.
	operator string
	// known holds the ids of records that are in the log, or that it refuses.
	known *lru.Cache

	mu sync.Mutex
	// epoch of the log; 0: not known yet.
	epoch uint64
	// away says that the log did not answer the last time, and asking that somebody asks it again.
	away, asking bool
	// begun is called when the log has begun another epoch: it has lost what was before.
	begun []func()
}

// NewAuditTrail gives a trail that ends in a log. Operator is the operator's own username.
func NewAuditTrail(to AuditLog, operator string) *AuditTrail {
	return &AuditTrail{log: to, operator: operator, known: lru.New(maxKnown)}
}

// record sees to it that records are in the log, but for those that it refuses: see put.
func (t *AuditTrail) record(ctx context.Context, records ...audit.Record) error {
	missing := slices.DeleteFunc(slices.Clone(records), func(r audit.Record) bool {
		_, known := t.known.Get(r.ID)
		return known
	})
	for batch := range slices.Chunk(missing, maxRecords) {
		if err := t.put(ctx, batch); err != nil {
			return err
		}
	}
	return nil
}

// put appends records, in their order. One that the log refuses counts as done from then on: the log will never
// take it, and nothing may wait for that. The others go in: of a request that is refused none is.
func (t *AuditTrail) put(ctx context.Context, records []audit.Record) error {
	_, err := t.append(ctx, records...)
	switch {
	case !refused(err):
		return err
	case len(records) == 1:
		t.leaveOut(ctx, records[0], err)
		return nil
	}
	half := len(records) / 2
	if err := t.put(ctx, records[:half]); err != nil {
		return err
	}
	return t.put(ctx, records[half:])
}

// leaveOut tells once of a record that the log refuses.
func (t *AuditTrail) leaveOut(ctx context.Context, record audit.Record, why error) {
	if _, told := t.known.Get(record.ID); told {
		return
	}
	t.known.Add(record.ID, nil)
	auditRefusals.WithLabelValues(string(record.Action)).Inc()
	log.FromContext(ctx).Error(why, "a record is missing in the audit log for good: the log refuses it as it is",
		"id", record.ID, "step", record.Step, "kind", record.Object.Kind, "namespace", record.Namespace, "name", record.Object.Name)
}

// refused says that the log answered, and will never take these records. None of them was written.
func refused(err error) bool {
	var bad *auditclient.BadRecord
	return errors.As(err, &bad) || errors.Is(err, audit.ErrRecord)
}

// confirm asks the log for a record whether or not it is known to be there: so a log that has begun another
// epoch is found while nothing happens.
func (t *AuditTrail) confirm(ctx context.Context, record audit.Record) error {
	return t.put(ctx, []audit.Record{record})
}

// issued sees to it that an attempt to issue a passport is in the log, and gives its first record. A record that
// the log refuses is an error here: without it there is no passport.
func (t *AuditTrail) issued(
	ctx context.Context, passport *v1alpha1.Passport, status v1alpha1.PassportStatus, attempt int,
) (audit.Record, error) {
	record, err := steps.Issue(passport, status, attempt)
	if err != nil {
		return audit.Record{}, err
	}
	entries, err := t.append(ctx, record)
	if refused(err) {
		auditRefusals.WithLabelValues(string(record.Action)).Inc()
	}
	if err != nil {
		return audit.Record{}, err
	}
	return entries[0].Record, nil
}

func (t *AuditTrail) append(ctx context.Context, records ...audit.Record) ([]audit.Entry, error) {
	done, may := t.ask()
	if !may {
		return nil, errAway
	}
	defer done()
	limited, cancel := context.WithTimeout(ctx, appendTimeout)
	defer cancel()
	entries, err := t.log.Append(limited, records...)
	if err == nil && len(entries) != len(records) {
		err = fmt.Errorf("the audit log answered %d records with %d", len(records), len(entries))
	}
	if refused(err) {
		t.note(ctx, nil) // it is there, and takes those of others
		return nil, err
	}
	t.note(ctx, err)
	if err != nil {
		return nil, err
	}
	t.follow(ctx, entries[len(entries)-1].Epoch)
	for _, entry := range entries {
		t.known.Add(entry.Record.ID, nil)
	}
	return entries, nil
}

// ask says whether a caller may ask the log: of one that is away, one caller at a time, until it is done.
func (t *AuditTrail) ask() (done func(), may bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.away {
		return func() {}, true
	}
	if t.asking {
		return nil, false
	}
	t.asking = true
	return func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		t.asking = false
	}, true
}

// note tells once of a log that has gone away, and of one that is back.
func (t *AuditTrail) note(ctx context.Context, err error) {
	if err != nil {
		auditFailures.Inc()
	}
	t.mu.Lock()
	was := t.away
	t.away = err != nil
	t.mu.Unlock()
	switch {
	case err != nil && !was && !errors.Is(err, context.Canceled):
		log.FromContext(ctx).Error(err, "the audit log does not take records; no passport is issued until it does")
	case err == nil && was:
		log.FromContext(ctx).Info("the audit log takes records again")
	}
}

// follow notes the epoch that the log is in. Another than before lacks what the one before it held: what
// the cluster still holds of it is recorded again.
func (t *AuditTrail) follow(ctx context.Context, epoch uint64) {
	t.mu.Lock()
	before := t.epoch
	t.epoch = epoch
	begun := t.begun
	t.mu.Unlock()
	if before == 0 || before == epoch {
		return
	}
	log.FromContext(ctx).Info("the audit log has begun another epoch; what the cluster holds is recorded again", "epoch", epoch)
	t.known.Clear()
	for _, again := range begun {
		again()
	}
}

// onNewEpoch has a function called whenever the log has begun another epoch.
func (t *AuditTrail) onNewEpoch(again func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.begun = append(t.begun, again)
}

// mission sees to it that all steps so far of a passport are in the log: of the passport as it is at hand, since
// the cache may lag behind what was stored a moment ago.
func (t *AuditTrail) mission(ctx context.Context, reader client.Reader, passport *v1alpha1.Passport) error {
	records, err := t.ofMission(ctx, reader, passport.Namespace, passport.Name, passport)
	if err != nil {
		return err
	}
	return t.record(ctx, records...)
}

// ofMission gives the records of the missions of a name, whose Passport is nil where there is none.
func (t *AuditTrail) ofMission(
	ctx context.Context, reader client.Reader, namespace, name string, passport *v1alpha1.Passport,
) ([]audit.Record, error) {
	mission, err := missionOf(ctx, reader, namespace, name, passport)
	if err != nil {
		return nil, err
	}
	return mission.Records(t.operator)
}

// missionOf gives what is stored of the missions of a name, whose Passport is nil where there is none.
func missionOf(
	ctx context.Context, reader client.Reader, namespace, name string, passport *v1alpha1.Passport,
) (m steps.Mission, err error) {
	m.Passport = passport
	if m.Checkpoints, err = checkpointsOf(ctx, reader, namespace, name); err != nil {
		return m, err
	}
	if m.Checkouts, err = checkoutsOf(ctx, reader, namespace, name); err != nil {
		return m, err
	}
	if m.Passport == nil || m.Passport.Status.Phase != v1alpha1.PhaseRevoked {
		return m, nil
	}
	// Who revoked it, these say.
	if m.Blocks, err = blocks(ctx, reader, namespace); err != nil {
		return m, err
	}
	m.Agent, err = agentOf(ctx, reader, m.Passport)
	return m, err
}
