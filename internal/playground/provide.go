package playground

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"k8s.io/utils/clock"
)

const (
	// probeTimeout is how long the download site may take to show its index.
	probeTimeout = 15 * time.Second
	// downloadTimeout is how long the download itself, about 100 MB, may take.
	downloadTimeout = 5 * time.Minute
	// downloadSeries is what setup-envtest is asked for.
	downloadSeries = "1.36.x"
)

// Provider finds the binaries of a control plane, and gets what is missing.
type Provider struct {
	// Root is the directory of the operator's module.
	Root string
	// Screen is where it says which way it takes, and how long that takes.
	Screen *Screen
	// ControllerManager asks for kube-controller-manager too: garbage collection needs it, and Pods.
	ControllerManager bool
	// Clock measures builds.
	Clock clock.PassiveClock
}

// Provide returns a directory with etcd, kube-apiserver and kubectl. It takes the first of: what
// KUBEBUILDER_ASSETS names, what is built already, what setup-envtest has or can download, a build
// from source. kube-controller-manager, which no download holds, is always built.
func (p *Provider) Provide(ctx context.Context) (string, error) {
	dir, err := p.controlPlane(ctx)
	if err != nil || !p.ControllerManager {
		return dir, err
	}
	if _, err := ControllerManager(ctx); err == nil {
		return dir, nil
	}
	return dir, p.build(ctx, []string{controllerManager})
}

func (p *Provider) controlPlane(ctx context.Context) (string, error) {
	if dir := os.Getenv(AssetsVariable); dir != "" {
		absent := missing(dir, binaries)
		if len(absent) == 0 {
			p.Screen.Line("control plane", "as %s says: %s", AssetsVariable, dir)
			return dir, nil
		}
		p.Screen.Line("control plane", "%s lacks %s: looking elsewhere", AssetsVariable, strings.Join(absent, ", "))
	}

	built := builtIn(p.Root)
	absent := missing(built, binaries)
	if len(absent) == 0 {
		p.Screen.Line("control plane", "Kubernetes %s, built before", KubernetesVersion)
		return built, nil
	}
	// A build that was begun is brought to its end rather than mixed with a download.
	if len(absent) == len(binaries) {
		if dir, err := p.download(ctx); err == nil {
			return dir, nil
		} else if ctx.Err() != nil {
			return "", ctx.Err()
		}
		p.Screen.Line("control plane", "no ready-made binaries within reach: Kubernetes %s is built from source, once", KubernetesVersion)
	}
	return built, p.build(ctx, absent)
}

// download asks setup-envtest. The first question is small, so that a machine without a way to the
// download site learns it at once.
func (p *Provider) download(ctx context.Context) (string, error) {
	if dir, err := p.setupEnvtest(ctx, probeTimeout, "use", "--installed-only", "--print=path", downloadSeries); err == nil {
		p.Screen.Line("control plane", "Kubernetes %s, downloaded before", downloadSeries)
		return dir, nil
	}
	if _, err := p.setupEnvtest(ctx, probeTimeout, "list", downloadSeries); err != nil {
		return "", err
	}
	p.Screen.Line("control plane", "downloading Kubernetes %s (100 MB, five minutes at most)", downloadSeries)
	return p.setupEnvtest(ctx, downloadTimeout, "use", "--print=path", downloadSeries)
}

func (p *Provider) setupEnvtest(ctx context.Context, limit time.Duration, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, "go", append([]string{
		"tool", "-modfile=" + filepath.Join("hack", "tools", "go.mod"), "setup-envtest",
	}, args...)...)
	cmd.Dir = p.Root
	cmd.WaitDelay = time.Second
	out, err := cmd.Output()
	if err != nil {
		return "", err
	}
	dir := strings.TrimSpace(string(out))
	if args[0] == "use" && len(missing(dir, binaries)) > 0 {
		return "", errors.New("the download is incomplete")
	}
	return dir, nil
}
