package target

import (
	"net"
	"strconv"
)

// ParseHost reads the authority of a URL: a host, and a port where it is not that of the scheme.
func ParseHost(authority, scheme string) (Host, error) {
	return Host{}, refuse(BadHost, "not read yet")
}

// String is host and port as they are dialled: "api.example.com:443", "[2001:db8::1]:8443".
func (h Host) String() string { return net.JoinHostPort(h.Name, strconv.Itoa(int(h.Port))) }

// Authority is the host as it stands in a URL and in a Host header: without the scheme's own port.
func (h Host) Authority(scheme string) string {
	return ""
}
