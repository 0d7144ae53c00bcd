//go:build linux

package cluster

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"k8s.io/client-go/util/cert"
	"k8s.io/cri-streaming/pkg/streaming/portforward"
	"k8s.io/cri-streaming/pkg/streaming/remotecommand"
	utilexec "k8s.io/utils/exec"
)

// idle bounds how long a stream may be silent, as with the kubelet.
const idle = 4 * time.Hour

// serve answers what the API server asks a kubelet: logs, exec and port-forward. It gives the port.
func (n *node) serve(ctx context.Context) (int32, error) {
	certificate, key, err := cert.GenerateSelfSignedCertKey(nodeAddress.String(), nil, nil)
	if err != nil {
		return 0, err
	}
	pair, err := tls.X509KeyPair(certificate, key)
	if err != nil {
		return 0, err
	}
	listener, err := tls.Listen("tcp", net.JoinHostPort(nodeAddress.String(), "0"), &tls.Config{
		Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12,
	})
	if err != nil {
		return 0, err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /containerLogs/{namespace}/{pod}/{container}", n.serveLogs)
	mux.HandleFunc("/exec/{namespace}/{pod}/{container}", n.serveExec)
	mux.HandleFunc("/portForward/{namespace}/{pod}", n.servePortForward)
	server := &http.Server{Handler: mux, ReadHeaderTimeout: time.Minute}
	go func() { _ = server.Serve(listener) }()
	context.AfterFunc(ctx, func() { _ = server.Close() })
	address, ok := listener.Addr().(*net.TCPAddr)
	if !ok {
		return 0, errors.New("the kubelet has no TCP address")
	}
	return int32(address.Port), nil
}

// serveLogs gives what a container has printed; with tailLines the last lines.
func (n *node) serveLogs(w http.ResponseWriter, r *http.Request) {
	c, err := n.container(r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusNotFound)
		return
	}
	text, err := os.ReadFile(c.log)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	if tail, err := strconv.Atoi(r.URL.Query().Get("tailLines")); err == nil && tail >= 0 {
		lines := strings.SplitAfter(string(text), "\n")
		text = []byte(strings.Join(lines[max(0, len(lines)-1-tail):], ""))
	}
	_, _ = w.Write(text)
}

func (n *node) serveExec(w http.ResponseWriter, r *http.Request) {
	c, err := n.container(r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusNotFound)
		return
	}
	options, err := remotecommand.NewOptions(r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	remotecommand.ServeExec(w, r, executor{c}, r.PathValue("pod"), "", c.spec.Name, r.URL.Query()["command"], options, idle, remotecommand.DefaultStreamCreationTimeout,
		remotecommand.SupportedStreamingProtocols)
}

func (n *node) servePortForward(w http.ResponseWriter, r *http.Request) {
	found, err := n.find(r.PathValue("namespace"), r.PathValue("pod"))
	if err != nil {
		http.Error(w, err.Error(), http.StatusNotFound)
		return
	}
	options, err := portforward.NewV4Options(r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	portforward.ServePortForward(w, r, forwarder{found.wire}, found.object.Name, "", options, idle, remotecommand.DefaultStreamCreationTimeout, portforward.SupportedProtocols)
}

func (n *node) container(r *http.Request) (*container, error) {
	found, err := n.find(r.PathValue("namespace"), r.PathValue("pod"))
	if err != nil {
		return nil, err
	}
	for _, c := range found.containers {
		if c.spec.Name == r.PathValue("container") {
			return c, nil
		}
	}
	return nil, errors.New("the pod has no container " + r.PathValue("container"))
}

// executor runs commands in a container.
type executor struct{ in *container }

// ExecInContainer implements remotecommand.Executor.
func (e executor) ExecInContainer(
	ctx context.Context, _, _, _ string, args []string, stdin io.Reader, stdout, stderr io.WriteCloser, _ bool,
	_ <-chan remotecommand.TerminalSize, _ time.Duration,
) error {
	cmd := e.in.prepare(ctx, args)
	cmd.Stdin, cmd.WaitDelay = stdin, time.Second
	if stdout != nil {
		cmd.Stdout = stdout
	}
	if stderr != nil {
		cmd.Stderr = stderr
	}
	if err := e.in.wire.within(cmd.Start); err != nil {
		return err
	}
	err := cmd.Wait()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return utilexec.CodeExitError{Err: err, Code: exit.ExitCode()}
	}
	return err
}

// forwarder carries connections into a Pod.
type forwarder struct{ to *wire }

// PortForward implements portforward.PortForwarder.
func (f forwarder) PortForward(ctx context.Context, _, _ string, port int32, stream io.ReadWriteCloser) error {
	var dialer net.Dialer
	connection, err := dialer.DialContext(ctx, "tcp", net.JoinHostPort(f.to.address.String(), strconv.Itoa(int(port))))
	if err != nil {
		return err
	}
	carry(connection, stream)
	return nil
}

// carry copies both ways until both have ended.
func carry(a, b io.ReadWriteCloser) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = io.Copy(a, b)
		if half, ok := a.(interface{ CloseWrite() error }); ok {
			_ = half.CloseWrite()
		}
	}()
	_, _ = io.Copy(b, a)
	_ = b.Close()
	<-done
	_ = a.Close()
}
