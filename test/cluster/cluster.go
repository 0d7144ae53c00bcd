//go:build linux

// Package cluster runs a Kubernetes cluster of one node for test suites, so that what is shipped runs as it is shipped:
// a real API server, the real controllers of kube-controller-manager, and a node that runs each Pod of theirs as its
// manifest says, in a file system and a network of its own. kubectl reads its logs, runs commands in it and forwards
// ports to it. What the node does not have is an image registry, a container's limits and the enforcement of network
// policies.
package cluster

import (
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	"agentpassport.dev/operator/internal/playground"
	"agentpassport.dev/operator/test/apiserver"
	"agentpassport.dev/operator/test/process"
)

// controllers are those that make of what is shipped what runs.
var controllers = []string{
	"deployment-controller", "replicaset-controller", "statefulset-controller", "job-controller", "endpointslice-controller",
	"persistentvolume-binder-controller", "persistentvolumeclaim-protection-controller", "namespace-controller",
	"serviceaccount-controller", "root-ca-certificate-publisher-controller", "garbage-collector-controller",
}

// storageClass is the default one. Its volumes can grow.
const storageClass = "standard"

// Options are what a cluster is started with.
type Options struct {
	// Images gives what the reference of an image stands for; false: the node has no such image.
	Images func(reference string) (Image, bool)
	// Hosts are outside of the cluster, and reached over HTTPS. Serve answers for all of them.
	Hosts []string
	Serve http.Handler
	// Log takes what the node and the controllers log.
	Log io.Writer
}

// Cluster is one that runs.
type Cluster struct {
	*apiserver.Server
	// Dir holds the files of the node. It is in memory, and gone with the process.
	Dir string

	cancel      context.CancelFunc
	node        *node
	controllers *process.Process
}

// Start starts a cluster with nothing of the project's in it. The process has to have called Enter.
func Start(ctx context.Context, options Options) (_ *Cluster, err error) {
	dir := os.Getenv(inside)
	if dir == "" {
		return nil, errors.New("the process is not in namespaces of its own: call Enter in TestMain")
	}
	environment := &envtest.Environment{}
	apiServer := environment.ControlPlane.GetAPIServer()
	apiServer.Address = nodeAddress.String()
	apiServer.Port = "6443" // nobody else listens in this namespace
	apiServer.Configure().
		Set("service-cluster-ip-range", serviceRange.String()).
		Set("advertise-address", nodeAddress.String()).
		Disable("disable-admission-plugins")
	c := &Cluster{Dir: dir}
	if c.Server, err = apiserver.StartWith(environment); err != nil {
		return nil, err
	}
	life, cancel := context.WithCancel(context.WithoutCancel(ctx))
	c.cancel = cancel
	defer func() {
		if err != nil {
			_ = c.Stop()
		}
	}()
	if err := c.startControllers(ctx, dir, options.Log); err != nil {
		return nil, err
	}
	if err := c.startNode(life, dir, options); err != nil {
		return nil, err
	}
	return c, nil
}

// startControllers starts kube-controller-manager as an administrator.
func (c *Cluster) startControllers(ctx context.Context, dir string, log io.Writer) (err error) {
	binary, err := playground.ControllerManager(ctx)
	if err != nil {
		return err
	}
	ca := filepath.Join(dir, "ca.crt")
	if err := os.WriteFile(ca, c.Config("").CAData, 0o600); err != nil {
		return err
	}
	c.controllers, err = process.Start(binary, "", log,
		"--kubeconfig="+c.AdminKubeconfig(), "--leader-elect=false", "--root-ca-file="+ca,
		"--bind-address=127.0.0.1", "--controllers="+strings.Join(controllers, ","), "--concurrent-gc-syncs=2",
		"--pvclaimbinder-sync-period=1s")
	if err != nil {
		return err
	}
	account := &corev1.ServiceAccount{}
	return wait.PollUntilContextTimeout(ctx, pace, time.Minute, true, func(ctx context.Context) (bool, error) {
		err := c.Admin().Get(ctx, client.ObjectKey{Namespace: "default", Name: "default"}, account)
		return err == nil, client.IgnoreNotFound(err)
	})
}

// startNode starts the node, with a class of storage and volumes of it.
func (c *Cluster) startNode(ctx context.Context, dir string, options Options) error {
	c.node = &node{
		client: c.Admin(), dir: dir, apiServer: strings.TrimPrefix(c.Config("").Host, "https://"),
		hosts: filepath.Join(dir, "hosts"), images: options.Images, manyUsers: manyUsers(), out: options.Log,
		running: map[types.UID]*pod{},
	}
	outside, err := internet(ctx, Authorities(), options.Hosts, options.Serve)
	if err != nil {
		return err
	}
	named, err := newServices(c.node.client, c.node.hosts, outside, c.node.log)
	if err != nil {
		return err
	}
	grows := true
	if err := c.node.client.Create(ctx, &storagev1.StorageClass{
		ObjectMeta:  metav1.ObjectMeta{Name: storageClass, Annotations: map[string]string{"storageclass.kubernetes.io/is-default-class": "true"}},
		Provisioner: "kubernetes.io/no-provisioner", AllowVolumeExpansion: &grows,
	}); err != nil {
		return err
	}
	if err := c.node.persistent(ctx, storageClass, resource.MustParse("20Gi"), 12); err != nil {
		return err
	}
	port, err := c.node.serve(ctx)
	if err != nil {
		return err
	}
	if err := c.node.register(ctx, port); err != nil {
		return err
	}
	go named.run(ctx)
	go c.node.run(ctx)
	return nil
}

// Authorities is the file of those that vouch for Options.Hosts, for the place where an image keeps such.
func Authorities() string {
	return filepath.Join(os.Getenv(inside), "authorities", "ca-certificates.crt")
}

// Stop ends the cluster and all that runs in it.
func (c *Cluster) Stop() error {
	c.cancel()
	if c.node != nil {
		c.node.stop()
	}
	if c.controllers != nil {
		c.controllers.Kill()
	}
	return c.Server.Stop()
}
