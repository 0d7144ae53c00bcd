// Package target reads where a call goes, and refuses what two readers could read in two ways. It is
// pure.
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
