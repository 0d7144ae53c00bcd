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
)

// process is a running binary of the operator's.
type process struct {
	name string
	cmd  *exec.Cmd
	// ended is closed once the process is gone; err then says how.
	ended chan struct{}
	err   error
	log   string
	// close ends what was started beside it.
	close func()
}

// startProcess builds a command and runs it, with its log in the state directory. It waits until its probes
// say that it is ready.
func startProcess(ctx context.Context, root, state, name, probes string, args ...string) (*process, error) {
	binary := filepath.Join(root, "bin", name)
	build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-o", binary, "./cmd/"+name)
	build.Dir, build.Env = root, append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("building the %s: %w\n%s", name, err, out)
	}
	logPath := filepath.Join(state, "logs", name+".log")
	if err := os.MkdirAll(filepath.Dir(logPath), 0o700); err != nil {
		return nil, err
	}
	log, err := os.OpenFile(logPath, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, err
	}
	p := &process{name: name, ended: make(chan struct{}), log: logPath, close: func() {}}
	p.cmd = exec.Command(binary, args...) //nolint:noctx // it is ended by stop, gracefully, not with ctx
	p.cmd.Stdout, p.cmd.Stderr = log, log
	// Ctrl-C reaches every process of the terminal's group: this one is to be ended in its turn.
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := p.cmd.Start(); err != nil {
		return nil, errors.Join(err, log.Close())
	}
	go func() {
		p.err = p.cmd.Wait()
		_ = log.Close()
		close(p.ended)
	}()
	err = eventually(ctx, time.Minute, "the "+name+" to be ready", func(ctx context.Context) (string, error) {
		select {
		case <-p.ended:
			return "it has ended", nil
		default:
			return "", get(ctx, "http://"+probes+"/readyz")
		}
	})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%w; see %s", err, logPath), p.stop())
	}
	return p, nil
}

// stop asks the process to end, waits until it has, and kills it only where it does not.
func (p *process) stop() error {
	p.close()
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.ended:
		return nil
	case <-time.After(gracePeriod):
		return errors.Join(fmt.Errorf("the %s did not end when asked to, and was killed", p.name), p.cmd.Process.Kill())
	}
}

// freeAddresses finds ports on loopback that nobody listens on. All are held until all are found, so that
// they differ.
func freeAddresses(ctx context.Context, n int) ([]string, error) {
	if n == 0 {
		return nil, nil
	}
	held, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	others, err := freeAddresses(ctx, n-1)
	return append(others, held.Addr().String()), errors.Join(err, held.Close())
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
