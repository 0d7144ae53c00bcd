package servingcert

import (
	"crypto/tls"
	"io"
	"sync"
	"time"

	"k8s.io/utils/clock"
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
	signed, key, err := s.Authority.sign(Server(s.Names...), s.Random, now)
	if err != nil {
		return nil, err
	}
	s.current, s.renewAt = &tls.Certificate{Certificate: [][]byte{signed}, PrivateKey: key}, now.Add(renewAfter)
	return s.current, nil
}
