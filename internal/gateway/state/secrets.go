package state

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apimachinery/pkg/watch"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
	toolscache "k8s.io/client-go/tools/cache"

	"agentpassport.dev/operator/api/v1alpha1"
	"agentpassport.dev/operator/internal/contact"
)

// secrets watches the Secrets that ServiceConnections name, each by its name, and hands what they hold to
// the followers. It keeps no Secret.
type secrets struct {
	client  corev1client.SecretsGetter
	contact *contact.Contact
	most    int
	log     logr.Logger

	mu sync.Mutex
	// running is that of Start; nil before it.
	running context.Context //nolint:containedctx // watches begin whenever a connection comes
	watches map[types.NamespacedName]*secretWatch
}

// secretWatch is the watch of one Secret.
type secretWatch struct {
	followers map[*follower]struct{}
	// stop ends the run that counts; what another run still brings is not believed.
	stop context.CancelFunc
	run  int
}

// start begins the watches that are wanted, until ctx ends.
func (s *secrets) start(ctx context.Context) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.running = ctx
	for secret, w := range s.watches {
		s.restart(ctx, secret, w)
	}
}

// follow has the follower told what its Secret holds.
func (s *secrets) follow(f *follower) {
	s.mu.Lock()
	defer s.mu.Unlock()
	w := s.watches[f.secret]
	if w == nil {
		if len(s.watches) >= s.most {
			f.set(&reading{reason: v1alpha1.ReasonNoGatewayYet, message: fmt.Sprintf(
				"the gateway watches %d Secrets and takes no more: Secret %s is not read", s.most, f.secret)})
			return
		}
		w = &secretWatch{followers: map[*follower]struct{}{}}
		s.watches[f.secret] = w
	}
	w.followers[f] = struct{}{}
	// Nothing of the Secret was kept, so that it is read again for a new follower.
	if s.running != nil {
		s.restart(s.running, f.secret, w)
	}
}

// leave ends what follow began.
func (s *secrets) leave(f *follower) {
	s.mu.Lock()
	defer s.mu.Unlock()
	w := s.watches[f.secret]
	if w == nil {
		return
	}
	delete(w.followers, f)
	if len(w.followers) > 0 {
		return
	}
	delete(s.watches, f.secret)
	s.contact.Forget(f.path, f.selector)
	if w.stop != nil {
		w.stop()
	}
}

// any gives one of the Secrets that are watched.
func (s *secrets) any() (types.NamespacedName, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for secret := range s.watches {
		return secret, true
	}
	return types.NamespacedName{}, false
}

// restart is called under the lock. The watch runs until running ends.
func (s *secrets) restart(running context.Context, secret types.NamespacedName, w *secretWatch) {
	if w.stop != nil {
		w.stop()
	}
	ctx, stop := context.WithCancel(running)
	w.stop = stop
	w.run++
	sink := &sink{secrets: s, watch: w, run: w.run, name: secret}
	go s.reflector(secret, sink).RunWithContext(ctx)
}

// reflector lists and watches one Secret, again and again, with a pause where it may not.
func (s *secrets) reflector(secret types.NamespacedName, sink *sink) *toolscache.Reflector {
	secrets := s.client.Secrets(secret.Namespace)
	own := func(options *metav1.ListOptions) *metav1.ListOptions {
		options.FieldSelector = byName(secret.Name)
		return options
	}
	return toolscache.NewReflectorWithOptions(&toolscache.ListWatch{
		ListWithContextFunc: func(ctx context.Context, options metav1.ListOptions) (runtime.Object, error) {
			list, err := secrets.List(ctx, *own(&options))
			return list, sink.refused(err)
		},
		WatchFuncWithContext: func(ctx context.Context, options metav1.ListOptions) (watch.Interface, error) {
			watcher, err := secrets.Watch(ctx, *own(&options))
			return watcher, sink.refused(err)
		},
	}, &corev1.Secret{}, sink, toolscache.ReflectorOptions{
		Name: "credentials", Logger: &s.log,
		Backoff: &wait.Backoff{Duration: 500 * time.Millisecond, Cap: 10 * time.Second, Steps: 6, Factor: 2, Jitter: 0.5},
	})
}

func byName(name string) string {
	return fields.OneTermEqualSelector(metav1.ObjectNameField, name).String()
}

// deliver gives the followers what a run brings; nil where there is no such Secret.
func (s *secrets) deliver(w *secretWatch, run int, read func(*follower) *reading) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if w.run != run {
		return
	}
	for f := range w.followers {
		f.set(read(f))
	}
}

// sink is the store of a reflector that parses and forgets. It implements toolscache.ReflectorStore.
type sink struct {
	secrets *secrets
	watch   *secretWatch
	run     int
	name    types.NamespacedName
}

// Add takes in the Secret.
func (s *sink) Add(object any) error {
	if secret, ok := object.(*corev1.Secret); ok && secret.Name == s.name.Name {
		s.secrets.deliver(s.watch, s.run, func(f *follower) *reading { return f.read(secret.Data) })
	}
	return nil
}

// Update takes in the Secret.
func (s *sink) Update(object any) error { return s.Add(object) }

// Delete takes in that it is gone.
func (s *sink) Delete(any) error {
	s.secrets.deliver(s.watch, s.run, func(*follower) *reading {
		return &reading{reason: v1alpha1.ReasonCredentialNotFound, message: fmt.Sprintf("there is no Secret %s; create it", s.name)}
	})
	return nil
}

// Replace takes in the list: the Secret or nothing.
func (s *sink) Replace(objects []any, _ string) error {
	if len(objects) == 0 {
		return s.Delete(nil)
	}
	return s.Add(objects[0])
}

// Resync has nothing to do.
func (s *sink) Resync() error { return nil }

// refused takes in that the gateway may not read the Secret, and returns the error that says so.
func (s *sink) refused(err error) error {
	if apierrors.IsForbidden(err) {
		s.secrets.deliver(s.watch, s.run, func(*follower) *reading {
			return &reading{reason: v1alpha1.ReasonCredentialForbidden, message: fmt.Sprintf(
				"the gateway may not read Secret %s; the condition CredentialReadable of the ServiceConnection has the Role to apply", s.name)}
		})
	}
	return err
}
