package servingcert

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"slices"
	"time"

	"k8s.io/client-go/util/cert"
	"k8s.io/client-go/util/keyutil"
)

const (
	leafLife = 30 * 24 * time.Hour
	// renewAfter leaves ten days for what keeps a new one from being made.
	renewAfter = 20 * 24 * time.Hour
)

// Leaf is what a certificate says.
type Leaf struct {
	// CommonName is who shows it.
	CommonName string
	// Names under which clients reach a service: DNS names and IP addresses. None for a client.
	Names []string
	// Usage is ServerAuth or ClientAuth.
	Usage x509.ExtKeyUsage
}

// Server is the certificate of a service of these names, one at least.
func Server(names ...string) Leaf {
	return Leaf{CommonName: names[0], Names: names, Usage: x509.ExtKeyUsageServerAuth}
}

// Client is the certificate of a client.
func Client(name string) Leaf {
	return Leaf{CommonName: name, Usage: x509.ExtKeyUsageClientAuth}
}

// Pair is a certificate and its private key, each as PEM.
type Pair struct {
	Certificate, Key []byte
}

// sign makes a certificate of a new key.
func (a *Authority) sign(leaf Leaf, random io.Reader, now time.Time) ([]byte, *ecdsa.PrivateKey, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), random)
	if err != nil {
		return nil, nil, err
	}
	// 120 bits: RFC 5280 allows 20 bytes, CAs draw at least 64 bits.
	serial := make([]byte, 15)
	if _, err = io.ReadFull(random, serial); err != nil {
		return nil, nil, err
	}
	template := &x509.Certificate{
		SerialNumber: new(big.Int).SetBytes(serial), Subject: pkix.Name{CommonName: leaf.CommonName},
		NotBefore: now.Add(-backdate), NotAfter: now.Add(leafLife),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{leaf.Usage},
	}
	template.DNSNames, template.IPAddresses = leaf.split()
	signed, err := x509.CreateCertificate(random, template, a.certificate, key.Public(), a.key)
	return signed, key, err
}

func (l Leaf) split() (names []string, addresses []net.IP) {
	for _, name := range l.Names {
		if address := net.ParseIP(name); address != nil {
			addresses = append(addresses, address)
			continue
		}
		names = append(names, name)
	}
	return names, addresses
}

// Issue makes a certificate of a new key, for 30 days.
func (a *Authority) Issue(leaf Leaf, random io.Reader, now time.Time) (Pair, error) {
	signed, key, err := a.sign(leaf, random, now)
	if err != nil {
		return Pair{}, err
	}
	return encode(signed, key)
}

// Due says whether a pair has to be made anew: it is 20 days old, or not what it should be.
func (a *Authority) Due(pair Pair, leaf Leaf, now time.Time) bool {
	parsed, err := tls.X509KeyPair(pair.Certificate, pair.Key)
	if err != nil {
		return true
	}
	held := parsed.Leaf
	names, addresses := leaf.split()
	made := held.NotBefore.Add(backdate)
	return held.CheckSignatureFrom(a.certificate) != nil ||
		held.Subject.CommonName != leaf.CommonName ||
		!slices.Equal(held.ExtKeyUsage, []x509.ExtKeyUsage{leaf.Usage}) ||
		!slices.Equal(held.DNSNames, names) ||
		!slices.EqualFunc(held.IPAddresses, addresses, net.IP.Equal) ||
		now.Before(held.NotBefore) || !now.Before(made.Add(renewAfter))
}

// Pool holds the authority's certificate, to verify others against.
func (a *Authority) Pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(a.certificate)
	return pool
}

// Same says whether another is this authority.
func (a *Authority) Same(other *Authority) bool {
	return other != nil && bytes.Equal(a.PEM, other.PEM)
}

func encode(signed []byte, key *ecdsa.PrivateKey) (Pair, error) {
	private, err := keyutil.MarshalPrivateKeyToPEM(key)
	return Pair{
		Certificate: pem.EncodeToMemory(&pem.Block{Type: cert.CertificateBlockType, Bytes: signed}),
		Key:         private,
	}, err
}
