package main

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"fmt"
	"net/http"
	"time"

	"agentpassport.dev/operator/internal/serving"
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
	return serving.HTTPS{
		Address: s.address, TLS: config, Handler: handler, MaxHeaderBytes: 32 << 10, Farewell: shutdownTimeout,
		Listening: func() { s.listening.Store(true) }, Log: s.logger,
	}.Serve(ctx)
}

// certificate gives what shows the service's certificate: that of the files, taken up anew when they
// change, or one of its own making.
func (s *server) certificate(ctx context.Context) (serving.Certificate, error) {
	if s.certFile != "" {
		shown, err := serving.Files(ctx, s.certFile, s.privateKeyFile, s.logger)
		if err != nil {
			return nil, fmt.Errorf("--tls-cert-file and --tls-private-key-file: %w", err)
		}
		return shown, nil
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
