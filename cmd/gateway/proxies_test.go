package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"flag"
	"math/big"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"

	"agentpassport.dev/operator/internal/gateway/extauthz"
)

// authority signs certificates in tests.
type authority struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	a := &authority{key: key}
	a.certificate = a.sign(t, &x509.Certificate{
		Subject: pkix.Name{CommonName: "authority"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}, key).Leaf
	return a
}

func (a *authority) sign(t *testing.T, template *x509.Certificate, key *ecdsa.PrivateKey) tls.Certificate {
	t.Helper()
	template.SerialNumber = big.NewInt(1)
	template.NotBefore, template.NotAfter = time.Unix(0, 0), time.Unix(1<<33, 0)
	parent := a.certificate
	if parent == nil {
		parent = template
	}
	raw, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), a.key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(raw)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{raw}, PrivateKey: key, Leaf: leaf}
}

func (a *authority) leaf(t *testing.T, usage x509.ExtKeyUsage, name string, uris ...*url.URL) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return a.sign(t, &x509.Certificate{
		Subject: pkix.Name{CommonName: name}, DNSNames: []string{name}, URIs: uris, ExtKeyUsage: []x509.ExtKeyUsage{usage},
	}, key)
}

func (a *authority) pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(a.certificate)
	return pool
}

// What ext_authz answers holds credentials: nobody is answered but the proxies that are named.
func TestExtAuthzAnswersProxiesAlone(t *testing.T) {
	ours, others := newAuthority(t), newAuthority(t)
	file := filepath.Join(t.TempDir(), "ca.crt")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: ours.certificate.Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	f := &flags{extAuthzClientCA: file, extAuthzClients: []string{"envoy.egress.svc", "spiffe://mesh/ns/egress/sa/envoy"}}
	serving := &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{ours.leaf(t, x509.ExtKeyUsageServerAuth, "gateway")}}
	server := extauthz.New(nil).GRPC(f.proxyCredentials(serving))
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(server.Stop)

	for _, c := range []struct {
		what  string
		shown []tls.Certificate
		is    bool
	}{
		{"no certificate", nil, false},
		{"a named proxy", []tls.Certificate{ours.leaf(t, x509.ExtKeyUsageClientAuth, "envoy.egress.svc")}, true},
		{"a proxy named by its URI", []tls.Certificate{ours.leaf(t, x509.ExtKeyUsageClientAuth, "",
			&url.URL{Scheme: "spiffe", Host: "mesh", Path: "/ns/egress/sa/envoy"})}, true},
		{"an agent of the same mesh", []tls.Certificate{ours.leaf(t, x509.ExtKeyUsageClientAuth, "agent.agents.svc")}, false},
		{"a certificate without a name", []tls.Certificate{ours.leaf(t, x509.ExtKeyUsageClientAuth, "")}, false},
		{"another authority's", []tls.Certificate{others.leaf(t, x509.ExtKeyUsageClientAuth, "envoy.egress.svc")}, false},
		{"a server's", []tls.Certificate{ours.leaf(t, x509.ExtKeyUsageServerAuth, "envoy.egress.svc")}, false},
	} {
		t.Run(c.what, func(t *testing.T) {
			err := check(t.Context(), listener.Addr().String(), &tls.Config{
				MinVersion: tls.VersionTLS12, RootCAs: ours.pool(), ServerName: "gateway", Certificates: c.shown,
			})
			if (err == nil) != c.is {
				t.Errorf("answered: %t, want %t (%v)", err == nil, c.is, err)
			}
		})
	}
}

func check(ctx context.Context, address string, config *tls.Config) error {
	connection, err := grpc.NewClient(address, grpc.WithTransportCredentials(credentials.NewTLS(config)))
	if err != nil {
		return err
	}
	defer connection.Close() //nolint:errcheck // a test
	_, err = healthv1.NewHealthClient(connection).Check(ctx, &healthv1.HealthCheckRequest{})
	return err
}

// ext_authz is not switched on by mistake.
func TestExtAuthzNeedsItsProxies(t *testing.T) {
	for _, args := range [][]string{
		{"--ext-authz-bind-address=:9001"},
		{"--ext-authz-bind-address=:9001", "--ext-authz-client-ca-file=ca.crt"},
		{"--ext-authz-bind-address=:9001", "--ext-authz-clients=envoy"},
	} {
		_, err := parse(flag.NewFlagSet("gateway", flag.ContinueOnError), append([]string{"--name=gateway-0"}, args...))
		if err == nil || !strings.Contains(err.Error(), "ext-authz") {
			t.Errorf("%v is taken: %v", args, err)
		}
	}
	f, err := parse(flag.NewFlagSet("gateway", flag.ContinueOnError), []string{"--name=gateway-0"})
	if err != nil || f.extAuthzAddress != "0" {
		t.Errorf("the default is not off: %v", err)
	}
}
