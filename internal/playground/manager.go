package playground

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

const (
	operatorNamespace = "agent-passport-system"
	managerAccount    = "agent-passport-manager"
	// issuer is the playground's `iss`; verifiers reach the keys over loopback instead.
	issuer = "https://agent-passport.playground.internal"
	// managerTokenLife is asked for; a cluster may grant less. The token is renewed at half its life.
	managerTokenLife = 24 * time.Hour
)

// manager is a running bin/manager.
type manager struct {
	cmd *exec.Cmd
	// jwks is the URL of the published keys.
	jwks string
	// ended is closed once the process is gone; err then says how.
	ended chan struct{}
	err   error
	log   string
	close func()
}

// startManager builds the manager and runs it against the API server of cfg, as its own
// ServiceAccount and with nothing else to show. It waits until the manager is ready.
func startManager(ctx context.Context, root, state string, cfg *rest.Config, admin client.Client) (*manager, error) {
	binary := filepath.Join(root, "bin", "manager")
	build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-o", binary, "./cmd/manager")
	build.Dir, build.Env = root, append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("building the manager: %w\n%s", err, out)
	}

	home := filepath.Join(state, "manager")
	if err := os.MkdirAll(home, 0o700); err != nil {
		return nil, err
	}
	tokenFile, kubeconfig := filepath.Join(home, "token"), filepath.Join(home, "kubeconfig")
	expiry, err := writeToken(ctx, admin, tokenFile)
	if err != nil {
		return nil, fmt.Errorf("a token for ServiceAccount %s/%s: %w", operatorNamespace, managerAccount, err)
	}
	own := rest.AnonymousClientConfig(cfg)
	own.BearerTokenFile = tokenFile
	if err := writeKubeconfig(kubeconfig, own, operatorNamespace); err != nil {
		return nil, err
	}

	probes, jwks, err := twoFreeAddresses(ctx)
	if err != nil {
		return nil, err
	}
	logPath := filepath.Join(state, "logs", "manager.log")
	if err := os.MkdirAll(filepath.Dir(logPath), 0o700); err != nil {
		return nil, err
	}
	log, err := os.OpenFile(logPath, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, err
	}
	m := &manager{jwks: "http://" + jwks + "/.well-known/jwks.json", ended: make(chan struct{}), log: logPath}
	//nolint:noctx // it is ended by stop, gracefully, not with ctx
	m.cmd = exec.Command(binary,
		"--kubeconfig="+kubeconfig,
		"--namespace="+operatorNamespace,
		"--issuer="+issuer,
		"--issuer-bind-address="+jwks,
		"--health-probe-bind-address="+probes,
		"--metrics-bind-address=0",
		"--leader-elect",
	)
	m.cmd.Stdout, m.cmd.Stderr = log, log
	// Ctrl-C reaches every process of the terminal's group: the manager is to be ended in its turn.
	m.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := m.cmd.Start(); err != nil {
		return nil, errors.Join(err, log.Close())
	}
	go func() {
		m.err = m.cmd.Wait()
		_ = log.Close()
		close(m.ended)
	}()
	renewing, stopRenewing := context.WithCancel(context.WithoutCancel(ctx))
	m.close = stopRenewing
	go renewToken(renewing, admin, tokenFile, expiry)

	err = eventually(ctx, time.Minute, "the manager to be ready", func(ctx context.Context) (string, error) {
		select {
		case <-m.ended:
			return "the manager has ended", nil
		default:
			return "", get(ctx, "http://"+probes+"/readyz")
		}
	})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%w; see %s", err, logPath), m.stop())
	}
	return m, nil
}

// stop asks the manager to end, waits until it has, and kills it only where it does not.
func (m *manager) stop() error {
	m.close()
	_ = m.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-m.ended:
		return nil
	case <-time.After(gracePeriod):
		return errors.Join(errors.New("the manager did not end when asked to, and was killed"), m.cmd.Process.Kill())
	}
}

// writeToken asks for a token of the manager's ServiceAccount and writes it to path.
func writeToken(ctx context.Context, admin client.Client, path string) (expiry time.Time, err error) {
	token, expiry, err := requestToken(ctx, admin, operatorNamespace, managerAccount, managerTokenLife)
	if err != nil {
		return expiry, err
	}
	next := path + ".next"
	if err := os.WriteFile(next, []byte(token), 0o600); err != nil {
		return expiry, err
	}
	return expiry, os.Rename(next, path)
}

// renewToken replaces the token at half its life; the manager reads the file again by itself.
func renewToken(ctx context.Context, admin client.Client, path string, expiry time.Time) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(max(time.Until(expiry)/2, time.Minute)):
			if renewed, err := writeToken(ctx, admin, path); err == nil {
				expiry = renewed
			}
		}
	}
}

// requestToken asks the API server for a token of a ServiceAccount.
func requestToken(
	ctx context.Context, admin client.Client, namespace, name string, life time.Duration,
) (token string, expiry time.Time, err error) {
	seconds := int64(life.Seconds())
	request := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{ExpirationSeconds: &seconds}}
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}}
	if err := admin.SubResource("token").Create(ctx, account, request); err != nil {
		return "", time.Time{}, err
	}
	return request.Status.Token, request.Status.ExpirationTimestamp.Time, nil
}

// twoFreeAddresses finds ports on loopback that nobody listens on. Both are held until both are
// found, so that they differ.
func twoFreeAddresses(ctx context.Context) (one, other string, err error) {
	first, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", "", err
	}
	second, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", "", errors.Join(err, first.Close())
	}
	return first.Addr().String(), second.Addr().String(), errors.Join(first.Close(), second.Close())
}

// get succeeds where a GET of the URL answers 200.
func get(ctx context.Context, url string) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answers %s", url, response.Status)
	}
	return nil
}
