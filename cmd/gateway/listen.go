package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"time"

	"github.com/go-logr/logr"
	"google.golang.org/grpc"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/certwatcher"
)

// callsTimeout is how long calls may take to end once the gateway is asked to stop.
const callsTimeout = 40 * time.Second

// certificate follows the files of the serving certificate.
func (f *flags) certificate(ctx context.Context, log logr.Logger) (*tls.Config, error) {
	certFile, keyFile := f.certFile, f.privateKeyFile
	if certFile == "" {
		certFile, keyFile = filepath.Join(f.tlsDir, corev1.TLSCertKey), filepath.Join(f.tlsDir, corev1.TLSPrivateKeyKey)
	}
	files, err := certwatcher.New(certFile, keyFile)
	if err != nil {
		return nil, fmt.Errorf("the certificate in %s: %w", certFile, err)
	}
	go func() {
		if err := files.Start(ctx); err != nil {
			log.Error(err, "the certificate is not followed; a new one is taken up at the next start")
		}
	}()
	return &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: files.GetCertificate}, nil
}

// serveHTTP serves HTTPS until the context ends, and then lets calls end.
func serveHTTP(ctx context.Context, address string, certificate *tls.Config, handler http.Handler, log logr.Logger) error {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if err != nil {
		return err
	}
	server := &http.Server{
		Handler:   handler,
		TLSConfig: certificate.Clone(),
		// A body has its own deadline, which each handler sets by what it takes.
		ReadHeaderTimeout: 5 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    64 << 10,
		ErrorLog:          slog.NewLogLogger(logr.ToSlogHandler(log.V(1)), slog.LevelInfo),
	}
	served := make(chan error, 1)
	go func() { served <- server.ServeTLS(listener, "", "") }()
	log.Info("serving", "address", listener.Addr().String())
	select {
	case err = <-served:
	case <-ctx.Done():
		ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), callsTimeout)
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

// serveGRPC serves ext_authz until the context ends, and then lets questions be answered.
func serveGRPC(ctx context.Context, address string, server *grpc.Server, log logr.Logger) error {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if err != nil {
		return err
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	log.Info("serving ext_authz", "address", listener.Addr().String())
	select {
	case err = <-served:
		return err
	case <-ctx.Done():
	}
	stopped := make(chan struct{})
	go func() {
		server.GracefulStop()
		close(stopped)
	}()
	ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), callsTimeout)
	defer cancel()
	select {
	case <-stopped:
	case <-ending.Done():
		server.Stop()
	}
	return nil
}
