package bench

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/rest"
	toolscache "k8s.io/client-go/tools/cache"
	watchtools "k8s.io/client-go/tools/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"agentpassport.dev/operator/api/v1alpha1"
	"agentpassport.dev/operator/test/apiserver"
)

const root = "../.."

// world is an API server, and a client of whoever asks for passports.
type world struct {
	server     *apiserver.Server
	kubeconfig string
	asker      client.WithWatch
}

func newWorld(ctx context.Context, b *testing.B) world {
	b.Helper()
	server, err := apiserver.Start(ctx, root, apiserver.AllPolicies)
	check(b, err)
	b.Cleanup(func() { check(b, server.Stop()) })
	w := world{server: server, kubeconfig: filepath.Join(b.TempDir(), "kubeconfig")}
	check(b, server.ManagerKubeconfig(ctx, w.kubeconfig))
	w.asker = w.client(b, server.Config(""))
	return w
}

func (w world) client(b *testing.B, config *rest.Config) client.WithWatch {
	b.Helper()
	config.QPS = -1
	c, err := client.NewWithWatch(config, client.Options{Scheme: w.server.Admin().Scheme()})
	check(b, err)
	return c
}

// namespace makes a namespace that has consented, with the support bot in it.
func (w world) namespace(ctx context.Context, b *testing.B) string {
	b.Helper()
	namespace, err := w.server.Namespace(ctx, "bench")
	check(b, err)
	check(b, w.asker.Create(ctx, &v1alpha1.AgentPassport{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "support-bot"},
		Spec: v1alpha1.AgentPassportSpec{Grants: []v1alpha1.ServiceGrant{
			{Service: "github", Scopes: []v1alpha1.Scope{"repo:read", "issues:write"}},
			{Service: "slack", Scopes: []v1alpha1.Scope{"channels:history", "chat:write"}},
		}},
	}))
	return namespace
}

// nameOf is the name of a round's passport.
func nameOf(i int) string { return fmt.Sprintf("ticket-%d", i) }

// passport is one to ask for.
func passport(namespace string, i int) *v1alpha1.Passport {
	return &v1alpha1.Passport{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: nameOf(i)},
		Spec: v1alpha1.PassportSpec{
			AgentRef: v1alpha1.AgentReference{Name: "support-bot"},
			Intent: &v1alpha1.Intent{
				Summary:  fmt.Sprintf("Answer customer ticket %d and post a resolution", i),
				Services: []v1alpha1.ServiceName{"slack", "github"}, EstimatedDurationSeconds: 900,
			},
			TTLSeconds: 3600, CheckpointIntervalSeconds: 3600,
		},
	}
}

// measure has a load make passports, and waits until a watch has said of each that it is Active: each is
// given what is closed then.
func (w world) measure(ctx context.Context, b *testing.B, namespace string, n int, load load,
	each func(i int, active <-chan struct{}) error,
) measurement {
	b.Helper()
	watching, stop := context.WithCancel(ctx)
	defer stop()
	activations := w.watchActive(watching, b, namespace)
	asked, seen := make([]time.Time, n), map[string]time.Time{}
	active := map[string]chan struct{}{}
	for i := range n {
		active[nameOf(i)] = make(chan struct{})
	}
	var all sync.WaitGroup
	all.Go(func() {
		for len(seen) < n {
			select {
			case event := <-activations.ResultChan():
				one, is := event.Object.(*v1alpha1.Passport)
				if !is {
					b.Errorf("the watch ended: %v", event.Object)
					return
				}
				if _, again := seen[one.Name]; !again {
					seen[one.Name] = time.Now()
					close(active[one.Name])
				}
			case <-ctx.Done():
				b.Errorf("%d of %d are Active: %v", len(seen), n, ctx.Err())
				return
			}
		}
	})
	before, began := spent(), time.Now()
	load(func(i int) {
		asked[i] = time.Now()
		if err := each(i, active[nameOf(i)]); err != nil {
			b.Errorf("passport %d: %v", i, err)
		}
	})
	all.Wait()
	took, cost := time.Since(began), spent().each(n, before)
	if b.Failed() {
		b.FailNow()
	}
	latencies := make([]time.Duration, n)
	for i := range n {
		latencies[i] = seen[nameOf(i)].Sub(asked[i])
	}
	slices.Sort(latencies)
	return measurement{rate: float64(n) / took.Seconds(), p50: latencies[n/2], p99: latencies[n*99/100], cost: cost}
}

// watchActive watches for passports that become Active: the API server itself leaves out the others.
func (w world) watchActive(ctx context.Context, b *testing.B, namespace string) watch.Interface {
	b.Helper()
	var none v1alpha1.PassportList
	check(b, w.asker.List(ctx, &none, client.InNamespace(namespace)))
	active, err := watchtools.NewRetryWatcherWithContext(ctx, none.ResourceVersion, &toolscache.ListWatch{
		WatchFuncWithContext: func(ctx context.Context, options metav1.ListOptions) (watch.Interface, error) {
			options.FieldSelector = "status.phase=" + string(v1alpha1.PhaseActive)
			return w.asker.Watch(ctx, &v1alpha1.PassportList{}, client.InNamespace(namespace), &client.ListOptions{Raw: &options})
		},
	})
	check(b, err)
	return active
}

func check(b *testing.B, err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
}
