package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"time"

	"github.com/go-logr/logr"
	"google.golang.org/grpc"
	corev1 "k8s.io/api/core/v1"

	"agentpassport.dev/operator/internal/serving"
)

// callsTimeout is how long calls may take to end once the gateway is asked to stop.
const callsTimeout = 40 * time.Second

// certificate follows the files of the serving certificate.
func (f *flags) certificate(ctx context.Context, log logr.Logger) (*tls.Config, error) {
	certFile, keyFile := f.certFile, f.privateKeyFile
	if certFile == "" {
		certFile, keyFile = filepath.Join(f.tlsDir, corev1.TLSCertKey), filepath.Join(f.tlsDir, corev1.TLSPrivateKeyKey)
	}
	shown, err := serving.Files(ctx, certFile, keyFile, log)
	if err != nil {
		return nil, fmt.Errorf("the certificate in %s: %w", certFile, err)
	}
	return &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: shown}, nil
}

// serveHTTP serves HTTPS until the context ends, and then lets calls end.
func serveHTTP(ctx context.Context, address string, certificate *tls.Config, handler http.Handler, log logr.Logger) error {
	return serving.HTTPS{
		Address: address, TLS: certificate, Handler: handler, MaxHeaderBytes: 64 << 10, Farewell: callsTimeout, Log: log,
	}.Serve(ctx)
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
