// Package auditlog runs cmd/auditlog for test suites, with keys, certificate and mirrored head in the
// cluster, as it has them in one.
package auditlog

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	auditclient "agentpassport.dev/operator/internal/audit/client"
	"agentpassport.dev/operator/internal/audit/wire"
	"agentpassport.dev/operator/internal/servingcert"
	"agentpassport.dev/operator/test/apiserver"
	"agentpassport.dev/operator/test/process"
)

// serviceAccount is the audit log's own.
const serviceAccount = "agent-passport-auditlog"

// Build builds cmd/auditlog of the project at root into dir, and returns the binary's path.
func Build(ctx context.Context, root, dir string) (string, error) {
	return process.Build(ctx, root, dir, "auditlog")
}

// AuditLog is the audit log of one cluster, which may be stopped and started again.
type AuditLog struct {
	*process.Process
	// URL of the service.
	URL string
	// Dir holds its data directory, "log", and what clients need: ca.crt and a token.
	Dir string

	binary, probes, kubeconfig string
	log                        io.Writer
}

// Start starts an audit log in dir, as its own ServiceAccount, and returns once it takes records. What it
// logs goes to log.
func Start(ctx context.Context, binary, dir string, server *apiserver.Server, log io.Writer) (*AuditLog, error) {
	addresses, err := process.FreeAddresses(2)
	if err != nil {
		return nil, err
	}
	a := &AuditLog{
		URL: "https://" + addresses[0], Dir: dir, binary: binary, probes: addresses[1], log: log,
		kubeconfig: filepath.Join(dir, "auditlog.kubeconfig"),
	}
	if err := server.Kubeconfig(ctx, serviceAccount, a.kubeconfig); err != nil {
		return nil, err
	}
	if err := a.Again(ctx); err != nil {
		return nil, err
	}
	return a, errors.Join(a.writeCA(ctx, server), a.writeToken(ctx, server))
}

// Again starts an audit log that was stopped, and returns once it takes records.
func (a *AuditLog) Again(ctx context.Context) error {
	if err := a.Launch(); err != nil {
		return err
	}
	if err := a.Ready(ctx); err != nil {
		a.Kill()
		return err
	}
	return nil
}

// Launch starts an audit log that was stopped. It may not become ready.
func (a *AuditLog) Launch() (err error) {
	a.Process, err = process.Start(a.binary, a.probes, a.log, "serve",
		"--kubeconfig="+a.kubeconfig,
		"--namespace="+apiserver.OperatorNamespace,
		"--data-dir="+filepath.Join(a.Dir, "log"),
		"--bind-address="+a.URL[len("https://"):],
		"--health-probe-bind-address="+a.probes,
		"--metrics-bind-address=0",
		"--serving-names=127.0.0.1",
	)
	return err
}

func (a *AuditLog) writeCA(ctx context.Context, server *apiserver.Server) error {
	var published corev1.ConfigMap
	key := client.ObjectKey{Namespace: apiserver.OperatorNamespace, Name: servingcert.AuditLogName}
	if err := server.Admin().Get(ctx, key, &published); err != nil {
		return err
	}
	return os.WriteFile(a.caFile(), []byte(published.Data[servingcert.ConfigMapKey]), 0o600)
}

func (a *AuditLog) writeToken(ctx context.Context, server *apiserver.Server) error {
	token, err := server.Token(ctx, apiserver.OperatorNamespace, apiserver.ManagerServiceAccount, wire.Audience)
	if err != nil {
		return err
	}
	return os.WriteFile(a.tokenFile(), []byte(token), 0o600)
}

func (a *AuditLog) caFile() string    { return filepath.Join(a.Dir, "ca.crt") }
func (a *AuditLog) tokenFile() string { return filepath.Join(a.Dir, "token") }

// ManagerFlags are those by which a manager finds the audit log and shows who it is.
func (a *AuditLog) ManagerFlags() []string {
	return []string{
		"--audit-log-url=" + a.URL, "--audit-log-ca-file=" + a.caFile(), "--audit-log-token-file=" + a.tokenFile(),
	}
}

// ClientOptions are those by which the manager's client finds the audit log and shows that it is the manager.
func (a *AuditLog) ClientOptions() auditclient.Options {
	return auditclient.Options{URL: a.URL, CAFile: a.caFile(), TokenFile: a.tokenFile()}
}

// Get reads a path of the service with a bearer token, and gives the status and the body.
func (a *AuditLog) Get(ctx context.Context, path, token string) (status int, body string, err error) {
	return a.ask(ctx, http.MethodGet, path, token, http.NoBody)
}

// Post posts JSON to a path of the service.
func (a *AuditLog) Post(ctx context.Context, path, token string, json io.Reader) (status int, body string, err error) {
	return a.ask(ctx, http.MethodPost, path, token, json)
}

func (a *AuditLog) ask(ctx context.Context, method, path, token string, json io.Reader) (status int, body string, err error) {
	authorities, err := os.ReadFile(a.caFile())
	if err != nil {
		return 0, "", err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(authorities) {
		return 0, "", fmt.Errorf("%s holds no certificate", a.caFile())
	}
	request, err := http.NewRequestWithContext(ctx, method, a.URL+path, json)
	if err != nil {
		return 0, "", err
	}
	request.Header.Set("Authorization", "Bearer "+token)
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}
	defer transport.CloseIdleConnections()
	response, err := (&http.Client{Transport: transport, Timeout: time.Minute}).Do(request)
	if err != nil {
		return 0, "", err
	}
	defer func() { _ = response.Body.Close() }()
	content, err := io.ReadAll(response.Body)
	return response.StatusCode, string(content), err
}
