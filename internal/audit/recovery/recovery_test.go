package recovery_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/go-logr/logr/funcr"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	testclock "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"agentpassport.dev/operator/internal/audit"
	"agentpassport.dev/operator/internal/audit/epoch"
	"agentpassport.dev/operator/internal/audit/keys"
	"agentpassport.dev/operator/internal/audit/recovery"
	"agentpassport.dev/operator/internal/audit/writer"
	"agentpassport.dev/operator/test/apiserver"
)

var server *apiserver.Server

func TestMain(m *testing.M) {
	os.Exit(run(m))
}

func run(m *testing.M) int {
	var err error
	if server, err = apiserver.Start(context.Background(), "../../..", apiserver.AllPolicies); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	code := m.Run()
	if err := server.Stop(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}

var noon = time.Date(2026, 8, 1, 12, 0, 0, 0, time.UTC)

func admin() client.Client { return server.Admin() }

// world is a namespace in which the group auditadmins may begin an epoch.
func world(t *testing.T) string {
	t.Helper()
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "recovery-"}}
	if err := admin().Create(t.Context(), ns); err != nil {
		t.Fatal(err)
	}
	at := metav1.ObjectMeta{Namespace: ns.Name, Name: "auditlog-admin"}
	for _, object := range []client.Object{
		&rbacv1.Role{ObjectMeta: at, Rules: []rbacv1.PolicyRule{{
			APIGroups: []string{recovery.Group}, Resources: []string{recovery.Resource}, Verbs: []string{recovery.Verb},
		}}},
		&rbacv1.RoleBinding{
			ObjectMeta: at, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: at.Name},
			Subjects: []rbacv1.Subject{{Kind: rbacv1.GroupKind, APIGroup: rbacv1.GroupName, Name: "auditadmins"}},
		},
	} {
		if err := admin().Create(t.Context(), object); err != nil {
			t.Fatal(err)
		}
	}
	return ns.Name
}

func user(name string, groups ...string) authenticationv1.UserInfo {
	return authenticationv1.UserInfo{Username: name, Groups: append(groups, "system:authenticated")}
}

// options are those of a log whose folder is gone, while its head is mirrored.
func options(t *testing.T) writer.Options {
	t.Helper()
	private, err := keys.Generate(rand.Reader, "agentpassport.dev/auditlog/test")
	if err != nil {
		t.Fatal(err)
	}
	o := writer.Options{Dir: t.TempDir(), Keys: []keys.Private{private}, Clock: testclock.NewFakePassiveClock(noon)}
	log, err := writer.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	state, err := log.State()
	if err != nil {
		t.Fatal(err)
	}
	o.Mirrored = &state
	if err := errors.Join(log.Close(), os.RemoveAll(epoch.Folder(o.Dir, 1))); err != nil {
		t.Fatal(err)
	}
	return o
}

func TestALostLogWaitsForSomebodyWithTheRight(t *testing.T) {
	gate := recovery.NewGate(admin(), world(t), options(t))
	opened := make(chan *writer.Log, 1)
	said := make(chan string, 1)
	logged := funcr.New(func(_, line string) { said <- line }, funcr.Options{})
	go func() {
		log, err := gate.Open(logr.NewContext(t.Context(), logged))
		if err != nil {
			t.Error(err)
		}
		opened <- log
	}()
	if line := <-said; !strings.Contains(line, "takes no record") || !strings.Contains(line, "records of epoch 1 of the audit log are lost") {
		t.Errorf("whoever reads the logs is told: %s", line)
	}
	alice := user("alice", "auditadmins")
	var entry audit.Entry
	for {
		// Open may not have looked yet.
		var err error
		entry, err = gate.Begin(t.Context(), alice, "the disk broke")
		if err == nil {
			break
		}
		if !errors.Is(err, recovery.ErrDone) {
			t.Fatal(err)
		}
	}
	if entry.Epoch != 2 || entry.Record.Actor.Username != "alice" || entry.Record.Facts.Reason != "the disk broke" {
		t.Fatalf("%+v", entry)
	}
	log := <-opened
	if log.Epoch() != 2 || gate.Lost() != nil {
		t.Fatalf("epoch %d, lost %v", log.Epoch(), gate.Lost())
	}
	if _, err := gate.Begin(t.Context(), alice, "again"); !errors.Is(err, recovery.ErrDone) {
		t.Fatalf("an open log is begun anew: %v", err)
	}
	if err := log.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestNobodyElseBeginsAnEpoch(t *testing.T) {
	ns := world(t)
	gate := recovery.NewGate(admin(), ns, options(t))
	for name, c := range map[string]struct {
		who    authenticationv1.UserInfo
		reason string
		want   error
	}{
		"no right":        {user("mallory"), "x", recovery.ErrForbidden},
		"nobody":          {user("system:anonymous"), "x", recovery.ErrForbidden},
		"the manager":     {user(apiserver.Manager), "x", recovery.ErrForbidden},
		"a name alone":    {user("auditadmins"), "x", recovery.ErrForbidden},
		"without a cause": {user("alice", "auditadmins"), "", recovery.ErrReason},
	} {
		if _, err := gate.Begin(t.Context(), c.who, c.reason); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	// The right is of one namespace.
	other := recovery.NewGate(admin(), world(t)+"-other", options(t))
	if _, err := other.Begin(t.Context(), user("alice", "auditadmins"), "x"); !errors.Is(err, recovery.ErrForbidden) {
		t.Errorf("elsewhere: %v", err)
	}
}

func TestAGateThatIsLeftEnds(t *testing.T) {
	gate := recovery.NewGate(admin(), world(t), options(t))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := gate.Open(ctx)
	var lost *writer.LostError
	if !errors.As(err, &lost) || !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	if _, err := gate.Begin(t.Context(), user("alice", "auditadmins"), "x"); !errors.Is(err, recovery.ErrDone) {
		t.Fatal(err)
	}
}
