package serving_test

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/onsi/gomega"
	"k8s.io/client-go/util/cert"

	"agentpassport.dev/operator/internal/serving"
)

// certificate writes one for localhost into files, and gives a client that trusts it.
func certificate(t *testing.T, dir string) (certFile, keyFile string, client *http.Client) {
	t.Helper()
	made, key, err := cert.GenerateSelfSignedCertKey("localhost", []net.IP{net.IPv4(127, 0, 0, 1)}, nil)
	if err != nil {
		t.Fatal(err)
	}
	certFile, keyFile = filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key")
	for path, content := range map[string][]byte{certFile: made, keyFile: key} {
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(made)
	return certFile, keyFile, &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, DisableKeepAlives: true}}
}

// free is an address that nobody listens on.
func free(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	return listener.Addr().String()
}

// begin serves a handler, and gives what Serve returns in the end.
func begin(ctx context.Context, t *testing.T, handler http.Handler, farewell time.Duration) (address string, client *http.Client, served chan error) {
	t.Helper()
	certFile, keyFile, client := certificate(t, t.TempDir())
	shown, err := serving.Files(ctx, certFile, keyFile, logr.Discard())
	if err != nil {
		t.Fatal(err)
	}
	listening := make(chan struct{})
	server := serving.HTTPS{
		Address: free(t), TLS: &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: shown, Rand: rand.Reader}, Handler: handler,
		MaxHeaderBytes: 4 << 10, Farewell: farewell, Listening: func() { close(listening) }, Log: logr.Discard(),
	}
	served = make(chan error, 1)
	go func() { served <- server.Serve(ctx) }()
	select {
	case <-listening:
	case err := <-served:
		t.Fatal(err)
	}
	return "https://" + server.Address, client, served
}

// A request that is under way is answered when the server is told to stop.
func TestARequestUnderWayIsAnswered(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	address, client, served := begin(ctx, t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		stop()
		_, _ = io.WriteString(w, "done")
	}), time.Minute)
	response, err := client.Get(address)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	if body, err := io.ReadAll(response.Body); err != nil || string(body) != "done" {
		t.Error(string(body), err)
	}
	if err := <-served; err != nil {
		t.Error(err)
	}
}

// One that does not end is cut off.
func TestARequestThatDoesNotEndIsCutOff(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	address, client, served := begin(ctx, t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = http.NewResponseController(w).Flush()
		stop()
		<-r.Context().Done()
	}), 10*time.Millisecond)
	response, err := client.Get(address)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	if _, err := io.ReadAll(response.Body); err == nil {
		t.Error("a cut answer looks whole")
	}
	if err := <-served; err != nil {
		t.Error(err)
	}
}

// An address that is taken is an error at once.
func TestAnAddressThatIsTaken(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	if err := (serving.HTTPS{Address: listener.Addr().String(), TLS: &tls.Config{MinVersion: tls.VersionTLS12}, Log: logr.Discard()}).Serve(t.Context()); err == nil {
		t.Error("two listen on one address")
	}
}

// A new certificate is shown once its files are there.
func TestANewCertificateIsTakenUp(t *testing.T) {
	dir := t.TempDir()
	certFile, keyFile, _ := certificate(t, dir)
	shown, err := serving.Files(t.Context(), certFile, keyFile, logr.Discard())
	if err != nil {
		t.Fatal(err)
	}
	serial := func() string {
		now, err := shown(nil)
		if err != nil {
			t.Fatal(err)
		}
		return now.Leaf.SerialNumber.String()
	}
	before := serial()
	certificate(t, dir)
	gomega.NewWithT(t).Eventually(serial).WithTimeout(time.Minute).ShouldNot(gomega.Equal(before))
	if _, err := serving.Files(t.Context(), filepath.Join(dir, "none"), keyFile, logr.Discard()); err == nil {
		t.Error("there is no such file")
	}
}
