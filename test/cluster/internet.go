//go:build linux

package cluster

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"time"

	"github.com/vishvananda/netlink"
	"k8s.io/client-go/util/cert"
)

// internetAddress is a public one: what guards against calls into a cluster lets it pass.
var internetAddress = netip.MustParseAddr("1.2.3.4")

// internet serves hosts that are outside of the cluster over HTTPS, at port 443 of one address. It gives the lines that
// name them, and writes whom clients have to trust for them.
func internet(ctx context.Context, authorities string, hosts []string, handler http.Handler) (string, error) {
	if len(hosts) == 0 {
		return "", nil
	}
	loopback, err := netlink.LinkByName("lo")
	if err != nil {
		return "", err
	}
	if err := netlink.AddrAdd(loopback, &netlink.Addr{IPNet: ipNet(netip.PrefixFrom(internetAddress, 32))}); err != nil {
		return "", err
	}
	certificate, key, err := cert.GenerateSelfSignedCertKey(hosts[0], nil, hosts[1:])
	if err != nil {
		return "", err
	}
	pair, err := tls.X509KeyPair(certificate, key)
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(filepath.Dir(authorities), 0o755); err != nil {
		return "", err
	}
	if err := os.WriteFile(authorities, certificate, 0o644); err != nil {
		return "", err
	}
	listener, err := tls.Listen("tcp", net.JoinHostPort(internetAddress.String(), "443"), &tls.Config{
		Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12,
	})
	if err != nil {
		return "", err
	}
	server := &http.Server{Handler: handler, ReadHeaderTimeout: time.Minute}
	go func() { _ = server.Serve(listener) }()
	context.AfterFunc(ctx, func() { _ = server.Close() })
	lines := ""
	for _, host := range hosts {
		lines += fmt.Sprintf("%s %s\n", internetAddress, host)
	}
	return lines, nil
}
