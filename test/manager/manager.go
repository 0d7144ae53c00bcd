// Package manager runs cmd/manager for test suites as a cluster would: the real binary, in a process
// of its own, with the credentials of a kubeconfig and no other.
package manager

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
)

// readiness bounds the time from the start of a manager until it says that it is ready.
const readiness = time.Minute

// Build builds cmd/manager of the project at root into dir, and returns the binary's path.
func Build(ctx context.Context, root, dir string) (string, error) {
	binary := filepath.Join(dir, "manager")
	build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-o", binary, "./cmd/manager")
	build.Dir, build.Env = root, append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the manager: %w\n%s", err, out)
	}
	return binary, nil
}

// Addresses are where one manager listens, on loopback.
type Addresses struct {
	// Issuer serves the JWKS and the OpenID configuration over HTTP.
	Issuer string
	// Metrics serves metrics over HTTPS.
	Metrics string
	// Probes serves /healthz and /readyz over HTTP.
	Probes string
}

// FreeAddresses finds addresses that nobody listens on. A manager that is started again can take the
// ones that it had.
func FreeAddresses() (Addresses, error) {
	var found [3]string
	var held []io.Closer
	defer func() {
		for _, listener := range held {
			_ = listener.Close()
		}
	}()
	for i := range found {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return Addresses{}, err
		}
		held = append(held, listener) // all at once, so that they differ
		found[i] = listener.Addr().String()
	}
	return Addresses{Issuer: found[0], Metrics: found[1], Probes: found[2]}, nil
}

// Manager is one process.
type Manager struct {
	// Addresses where it listens.
	Addresses Addresses

	process *os.Process
	ended   chan struct{}
	err     error
}

// Start starts a manager with the credentials of a kubeconfig and with further flags. What it logs
// goes to log.
func Start(binary, kubeconfig string, addresses Addresses, log io.Writer, flags ...string) (*Manager, error) {
	cmd := exec.Command(binary, append([]string{
		"--kubeconfig=" + kubeconfig,
		"--issuer-bind-address=" + addresses.Issuer,
		"--metrics-bind-address=" + addresses.Metrics,
		"--health-probe-bind-address=" + addresses.Probes,
	}, flags...)...)
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	m := &Manager{Addresses: addresses, process: cmd.Process, ended: make(chan struct{})}
	go func() {
		m.err = cmd.Wait()
		close(m.ended)
	}()
	return m, nil
}

// Ready waits until the manager is ready: its caches are filled and its keys are loaded.
func (m *Manager) Ready(ctx context.Context) error {
	last := errors.New("not asked yet")
	err := wait.PollUntilContextTimeout(ctx, 50*time.Millisecond, readiness, true, func(ctx context.Context) (bool, error) {
		select {
		case <-m.ended:
			return false, errors.Join(errors.New("it has ended"), m.err)
		default:
			last = m.ready(ctx)
			return last == nil, nil
		}
	})
	if err != nil {
		return fmt.Errorf("the manager is not ready: %w: %w", err, last)
	}
	return nil
}

func (m *Manager) ready(ctx context.Context) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+m.Addresses.Probes+"/readyz", http.NoBody)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		return errors.New(response.Status)
	}
	return nil
}

// Kill ends the manager as a lost machine would (SIGKILL), and returns once it is gone.
func (m *Manager) Kill() {
	_ = m.process.Kill()
	<-m.ended
}

// Stop asks the manager to end (SIGTERM), as a rollout does, and returns once it is gone. The error
// is nil where it exited with 0; it is killed where it lasts longer than ctx.
func (m *Manager) Stop(ctx context.Context) error {
	_ = m.process.Signal(syscall.SIGTERM)
	select {
	case <-m.ended:
		return m.err
	case <-ctx.Done():
		m.Kill()
		return fmt.Errorf("the manager did not end when asked to: %w", ctx.Err())
	}
}
