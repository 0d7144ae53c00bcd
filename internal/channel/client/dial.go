package client

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"time"
)

// dialTimeout bounds a connection: a manager whose node is gone answers nothing, and another one does.
const dialTimeout = 3 * time.Second

// dial connects to one manager with the files as they are now.
func (c *Client) dial(ctx context.Context, network, address string) (net.Conn, error) {
	config, err := c.tls()
	if err != nil {
		return nil, err
	}
	limited, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	return (&tls.Dialer{Config: config}).DialContext(limited, network, address)
}

func (c *Client) tls() (*tls.Config, error) {
	authority, err := os.ReadFile(c.options.CAFile)
	if err != nil {
		return nil, fmt.Errorf("the authority of the channel: %w", err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(authority) {
		return nil, errors.New("the authority of the channel: no certificate in PEM in " + c.options.CAFile)
	}
	shown, err := tls.LoadX509KeyPair(c.options.CertFile, c.options.KeyFile)
	if err != nil {
		return nil, fmt.Errorf("the gateway's certificate: %w", err)
	}
	config := &tls.Config{
		MinVersion: tls.VersionTLS13, ServerName: c.host, RootCAs: roots, Certificates: []tls.Certificate{shown},
	}
	if c.options.Clock != nil {
		config.Time = c.options.Clock.Now
	}
	return config, nil
}
