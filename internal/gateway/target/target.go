// Package target reads where a call goes, and refuses what two readers could read in two ways. It is
// pure.
//
// A target has one canonical form. It is judged in that form, and sent in that form, byte for byte:
//
//   - The scheme and the host are in lower case; the scheme's own port and one trailing dot are dropped;
//     an IP address is in its usual form, an IPv4 address inside an IPv6 one (::ffff:0:0/96) is IPv4.
//   - In a path, escapes of characters that never need one (RFC 3986, unreserved) are decoded, and the
//     hexadecimal digits of the others are in upper case. An empty path is "/".
//   - A query stays as it is. Constraints look at what it says, decoded.
//
// What is refused, rather than repaired: dot segments and double slashes, raw or encoded; encoded slashes,
// backslashes and control characters, and escapes inside escapes, in a path; path parameters (`;`), which
// some servers cut off before they match; fragments and users; host names outside ASCII, since IDNA 2003
// and 2008 turn some into different names (the form with xn-- is taken); underscores in host names; IPv4
// addresses in decimal, octal, hexadecimal or short forms; IPv6 zones.
package target

// Host is a host and a port, as they are compared and as they are dialled.
type Host struct {
	// Name is a DNS name in lower-case ASCII without a trailing dot, or an IP address in its one
	// canonical form, IPv6 without brackets.
	Name string
	// Port, 1 to 65535: that of the scheme where none was given.
	Port uint16
}

// Target is where a call goes, in its one canonical form: it is judged and sent as it stands here.
type Target struct {
	// Scheme is https or http.
	Scheme string
	// Host that is connected to, and named in the Host header.
	Host Host
	// Path is the escaped path, with its leading slash.
	Path string
	// Query is the raw query, without its question mark.
	Query string
	// HasQuery tells an empty query from none.
	HasQuery bool
}
