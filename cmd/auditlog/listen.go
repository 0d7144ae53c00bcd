package main

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/go-logr/logr"
	"sigs.k8s.io/controller-runtime/pkg/certwatcher"

	"agentpassport.dev/operator/internal/servingcert"
)

// shutdownTimeout is how long requests may take to end.
const shutdownTimeout = 20 * time.Second

// listen serves HTTPS until the context ends, and lets requests end.
func (s *server) listen(ctx context.Context, handler http.Handler) error {
	certificate, err := s.certificate(ctx)
	if err != nil {
		return err
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: certificate}
	if s.clientCAFile != "" {
		// Asked for here, and held against the authorities by the one who decides on access.
		config.ClientAuth = tls.RequestClientCert
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", s.address)
	if err != nil {
		return err
	}
	server := &http.Server{
		Handler:           handler,
		TLSConfig:         config,
		ReadHeaderTimeout: 5 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    32 << 10,
		ErrorLog:          slog.NewLogLogger(logr.ToSlogHandler(s.logger.V(1)), slog.LevelInfo),
	}
	served := make(chan error, 1)
	go func() { served <- server.ServeTLS(listener, "", "") }()
	s.logger.Info("serving", "address", listener.Addr().String())
	s.listening.Store(true)
	select {
	case err = <-served:
	case <-ctx.Done():
		ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
		defer cancel()
		if server.Shutdown(ending) != nil {
			// A stream goes on: its reader sees that it is not whole.
			err = server.Close()
		}
	}
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

// certificate gives what shows the service's certificate: that of the files, taken up anew when they
// change, or one of its own making.
func (s *server) certificate(ctx context.Context) (func(*tls.ClientHelloInfo) (*tls.Certificate, error), error) {
	if s.certFile != "" {
		files, err := certwatcher.New(s.certFile, s.privateKeyFile)
		if err != nil {
			return nil, fmt.Errorf("--tls-cert-file and --tls-private-key-file: %w", err)
		}
		go func() {
			if err := files.Start(ctx); err != nil {
				s.logger.Error(err, "the certificate is not followed; a new one is taken up at the next start")
			}
		}()
		return files.GetCertificate, nil
	}
	authority, err := servingcert.LoadAuthority(ctx, s.client, servingcert.AuditLog(s.namespace), rand.Reader, s.clock.Now())
	if err != nil {
		return nil, fmt.Errorf("a certificate of its own making: %w", err)
	}
	names := s.servingNames
	if len(names) == 0 {
		names = []string{"agent-passport-auditlog." + s.namespace + ".svc"}
	}
	return (&servingcert.Serving{Authority: authority, Names: names, Clock: s.clock, Random: rand.Reader}).GetCertificate, nil
}
