package dial

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
	"k8s.io/apimachinery/pkg/types"

	"agentpassport.dev/operator/internal/gateway/decision"
)

const (
	// maxTransports that are kept; the one that was used the longest ago goes first.
	maxTransports = 1024
	// maxIdle and maxIdleHost are connections that wait for a next call, of a ServiceConnection and of one
	// of its hosts.
	maxIdle, maxIdleHost = 64, 32
	// idleTimeout of a connection that waits.
	idleTimeout = 90 * time.Second
	// tlsTimeout of a handshake.
	tlsTimeout = 10 * time.Second
	// maxHeaders of an answer, in bytes.
	maxHeaders = 64 << 10
)

// Transports keep one http.Transport for each ServiceConnection: a TCP connection that was made under the
// allowed addresses of one is never used for another, nor for another generation of the same.
type Transports struct {
	dialer *Dialer
	roots  *x509.CertPool

	mu   sync.Mutex
	kept *simplelru.LRU[types.NamespacedName, *transport]
}

type transport struct {
	uid        types.UID
	generation int64
	*http.Transport
}

// NewTransports makes an empty set. roots are the authorities that services' certificates are checked by;
// nil: the system's.
func NewTransports(dialer *Dialer, roots *x509.CertPool) *Transports {
	kept, err := simplelru.NewLRU(maxTransports, func(_ types.NamespacedName, gone *transport) { gone.CloseIdleConnections() })
	if err != nil {
		panic(err) // the size is no positive number
	}
	return &Transports{dialer: dialer, roots: roots, kept: kept}
}

// Of gives the transport of a ServiceConnection as it stands. Any goroutine may call it.
func (t *Transports) Of(c *decision.Connection) *http.Transport {
	name := types.NamespacedName{Namespace: c.Namespace, Name: c.Name}
	t.mu.Lock()
	defer t.mu.Unlock()
	found, ok := t.kept.Get(name)
	if ok && found.uid == c.UID && found.generation == c.Generation {
		return found.Transport
	}
	if ok {
		found.CloseIdleConnections() // calls under way go on
	}
	made := &transport{uid: c.UID, generation: c.Generation, Transport: t.make(c)}
	t.kept.Add(name, made)
	return made.Transport
}

// Forget closes what waits for calls of a ServiceConnection that is gone.
func (t *Transports) Forget(namespace, name string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.kept.Remove(types.NamespacedName{Namespace: namespace, Name: name})
}

// Close closes all that waits. Calls under way go on.
func (t *Transports) Close() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.kept.Purge()
}

// make gives a transport that sends what was judged: no proxy of the environment, no coding of its own.
// HTTP/2 is spoken where the service offers it: path, query and header values are the same bytes there.
func (t *Transports) make(c *decision.Connection) *http.Transport {
	allowed := c.AllowedAddresses
	return &http.Transport{
		DialContext: func(ctx context.Context, _, address string) (net.Conn, error) {
			host, port, err := split(address)
			if err != nil {
				return nil, err
			}
			return t.dialer.Dial(ctx, host, port, allowed)
		},
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: t.roots},
		TLSHandshakeTimeout:    tlsTimeout,
		ForceAttemptHTTP2:      true,
		DisableCompression:     true,
		MaxIdleConns:           maxIdle,
		MaxIdleConnsPerHost:    maxIdleHost,
		IdleConnTimeout:        idleTimeout,
		ResponseHeaderTimeout:  c.Timeout,
		MaxResponseHeaderBytes: maxHeaders,
	}
}
