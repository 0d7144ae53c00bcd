package playground

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
)

// controlPlane is etcd and kube-apiserver on loopback, with their state in a directory.
type controlPlane struct {
	env  *envtest.Environment
	logs []*os.File
	// admin is for installing, and for the person at the keyboard.
	admin *rest.Config
}

// startControlPlane starts the programs in assets. What they store in state survives them; the
// certificates do not, so that an old kubeconfig opens nothing.
func startControlPlane(assets, state string) (*controlPlane, error) {
	certificates := filepath.Join(state, "certificates")
	if err := os.RemoveAll(certificates); err != nil {
		return nil, err
	}
	for _, dir := range []string{certificates, filepath.Join(state, "logs")} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return nil, err
		}
	}

	c := &controlPlane{}
	etcdLog, err := c.log(state, "etcd")
	if err != nil {
		return nil, err
	}
	apiServerLog, err := c.log(state, "kube-apiserver")
	if err != nil {
		return nil, err
	}
	c.env = &envtest.Environment{}
	c.env.ControlPlane.KubectlPath = filepath.Join(assets, "kubectl")
	c.env.ControlPlane.Etcd = &envtest.Etcd{
		Path:    filepath.Join(assets, "etcd"),
		DataDir: filepath.Join(state, "etcd"),
		Out:     etcdLog, Err: etcdLog,
	}
	apiServer := c.env.ControlPlane.GetAPIServer()
	apiServer.Path = filepath.Join(assets, "kube-apiserver")
	apiServer.CertDir = certificates
	apiServer.Out, apiServer.Err = apiServerLog, apiServerLog
	// Somebody's `kubectl get -w` is told to end, instead of being waited for.
	apiServer.Configure().Set("shutdown-watch-termination-grace-period", "2s")

	c.admin, err = c.env.Start()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%w; see %s", err, filepath.Join(state, "logs")), c.stop())
	}
	return c, nil
}

func (c *controlPlane) log(state, name string) (*os.File, error) {
	file, err := os.OpenFile(filepath.Join(state, "logs", name+".log"), os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err == nil {
		c.logs = append(c.logs, file)
	}
	return file, err
}

// stop ends the API server, then etcd.
func (c *controlPlane) stop() error {
	err := c.env.Stop()
	for _, file := range c.logs {
		_ = file.Close()
	}
	return err
}

// writeKubeconfig writes a kubeconfig that only its owner can read.
func writeKubeconfig(path string, cfg *rest.Config, namespace string) error {
	const name = "agent-passport-playground"
	kubeconfig := clientcmdapi.NewConfig()
	kubeconfig.Clusters[name] = &clientcmdapi.Cluster{
		Server:                   cfg.Host,
		TLSServerName:            cfg.ServerName,
		InsecureSkipTLSVerify:    cfg.Insecure,
		CertificateAuthority:     cfg.CAFile,
		CertificateAuthorityData: cfg.CAData,
	}
	kubeconfig.AuthInfos[name] = &clientcmdapi.AuthInfo{
		ClientCertificateData: cfg.CertData,
		ClientKeyData:         cfg.KeyData,
		TokenFile:             cfg.BearerTokenFile,
	}
	kubeconfig.Contexts[name] = &clientcmdapi.Context{Cluster: name, AuthInfo: name, Namespace: namespace}
	kubeconfig.CurrentContext = name
	return clientcmd.WriteToFile(*kubeconfig, path)
}
