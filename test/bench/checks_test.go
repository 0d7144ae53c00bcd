package bench

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/go-logr/logr"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	toolscache "k8s.io/client-go/tools/cache"
	watchtools "k8s.io/client-go/tools/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"
	logf "sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/yaml"

	"agentpassport.dev/operator/api/v1alpha1"
)

var checks = flag.Int("checks", 1000, "how many CompatibilityChecks one agent has")

// BenchmarkChecks reports how soon all checks of one agent are paired anew once its document changes, and the ratio to
// the ceiling: a plain client that makes the same status writes on an API server of its own.
func BenchmarkChecks(b *testing.B) {
	logf.SetLogger(logr.Discard())
	ctx, cancel := context.WithTimeout(b.Context(), 25*time.Minute)
	defer cancel()
	operated, plain := newOperated(ctx, b), newPlain(ctx, b)
	installed := operated.installs(ctx, b)
	installed.change(ctx, b, 0)
	by := plain.installs(ctx, b)
	template := installed.example(ctx, b)

	for b.Loop() {
		var ceiling, took time.Duration
		var ratios []float64
		for round := range *rounds {
			here := by.write(ctx, b, plain.manager, template)
			say("round %d: plain client  %d status writes in %s", round+1, *checks, here.Round(time.Millisecond))
			now := installed.change(ctx, b, round+1)
			say("round %d: operator      %d checks paired anew in %s", round+1, *checks, now.Round(time.Millisecond))
			ratios = append(ratios, here.Seconds()/now.Seconds())
			ceiling, took = here, now
		}
		requests := operated.requests(ctx, b, func() { installed.change(ctx, b, *rounds+1) })
		slices.Sort(ratios)
		say("ratio     %.2f (rounds: %.2f)", ratios[len(ratios)/2], ratios)
		say("\nrequests for each check, by the API server's metrics:\n%s", requests.table(*checks))
		b.ReportMetric(took.Seconds()*1000, "settled-ms")
		b.ReportMetric(ceiling.Seconds()*1000, "ceiling-ms")
		b.ReportMetric(ratios[len(ratios)/2], "ratio")
		if writes := requests.each(*checks)["PUT compatibilitychecks/status"]; writes > 1.001 {
			b.Errorf("more than one write for a check: %.3f", writes)
		}
	}
}

// installs is a namespace with an agent, a package, and a thousand checks of the two.
type installs struct {
	world
	namespace string
}

func (w world) installs(ctx context.Context, b *testing.B) *installs {
	b.Helper()
	namespace, err := w.server.Namespace(ctx, "installs")
	check(b, err)
	i := &installs{world: w, namespace: namespace}
	agent := &v1alpha1.AgentPassport{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "support-bot"}}
	agent.Spec.Document = i.document(b, -1)
	check(b, w.asker.Create(ctx, agent))
	pkg := &v1alpha1.CapabilityPassport{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "costguard"}}
	read(b, "packages/costguard.yaml", &pkg.Spec.Document)
	check(b, w.asker.Create(ctx, pkg))
	spread(*checks, 32)(func(n int) {
		if err := w.asker.Create(ctx, &v1alpha1.CompatibilityCheck{
			ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: fmt.Sprintf("check-%04d", n)},
			Spec: v1alpha1.CompatibilityCheckSpec{
				PackageRef: v1alpha1.CapabilityPassportReference{Name: "costguard"}, AgentRef: v1alpha1.AgentReference{Name: "support-bot"},
				InstallMode: v1alpha1.InstallLocalTool,
			},
		}); err != nil {
			b.Error(err)
		}
	})
	return i
}

// document is the agent's, in one of many versions.
func (i *installs) document(b *testing.B, version int) *v1alpha1.AgentDocument {
	b.Helper()
	var members map[string]any
	read(b, "agents/claude-code.yaml", &members)
	agent, is := members["agent"].(map[string]any)
	if !is {
		b.Fatal("the document has no agent")
	}
	agent["version"] = fmt.Sprint(version)
	text, err := json.Marshal(members)
	check(b, err)
	document := &v1alpha1.AgentDocument{}
	check(b, json.Unmarshal(text, document))
	return document
}

func read(b *testing.B, file string, into any) {
	b.Helper()
	text, err := os.ReadFile(filepath.Join(root, "internal", "capability", "testdata", filepath.FromSlash(file)))
	check(b, err)
	check(b, yaml.Unmarshal(text, into))
}

// change gives the agent another document, and how long it took until every check was paired with it.
func (i *installs) change(ctx context.Context, b *testing.B, version int) time.Duration {
	b.Helper()
	var list v1alpha1.CompatibilityCheckList
	check(b, i.asker.List(ctx, &list, client.InNamespace(i.namespace)))
	paired := map[string]string{}
	for n := range list.Items {
		paired[list.Items[n].Name] = list.Items[n].Status.AgentDigest
	}
	watching, stop := context.WithCancel(ctx)
	defer stop()
	changes, err := watchtools.NewRetryWatcherWithContext(watching, list.ResourceVersion, &toolscache.ListWatch{
		WatchFuncWithContext: func(ctx context.Context, options metav1.ListOptions) (watch.Interface, error) {
			return i.asker.Watch(ctx, &v1alpha1.CompatibilityCheckList{}, client.InNamespace(i.namespace), &client.ListOptions{Raw: &options})
		},
	})
	check(b, err)
	agent := &v1alpha1.AgentPassport{}
	check(b, i.asker.Get(ctx, client.ObjectKey{Namespace: i.namespace, Name: "support-bot"}, agent))
	before := agent.Status.DocumentDigest
	agent.Spec.Document = i.document(b, version)
	began := time.Now()
	check(b, i.asker.Update(ctx, agent))
	for left := len(paired); left > 0; {
		select {
		case event := <-changes.ResultChan():
			one, is := event.Object.(*v1alpha1.CompatibilityCheck)
			if !is {
				b.Fatalf("the watch ended: %v", event.Object)
			}
			if digest := one.Status.AgentDigest; digest != "" && digest != before && digest != paired[one.Name] {
				paired[one.Name] = digest
				left--
			}
		case <-ctx.Done():
			b.Fatalf("%d checks are not paired: %v", left, ctx.Err())
		}
	}
	return time.Since(began)
}

// example is the status that the operator wrote for a check.
func (i *installs) example(ctx context.Context, b *testing.B) v1alpha1.CompatibilityCheckStatus {
	b.Helper()
	one := &v1alpha1.CompatibilityCheck{}
	check(b, i.asker.Get(ctx, client.ObjectKey{Namespace: i.namespace, Name: "check-0000"}, one))
	return one.Status
}

// write has a plain client write the status of every check, as many at once as is fastest, and gives how long that took.
func (i *installs) write(ctx context.Context, b *testing.B, manager client.Client, status v1alpha1.CompatibilityCheckStatus) time.Duration {
	b.Helper()
	fastest := time.Duration(0)
	for _, n := range []int{8, 32, 64} {
		var list v1alpha1.CompatibilityCheckList
		check(b, i.asker.List(ctx, &list, client.InNamespace(i.namespace)))
		digest := fmt.Sprintf("%064x", time.Now().UnixNano())
		began := time.Now()
		spread(len(list.Items), n)(func(n int) {
			one := &list.Items[n]
			one.Status = *status.DeepCopy()
			one.Status.AgentDigest = digest
			if err := manager.Status().Update(ctx, one); err != nil {
				b.Error(err)
			}
		})
		if took := time.Since(began); fastest == 0 || took < fastest {
			fastest = took
		}
	}
	return fastest
}
