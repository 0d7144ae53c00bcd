package server

import (
	"crypto/rand"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"golang.org/x/net/netutil"
	"k8s.io/utils/clock"

	"agentpassport.dev/operator/internal/servingcert"
)

// maxConnections is how many connections are open at once: a gateway needs a few.
const maxConnections = 1024

// errNoAuthority is what a handshake fails with before the authority is read.
var errNoAuthority = errors.New("the authority of the channel is not loaded yet")

// TLS is how the channel is served: with a certificate of the authority as it is at the moment, to
// clients that show one of the same.
type TLS struct {
	// Authority gives the authority; nil while there is none.
	Authority func() *servingcert.Authority
	// Names under which gateways reach the channel.
	Names []string
	// Clock is the API server's: certificates are made and judged by it.
	Clock clock.PassiveClock

	mu      sync.Mutex
	serving *servingcert.Serving
}

// Config is for http.Server.
func (t *TLS) Config() *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS13, GetConfigForClient: t.forClient}
}

func (t *TLS) forClient(*tls.ClientHelloInfo) (*tls.Config, error) {
	authority := t.Authority()
	if authority == nil {
		return nil, errNoAuthority
	}
	return &tls.Config{
		MinVersion:     tls.VersionTLS13,
		NextProtos:     []string{"http/1.1"},
		ClientAuth:     tls.RequireAndVerifyClientCert,
		ClientCAs:      authority.Pool(),
		GetCertificate: t.of(authority).GetCertificate,
		Time:           t.Clock.Now,
		// A ticket would let in a certificate that was good when it was given.
		SessionTicketsDisabled: true,
	}, nil
}

func (t *TLS) of(authority *servingcert.Authority) *servingcert.Serving {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.serving == nil || !t.serving.Authority.Same(authority) {
		t.serving = &servingcert.Serving{Authority: authority, Names: t.Names, Clock: t.Clock, Random: rand.Reader}
	}
	return t.serving
}

// Listener gives the listener of the channel over one that takes connections.
func (t *TLS) Listener(plain net.Listener) net.Listener {
	return tls.NewListener(netutil.LimitListener(plain, maxConnections), t.Config())
}

// HTTP is the server of a handler, with its time limits. Handshakes that fail are told of at verbosity 1.
func HTTP(handler http.Handler, logger logr.Logger) *http.Server {
	return &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       10 * time.Second,
		WriteTimeout:      20 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          slog.NewLogLogger(logr.ToSlogHandler(logger.V(1)), slog.LevelInfo),
	}
}
