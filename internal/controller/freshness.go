package controller

import (
	"context"
	"fmt"
	"strings"
	"time"

	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"agentpassport.dev/operator/api/v1alpha1"
	"agentpassport.dev/operator/internal/contact"
	"agentpassport.dev/operator/internal/watched"
)

const (
	// watchSilence is for how long a watch may bring neither event nor bookmark before it counts as lost.
	watchSilence = 90 * time.Second
	// urgeInterval is how often the API server is asked how far it is.
	urgeInterval = 15 * time.Second
	// urgeTimeout bounds one round of that.
	urgeTimeout = 5 * time.Second
)

// Freshness says whether what this replica's cache shows may be old: the cache itself does not tell that its watches
// have fallen silent. Use NewFreshness, make the cache with NewCache, and run Start.
type Freshness struct {
	contact *contact.Contact
	clock   clock.WithTicker
	// unheard asks the API server, and says nothing of the watches.
	unheard rest.Interface
	// paths are one small read of each kind.
	paths   []string
	watches map[string][]*contact.Heard
}

// NewFreshness is about the kinds that a status list is made of, in the namespaces that the operator works in. namespace is
// its own; the clock measures time that goes by.
func NewFreshness(config *rest.Config, namespace string, works watched.Namespaces, local clock.WithTicker) (*Freshness, error) {
	unheard, err := corev1client.NewForConfig(rest.CopyConfig(config))
	if err != nil {
		return nil, err
	}
	base, _, err := rest.DefaultServerUrlFor(config)
	if err != nil {
		return nil, err
	}
	f := &Freshness{contact: contact.New(local), clock: local, unheard: unheard.RESTClient(), watches: map[string][]*contact.Heard{}}
	root := strings.TrimSuffix(base.Path, "/") + "/apis/" + v1alpha1.GroupVersion.String()
	for _, resource := range []string{"passports", "agentpassports", "agentblocks"} {
		for _, path := range works.Collections(root, resource) {
			f.watches[resource] = append(f.watches[resource], f.contact.Watch(path, ""))
		}
		f.paths = append(f.paths, works.Few(root, namespace, resource))
	}
	return f, nil
}

// NewCache makes a cache whose watches are listened to: a cache.NewCacheFunc. What others ask the API server is none of
// its business: a live list of a kind says nothing of the watch.
func (f *Freshness) NewCache(config *rest.Config, options cache.Options) (cache.Cache, error) {
	heard := rest.CopyConfig(config)
	heard.Wrap(f.contact.Wrap)
	httpClient, err := rest.HTTPClientFor(heard)
	if err != nil {
		return nil, err
	}
	options.HTTPClient = httpClient
	return cache.New(heard, options)
}

// Stale says which watch was not heard for longer than 90 seconds; nil where all were. A nil Freshness knows of none.
func (f *Freshness) Stale() error {
	if f == nil {
		return nil
	}
	for resource, watches := range f.watches {
		for _, heard := range watches {
			if silence := f.contact.Silence(heard); silence > watchSilence {
				return fmt.Errorf("the watch of %s is lost: nothing was heard for %s", resource, silence.Round(time.Second))
			}
		}
	}
	return nil
}

// Start keeps the watches of kinds in which nothing changes from falling silent, until the context ends: see
// contact.Urge.
func (f *Freshness) Start(ctx context.Context) error {
	ticker := f.clock.NewTicker(urgeInterval)
	defer ticker.Stop()
	for {
		f.urge(ctx)
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C():
		}
	}
}

func (f *Freshness) urge(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, urgeTimeout)
	defer cancel()
	contact.Urge(ctx, f.unheard, f.paths, log.FromContext(ctx))
}

// NeedLeaderElection says that every replica needs it: each hands out status lists.
func (*Freshness) NeedLeaderElection() bool { return false }
