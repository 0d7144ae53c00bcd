package mirror_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	testclock "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"agentpassport.dev/operator/internal/audit"
	"agentpassport.dev/operator/internal/audit/epoch"
	"agentpassport.dev/operator/internal/audit/keys"
	"agentpassport.dev/operator/internal/audit/mirror"
	"agentpassport.dev/operator/internal/audit/writer"
	"agentpassport.dev/operator/test/apiserver"
)

// server is started by the first test that needs one: workers of a fuzz test do not.
var server = sync.OnceValue(func() *apiserver.Server {
	started, err := apiserver.Start(context.Background(), "../../..", apiserver.AllPolicies)
	if err != nil {
		panic(err)
	}
	running = started
	return started
})

var running *apiserver.Server

func TestMain(m *testing.M) {
	code := m.Run()
	if running != nil {
		if err := running.Stop(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}

var noon = time.Date(2026, 8, 1, 12, 0, 0, 0, time.UTC)

func namespace(t *testing.T) string {
	t.Helper()
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "mirror-"}}
	if err := server().Admin().Create(t.Context(), ns); err != nil {
		t.Fatal(err)
	}
	return ns.Name
}

func options(t *testing.T) writer.Options {
	t.Helper()
	private, err := keys.Generate(rand.Reader, "agentpassport.dev/auditlog/test")
	if err != nil {
		t.Fatal(err)
	}
	return writer.Options{Dir: t.TempDir(), Keys: []keys.Private{private}, Clock: testclock.NewFakePassiveClock(noon)}
}

func open(t *testing.T, o writer.Options) *writer.Log {
	t.Helper()
	log, err := writer.Open(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = log.Close() })
	return log
}

// add appends one record.
func add(t *testing.T, log *writer.Log, uid string) {
	t.Helper()
	_, err := log.Append(t.Context(), audit.Record{
		ID: audit.ID(uid, string(audit.ConfigChange)), Time: noon, Layer: audit.System, Action: audit.ConfigChange,
		Step: string(audit.ConfigChange), Outcome: audit.Success,
		Object: audit.Object{Kind: "AgentPassport", Name: "bot", UID: uid}, Actor: audit.Actor{Username: "admin"},
	})
	if err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, ns string) epoch.State {
	t.Helper()
	state, err := mirror.Read(t.Context(), server().Admin(), ns)
	if err != nil || state == nil {
		t.Fatal(state, err)
	}
	return *state
}

func size(t *testing.T, state epoch.State) uint64 {
	t.Helper()
	_, head, err := epoch.OpenState(state)
	if err != nil {
		t.Fatal(err)
	}
	return head.Size
}

func get(t *testing.T, ns string) *corev1.ConfigMap {
	t.Helper()
	var object corev1.ConfigMap
	if err := server().Admin().Get(t.Context(), client.ObjectKey{Namespace: ns, Name: mirror.Name}, &object); err != nil {
		t.Fatal(err)
	}
	return &object
}

func TestTheNewestHeadIsMirroredAndOpensTheLog(t *testing.T) {
	ns, o := namespace(t), options(t)
	if state, err := mirror.Read(t.Context(), server().Admin(), ns); state != nil || err != nil {
		t.Fatal(state, err)
	}
	log := open(t, o)
	add(t, log, "u1")
	m := &mirror.Mirror{Client: server().Admin(), Namespace: ns, Log: log}
	for range 2 { // the second writes nothing
		if err := m.Write(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	before := get(t, ns)
	if err := m.Write(t.Context()); err != nil {
		t.Fatal(err)
	}
	if after := get(t, ns); after.ResourceVersion != before.ResourceVersion {
		t.Fatal("it writes what is already there")
	}
	add(t, log, "u2")
	if err := m.Write(t.Context()); err != nil {
		t.Fatal(err)
	}
	state := read(t, ns)
	if size(t, state) != 2 {
		t.Fatalf("%d records are mirrored", size(t, state))
	}
	if written, err := m.Written(); err != nil || !bytes.Equal(written.Checkpoint, state.Checkpoint) {
		t.Fatal(err)
	}
	if err := log.Close(); err != nil {
		t.Fatal(err)
	}
	o.Mirrored = &state
	open(t, o)
	// As kubectl prints it.
	printed, err := server().Kubectl(t.Context(), "", "", "get", "configmap", "-n", ns, mirror.Name, "-o", "yaml")
	if err != nil {
		t.Fatal(printed, err)
	}
	parsed, err := mirror.ParseManifest([]byte(printed))
	if err != nil || !bytes.Equal(parsed.Checkpoint, state.Checkpoint) || !bytes.Equal(parsed.Keys, state.Keys) {
		t.Fatal(parsed, err)
	}
}

func TestALargerHeadIsNeverWrittenOver(t *testing.T) {
	ns, o := namespace(t), options(t)
	log := open(t, o)
	add(t, log, "u1")
	earlier := t.TempDir() + "/copy"
	if err := os.CopyFS(earlier, os.DirFS(o.Dir)); err != nil {
		t.Fatal(err)
	}
	add(t, log, "u2")
	if err := (&mirror.Mirror{Client: server().Admin(), Namespace: ns, Log: log}).Write(t.Context()); err != nil {
		t.Fatal(err)
	}
	// Somebody runs the earlier copy without the mirror; it is shorter, then a fork of the same size.
	o.Dir = earlier
	back := open(t, o)
	m := &mirror.Mirror{Client: server().Admin(), Namespace: ns, Log: back}
	for _, uid := range []string{"", "u3"} {
		if uid != "" {
			add(t, back, uid)
		}
		before := get(t, ns)
		if err := m.Write(t.Context()); !errors.Is(err, mirror.ErrBehind) {
			t.Fatalf("with %q: %v", uid, err)
		}
		if _, err := m.Written(); !errors.Is(err, mirror.ErrBehind) {
			t.Fatalf("the failure is not told: %v", err)
		}
		if after := get(t, ns); after.ResourceVersion != before.ResourceVersion {
			t.Fatal("it was written over")
		}
	}
	// A log of other keys does not take the name over either.
	other := options(t)
	if err := (&mirror.Mirror{Client: server().Admin(), Namespace: ns, Log: open(t, other)}).Write(t.Context()); !errors.Is(err, mirror.ErrBehind) {
		t.Fatalf("another log: %v", err)
	}
}

func TestAConfigMapThatWasChangedIsRefusedAndMended(t *testing.T) {
	ns, o := namespace(t), options(t)
	log := open(t, o)
	add(t, log, "u1")
	m := &mirror.Mirror{Client: server().Admin(), Namespace: ns, Log: log}
	if err := m.Write(t.Context()); err != nil {
		t.Fatal(err)
	}
	whole := read(t, ns)
	for name, change := range map[string]func(*corev1.ConfigMap){
		"another size": func(c *corev1.ConfigMap) {
			c.Data["checkpoint"] = strings.Replace(c.Data["checkpoint"], "\n1\n", "\n9\n", 1)
		},
		"another epoch": func(c *corev1.ConfigMap) { c.Data["epoch"] = "2" },
		"no keys":       func(c *corev1.ConfigMap) { delete(c.Data, "keys.json") },
		"all gone":      func(c *corev1.ConfigMap) { c.Data = nil },
	} {
		object := get(t, ns)
		change(object)
		if err := server().Admin().Update(t.Context(), object); err != nil {
			t.Fatal(err)
		}
		if _, err := mirror.Read(t.Context(), server().Admin(), ns); !errors.Is(err, mirror.ErrDamaged) {
			t.Errorf("%s: %v", name, err)
		}
		if err := m.Write(t.Context()); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if now := read(t, ns); !bytes.Equal(now.Checkpoint, whole.Checkpoint) {
			t.Errorf("%s: it is not mended", name)
		}
	}
}

// TestTwoWritersNeverGoBack has many write at once, each from a state of its own of the same log.
func TestTwoWritersNeverGoBack(t *testing.T) {
	ns, o := namespace(t), options(t)
	log := open(t, o)
	var states []epoch.State
	for i := range 8 {
		add(t, log, fmt.Sprint("u", i))
		state, err := log.State()
		if err != nil {
			t.Fatal(err)
		}
		states = append(states, state)
	}
	slices.Reverse(states)
	done := make(chan error, len(states))
	for _, state := range states {
		m := &mirror.Mirror{Client: server().Admin(), Namespace: ns, Log: fixed(state)}
		go func() { done <- m.Write(t.Context()) }()
	}
	for range states {
		if err := <-done; err != nil && !errors.Is(err, mirror.ErrBehind) {
			t.Error(err)
		}
	}
	if now := size(t, read(t, ns)); now != 8 {
		t.Fatalf("the ConfigMap ends with %d records", now)
	}
}

type fixed epoch.State

func (f fixed) State() (epoch.State, error) { return epoch.State(f), nil }

// TestAnOutageHoldsNothingUp runs the mirror on a stepped clock while the API server cannot be reached.
func TestAnOutageHoldsNothingUp(t *testing.T) {
	ns, o := namespace(t), options(t)
	log := open(t, o)
	var down atomic.Bool
	calls := make(chan struct{}, 100)
	watching, err := client.NewWithWatch(server().Config(""), client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	c := interceptor.NewClient(watching, interceptor.Funcs{
		Get: func(ctx context.Context, c client.WithWatch, key client.ObjectKey, object client.Object, opts ...client.GetOption) error {
			defer func() { calls <- struct{}{} }()
			if down.Load() {
				return errors.New("connection refused")
			}
			return c.Get(ctx, key, object, opts...)
		},
	})
	clock := testclock.NewFakeClock(noon)
	ctx, cancel := context.WithCancel(t.Context())
	m := &mirror.Mirror{Client: c, Namespace: ns, Log: log, Clock: clock}
	ended := make(chan error, 1)
	go func() { ended <- m.Run(ctx) }()
	tick := func() {
		clock.Step(mirror.Interval)
		<-calls
	}
	<-calls
	down.Store(true)
	add(t, log, "u1")
	tick()
	add(t, log, "u2")
	tick()
	if now := size(t, read(t, ns)); now != 0 {
		t.Fatalf("%d records are mirrored in an outage", now)
	}
	down.Store(false)
	tick()
	tick() // the first is done when the second begins
	if now := size(t, read(t, ns)); now != 2 {
		t.Fatalf("%d records are mirrored after the outage", now)
	}
	add(t, log, "u3")
	if err := log.Close(); err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	if now := size(t, read(t, ns)); now != 3 {
		t.Fatalf("%d records are mirrored at the end", now)
	}
}
