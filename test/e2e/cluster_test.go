package e2e

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"agentpassport.dev/operator/test/apiserver"
	"agentpassport.dev/operator/test/auditlog"
	"agentpassport.dev/operator/test/manager"
)

// cluster is an API server, and what it takes to run the manager on it.
type cluster struct {
	*apiserver.Server
	kubeconfig string
	addresses  manager.Addresses
	// issuer is the `iss` claim, and where the leader's JWKS is served.
	issuer string
	log    *log
	// auditLog that every manager of the cluster writes to.
	auditLog *auditlog.AuditLog
	// manager that start started last.
	manager *manager.Manager
}

// newClusters starts so many API servers for the suite, at once; no manager runs yet.
func newClusters(ctx context.Context, n int) []*cluster {
	GinkgoHelper()
	clusters, errs := make([]*cluster, n), make([]error, n)
	var starting sync.WaitGroup
	for i := range n {
		addresses := freeAddresses()
		clusters[i] = &cluster{
			kubeconfig: filepath.Join(GinkgoT().TempDir(), "manager.kubeconfig"),
			addresses:  addresses, issuer: "http://" + addresses.Issuer, log: &log{},
		}
		starting.Go(func() { errs[i] = clusters[i].open(ctx) })
	}
	starting.Wait()
	for _, c := range clusters {
		DeferCleanup(c.close)
	}
	Expect(errors.Join(errs...)).To(Succeed())
	return clusters
}

func (c *cluster) open(ctx context.Context) (err error) {
	if c.Server, err = apiserver.Start(ctx, root, apiserver.AllPolicies); err != nil {
		return err
	}
	if err := c.ManagerKubeconfig(ctx, c.kubeconfig); err != nil {
		return err
	}
	c.auditLog, err = auditlog.Start(ctx, logBinary, filepath.Dir(c.kubeconfig), c.Server, c.log)
	return err
}

// close ends all that runs, and looks for tokens in what was logged.
func (c *cluster) close() error {
	if c.manager != nil {
		c.manager.Kill()
	}
	if c.auditLog != nil {
		c.auditLog.Kill()
	}
	if strings.Contains(c.log.String(), "eyJ") {
		return errors.New("there is a token in the log of the manager or the audit log")
	}
	if c.Server == nil {
		return nil
	}
	return c.Stop()
}

// start starts the manager of the cluster. It is ready a little later.
func (c *cluster) start() error {
	m, err := c.startAt(c.addresses)
	c.manager = m
	return err
}

// startAt starts a manager that listens on the addresses.
func (c *cluster) startAt(addresses manager.Addresses) (*manager.Manager, error) {
	flags := append(c.auditLog.ManagerFlags(), "--leader-elect", "--issuer="+c.issuer)
	return manager.Start(binary, c.kubeconfig, addresses, c.log, flags...)
}

func freeAddresses() manager.Addresses {
	GinkgoHelper()
	addresses, err := manager.FreeAddresses()
	Expect(err).NotTo(HaveOccurred())
	return addresses
}

// get reads a URL with a bearer token, where one is given. The metrics endpoint has a certificate of
// its own making.
func get(ctx context.Context, url, token string) (status int, body string, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return 0, "", err
	}
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	response, err := insecure.Do(request)
	if err != nil {
		return 0, "", err
	}
	defer func() { _ = response.Body.Close() }()
	content, err := io.ReadAll(response.Body)
	return response.StatusCode, string(content), err
}

var insecure = &http.Client{
	Timeout:   10 * time.Second,
	Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}},
}

// log is what managers of one cluster said. It shows in the report of a spec that fails.
type log struct {
	mu   sync.Mutex
	said bytes.Buffer
}

// Write implements io.Writer.
func (l *log) Write(line []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, _ = GinkgoWriter.Write(line)
	return l.said.Write(line)
}

// String gives all that was said.
func (l *log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.said.String()
}
