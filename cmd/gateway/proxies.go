package main

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"slices"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
)

// errForeignProxy is what a handshake of ext_authz fails with.
var errForeignProxy = errors.New("the certificate has none of the names of --ext-authz-clients")

// proxies lets those proxies in that show a certificate of --ext-authz-client-ca-file with a name of
// --ext-authz-clients. Nobody else may ask: the answers hold credentials, which no agent is to see. The
// authorities are read for every connection.
func (f *flags) proxies(serving *tls.Config) *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS12,
		NextProtos: []string{"h2"},
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
			authorities, err := os.ReadFile(f.extAuthzClientCA)
			if err != nil {
				return nil, fmt.Errorf("--ext-authz-client-ca-file: %w", err)
			}
			pool := x509.NewCertPool()
			if !pool.AppendCertsFromPEM(authorities) {
				return nil, fmt.Errorf("--ext-authz-client-ca-file: %s holds no certificate in PEM", f.extAuthzClientCA)
			}
			secured := serving.Clone()
			secured.NextProtos = []string{"h2"}
			secured.ClientAuth, secured.ClientCAs = tls.RequireAndVerifyClientCert, pool
			secured.VerifyConnection = f.isProxy
			// A ticket would let in a certificate that was good when it was given.
			secured.SessionTicketsDisabled = true
			return secured, nil
		},
	}
}

// isProxy looks at the names of a certificate that was verified.
func (f *flags) isProxy(state tls.ConnectionState) error {
	shown := state.PeerCertificates[0]
	names := append([]string{shown.Subject.CommonName}, shown.DNSNames...)
	for _, uri := range shown.URIs {
		names = append(names, uri.String())
	}
	if !slices.ContainsFunc(names, func(name string) bool { return name != "" && slices.Contains(f.extAuthzClients, name) }) {
		return errForeignProxy
	}
	return nil
}

// proxyCredentials are those of gRPC, with the same certificate.
func (f *flags) proxyCredentials(serving *tls.Config) grpc.ServerOption {
	return grpc.Creds(credentials.NewTLS(f.proxies(serving)))
}
