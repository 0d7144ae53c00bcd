//go:build linux

package cluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// pace is how often a node looks at what it runs.
const pace = 250 * time.Millisecond

// pod is one that the node runs.
type pod struct {
	node       *node
	object     *corev1.Pod
	dir        string
	wire       *wire
	volumes    *volumes
	containers []*container
	started    metav1.Time
	waits      string

	mu sync.Mutex
	// grace is set when the Pod is to end.
	grace *time.Duration
	gone  chan struct{}
}

// newPod makes the network, the volumes and the containers of a Pod, and starts nothing.
func (n *node) newPod(object *corev1.Pod) (*pod, error) {
	n.pods++
	line, err := newWire(n.pods)
	if err != nil {
		return nil, err
	}
	object.Status.PodIP = line.address.String()
	p := &pod{
		node: n, object: object, wire: line, dir: filepath.Join(n.dir, "pods", string(object.UID)),
		started: metav1.Now(), gone: make(chan struct{}),
	}
	user := n.userOf(object)
	p.volumes = &volumes{client: n.client, pod: object, dir: p.dir, tokens: map[string][]byte{}, owner: user}
	for i := range object.Spec.Containers {
		spec := &object.Spec.Containers[i]
		image, known := n.images(spec.Image)
		if !known {
			return nil, fmt.Errorf("this node has no image %s", spec.Image)
		}
		root := filepath.Join(p.dir, "root", spec.Name)
		if err := os.MkdirAll(filepath.Join(root, "tmp"), 0o755); err != nil {
			return nil, err
		}
		c := &container{spec: spec, image: image, wire: line, root: root, log: filepath.Join(p.dir, spec.Name+".log"), user: user}
		if err := c.environment(object, n.apiServer); err != nil {
			return nil, err
		}
		p.containers = append(p.containers, c)
	}
	return p, nil
}

// userOf gives the user that a Pod runs as, -1 where the namespace has no other than the suite's.
func (n *node) userOf(object *corev1.Pod) int {
	as := object.Spec.SecurityContext
	if !n.manyUsers || as == nil || as.RunAsUser == nil {
		return -1
	}
	return int(*as.RunAsUser)
}

// run runs the Pod until it has ended or is to end.
func (p *pod) run(ctx context.Context) {
	defer close(p.gone)
	defer p.wire.unplug()
	ticker := time.NewTicker(pace)
	defer ticker.Stop()
	assembled := false
	for {
		switch err := p.volumes.fill(ctx); {
		case err != nil && !assembled:
			p.waits = err.Error()
		case !assembled:
			assembled, p.waits = true, ""
			for _, c := range p.containers {
				if err := errors.Join(c.assemble(p.volumes, p.node.hosts), c.start(ctx)); err != nil {
					p.node.log("pod %s: %v", p.object.Name, err)
					p.waits, assembled = err.Error(), false
				}
			}
		default:
			p.tend(ctx)
		}
		if err := p.report(ctx); err != nil {
			p.node.log("pod %s: %v", p.object.Name, err)
		}
		if grace := p.ending(); grace != nil {
			p.stop(*grace)
			p.remove(ctx)
			return
		}
		select {
		case <-ctx.Done():
			p.stop(0)
			return
		case <-ticker.C:
		}
	}
}

// tend starts again what has ended and is to run, and asks the others whether they are ready.
func (p *pod) tend(ctx context.Context) {
	for _, c := range p.containers {
		status := c.status()
		ended := status.State.Terminated
		switch {
		case ended == nil:
			c.probe(ctx)
		case p.startsAgain(ended) && time.Since(ended.FinishedAt.Time) > time.Second:
			p.node.log("pod %s: %s ended with %d and starts again", p.object.Name, c.spec.Name, ended.ExitCode)
			if err := c.restart(ctx); err != nil {
				p.node.log("pod %s: %v", p.object.Name, err)
			}
		}
	}
}

// end has the Pod end within a grace. A second call changes nothing.
func (p *pod) end(grace time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.grace == nil {
		p.grace = &grace
	}
}

func (p *pod) ending() *time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.grace
}

func (p *pod) stop(grace time.Duration) {
	var all sync.WaitGroup
	for _, c := range p.containers {
		all.Go(func() { c.stop(grace) })
	}
	all.Wait()
}

// remove takes a Pod that has ended off the API server, as the kubelet does.
func (p *pod) remove(ctx context.Context) {
	uid, now := p.object.UID, int64(0)
	err := p.node.client.Delete(ctx, p.object, &client.DeleteOptions{
		GracePeriodSeconds: &now, Preconditions: &metav1.Preconditions{UID: &uid},
	})
	if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) {
		p.node.log("pod %s: %v", p.object.Name, err)
	}
}

// report writes the Pod's status where it has changed.
func (p *pod) report(ctx context.Context) error {
	var live corev1.Pod
	if err := p.node.client.Get(ctx, client.ObjectKeyFromObject(p.object), &live); err != nil {
		return client.IgnoreNotFound(err)
	}
	if live.UID != p.object.UID {
		return nil
	}
	before := live.DeepCopy()
	p.describe(&live.Status)
	if equality.Semantic.DeepEqual(before.Status, live.Status) {
		return nil
	}
	return client.IgnoreNotFound(p.node.client.Status().Patch(ctx, &live, client.MergeFrom(before)))
}

// describe puts what is so into a status.
func (p *pod) describe(status *corev1.PodStatus) {
	status.PodIP, status.PodIPs = p.object.Status.PodIP, []corev1.PodIP{{IP: p.object.Status.PodIP}}
	status.HostIP, status.HostIPs = nodeAddress.String(), []corev1.HostIP{{IP: nodeAddress.String()}}
	status.StartTime, status.ContainerStatuses = &p.started, nil
	ready := true
	for _, c := range p.containers {
		one := c.status()
		status.ContainerStatuses = append(status.ContainerStatuses, one)
		ready = ready && one.Ready
	}
	status.Phase = p.phase(status.ContainerStatuses)
	for _, condition := range []corev1.PodConditionType{corev1.PodInitialized, corev1.PodReadyToStartContainers} {
		setCondition(status, condition, p.waits == "", p.waits)
	}
	for _, condition := range []corev1.PodConditionType{corev1.ContainersReady, corev1.PodReady} {
		setCondition(status, condition, ready, p.waits)
	}
}

// phase is the Pod's, by its containers.
func (p *pod) phase(containers []corev1.ContainerStatus) corev1.PodPhase {
	if p.waits != "" {
		return corev1.PodPending
	}
	phase := corev1.PodSucceeded
	for i := range containers {
		ended := containers[i].State.Terminated
		if ended == nil || p.startsAgain(ended) {
			return corev1.PodRunning
		}
		if ended.ExitCode != 0 {
			phase = corev1.PodFailed
		}
	}
	return phase
}

// startsAgain is whether a container that has ended is to run again.
func (p *pod) startsAgain(ended *corev1.ContainerStateTerminated) bool {
	switch p.object.Spec.RestartPolicy {
	case corev1.RestartPolicyNever:
		return false
	case corev1.RestartPolicyOnFailure:
		return ended.ExitCode != 0
	default:
		return true
	}
}

func setCondition(status *corev1.PodStatus, of corev1.PodConditionType, holds bool, message string) {
	value := corev1.ConditionFalse
	if holds {
		value = corev1.ConditionTrue
	}
	for i := range status.Conditions {
		condition := &status.Conditions[i]
		if condition.Type == of {
			if condition.Status != value {
				condition.LastTransitionTime = metav1.Now()
			}
			condition.Status, condition.Message = value, message
			return
		}
	}
	status.Conditions = append(status.Conditions, corev1.PodCondition{Type: of, Status: value, Message: message, LastTransitionTime: metav1.Now()})
}
