package playground

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// program is one main package of hack/controlplane.
type program struct {
	path string
	// cold is how long a build with an empty cache takes on two cores: measured, for the estimate.
	cold time.Duration
	// link is how long it takes with a full cache.
	link time.Duration
}

var programs = map[string]program{
	"etcd":            {"go.etcd.io/etcd/server/v3", 58 * time.Second, 2 * time.Second},
	"kube-apiserver":  {"k8s.io/kubernetes/cmd/kube-apiserver", 221 * time.Second, 8 * time.Second},
	"kubectl":         {"k8s.io/kubernetes/cmd/kubectl", 22 * time.Second, 4 * time.Second},
	controllerManager: {"k8s.io/kubernetes/cmd/kube-controller-manager", 59 * time.Second, 8 * time.Second},
}

// build makes the named programs from hack/controlplane. A finished one is renamed into place, so
// that a build that was interrupted goes on where it stopped.
func (p *Provider) build(ctx context.Context, names []string) error {
	dir := builtIn(p.Root)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	for _, name := range names {
		if err := p.buildOne(ctx, dir, name); err != nil {
			return fmt.Errorf("building %s: %w", name, err)
		}
	}
	return nil
}

func (p *Provider) buildOne(ctx context.Context, dir, name string) error {
	target := programs[name]
	total, stale, err := p.packages(ctx, target.path)
	if err != nil {
		return err
	}
	estimate := target.link + target.cold*time.Duration(stale)/time.Duration(max(total, 1))
	progress := p.Screen.Progress("building", name, stale, estimate, p.Clock)

	unfinished := filepath.Join(dir, fmt.Sprintf(".%s.%d", name, os.Getpid()))
	defer func() { _ = os.Remove(unfinished) }()
	cmd := p.goCommand(ctx, "build", "-v", "-trimpath", "-ldflags="+linkerFlags(), "-o", unfinished, target.path)
	lines, err := cmd.StderrPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	var complaints []string
	for scanner := bufio.NewScanner(lines); scanner.Scan(); {
		// `go build -v` names each package that it compiles; anything with a space is a complaint.
		if line := scanner.Text(); strings.Contains(line, " ") {
			complaints = append(complaints, line)
		} else {
			progress.Step()
		}
	}
	if err := cmd.Wait(); err != nil {
		return fmt.Errorf("%w\n%s", err, strings.Join(complaints, "\n"))
	}
	if err := os.Rename(unfinished, filepath.Join(dir, name)); err != nil {
		return err
	}
	progress.Done()
	return nil
}

// packages counts what the program consists of, and how much of it has to be compiled.
func (p *Provider) packages(ctx context.Context, path string) (total, stale int, err error) {
	cmd := p.goCommand(ctx, "list", "-deps", "-trimpath", "-f={{if .Stale}}stale{{else}}cached{{end}}", path)
	var complaints strings.Builder
	cmd.Stderr = &complaints
	out, err := cmd.Output()
	if err != nil {
		return 0, 0, fmt.Errorf("%w\n%s", err, complaints.String())
	}
	return strings.Count(string(out), "\n"), strings.Count(string(out), "stale\n"), nil
}

func (p *Provider) goCommand(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = filepath.Join(p.Root, "hack", "controlplane")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off", "GOFLAGS=-mod=readonly -buildvcs=false")
	return cmd
}

// linkerFlags stamp the version: clients refuse to talk to a server that does not know its own.
func linkerFlags() string {
	version := strings.SplitN(strings.TrimPrefix(KubernetesVersion, "v"), ".", 3)
	flags := "-s -w"
	for _, pkg := range []string{"k8s.io/component-base/version", "k8s.io/client-go/pkg/version"} {
		flags += fmt.Sprintf(" -X %[1]s.gitVersion=%[2]s -X %[1]s.gitMajor=%[3]s -X %[1]s.gitMinor=%[4]s",
			pkg, KubernetesVersion, version[0], version[1])
	}
	return flags
}
