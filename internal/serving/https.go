// Package serving serves HTTPS until it is told to stop, with a certificate from files that are followed.
package serving

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/go-logr/logr"
)

const (
	headerTimeout = 5 * time.Second
	idleTimeout   = 2 * time.Minute
)

// HTTPS is one address and what is served there. A body has no deadline here: each handler sets it by what it takes.
type HTTPS struct {
	// Address to listen on, such as :8443.
	Address string
	// TLS has the certificate.
	TLS *tls.Config
	// Handler of the requests.
	Handler http.Handler
	// MaxHeaderBytes of a request, at most.
	MaxHeaderBytes int
	// Farewell is how long requests may take to end once it is told to stop.
	Farewell time.Duration
	// Listening, where it is given, is called once requests get through.
	Listening func()
	// Log is told where it serves, and at level 1 of connections that fail.
	Log logr.Logger
}

// Serve serves until the context ends, and then lets requests end. One that takes longer than Farewell is cut off: its
// reader sees that it is not whole.
func (h HTTPS) Serve(ctx context.Context) error {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", h.Address)
	if err != nil {
		return err
	}
	server := &http.Server{
		Handler: h.Handler, TLSConfig: h.TLS.Clone(),
		ReadHeaderTimeout: headerTimeout, IdleTimeout: idleTimeout, MaxHeaderBytes: h.MaxHeaderBytes,
		ErrorLog: slog.NewLogLogger(logr.ToSlogHandler(h.Log.V(1)), slog.LevelInfo),
	}
	served := make(chan error, 1)
	go func() { served <- server.ServeTLS(listener, "", "") }()
	h.Log.Info("serving", "address", listener.Addr().String())
	if h.Listening != nil {
		h.Listening()
	}
	select {
	case err = <-served:
	case <-ctx.Done():
		ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), h.Farewell)
		defer cancel()
		if server.Shutdown(ending) != nil {
			err = server.Close()
		}
	}
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}
