// Package state is what the gateway knows: passports, agents, blocks, connections, the keys that verify
// tokens, and the credentials. Watches feed it; a look at it asks nobody.
package state

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-logr/logr"
	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/singleflight"
	"golang.org/x/time/rate"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"agentpassport.dev/operator/api/v1alpha1"
	"agentpassport.dev/operator/internal/contact"
	"agentpassport.dev/operator/internal/gateway/decision"
	"agentpassport.dev/operator/internal/token"
	"agentpassport.dev/operator/internal/watched"
)

// Options are what a View is made of. Zero durations and numbers have the defaults that stand with them.
type Options struct {
	// Config reaches the API server as the gateway.
	Config *rest.Config
	// Clock is the API server's.
	Clock clock.PassiveClock
	// Local clock measures how long ago something was heard.
	Local clock.WithTicker
	// Namespace of the operator: its ConfigMap with the JWKS is there.
	Namespace string
	// Works are the namespaces that it knows of; none: all.
	Works watched.Namespaces
	// Issuer and Audience that tokens must have.
	Issuer, Audience string
	// WatchSilence is how long a watch may bring neither event nor bookmark before it counts as lost: 90 s.
	WatchSilence time.Duration
	// ServerSilence is how long the API server may leave everything unanswered: 60 s.
	ServerSilence time.Duration
	// ProbeInterval is how often the API server is asked whether it is there: 15 s.
	ProbeInterval time.Duration
	// MaxTokens is how many verified tokens are remembered: 65,536.
	MaxTokens int
	// MaxSecrets is how many Secrets are watched at most: 1,024.
	MaxSecrets int
	Log        logr.Logger
}

func (o Options) complete() Options {
	o.WatchSilence = cmp.Or(o.WatchSilence, 90*time.Second)
	o.ServerSilence = cmp.Or(o.ServerSilence, 60*time.Second)
	o.ProbeInterval = cmp.Or(o.ProbeInterval, 15*time.Second)
	o.MaxTokens = cmp.Or(o.MaxTokens, 1<<16)
	o.MaxSecrets = cmp.Or(o.MaxSecrets, 1<<10)
	return o
}

func (o Options) check() error {
	switch {
	case o.Config == nil || o.Clock == nil || o.Local == nil:
		return errors.New("a config and two clocks are needed")
	case o.Namespace == "" || o.Issuer == "" || o.Audience == "":
		return errors.New("the operator's namespace, the issuer and the audience must not be empty")
	case o.WatchSilence < 0 || o.ServerSilence < 0 || o.ProbeInterval <= 0 || o.MaxTokens < 0 || o.MaxSecrets < 0:
		return errors.New("durations and numbers must not be negative")
	}
	return nil
}

// View is what is known. Its methods may be called by any goroutine. Use New.
type View struct {
	options Options
	contact *contact.Contact
	// root is the path below which the API server is.
	root  string
	cache cache.Cache
	live  client.WithWatch
	probe rest.Interface
	// unheard is not listened to by the Contact.
	unheard rest.Interface

	passports   *index[types.UID, *known]
	jtis        *index[string, *known]
	agents      *index[types.NamespacedName, agent]
	blocks      *index[types.NamespacedName, []string] // names in order, never none
	connections *index[types.NamespacedName, *connection]
	secrets     *secrets

	keys        atomic.Pointer[token.PublicKeys]
	readingKeys sync.Mutex
	keysVersion string // of the ConfigMap, under readingKeys
	keyReads    *rate.Limiter
	tokens      *lru.Cache[digest, *Verified]

	looking   singleflight.Group
	liveLooks *rate.Limiter
	// jwks are the bytes that keys were read from.
	jwks      atomic.Pointer[[]byte]
	confirmed *lru.Cache[string, time.Time]

	awaitedPassports waiters[*v1alpha1.Passport]
	checkpoints      stream[*v1alpha1.Checkpoint]
	checkouts        stream[*v1alpha1.Checkout]

	onEnd        []func(*decision.Standing)
	onCredential []func(CredentialState)

	watched []watchedKind
	synced  atomic.Bool
}

// New makes a View that knows nothing before Start. It asks nobody. What it makes outlives ctx.
func New(ctx context.Context, options Options) (*View, error) {
	options = options.complete()
	if err := options.check(); err != nil {
		return nil, fmt.Errorf("make the view of the gateway: %w", err)
	}
	v := &View{
		options:     options,
		contact:     contact.New(options.Local),
		passports:   newIndex[types.UID, *known](),
		jtis:        newIndex[string, *known](),
		agents:      newIndex[types.NamespacedName, agent](),
		blocks:      newIndex[types.NamespacedName, []string](),
		connections: newIndex[types.NamespacedName, *connection](),
		keyReads:    rate.NewLimiter(rate.Every(time.Second), 1),
		liveLooks:   rate.NewLimiter(liveLooks, liveBurst),
	}
	var err error
	if v.tokens, err = lru.New[digest, *Verified](options.MaxTokens); err != nil {
		return nil, err
	}
	if v.confirmed, err = lru.New[string, time.Time](options.MaxTokens); err != nil {
		return nil, err
	}
	if err := v.connect(); err != nil {
		return nil, fmt.Errorf("make the clients of the gateway: %w", err)
	}
	if err := v.watch(ctx); err != nil {
		return nil, fmt.Errorf("make the watches of the gateway: %w", err)
	}
	return v, nil
}

// Start watches until ctx ends. It implements manager.Runnable.
func (v *View) Start(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	v.secrets.start(ctx)
	group.Go(func() error { return v.cache.Start(ctx) })
	group.Go(func() error { return v.keepProbing(ctx) })
	for _, namespace := range v.options.Works.Each() {
		group.Go(func() error { return v.checkpoints.run(ctx, namespace) })
		group.Go(func() error { return v.checkouts.run(ctx, namespace) })
	}
	return group.Wait()
}

// NeedLeaderElection implements manager.LeaderElectionRunnable: every replica watches.
func (v *View) NeedLeaderElection() bool { return false }

// Synced says whether everything that a decision needs was read once.
func (v *View) Synced() bool {
	if v.synced.Load() {
		return true
	}
	for _, one := range v.watched {
		if !one.synced() {
			return false
		}
	}
	v.synced.Store(true)
	return true
}

// Lost says why what is known may be old, or is not known at all; it is empty where it is fresh.
func (v *View) Lost() string {
	if !v.Synced() {
		return "the gateway has not read all passports, agents, blocks and connections yet"
	}
	if silence := v.contact.Silence(v.contact.Server()); silence > v.options.ServerSilence {
		return fmt.Sprintf("the API server has not answered for %s", silence.Round(time.Second))
	}
	for i := range v.watched {
		for _, heard := range v.watched[i].heard {
			if silence := v.contact.Silence(heard); silence > v.options.WatchSilence {
				return fmt.Sprintf("the watch of %s is lost: nothing was heard for %s", v.watched[i].what, silence.Round(time.Second))
			}
		}
	}
	return v.lostKeys()
}

// Reader reads passports, agents, blocks and connections from memory; of other kinds it knows nothing.
// What it gives is not to be changed.
func (v *View) Reader() client.Reader { return v.cache }

// ByJTI finds a Passport by the jti of its tokens. It is not to be changed.
func (v *View) ByJTI(jti string) (*v1alpha1.Passport, bool) { return found(v.jtis.get(jti)) }

// ByUID finds a Passport. It is not to be changed.
func (v *View) ByUID(uid types.UID) (*v1alpha1.Passport, bool) { return found(v.passports.get(uid)) }

func found(one *known, ok bool) (*v1alpha1.Passport, bool) {
	if !ok {
		return nil, false
	}
	return one.passport, true
}

// Passports gives every Passport, in no order. They are not to be changed.
func (v *View) Passports() iter.Seq[*v1alpha1.Passport] {
	return func(yield func(*v1alpha1.Passport) bool) {
		for one := range v.passports.all() {
			if !yield(one.passport) {
				return
			}
		}
	}
}

// OnEnd has tell called once of every issued passport that is first seen ended or deleted, also of those
// that ended before Start. It must return at once. Call this before Start.
func (v *View) OnEnd(tell func(*decision.Standing)) { v.onEnd = append(v.onEnd, tell) }

// Await waits until a Passport is as wanted, and returns it: at once where it is already. It may still be
// unknown. The error is ErrDeleted, or that of ctx.
func (v *View) Await(ctx context.Context, uid types.UID, wanted func(*v1alpha1.Passport) bool) (*v1alpha1.Passport, error) {
	return await(ctx, &v.awaitedPassports, uid, func() (*v1alpha1.Passport, bool, error) {
		passport, ok := v.ByUID(uid)
		return passport, ok, nil
	}, wanted)
}

// AwaitCheckpoint waits until a Checkpoint that exists is as wanted, and returns it. The error is
// ErrDeleted, that of ctx, or that of the API server.
func (v *View) AwaitCheckpoint(
	ctx context.Context, key types.NamespacedName, uid types.UID, wanted func(*v1alpha1.Checkpoint) bool,
) (*v1alpha1.Checkpoint, error) {
	return v.checkpoints.await(ctx, key, uid, wanted)
}

// AwaitCheckout waits until a Checkout that exists is as wanted, and returns it. The error is ErrDeleted,
// that of ctx, or that of the API server.
func (v *View) AwaitCheckout(
	ctx context.Context, key types.NamespacedName, uid types.UID, wanted func(*v1alpha1.Checkout) bool,
) (*v1alpha1.Checkout, error) {
	return v.checkouts.await(ctx, key, uid, wanted)
}
