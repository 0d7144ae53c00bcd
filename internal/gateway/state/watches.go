package state

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"
	toolscache "k8s.io/client-go/tools/cache"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"agentpassport.dev/operator/api/v1alpha1"
	"agentpassport.dev/operator/internal/contact"
	"agentpassport.dev/operator/internal/token"
)

// probeTimeout bounds one probe of the API server.
const probeTimeout = 5 * time.Second

// watchedKind is a kind that decisions need.
type watchedKind struct {
	// what it is, in words.
	what   string
	synced func() bool
	// heard is when each watch of it was heard: there is one for each namespace that is named.
	heard []*contact.Heard
}

// connect makes the clients. All of them are heard by the Contact.
func (v *View) connect() error {
	unheard := rest.CopyConfig(v.options.Config)
	unheard.QPS = -1
	silent, err := corev1client.NewForConfig(unheard)
	if err != nil {
		return err
	}
	v.unheard = silent.RESTClient()
	config := rest.CopyConfig(v.options.Config)
	// The API server's own priority and fairness is the limit.
	config.QPS = -1
	config.Wrap(v.contact.Wrap)
	base, _, err := rest.DefaultServerUrlFor(config)
	if err != nil {
		return err
	}
	v.root = strings.TrimSuffix(base.Path, "/")
	httpClient, err := rest.HTTPClientFor(config)
	if err != nil {
		return err
	}
	core, err := corev1client.NewForConfigAndClient(config, httpClient)
	if err != nil {
		return err
	}
	v.probe = core.RESTClient()
	v.secrets = &secrets{
		client: core, contact: v.contact, most: v.options.MaxSecrets, log: v.options.Log.WithName("credentials"),
		watches: map[types.NamespacedName]*secretWatch{},
	}
	return v.makeClients(config, httpClient)
}

func (v *View) makeClients(config *rest.Config, httpClient *http.Client) error {
	scheme, mapper, err := kinds()
	if err != nil {
		return err
	}
	v.live, err = client.NewWithWatch(config, client.Options{HTTPClient: httpClient, Scheme: scheme, Mapper: mapper})
	if err != nil {
		return err
	}
	v.checkpoints = stream[*v1alpha1.Checkpoint]{
		client: v.live, clock: v.options.Local, log: v.options.Log.WithValues("kind", "Checkpoint"),
		list:   func() client.ObjectList { return &v1alpha1.CheckpointList{} },
		object: func() *v1alpha1.Checkpoint { return &v1alpha1.Checkpoint{} },
	}
	v.checkouts = stream[*v1alpha1.Checkout]{
		client: v.live, clock: v.options.Local, log: v.options.Log.WithValues("kind", "Checkout"),
		list:   func() client.ObjectList { return &v1alpha1.CheckoutList{} },
		object: func() *v1alpha1.Checkout { return &v1alpha1.Checkout{} },
	}
	unsafe := true // readers do not change what they get
	v.cache, err = cache.New(config, cache.Options{
		HTTPClient: httpClient, Scheme: scheme, Mapper: mapper,
		DefaultNamespaces:            v.options.Works.Cache(),
		DefaultTransform:             strip,
		DefaultUnsafeDisableDeepCopy: &unsafe,
		ReaderFailOnMissingInformer:  true,
		ByObject: map[client.Object]cache.ByObject{
			&corev1.ConfigMap{}: {Namespaces: map[string]cache.Config{
				v.options.Namespace: {FieldSelector: fields.ParseSelectorOrDie(byName(token.ConfigMapName))},
			}},
		},
	})
	return err
}

// kinds are those that the gateway reads. They are known without asking the API server.
func kinds() (*runtime.Scheme, meta.RESTMapper, error) {
	scheme := runtime.NewScheme()
	if err := clientgoscheme.AddToScheme(scheme); err != nil {
		return nil, nil, err
	}
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		return nil, nil, err
	}
	mapper := meta.NewDefaultRESTMapper([]schema.GroupVersion{v1alpha1.GroupVersion, corev1.SchemeGroupVersion})
	for _, kind := range []string{"Passport", "AgentPassport", "AgentBlock", "ServiceConnection", "Checkpoint", "Checkout"} {
		mapper.Add(v1alpha1.GroupVersion.WithKind(kind), meta.RESTScopeNamespace)
	}
	mapper.Add(corev1.SchemeGroupVersion.WithKind("ConfigMap"), meta.RESTScopeNamespace)
	return scheme, mapper, nil
}

// strip takes off what nobody here reads, and what makes objects large.
func strip(object any) (any, error) {
	if accessor, err := meta.Accessor(object); err == nil {
		accessor.SetManagedFields(nil)
		delete(accessor.GetAnnotations(), corev1.LastAppliedConfigAnnotation)
	}
	return object, nil
}

// watch feeds the indexes.
func (v *View) watch(ctx context.Context) error {
	own := func(resource string) []*contact.Heard {
		paths := v.options.Works.Collections(v.groupRoot(), resource)
		heard := make([]*contact.Heard, len(paths))
		for i, path := range paths {
			heard[i] = v.contact.Watch(path, "")
		}
		return heard
	}
	keys := []*contact.Heard{v.contact.Watch(v.root+"/api/v1/namespaces/"+v.options.Namespace+"/configmaps", byName(token.ConfigMapName))}
	for _, err := range []error{
		feed(ctx, v, "passports", own("passports"), v.setPassport, v.removePassport),
		feed(ctx, v, "agents", own("agentpassports"), v.setAgent, v.removeAgent),
		feed(ctx, v, "blocks of agents", own("agentblocks"), v.setBlock, v.removeBlock),
		feed(ctx, v, "connections to services", own("serviceconnections"), v.setConnection, v.removeConnection),
		feed(ctx, v, "the published keys", keys,
			func(_, now *corev1.ConfigMap) { v.setKeys(now) }, func(*corev1.ConfigMap) { v.setKeys(nil) }),
	} {
		if err != nil {
			return err
		}
	}
	return nil
}

// object is a pointer to a kind of Kubernetes.
type object[T any] interface {
	*T
	client.Object
}

// groupRoot is the path of the API group of the operator's own kinds.
func (v *View) groupRoot() string { return v.root + "/apis/" + v1alpha1.GroupVersion.String() }

// feed has a kind watched. set is given what an object was before, nil for a new one; for the objects of one namespace,
// one goroutine calls both.
func feed[T any, O object[T]](
	ctx context.Context, v *View, what string, heard []*contact.Heard, set func(before, now O), remove func(O),
) error {
	informer, err := v.cache.GetInformer(ctx, O(new(T)), cache.BlockUntilSynced(false))
	if err != nil {
		return fmt.Errorf("watch %s: %w", what, err)
	}
	registration, err := informer.AddEventHandler(toolscache.ResourceEventHandlerFuncs{
		AddFunc: func(now any) {
			if now, ok := now.(O); ok {
				set(nil, now)
			}
		},
		UpdateFunc: func(before, now any) {
			was, _ := before.(O)
			if now, ok := now.(O); ok {
				set(was, now)
			}
		},
		DeleteFunc: func(gone any) {
			if tombstone, ok := gone.(toolscache.DeletedFinalStateUnknown); ok {
				gone = tombstone.Obj
			}
			if gone, ok := gone.(O); ok {
				remove(gone)
			}
		},
	})
	if err != nil {
		return fmt.Errorf("watch %s: %w", what, err)
	}
	v.watched = append(v.watched, watchedKind{what: what, synced: registration.HasSynced, heard: heard})
	return nil
}

// urged are the reads by which each watch is kept from falling silent, of a few objects at most.
func (v *View) urged() []string {
	few := func(resource string) string { return v.options.Works.Few(v.groupRoot(), v.options.Namespace, resource) }
	paths := []string{
		few("passports"), few("agentpassports"), few("agentblocks"), few("serviceconnections"),
		v.root + "/api/v1/namespaces/" + v.options.Namespace + "/configmaps?fieldSelector=" + url.QueryEscape(byName(token.ConfigMapName)),
	}
	if secret, found := v.secrets.any(); found {
		paths = append(paths, v.root+"/api/v1/namespaces/"+secret.Namespace+"/secrets?fieldSelector="+url.QueryEscape(byName(secret.Name)))
	}
	return paths
}

// keepProbing asks the API server whether it is there, so that its silence means something while nobody
// else asks it anything.
func (v *View) keepProbing(ctx context.Context) error {
	ticker := v.options.Local.NewTicker(v.options.ProbeInterval)
	defer ticker.Stop()
	for {
		probing, cancel := context.WithTimeout(ctx, probeTimeout)
		if err := v.probe.Get().AbsPath("/readyz").Do(probing).Error(); err != nil && ctx.Err() == nil {
			v.options.Log.Info("the API server is not ready", "error", err.Error())
		}
		contact.Urge(probing, v.unheard, v.urged(), v.options.Log)
		cancel()
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C():
		}
	}
}
