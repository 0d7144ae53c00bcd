//go:build linux

package cluster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Image is what a container runs.
type Image struct {
	// Files are those of the image, each a file or directory of this machine's by its place in the image.
	Files map[string]string
	// Entrypoint is run where a container has no command.
	Entrypoint []string
}

// MachineImage is one of this machine's own tools.
func MachineImage() Image {
	of := Image{Entrypoint: []string{"sh"}, Files: map[string]string{}}
	for _, dir := range []string{"/bin", "/usr", "/lib", "/lib64"} {
		if _, err := os.Stat(dir); err == nil {
			of.Files[dir] = dir
		}
	}
	return of
}

// container is one of a Pod's, and its process.
type container struct {
	spec  *corev1.Container
	image Image
	wire  *wire
	// root is its file system, log what it has printed.
	root, log string
	// args are its command line, env its variables.
	args, env []string
	// user is whom it runs as; negative: whoever the suite runs as.
	user int

	mu       sync.Mutex
	process  *os.Process
	ended    chan struct{}
	state    corev1.ContainerState
	restarts int32
	ready    bool
}

// assemble makes the file system of a container: what is in the image, then the volumes, the names of Services, and
// /proc.
func (c *container) assemble(v *volumes, hosts string) error {
	for _, at := range slices.Sorted(maps.Keys(c.image.Files)) {
		if err := mount(c.image.Files[at], filepath.Join(c.root, at), true); err != nil {
			return err
		}
	}
	for _, of := range c.spec.VolumeMounts {
		if err := mount(v.path(of.Name), filepath.Join(c.root, of.MountPath), of.ReadOnly); err != nil {
			return err
		}
	}
	return errors.Join(
		mount(hosts, filepath.Join(c.root, "etc", "hosts"), true),
		mount("/proc", filepath.Join(c.root, "proc"), false),
		mount("/dev/null", filepath.Join(c.root, "dev", "null"), false),
	)
}

// environment gives the container its variables, and its command line, which they are put into.
func (c *container) environment(pod *corev1.Pod, apiServer string) error {
	host, port, err := net.SplitHostPort(apiServer)
	if err != nil {
		return err
	}
	values := map[string]string{
		"PATH": "/usr/local/bin:/usr/bin:/bin", "HOSTNAME": pod.Name,
		"KUBERNETES_SERVICE_HOST": host, "KUBERNETES_SERVICE_PORT": port,
	}
	for _, variable := range c.spec.Env {
		value := expand(variable.Value, values)
		if from := variable.ValueFrom; from != nil {
			switch {
			case from.FieldRef != nil:
				if value, err = fieldOf(pod, from.FieldRef); err != nil {
					return err
				}
			case from.ResourceFieldRef != nil && from.ResourceFieldRef.Resource == "limits.memory":
				value = strconv.FormatInt(c.spec.Resources.Limits.Memory().Value(), 10)
			default:
				return fmt.Errorf("variable %s: this node does not know where its value is from", variable.Name)
			}
		}
		values[variable.Name] = value
	}
	for name, value := range values {
		c.env = append(c.env, name+"="+value)
	}
	for _, arg := range slices.Concat(c.command(), c.spec.Args) {
		c.args = append(c.args, expand(arg, values))
	}
	return nil
}

func (c *container) command() []string {
	if len(c.spec.Command) > 0 {
		return c.spec.Command
	}
	return c.image.Entrypoint
}

// variable is one in a command or in the value of another.
var variable = regexp.MustCompile(`\$\(([A-Za-z_][A-Za-z0-9_]*)\)`)

// expand puts values in the place of $(NAME).
func expand(text string, values map[string]string) string {
	return variable.ReplaceAllStringFunc(text, func(found string) string {
		if value, there := values[found[2:len(found)-1]]; there {
			return value
		}
		return found
	})
}

// prepare gives a command in the container: in its file system and network, as its user.
func (c *container) prepare(ctx context.Context, args []string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Path, cmd.Err = c.resolve(args[0]), nil
	cmd.Dir, cmd.Env = "/", c.env
	cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: c.root}
	if c.user >= 0 {
		id := uint32(c.user)
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: id, Gid: id}
	}
	return cmd
}

// resolve finds a command in the container's file system, as the runtime of containers does.
func (c *container) resolve(name string) string {
	if filepath.IsAbs(name) {
		return name
	}
	for _, dir := range []string{"/usr/local/bin", "/usr/bin", "/bin"} {
		if _, err := os.Stat(filepath.Join(c.root, dir, name)); err == nil {
			return filepath.Join(dir, name)
		}
	}
	return name
}

// start starts the container's process.
func (c *container) start(ctx context.Context) error {
	log, err := os.OpenFile(c.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }()
	cmd := c.prepare(context.WithoutCancel(ctx), c.args)
	cmd.Stdout, cmd.Stderr = log, log
	if err := c.wire.within(cmd.Start); err != nil {
		return err
	}
	began := metav1.Now()
	c.mu.Lock()
	defer c.mu.Unlock()
	ended := make(chan struct{})
	c.process, c.ended, c.ready = cmd.Process, ended, c.spec.ReadinessProbe == nil
	c.state = corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: began}}
	go func() {
		err := cmd.Wait()
		c.mu.Lock()
		defer c.mu.Unlock()
		c.ready = false
		c.state = corev1.ContainerState{Terminated: terminated(err, began)}
		close(ended)
	}()
	return nil
}

func terminated(err error, began metav1.Time) *corev1.ContainerStateTerminated {
	state := &corev1.ContainerStateTerminated{Reason: "Completed", StartedAt: began, FinishedAt: metav1.Now()}
	if err != nil {
		state.Reason, state.ExitCode, state.Message = "Error", 1, err.Error()
		var exit *exec.ExitError
		if errors.As(err, &exit) && exit.ExitCode() >= 0 {
			state.ExitCode = int32(exit.ExitCode())
		}
	}
	return state
}

// restart starts a container again that has ended.
func (c *container) restart(ctx context.Context) error {
	c.mu.Lock()
	c.restarts++
	c.mu.Unlock()
	return c.start(ctx)
}

// stop asks the process to end, and kills it where it lasts longer.
func (c *container) stop(grace time.Duration) {
	c.mu.Lock()
	process, ended := c.process, c.ended
	c.mu.Unlock()
	if process == nil {
		return
	}
	_ = process.Signal(syscall.SIGTERM)
	select {
	case <-ended:
	case <-time.After(grace):
		_ = process.Kill()
		<-ended
	}
}

// probe asks the container whether it is ready.
func (c *container) probe(ctx context.Context) {
	ready := c.spec.ReadinessProbe == nil || c.spec.ReadinessProbe.HTTPGet == nil || c.answers(ctx, c.spec.ReadinessProbe.HTTPGet)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ready = ready && c.state.Running != nil
}

func (c *container) answers(ctx context.Context, get *corev1.HTTPGetAction) bool {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	port := get.Port.String()
	for _, named := range c.spec.Ports {
		if named.Name == port {
			port = strconv.Itoa(int(named.ContainerPort))
		}
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+net.JoinHostPort(c.wire.address.String(), port)+get.Path, http.NoBody)
	if err != nil {
		return false
	}
	response, err := probes.Do(request)
	if err != nil {
		return false
	}
	defer func() { _ = response.Body.Close() }()
	_, _ = io.Copy(io.Discard, response.Body)
	return response.StatusCode < http.StatusBadRequest
}

// probes keeps no connection: an address is another Pod's one day.
var probes = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}

// status is the container's, as its Pod shows it.
func (c *container) status() corev1.ContainerStatus {
	c.mu.Lock()
	defer c.mu.Unlock()
	started := c.state.Running != nil
	state := c.state
	if state == (corev1.ContainerState{}) {
		state.Waiting = &corev1.ContainerStateWaiting{Reason: "ContainerCreating"}
	}
	return corev1.ContainerStatus{
		Name: c.spec.Name, Image: c.spec.Image, ImageID: c.spec.Image, State: state,
		Ready: c.ready, Started: &started, RestartCount: c.restarts,
	}
}
