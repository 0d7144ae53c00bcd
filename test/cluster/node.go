//go:build linux

package cluster

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// nodeName is the node's.
const nodeName = "node"

// node stands for a kubelet, a scheduler, kube-proxy and the cluster's DNS: it runs each Pod's containers as processes in
// a file system and a network of their own.
type node struct {
	client    client.Client
	dir       string
	apiServer string
	// hosts is the file with the names of Services.
	hosts string
	// images gives what an image's reference stands for.
	images func(reference string) (Image, bool)
	// manyUsers is whether processes may run as another user than the suite's.
	manyUsers bool
	out       io.Writer

	// pods counts those that there have been.
	pods int

	mu      sync.Mutex
	running map[types.UID]*pod
}

func (n *node) log(format string, args ...any) {
	_, _ = fmt.Fprintf(n.out, "node: "+format+"\n", args...)
}

// register makes the Node, whose kubelet listens on a port.
func (n *node) register(ctx context.Context, port int32) error {
	object := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: nodeName, Labels: map[string]string{"kubernetes.io/hostname": nodeName}}}
	if err := n.client.Create(ctx, object); err != nil {
		return err
	}
	object.Status = corev1.NodeStatus{
		Addresses:       []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: nodeAddress.String()}},
		DaemonEndpoints: corev1.NodeDaemonEndpoints{KubeletEndpoint: corev1.DaemonEndpoint{Port: port}},
		Conditions: []corev1.NodeCondition{{
			Type: corev1.NodeReady, Status: corev1.ConditionTrue, Reason: "KubeletReady",
			LastHeartbeatTime: metav1.Now(), LastTransitionTime: metav1.Now(),
		}},
	}
	return n.client.Status().Update(ctx, object)
}

// run runs what Pods there are until ctx ends.
func (n *node) run(ctx context.Context) {
	wait.UntilWithContext(ctx, func(ctx context.Context) {
		if err := n.sync(ctx); err != nil && ctx.Err() == nil {
			n.log("%v", err)
		}
	}, pace)
}

// sync takes what has no node yet, starts what is new and ends what is deleted.
func (n *node) sync(ctx context.Context) error {
	var all corev1.PodList
	if err := n.client.List(ctx, &all); err != nil {
		return err
	}
	there := map[types.UID]bool{}
	for i := range all.Items {
		object := &all.Items[i]
		there[object.UID] = true
		if object.Spec.NodeName == "" {
			if err := n.bind(ctx, object); err != nil {
				n.log("pod %s: %v", object.Name, err)
			}
			continue
		}
		running, err := n.started(ctx, object)
		if err != nil {
			n.log("pod %s: %v", object.Name, err)
			continue
		}
		if object.DeletionTimestamp != nil && running != nil {
			grace := time.Duration(0)
			if object.DeletionGracePeriodSeconds != nil {
				grace = time.Duration(*object.DeletionGracePeriodSeconds) * time.Second
			}
			running.end(grace)
		}
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	for uid, running := range n.running {
		if !there[uid] {
			running.end(0)
			delete(n.running, uid)
		}
	}
	return nil
}

func (n *node) bind(ctx context.Context, object *corev1.Pod) error {
	if object.DeletionTimestamp != nil {
		now := int64(0)
		return client.IgnoreNotFound(n.client.Delete(ctx, object, &client.DeleteOptions{GracePeriodSeconds: &now}))
	}
	return n.client.SubResource("binding").Create(ctx, object, &corev1.Binding{Target: corev1.ObjectReference{Kind: "Node", Name: nodeName}})
}

// started gives the Pod that runs, and starts it where none does and it is to.
func (n *node) started(ctx context.Context, object *corev1.Pod) (*pod, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if running, there := n.running[object.UID]; there {
		return running, nil
	}
	if object.Status.Phase == corev1.PodSucceeded || object.Status.Phase == corev1.PodFailed {
		return nil, nil //nolint:nilnil // it has run
	}
	made, err := n.newPod(object)
	if err != nil {
		return nil, err
	}
	n.running[object.UID] = made
	go made.run(ctx)
	return made, nil
}

// find gives the Pod of a name that runs.
func (n *node) find(namespace, name string) (*pod, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, running := range n.running {
		if running.object.Namespace == namespace && running.object.Name == name {
			return running, nil
		}
	}
	return nil, fmt.Errorf("this node runs no pod %s/%s", namespace, name)
}

// stop waits until all have ended that ran.
func (n *node) stop() {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, running := range n.running {
		<-running.gone
	}
}

// manyUsers is whether this process may start others as any user.
func manyUsers() bool {
	held, err := os.ReadFile("/proc/self/uid_map")
	fields := strings.Fields(string(held))
	return err == nil && len(fields) == 3 && len(fields[2]) > len("65533")
}

// persistent makes the PersistentVolumes of the node, each a directory.
func (n *node) persistent(ctx context.Context, class string, size resource.Quantity, count int) error {
	for i := range count {
		name := fmt.Sprintf("volume-%d", i)
		path := filepath.Join(n.dir, name)
		if err := os.MkdirAll(path, 0o755); err != nil {
			return err
		}
		if err := n.client.Create(ctx, &corev1.PersistentVolume{
			ObjectMeta: metav1.ObjectMeta{Name: name},
			Spec: corev1.PersistentVolumeSpec{
				Capacity:                      corev1.ResourceList{corev1.ResourceStorage: size},
				AccessModes:                   []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
				PersistentVolumeReclaimPolicy: corev1.PersistentVolumeReclaimDelete,
				StorageClassName:              class,
				PersistentVolumeSource:        corev1.PersistentVolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: path}},
			},
		}); err != nil {
			return err
		}
	}
	return nil
}
