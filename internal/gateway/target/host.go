package target

import (
	"net"
	"net/netip"
	"strconv"
	"strings"
	"unicode/utf8"
)

// The bounds of a host name (RFC 1035), in bytes.
const (
	maxName  = 253
	maxLabel = 63
)

// ParseHost reads the authority of a URL: a host, and a port where it is not that of the scheme. The
// error is an *Error.
func ParseHost(authority, scheme string) (Host, error) {
	own, err := portOf(scheme)
	if err != nil {
		return Host{}, err
	}
	if strings.Contains(authority, "@") {
		return Host{}, refuse(UserInfo, "the target names a user before the host: credentials are the gateway's business, leave it away")
	}
	name, rest, err := splitName(authority)
	if err != nil {
		return Host{}, err
	}
	if rest == "" {
		return Host{Name: name, Port: own}, nil
	}
	port, err := parsePort(rest)
	if err != nil {
		return Host{}, err
	}
	return Host{Name: name, Port: port}, nil
}

// splitName gives the host in its canonical form, and what stands behind it.
func splitName(authority string) (name, rest string, err error) {
	if strings.HasPrefix(authority, "[") {
		inside, behind, closed := strings.Cut(authority[1:], "]")
		if !closed {
			return "", "", badHost("has a bracket that is not closed")
		}
		name, err = parseIPv6(inside)
		return name, behind, err
	}
	if i := strings.IndexByte(authority, ':'); i >= 0 {
		authority, rest = authority[:i], authority[i:]
	}
	name, err = parseName(authority)
	return name, rest, err
}

func parseIPv6(inside string) (string, error) {
	addr, err := netip.ParseAddr(inside)
	if err != nil || !addr.Is6() {
		return "", badHost("is in brackets, and is no IPv6 address")
	}
	if addr.Zone() != "" {
		return "", badHost("has a zone, which means something on one machine only")
	}
	return addr.Unmap().String(), nil
}

// parseName reads a DNS name or an IPv4 address.
func parseName(raw string) (string, error) {
	if strings.ContainsFunc(raw, func(r rune) bool { return r >= utf8.RuneSelf }) {
		return "", badHost("has characters outside ASCII in it: write it in its ASCII form, with xn--")
	}
	name := strings.TrimSuffix(strings.ToLower(raw), ".")
	if name == "" {
		return "", badHost("is missing")
	}
	if len(name) > maxName {
		return "", badHost("is longer than 253 characters")
	}
	last := name
	for rest, more := name, true; more; {
		last, rest, more = strings.Cut(rest, ".")
		if err := checkLabel(last); err != nil {
			return "", err
		}
	}
	if !isNumber(last) {
		return name, nil
	}
	addr, err := netip.ParseAddr(name)
	if err != nil {
		return "", badHost("is a number, and is no IPv4 address in its usual form, such as 192.0.2.1")
	}
	return addr.String(), nil
}

func checkLabel(label string) error {
	if label == "" {
		return badHost("has an empty part in it")
	}
	if len(label) > maxLabel {
		return badHost("has a part in it that is longer than 63 characters")
	}
	for i := range len(label) {
		if c := label[i]; !isAlphanumeric(c) && c != '-' {
			return badHost("has characters in it other than letters, digits and hyphens")
		}
	}
	if label[0] == '-' || label[len(label)-1] == '-' {
		return badHost("has a part in it that begins or ends with a hyphen")
	}
	return nil
}

// isNumber says whether some reader could take a host that ends in this label for an IPv4 address: the
// URL Standard of the WHATWG does for decimal and for 0x.
func isNumber(label string) bool {
	digits, isDigits := strings.CutPrefix(label, "0x")
	allowed := isDigit
	if isDigits {
		allowed = isHex
	}
	for i := range len(digits) {
		if !allowed(digits[i]) {
			return false
		}
	}
	return true
}

func parsePort(rest string) (uint16, error) {
	digits, ok := strings.CutPrefix(rest, ":")
	if !ok {
		return 0, badHost("has something behind its closing bracket")
	}
	port, err := strconv.ParseUint(digits, 10, 16)
	if err != nil || port == 0 || strconv.FormatUint(port, 10) != digits {
		return 0, refuse(BadPort, "the port of the target is no number from 1 to 65535, written plainly")
	}
	return uint16(port), nil
}

func portOf(scheme string) (uint16, error) {
	switch scheme {
	case schemeHTTPS:
		return 443, nil
	case schemeHTTP:
		return 80, nil
	default:
		return 0, refuse(BadScheme, "the scheme of the target is neither https nor http")
	}
}

func badHost(what string) error { return refuse(BadHost, "the host of the target "+what) }

// String is host and port as they are dialled: "api.example.com:443", "[2001:db8::1]:8443".
func (h Host) String() string { return net.JoinHostPort(h.Name, strconv.Itoa(int(h.Port))) }

// Authority is the host as it stands in a URL and in a Host header: without the scheme's own port.
func (h Host) Authority(scheme string) string {
	if own, err := portOf(scheme); err != nil || own != h.Port {
		return h.String()
	}
	if strings.Contains(h.Name, ":") {
		return "[" + h.Name + "]"
	}
	return h.Name
}

// Addr is the IP address that the host is named by; false where it has a DNS name.
func (h Host) Addr() (netip.Addr, bool) {
	last := h.Name[strings.LastIndexByte(h.Name, '.')+1:]
	if !strings.Contains(last, ":") && !isNumber(last) {
		return netip.Addr{}, false // the usual case, without the cost of an error
	}
	addr, err := netip.ParseAddr(h.Name)
	return addr, err == nil
}
