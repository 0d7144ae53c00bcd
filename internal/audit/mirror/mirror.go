package mirror

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/util/retry"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"agentpassport.dev/operator/internal/audit/epoch"
	"agentpassport.dev/operator/internal/audit/keys"
	"agentpassport.dev/operator/internal/audit/tlog"
)

const (
	// Interval is how long a new head waits at most, and how long it is between two writes.
	Interval = 10 * time.Second
	// attempt is how long one write may take, the last one at the end included.
	attempt = 5 * time.Second
)

// ErrBehind means that the ConfigMap holds a head that this log has not: one of a larger tree, of a later
// epoch, or of another tree of the same size. It is never written over: two logs run under one name, or
// this one was set back.
var ErrBehind = errors.New("the mirrored head is not one of this log's: nothing was written over it")

// Read is the state in the ConfigMap of a namespace; nil where there is no ConfigMap. A damaged one is an
// ErrDamaged. The client must not read from a cache.
func Read(ctx context.Context, reader client.Reader, namespace string) (*epoch.State, error) {
	object := empty(namespace)
	if err := reader.Get(ctx, client.ObjectKeyFromObject(object), object); err != nil {
		return nil, client.IgnoreNotFound(err)
	}
	state, err := Parse(object)
	if err != nil {
		return nil, err
	}
	return &state, nil
}

// Mirror writes the newest head of a log to the ConfigMap. It reads what there is to write each time anew,
// so that a head that could not be written is not made up for: the next one says all that it said.
type Mirror struct {
	// Client must not read from a cache.
	Client client.Client
	// Namespace is the operator's own.
	Namespace string
	// Log is what is mirrored; a *writer.Log is one.
	Log interface{ State() (epoch.State, error) }
	// Clock times the writes.
	Clock clock.WithTicker
	// Interval between writes; 0 is Interval.
	Interval time.Duration

	mu      sync.Mutex
	written epoch.State
	failed  error
}

// Run mirrors until the context ends, and once more then. What fails is told to the logger and tried again.
// It never holds up the log. Close the log before the context ends, so that its last head is mirrored too.
func (m *Mirror) Run(ctx context.Context) error {
	interval := m.Interval
	if interval == 0 {
		interval = Interval
	}
	ticker := m.Clock.NewTicker(interval)
	defer ticker.Stop()
	for {
		m.try(ctx)
		select {
		case <-ticker.C():
		case <-ctx.Done():
			m.try(context.WithoutCancel(ctx))
			return nil
		}
	}
}

func (m *Mirror) try(ctx context.Context) {
	limited, cancel := context.WithTimeout(ctx, attempt)
	defer cancel()
	// What ends with the context is tried again at once, without it.
	if err := m.Write(limited); err != nil && ctx.Err() == nil {
		logr.FromContextOrDiscard(ctx).Error(err, "the head of the audit log is not mirrored", "configMap", m.Namespace+"/"+Name)
	}
}

// Written is the state that was last written or found there, and why the last attempt failed, nil where it
// did not.
func (m *Mirror) Written() (epoch.State, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.written, m.failed
}

// Write mirrors the log as it is now, once. It reads the ConfigMap each time, so that one that was deleted
// or changed is made good, and writes nothing where that already says so.
func (m *Mirror) Write(ctx context.Context) error {
	state, err := m.Log.State()
	if err == nil {
		err = retry.RetryOnConflict(retry.DefaultBackoff, func() error { return m.put(ctx, state) })
	}
	if err != nil {
		m.set(epoch.State{}, err)
		return err
	}
	m.set(state, nil)
	return nil
}

// set notes how an attempt went. After one that failed it is not known what the ConfigMap holds.
func (m *Mirror) set(written epoch.State, failed error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.written, m.failed = written, failed
}

// put writes a state, where what is there is not ahead of it. Whoever else has written in between makes
// it a Conflict.
func (m *Mirror) put(ctx context.Context, state epoch.State) error {
	object := empty(m.Namespace)
	err := m.Client.Get(ctx, client.ObjectKeyFromObject(object), object)
	switch {
	case apierrors.IsNotFound(err):
		fill(object, state)
		err := m.Client.Create(ctx, object)
		if apierrors.IsAlreadyExists(err) {
			return apierrors.NewConflict(corev1.Resource("configmaps"), Name, err)
		}
		return err
	case err != nil:
		return err
	}
	there, err := Parse(object)
	if err != nil {
		// What is not signed says nothing about the log. The log is whole, or it would not run.
		logr.FromContextOrDiscard(ctx).Error(err, "the mirrored head was changed by someone; it is written anew")
	} else {
		if same(there, state) {
			return nil
		}
		if err := follows(there, state); err != nil {
			return err
		}
		if len(state.Witnessed) == 0 && there.Epoch == state.Epoch {
			state.Witnessed = there.Witnessed
		}
	}
	fill(object, state)
	return m.Client.Update(ctx, object)
}

// follows refuses a state that would take the place of one that it is not the continuation of.
func follows(there, state epoch.State) error {
	oldRing, oldHead, err := epoch.OpenState(there)
	if err != nil {
		return err
	}
	ring, head, err := epoch.OpenState(state)
	if err != nil {
		return err
	}
	longer, err := keys.Longer(ring, oldRing)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrBehind, err)
	}
	switch {
	case longer != ring:
		return fmt.Errorf("%w: it has keys that this log does not know", ErrBehind)
	case there.Epoch > state.Epoch:
		return fmt.Errorf("%w: it is of epoch %d, this is epoch %d", ErrBehind, there.Epoch, state.Epoch)
	case there.Epoch == state.Epoch && ahead(oldHead, head):
		return fmt.Errorf("%w: it covers %d records of epoch %d, this log has %d", ErrBehind, oldHead.Size, state.Epoch, head.Size)
	}
	return nil
}

func ahead(there, head tlog.Head) bool {
	return there.Size > head.Size || there.Size == head.Size && !bytes.Equal(there.Root, head.Root)
}

func same(one, other epoch.State) bool {
	return one.Epoch == other.Epoch && bytes.Equal(one.Checkpoint, other.Checkpoint) &&
		bytes.Equal(one.Witnessed, other.Witnessed) && bytes.Equal(one.Keys, other.Keys)
}
