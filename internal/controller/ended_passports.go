package controller

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strconv"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/retry"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"agentpassport.dev/operator/api/v1alpha1"
	"agentpassport.dev/operator/internal/token"
)

const (
	// EndedConfigMapName is the ConfigMap, in the operator's namespace, that holds which deleted passports
	// may still have a token that verifies offline.
	EndedConfigMapName = "agent-passport-ended"
	// verifiersLag is how far behind the clock of a verifier may be: until then a token is not dead.
	verifiersLag = 5 * time.Minute
	// maxEndedBytes is how much the ConfigMap holds: the API server takes a mebibyte.
	maxEndedBytes = 900 << 10
	// endedTimeout is how long one read and write of it may take.
	endedTimeout = 10 * time.Second
)

// tombstone is what stays of a passport that is deleted while its last token may still verify.
type tombstone struct {
	list  listID
	index int64
	// until is when its last token is dead everywhere.
	until time.Time
}

// tombstoneOf gives what has to stay of a finished passport; false where nothing has: it has no place in a
// list, or its last token is dead by now, as after the usual clean-up.
func tombstoneOf(passport *v1alpha1.Passport, now time.Time) (tombstone, bool) {
	status := &passport.Status
	list, listed := listOf(status.Issued)
	if !listed || status.ExpirationTime == nil {
		return tombstone{}, false
	}
	// The status is stored before a token with its expiry is signed: none lives longer than the last one says.
	until := status.ExpirationTime.Add(verifiersLag)
	return tombstone{list: list, index: *status.Issued.StatusList.Index, until: until}, now.Before(until)
}

// endedList is what the ConfigMap holds of one list.
type endedList struct {
	// Until is when the last token of all of them is dead.
	Until metav1.Time `json:"until"`
	// List of them, as in a status list.
	List string `json:"lst"`
}

// endedPassports keeps deleted passports invalid until their last token is dead. They are bits of a status
// list, so a million of them fits, and one that is there already is written no second time.
type endedPassports struct {
	// client reads and writes the ConfigMap live.
	client client.Client
	clock  clock.PassiveClock
	// namespace of the operator.
	namespace string

	mu      sync.Mutex
	running bool
	next    *endedBatch
}

func newEndedPassports(c client.Client, o Options) *endedPassports {
	return &endedPassports{client: c, clock: o.Clock, namespace: o.Namespace}
}

// endedBatch is what is written at once.
type endedBatch struct {
	stones []tombstone
	done   chan struct{}
	err    error
}

// add stores a tombstone durably. Those that come while a write runs share the next one: a namespace with a
// thousand live missions that is deleted costs a few.
func (e *endedPassports) add(ctx context.Context, stone tombstone) error {
	e.mu.Lock()
	if e.next == nil {
		e.next = &endedBatch{done: make(chan struct{})}
	}
	batch := e.next
	batch.stones = append(batch.stones, stone)
	if !e.running {
		e.running = true
		go e.run(context.WithoutCancel(ctx))
	}
	e.mu.Unlock()
	select {
	case <-batch.done:
		return batch.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// run writes batches until none is waiting.
func (e *endedPassports) run(ctx context.Context) {
	for {
		e.mu.Lock()
		batch := e.next
		e.next = nil
		if batch == nil {
			e.running = false
			e.mu.Unlock()
			return
		}
		e.mu.Unlock()
		batch.err = e.store(ctx, batch.stones)
		close(batch.done)
	}
}

func (e *endedPassports) store(ctx context.Context, stones []tombstone) error {
	ctx, cancel := context.WithTimeout(ctx, endedTimeout)
	defer cancel()
	err := retry.RetryOnConflict(retry.DefaultBackoff, func() error { return e.put(ctx, stones) })
	if apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause) {
		return nil // the operator itself is being removed: nobody serves lists any more
	}
	if err != nil {
		return fmt.Errorf("ConfigMap %s/%s, which keeps deleted passports invalid, cannot be written: %w", e.namespace, EndedConfigMapName, err)
	}
	return nil
}

// put writes tombstones into the ConfigMap as it is now, where they are not in it yet, and takes out the
// lists whose tokens are all dead.
func (e *endedPassports) put(ctx context.Context, stones []tombstone) error {
	object, err := e.read(ctx)
	if err != nil {
		return err
	}
	before := maps.Clone(object.Data)
	byList := map[listID][]tombstone{}
	for _, stone := range stones {
		byList[stone.list] = append(byList[stone.list], stone)
	}
	for list, theirs := range byList {
		if err := e.engrave(ctx, object, list, theirs); err != nil {
			return err
		}
	}
	if maps.Equal(before, object.Data) {
		return nil
	}
	now := e.clock.Now()
	maps.DeleteFunc(object.Data, func(_, text string) bool {
		ended, _, err := parseEnded(text)
		return err == nil && !now.Before(ended.Until.Time)
	})
	if size := sizeOf(object.Data); size > maxEndedBytes {
		return fmt.Errorf("it would hold %d bytes, more than %d: too many live passports are deleted within an hour", size, maxEndedBytes)
	}
	if object.ResourceVersion != "" {
		return e.client.Update(ctx, object)
	}
	err = e.client.Create(ctx, object)
	if apierrors.IsAlreadyExists(err) {
		return apierrors.NewConflict(corev1.Resource("configmaps"), EndedConfigMapName, err)
	}
	return err
}

// read gives the ConfigMap as it is stored, or an empty one where there is none.
func (e *endedPassports) read(ctx context.Context) (*corev1.ConfigMap, error) {
	var object corev1.ConfigMap
	err := e.client.Get(ctx, types.NamespacedName{Namespace: e.namespace, Name: EndedConfigMapName}, &object)
	if apierrors.IsNotFound(err) {
		object = corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: e.namespace, Name: EndedConfigMapName}}
		err = nil
	}
	if object.Data == nil {
		object.Data = map[string]string{}
	}
	return &object, err
}

// engrave puts the tombstones of one list into the ConfigMap's data.
func (e *endedPassports) engrave(ctx context.Context, object *corev1.ConfigMap, list listID, stones []tombstone) error {
	ended, bits := endedList{}, token.NewStatusList()
	if text, there := object.Data[list.key()]; there {
		was, its, err := parseEnded(text)
		if err != nil {
			log.FromContext(ctx).Error(err, "what was noted of deleted passports was changed by someone; it is written anew", "configMap", EndedConfigMapName, "key", list.key())
		} else {
			ended = was
			bits.Merge(its)
		}
	}
	changed := false
	for _, stone := range stones {
		if !bits.Invalid(stone.index) {
			bits.Invalidate(stone.index)
			changed = true
		}
		if stone.until.After(ended.Until.Time) {
			ended.Until = metav1.NewTime(stone.until.Truncate(time.Second).Add(time.Second))
			changed = true
		}
	}
	if !changed {
		return nil
	}
	ended.List = bits.Encode()
	text, err := json.Marshal(ended)
	object.Data[list.key()] = string(text)
	return err
}

// key of a list in the ConfigMap, such as 1.0.
func (l listID) key() string {
	return strconv.FormatInt(l.epoch, 10) + "." + strconv.FormatInt(l.list, 10)
}

// parseKey is the inverse of key.
func parseKey(key string) (listID, error) {
	first, second, _ := strings.Cut(key, ".")
	epoch, err := strconv.ParseInt(first, 10, 64)
	list, listErr := strconv.ParseInt(second, 10, 64)
	id := listID{epoch: epoch, list: list}
	if err = errors.Join(err, listErr); err == nil && id.key() != key {
		err = errors.New("another spelling of a number")
	}
	return id, err
}

// parseEnded reads what the ConfigMap holds of one list.
func parseEnded(text string) (endedList, token.StatusList, error) {
	var ended endedList
	if err := json.Unmarshal([]byte(text), &ended); err != nil {
		return endedList{}, nil, errors.New("it is no JSON of ours")
	}
	bits, err := token.DecodeStatusList(ended.List)
	if err == nil && ended.Until.IsZero() {
		err = errors.New("it does not say until when")
	}
	return ended, bits, err
}

func sizeOf(data map[string]string) int {
	size := 0
	for key, value := range data {
		size += len(key) + len(value)
	}
	return size
}

// each calls back with every list of which a token may still verify, as the API server has them now. One
// that cannot be read is an error: nothing vouches for its passports.
func (e *endedPassports) each(ctx context.Context, found func(listID, token.StatusList)) error {
	object, err := e.read(ctx)
	if err != nil {
		return err
	}
	now := e.clock.Now()
	for key, text := range object.Data {
		list, err := parseKey(key)
		if err != nil {
			return fmt.Errorf("ConfigMap %s/%s: key %q is none of ours: remove it", e.namespace, EndedConfigMapName, key)
		}
		ended, bits, err := parseEnded(text)
		if err != nil {
			return fmt.Errorf("ConfigMap %s/%s: key %s was changed by someone (%w): remove it, an hour after the change at the latest", e.namespace, EndedConfigMapName, key, err)
		}
		if now.Before(ended.Until.Time) {
			found(list, bits)
		}
	}
	return nil
}

// bury leaves a tombstone of a passport whose last token may still verify, before the passport goes. Whoever
// repeats it finds it there.
func (r *PassportReconciler) bury(ctx context.Context, passport *v1alpha1.Passport) error {
	stone, needed := tombstoneOf(passport, r.Clock.Now())
	if !needed {
		return nil
	}
	return r.ended.add(ctx, stone)
}
