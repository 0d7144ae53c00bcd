package main_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"
	cehttp "github.com/cloudevents/sdk-go/v2/protocol/http"
	"github.com/google/go-cmp/cmp"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	k8sclient "sigs.k8s.io/controller-runtime/pkg/client"

	"agentpassport.dev/operator/internal/audit"
	"agentpassport.dev/operator/internal/audit/audittest"
	"agentpassport.dev/operator/internal/audit/client"
	"agentpassport.dev/operator/internal/audit/keys"
	"agentpassport.dev/operator/internal/audit/proof"
	"agentpassport.dev/operator/internal/audit/wire"
	"agentpassport.dev/operator/test/apiserver"
	"agentpassport.dev/operator/test/process"
)

const (
	origin    = "agent-passport-auditlog"
	namespace = "audit-serve"
)

var (
	server *apiserver.Server
	binary string
)

func TestMain(m *testing.M) {
	os.Exit(run(m))
}

func run(m *testing.M) int {
	ctx := context.Background()
	folder, err := os.MkdirTemp("", "auditlog-test-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = os.RemoveAll(folder) }()
	binary = filepath.Join(folder, "auditlog")
	if out, err := exec.CommandContext(ctx, "go", "build", "-o", binary, ".").CombinedOutput(); err != nil {
		fmt.Fprintln(os.Stderr, err, string(out))
		return 1
	}
	if server, err = apiserver.Start(ctx, "../..", apiserver.AllPolicies); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = server.Stop() }()
	if err := install(ctx, server.Admin()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

// install makes the service's account, which may ask who is who, and those of its callers.
func install(ctx context.Context, admin k8sclient.Client) error {
	objects := []k8sclient.Object{
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}},
		&corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "auditlog"}},
		&corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "appender"}},
		&rbacv1.ClusterRole{
			ObjectMeta: metav1.ObjectMeta{Name: "test-audit-all"},
			Rules:      []rbacv1.PolicyRule{{APIGroups: []string{"agentpassport.dev"}, Resources: []string{"auditrecords"}, Verbs: []string{"create", "list", "get"}}},
		},
	}
	bind := func(role string, subjects ...rbacv1.Subject) {
		objects = append(objects, &rbacv1.ClusterRoleBinding{
			ObjectMeta: metav1.ObjectMeta{Name: "test-" + role}, Subjects: subjects,
			RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role},
		})
	}
	bind("system:auth-delegator", rbacv1.Subject{Kind: rbacv1.ServiceAccountKind, Namespace: namespace, Name: "auditlog"})
	bind("test-audit-all", rbacv1.Subject{APIGroup: rbacv1.GroupName, Kind: rbacv1.GroupKind, Name: "audit-everything"},
		rbacv1.Subject{Kind: rbacv1.ServiceAccountKind, Namespace: namespace, Name: "appender"})
	for _, object := range objects {
		if err := admin.Create(ctx, object); err != nil {
			return err
		}
	}
	return nil
}

// service is the binary, and all that it is started with.
type service struct {
	*testing.T
	ca      *audittest.Authority
	dataDir string
	public  string
	args    []string
	address string
	probe   string
	pair    tls.Certificate
	process *exec.Cmd
	output  output
}

// output is what a process has said so far. It may be read while the process goes on.
type output struct {
	mu   sync.Mutex
	said bytes.Buffer
}

// Write implements io.Writer.
func (o *output) Write(line []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.said.Write(line)
}

// String gives all that was said.
func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.said.String()
}

// Reset forgets it.
func (o *output) Reset() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.said.Reset()
}

func newService(t *testing.T, more ...string) *service {
	t.Helper()
	folder := t.TempDir()
	private, public := audittest.Keys(t, origin)
	ca := audittest.NewAuthority(t)
	certificate, key := ca.Certificate(t, "auditlog")
	addresses, err := process.FreeAddresses(2)
	if err != nil {
		t.Fatal(err)
	}
	s := &service{
		T: t, ca: ca, dataDir: filepath.Join(folder, "data"), public: public,
		address: addresses[0], probe: addresses[1], pair: ca.Pair(t, "tester", "audit-everything"),
	}
	s.args = append([]string{
		"serve", "--data-dir=" + s.dataDir, "--kubeconfig=" + kubeconfig(t, filepath.Join(folder, "kubeconfig")),
		"--key-file=" + audittest.File(t, folder, "key", []byte(private+"\n")),
		"--tls-cert-file=" + audittest.File(t, folder, "tls.crt", certificate),
		"--tls-private-key-file=" + audittest.File(t, folder, "tls.key", key),
		"--client-ca-file=" + audittest.File(t, folder, "ca.crt", ca.PEM),
		"--bind-address=" + s.address, "--health-probe-bind-address=" + s.probe, "--metrics-bind-address=0", "--mirror=false",
	}, more...)
	if err := os.Mkdir(s.dataDir, 0o700); err != nil {
		t.Fatal(err)
	}
	return s
}

// kubeconfig is one of the service's account alone.
func kubeconfig(t *testing.T, path string) string {
	t.Helper()
	token, err := server.Token(t.Context(), namespace, "auditlog")
	if err != nil {
		t.Fatal(err)
	}
	config := clientcmdapi.NewConfig()
	config.Clusters["test"] = &clientcmdapi.Cluster{Server: server.Config("").Host, CertificateAuthorityData: server.Config("").CAData}
	config.AuthInfos["test"] = &clientcmdapi.AuthInfo{Token: token}
	config.Contexts["test"] = &clientcmdapi.Context{Cluster: "test", AuthInfo: "test"}
	config.CurrentContext = "test"
	if err := clientcmd.WriteToFile(*config, path); err != nil {
		t.Fatal(err)
	}
	return path
}

// launch starts the process, which is not ready yet.
func (s *service) launch() {
	s.Helper()
	s.output.Reset()
	s.process = exec.Command(binary, s.args...)
	s.process.Stdout, s.process.Stderr = &s.output, &s.output
	if err := s.process.Start(); err != nil {
		s.Fatal(err)
	}
	started := s.process
	s.Cleanup(func() { _ = started.Process.Kill() })
}

// start starts the process and returns once it is ready.
func (s *service) start() {
	s.Helper()
	s.launch()
	for deadline := time.Now().Add(time.Minute); ; {
		response, err := http.Get("http://" + s.probe + "/readyz")
		if err == nil {
			_ = response.Body.Close()
			if response.StatusCode == http.StatusOK {
				return
			}
		}
		if time.Now().After(deadline) {
			s.kill()
			s.Fatal("not ready after a minute:\n" + s.output.String())
		}
	}
}

// kill ends it as a node that fails does.
func (s *service) kill() {
	_ = s.process.Process.Kill()
	_ = s.process.Wait()
}

// killWithin kills it at a random moment that is less than so far away.
func (s *service) killWithin(most time.Duration) {
	s.Helper()
	moment, cancel := context.WithTimeout(s.Context(), rand.N(most))
	defer cancel()
	<-moment.Done()
	if err := s.process.Process.Kill(); err != nil {
		s.Fatalf("it ended by itself: %v\n%s", err, s.output.String())
	}
	var exit *exec.ExitError
	if err := s.process.Wait(); !errors.As(err, &exit) || exit.Exited() {
		s.Fatalf("it was not killed: %v\n%s", err, s.output.String())
	}
}

func (s *service) client() *client.Client {
	s.Helper()
	c, err := client.New(client.Options{
		URL: "https://" + s.address, CA: s.ca.PEM, Certificate: func() (*tls.Certificate, error) { return &s.pair, nil },
	})
	if err != nil {
		s.Fatal(err)
	}
	return c
}

// get is the body of what is there, and nothing else.
func (s *service) get(path string) []byte {
	s.Helper()
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(s.ca.PEM)
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool, Certificates: []tls.Certificate{s.pair}}, ForceAttemptHTTP2: true}
	defer transport.CloseIdleConnections()
	response, err := (&http.Client{Transport: transport}).Get("https://" + s.address + path)
	if err != nil {
		s.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK {
		s.Fatalf("%s: %d %v %s", path, response.StatusCode, err, body)
	}
	return body
}

func (s *service) append(records ...audit.Record) []audit.Entry {
	s.Helper()
	entries, err := s.client().Append(s.Context(), records...)
	if err != nil {
		s.Fatalf("%v\n%s", err, s.output.String())
	}
	return entries
}

// After kill -9 the same records are answered with the first ones, whatever the repeat says.
func TestARestartAnswersWithTheFirstRecords(t *testing.T) {
	s := newService(t)
	s.start()
	records := audittest.Missions(0, 20)
	first := s.append(records...)
	s.kill()
	s.start()
	for i := range records {
		records[i].Facts.Summary = "told anew"
	}
	if diff := cmp.Diff(first, s.append(records...)); diff != "" {
		t.Error(diff)
	}
	var got struct {
		Rows []audit.Record
	}
	if err := json.Unmarshal(s.get(wire.RecordsPath+"?jti="+audittest.JTI(3)), &got); err != nil || len(got.Rows) != 5 || got.Rows[4].Hash != first[19].Record.Hash {
		t.Error(err, got)
	}
	if got := string(s.get("/v1/verify")); !strings.Contains(got, `"ok":true,"size":100`) {
		t.Error(got)
	}
	if got := s.output.String(); strings.Contains(got, "PRIVATE KEY") || strings.Contains(got, "PRIVATE+KEY") {
		t.Error("a key is in the log")
	}
	if err := s.process.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if err := s.process.Wait(); err != nil {
		t.Errorf("it does not end well: %v\n%s", err, s.output.String())
	}
}

var killFor = flag.Duration("kill-for", 3*time.Second, "how long TestKilledUnderLoad kills the service at random moments")

// Whatever was acknowledged before a kill -9 is there afterwards, as it was acknowledged, and proves. Each
// kill comes at a random moment: within a second of load, or while the service opens its log.
func TestKilledUnderLoad(t *testing.T) {
	s := newService(t)
	var mu sync.Mutex
	acknowledged := map[string]audit.Entry{}
	next, kills, opening := 0, 0, 0
	for began := time.Now(); time.Since(began) < *killFor || kills < 4; kills++ {
		if kills%5 == 4 {
			opening++
			s.launch()
			s.killWithin(300 * time.Millisecond)
			continue
		}
		s.start()
		c := s.client()
		var writers sync.WaitGroup
		for range 8 {
			writers.Go(func() {
				for {
					mu.Lock()
					m := next
					next++
					mu.Unlock()
					entries, err := c.Append(t.Context(), audittest.Missions(m, m+1)...)
					if errors.Is(err, client.ErrUnavailable) {
						return
					}
					if err != nil {
						t.Error(err)
						return
					}
					mu.Lock()
					for _, e := range entries {
						acknowledged[e.Record.ID] = e
					}
					mu.Unlock()
				}
			})
		}
		s.killWithin(time.Second)
		writers.Wait()
	}
	s.start()
	if len(acknowledged) < 5*kills {
		t.Fatalf("only %d records were acknowledged before %d kills: nothing is proved", len(acknowledged), kills)
	}
	// The same records again, as the manager sends what nobody answered for.
	for m := 0; m < next; m += 100 {
		for _, e := range s.append(audittest.Missions(m, min(m+100, next))...) {
			if was, found := acknowledged[e.Record.ID]; found && !cmp.Equal(was, e) {
				t.Errorf("record %s was acknowledged as another", e.Record.ID)
			}
		}
	}
	var rows struct{ Rows []audit.Record }
	if err := json.Unmarshal(s.get(wire.RecordsPath), &rows); err != nil || len(rows.Rows) != 5*next {
		t.Errorf("%d rows of %d, %v", len(rows.Rows), 5*next, err)
	}
	s.kill()
	key, err := keys.ParsePublic(s.public)
	if err != nil {
		t.Fatal(err)
	}
	report, err := proof.Folder(t.Context(), proof.Options{Dir: s.dataDir, Key: key})
	if err != nil || report.Epochs[0].Records != uint64(5*next) {
		t.Error(report, err)
	}
	t.Logf("%d records were acknowledged, before %d kills, %d of them while it opened its log", len(acknowledged), kills, opening)
}

// A log that fails says so and ends the process, which a restart mends.
func TestALogThatFailsEndsTheProcess(t *testing.T) {
	s := newService(t)
	s.start()
	first := s.append(audittest.Missions(0, 2)...)
	state := filepath.Join(s.dataDir, "epoch-1", ".state", "treeState")
	kept, err := os.ReadFile(state)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.Remove(state), os.MkdirAll(filepath.Join(state, "in-the-way"), 0o700)); err != nil {
		t.Fatal(err)
	}
	if _, err := s.client().Append(t.Context(), audittest.Missions(2, 3)...); !errors.Is(err, client.ErrUnavailable) {
		t.Error(err)
	}
	var exit *exec.ExitError
	if err := s.process.Wait(); !errors.As(err, &exit) || exit.ExitCode() != 1 {
		t.Errorf("%v\n%s", err, s.output.String())
	}
	if err := errors.Join(os.RemoveAll(state), os.WriteFile(state, kept, 0o600)); err != nil {
		t.Fatal(err)
	}
	s.start()
	if diff := cmp.Diff(first, s.append(audittest.Missions(0, 2)...)); diff != "" {
		t.Error(diff)
	}
	s.append(audittest.Missions(2, 3)...)
}

// Records go out as events, each at least once, across a restart.
func TestForwarding(t *testing.T) {
	var mu sync.Mutex
	var ids []string
	came := make(chan struct{}, 1<<10)
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var events []event.Event
		events, err := cehttp.NewEventsFromHTTPRequest(r)
		if err != nil {
			t.Error(err)
		}
		mu.Lock()
		for _, e := range events {
			ids = append(ids, e.ID())
		}
		mu.Unlock()
		w.WriteHeader(http.StatusNoContent)
		came <- struct{}{}
	}))
	defer receiver.Close()
	until := func(want []audit.Entry) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		for {
			mu.Lock()
			seen := map[string]bool{}
			for _, id := range ids {
				seen[id] = true
			}
			mu.Unlock()
			missing := 0
			for _, e := range want {
				if !seen[e.Record.ID] {
					missing++
				}
			}
			if missing == 0 {
				return
			}
			select {
			case <-came:
			case <-ctx.Done():
				t.Fatalf("%d events are missing", missing)
			}
		}
	}
	s := newService(t, "--forward-to="+receiver.URL, "--forward-batch=10")
	s.start()
	entries := s.append(audittest.Missions(0, 5)...)
	until(entries)
	s.kill()
	s.start()
	until(append(entries, s.append(audittest.Missions(5, 8)...)...))
}

// A token counts where it is for the audit log, and from its file as it is then.
func TestATokenForTheAudience(t *testing.T) {
	s := newService(t)
	s.start()
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "appender"}}
	request := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{Audiences: []string{wire.Audience}}}
	if err := server.Admin().SubResource("token").Create(t.Context(), account, request); err != nil {
		t.Fatal(err)
	}
	foreign, err := server.Token(t.Context(), namespace, "appender")
	if err != nil {
		t.Fatal(err)
	}
	file := audittest.File(t, t.TempDir(), "token", []byte(foreign))
	c, err := client.New(client.Options{URL: "https://" + s.address, CA: s.ca.PEM, TokenFile: file})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Append(t.Context(), audittest.Record(0, 0)); !errors.Is(err, client.ErrForbidden) {
		t.Error(err)
	}
	if err := os.WriteFile(file, []byte(request.Status.Token), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Append(t.Context(), audittest.Record(0, 0)); err != nil {
		t.Error(err)
	}
	var bad *client.BadRecord
	if _, err := c.Append(t.Context(), audit.Record{}); !errors.As(err, &bad) {
		t.Error(err)
	}
	s.kill()
	for _, token := range []string{foreign, request.Status.Token} {
		if strings.Contains(s.output.String(), token) {
			t.Error("a token is in the log")
		}
	}
}

// What cannot be obeyed is said at once.
func TestUsage(t *testing.T) {
	private, _ := audittest.Keys(t, "another-log")
	key := audittest.File(t, t.TempDir(), "key", []byte(private))
	for name, test := range map[string]struct {
		args []string
		code int
		says string
	}{
		"unknown flag": {[]string{"serve", "--colour=red"}, 64, "unknown flag: --colour"},
		"half a pair":  {[]string{"serve", "--tls-cert-file=a"}, 64, "--tls-private-key-file"},
		"two certificates": {
			[]string{"serve", "--tls-cert-file=a", "--tls-private-key-file=b", "--serving-names=log.example.com"}, 64, "--serving-names",
		},
		"forward options": {[]string{"serve", "--key-file=" + key, "--tls-cert-file=a", "--tls-private-key-file=b", "--forward-batch=7"}, 64, "--forward-to"},
		"arguments":       {[]string{"serve", "now"}, 64, "now"},
		"another log": {[]string{
			"serve", "--key-file=" + key, "--tls-cert-file=a", "--tls-private-key-file=b", "--data-dir=" + t.TempDir(), "--metrics-bind-address=0",
			"--health-probe-bind-address=0", "--kubeconfig=" + kubeconfig(t, filepath.Join(t.TempDir(), "kubeconfig")),
			"--mirror=false",
		}, 1, `the key is of log "another-log"`},
	} {
		t.Run(name, func(t *testing.T) {
			out, err := exec.CommandContext(t.Context(), binary, test.args...).CombinedOutput()
			var exit *exec.ExitError
			if !errors.As(err, &exit) || exit.ExitCode() != test.code || !strings.Contains(string(out), test.says) {
				t.Errorf("%v: %s", err, out)
			}
			if strings.Contains(string(out), private[20:]) {
				t.Error("the key is printed")
			}
		})
	}
}
