// Package process runs the operator's binaries for test suites as a cluster would: each in a process of its
// own, with the credentials that it is given and no other.
package process

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
)

// readiness bounds the time from the start of a process until it says that it is ready.
const readiness = time.Minute

// Build builds a command of the project at root into dir, and returns the binary's path.
func Build(ctx context.Context, root, dir, command string) (string, error) {
	binary := filepath.Join(dir, command)
	build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-o", binary, "./cmd/"+command)
	build.Dir, build.Env = root, append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the %s: %w\n%s", command, err, out)
	}
	return binary, nil
}

// The ports that are given out lie below those that the kernel gives to whoever asks for any: what is free stays so
// until the process that it is for listens there, however many suites start others meanwhile.
const (
	firstPort = 20000
	lastPort  = 32000
	// attempts to find one are many: most are free.
	attempts = 1000
)

// given are the ports that this process has given out.
var given = struct {
	sync.Mutex
	ports map[int]bool
}{ports: map[int]bool{}}

// FreeAddresses finds n addresses on loopback that nobody listens on. None is given out twice.
func FreeAddresses(n int) ([]string, error) {
	given.Lock()
	defer given.Unlock()
	var found []string
	for range attempts {
		if len(found) == n {
			return found, nil
		}
		port := firstPort + rand.IntN(lastPort-firstPort)
		address := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
		if given.ports[port] {
			continue
		}
		listener, err := net.Listen("tcp", address)
		if err != nil {
			continue // somebody listens there
		}
		if err := listener.Close(); err != nil {
			return nil, err
		}
		given.ports[port] = true
		found = append(found, address)
	}
	return nil, fmt.Errorf("%d attempts found %d free ports of %d", attempts, len(found), n)
}

// Process is one that runs.
type Process struct {
	name    string
	process *os.Process
	probes  string
	ended   chan struct{}
	err     error
}

// Start starts a binary. What it logs goes to log; its probes listen on an address.
func Start(binary, probes string, log io.Writer, args ...string) (*Process, error) {
	cmd := exec.Command(binary, args...)
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	p := &Process{name: filepath.Base(binary), process: cmd.Process, probes: probes, ended: make(chan struct{})}
	go func() {
		p.err = cmd.Wait()
		close(p.ended)
	}()
	return p, nil
}

// Ready waits until the process says that it is ready.
func (p *Process) Ready(ctx context.Context) error {
	last := errors.New("not asked yet")
	err := wait.PollUntilContextTimeout(ctx, 50*time.Millisecond, readiness, true, func(ctx context.Context) (bool, error) {
		select {
		case <-p.ended:
			return false, errors.Join(errors.New("it has ended"), p.err)
		default:
			last = p.ready(ctx)
			return last == nil, nil
		}
	})
	if err != nil {
		return fmt.Errorf("the %s is not ready: %w: %w", p.name, err, last)
	}
	return nil
}

func (p *Process) ready(ctx context.Context) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+p.probes+"/readyz", http.NoBody)
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

// Kill ends the process as a lost machine would (SIGKILL), and returns once it is gone.
func (p *Process) Kill() {
	_ = p.process.Kill()
	<-p.ended
}

// Stop asks the process to end (SIGTERM), as a rollout does, and returns once it is gone. The error is nil
// where it exited with 0; it is killed where it lasts longer than ctx.
func (p *Process) Stop(ctx context.Context) error {
	_ = p.process.Signal(syscall.SIGTERM)
	select {
	case <-p.ended:
		return p.err
	case <-ctx.Done():
		p.Kill()
		return fmt.Errorf("the %s did not end when asked to: %w", p.name, ctx.Err())
	}
}
