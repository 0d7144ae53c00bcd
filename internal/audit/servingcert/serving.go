package servingcert

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"io"
	"math/big"
	"net"
	"sync"
	"time"

	"k8s.io/utils/clock"
)

const (
	servingLife = 30 * 24 * time.Hour
	renewAfter  = 20 * 24 * time.Hour
)

// Serving is the certificate that a service shows. Its methods may be called by any goroutine.
type Serving struct {
	// Authority that signs it.
	Authority *Authority
	// Names under which clients reach the service: DNS names and IP addresses.
	Names []string
	// Clock tells when a new one is due.
	Clock clock.PassiveClock
	// Random gives keys and serial numbers.
	Random io.Reader

	mu      sync.Mutex
	current *tls.Certificate
	renewAt time.Time
}

// GetCertificate is for tls.Config: the certificate, a new one where the last is over 20 days old.
func (s *Serving) GetCertificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.Clock.Now()
	if s.current != nil && now.Before(s.renewAt) {
		return s.current, nil
	}
	made, err := s.sign(now)
	if err != nil {
		return nil, err
	}
	s.current, s.renewAt = made, now.Add(renewAfter)
	return made, nil
}

func (s *Serving) sign(now time.Time) (*tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), s.Random)
	if err != nil {
		return nil, err
	}
	// 120 bits: RFC 5280 allows 20 bytes, CAs draw at least 64 bits.
	serial := make([]byte, 15)
	if _, err := io.ReadFull(s.Random, serial); err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: new(big.Int).SetBytes(serial), Subject: pkix.Name{CommonName: s.Names[0]},
		NotBefore: now.Add(-backdate), NotAfter: now.Add(servingLife),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	for _, name := range s.Names {
		if address := net.ParseIP(name); address != nil {
			template.IPAddresses = append(template.IPAddresses, address)
			continue
		}
		template.DNSNames = append(template.DNSNames, name)
	}
	signed, err := x509.CreateCertificate(s.Random, template, s.Authority.certificate, key.Public(), s.Authority.key)
	if err != nil {
		return nil, err
	}
	return &tls.Certificate{Certificate: [][]byte{signed}, PrivateKey: key}, nil
}
