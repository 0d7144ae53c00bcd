// Package gateway runs cmd/gateway for test suites, with the certificates that the manager keeps for it, as
// the kubelet mounts them.
package gateway

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
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"

	auditwire "agentpassport.dev/operator/internal/audit/wire"
	"agentpassport.dev/operator/test/apiserver"
	"agentpassport.dev/operator/test/auditlog"
	"agentpassport.dev/operator/test/process"
)

const (
	// serviceAccount is the gateway's own.
	serviceAccount = "agent-passport-gateway"
	// tlsSecret holds its certificates.
	tlsSecret = "agent-passport-gateway-tls"
	// Proxy is the name in the certificate of who may ask ext_authz.
	Proxy = "envoy"
	// Audience is what the tokens of callers are for.
	Audience = "agent-passport-gateway"
)

// Build builds cmd/gateway of the project at root into dir, and returns the binary's path.
func Build(ctx context.Context, root, dir string) (string, error) {
	return process.Build(ctx, root, dir, "gateway")
}

// Gateway is one gateway, which may be stopped and started again.
type Gateway struct {
	*process.Process
	// Name of the gateway, as a Pod would have it.
	Name string
	// URL of its HTTP API and proxies; ExtAuthz, host:port, speaks gRPC with who shows tls/client.crt.
	URL, ExtAuthz string
	// CAFile holds the authority of its certificate.
	CAFile string
	// Dir holds its spool, "spool", and what is mounted into its Pod.
	Dir string

	binary, probes string
	args           []string
	log            io.Writer
}

// Options are what a gateway is started with.
type Options struct {
	// Binary, as built by Build.
	Binary string
	// Name of the gateway.
	Name string
	// Dir is its own.
	Dir string
	// Server is the cluster.
	Server *apiserver.Server
	// AuditLog of the cluster.
	AuditLog *auditlog.AuditLog
	// Issuer is the `iss` of the tokens, Channel the host:port of the manager's channel.
	Issuer, Channel string
	// Log is where it logs to.
	Log io.Writer
	// ProxyCA is the file of the authority that signs the certificate of Proxy, which may ask ext_authz; empty: nobody
	// may.
	ProxyCA string
	// Flags beside the ones that it needs.
	Flags []string
}

// Start starts a gateway as its own ServiceAccount, and returns once it is ready. A manager has to lead by
// then or soon: it makes the certificates.
func Start(ctx context.Context, options Options) (*Gateway, error) {
	addresses, err := process.FreeAddresses(3)
	if err != nil {
		return nil, err
	}
	g := &Gateway{
		Name: options.Name, URL: "https://" + addresses[0], ExtAuthz: addresses[2],
		Dir: options.Dir, CAFile: filepath.Join(options.Dir, "tls", "ca.crt"),
		binary: options.Binary, probes: addresses[1], log: options.Log,
	}
	kubeconfig := filepath.Join(options.Dir, "gateway.kubeconfig")
	tokenFile := filepath.Join(options.Dir, "auditlog-token")
	if err := errors.Join(
		options.Server.Kubeconfig(ctx, serviceAccount, kubeconfig),
		writeToken(ctx, options.Server, tokenFile),
		g.Mount(ctx, options.Server.Admin()),
	); err != nil {
		return nil, err
	}
	g.args = append([]string{
		"--kubeconfig=" + kubeconfig,
		"--name=" + options.Name,
		"--namespace=" + apiserver.OperatorNamespace,
		"--issuer=" + options.Issuer,
		"--tls-dir=" + filepath.Join(options.Dir, "tls"),
		"--spool-dir=" + filepath.Join(options.Dir, "spool"),
		"--channel-url=https://" + options.Channel,
		"--audit-log-url=" + options.AuditLog.URL,
		"--audit-log-ca-file=" + filepath.Join(options.AuditLog.Dir, "ca.crt"),
		"--audit-log-token-file=" + tokenFile,
		"--bind-address=" + addresses[0],
		// Its own certificate for the manager stands for that of an Envoy.
		"--ext-authz-client-ca-file=" + g.CAFile,
		"--ext-authz-clients=system:serviceaccount:" + apiserver.OperatorNamespace + ":" + serviceAccount,
		"--health-probe-bind-address=" + addresses[1],
		"--metrics-bind-address=0",
		"--shutdown-delay=0s",
	}, options.Flags...)
	if options.ProxyCA != "" {
		g.args = append(g.args, "--ext-authz-bind-address="+addresses[2], "--ext-authz-client-ca-file="+options.ProxyCA, "--ext-authz-clients="+Proxy)
	}
	err = g.Again(ctx)
	return g, err
}

// Again starts a gateway that was stopped, and returns once it is ready.
func (g *Gateway) Again(ctx context.Context) (err error) {
	if g.Process, err = process.Start(g.binary, g.probes, g.log, g.args...); err != nil {
		return err
	}
	if err := g.Ready(ctx); err != nil {
		g.Kill()
		return err
	}
	return nil
}

// Mount writes the Secret with the gateway's certificates into its directory, as the kubelet does.
func (g *Gateway) Mount(ctx context.Context, admin client.Client) error {
	var secret corev1.Secret
	key := client.ObjectKey{Namespace: apiserver.OperatorNamespace, Name: tlsSecret}
	err := wait.PollUntilContextTimeout(ctx, 50*time.Millisecond, time.Minute, true, func(ctx context.Context) (bool, error) {
		err := admin.Get(ctx, key, &secret)
		return err == nil, client.IgnoreNotFound(err)
	})
	if err != nil {
		return fmt.Errorf("secret %s, which the manager makes: %w", tlsSecret, err)
	}
	dir := filepath.Dir(g.CAFile)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	for name, data := range secret.Data {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			return err
		}
	}
	return nil
}

func writeToken(ctx context.Context, server *apiserver.Server, path string) error {
	token, err := server.Token(ctx, apiserver.OperatorNamespace, serviceAccount, auditwire.Audience)
	if err != nil {
		return err
	}
	return os.WriteFile(path, []byte(token), 0o600)
}

// Client gives a client that trusts the gateway's certificate.
func (g *Gateway) Client() (*http.Client, error) {
	authorities, err := os.ReadFile(g.CAFile)
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(authorities) {
		return nil, fmt.Errorf("%s holds no certificate", g.CAFile)
	}
	return &http.Client{
		Timeout:       time.Minute,
		Transport:     &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}, nil
}

// Ask sends a request with a bearer token, where one is given, and gives status and body.
func (g *Gateway) Ask(ctx context.Context, method, path, bearer string, header http.Header, body string) (status int, answer string, err error) {
	to, err := g.Client()
	if err != nil {
		return 0, "", err
	}
	defer to.CloseIdleConnections()
	request, err := http.NewRequestWithContext(ctx, method, g.URL+path, strings.NewReader(body))
	if err != nil {
		return 0, "", err
	}
	for name, values := range header {
		request.Header[name] = values
	}
	if bearer != "" {
		request.Header.Set("Authorization", "Bearer "+bearer)
	}
	response, err := to.Do(request)
	if err != nil {
		return 0, "", err
	}
	defer func() { _ = response.Body.Close() }()
	content, err := io.ReadAll(response.Body)
	return response.StatusCode, string(content), err
}
