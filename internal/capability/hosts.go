package capability

import (
	"net/netip"
	"strings"

	"golang.org/x/net/idna"
)

// host is a host, a URL, or a wildcard for the names below a domain.
type host struct {
	// name in lower case and ASCII; of a wildcard, the domain.
	name string
	// below: names below the domain, and not itself (*.slack.com).
	below bool
	// port and path narrow it; empty for all.
	port, path string
}

// hostOf reads a folded statement that is one host or URL, with or without a remark in brackets; nil where it is
// something else.
func hostOf(folded string) *host {
	fields := strings.Fields(dropRemarks(folded))
	if len(fields) != 1 {
		return nil
	}
	rest := strings.Trim(fields[0], "\"'`")
	if _, after, found := strings.Cut(rest, "://"); found {
		rest = after
	}
	made := &host{}
	rest, path, _ := strings.Cut(rest, "/")
	if made.path = strings.Trim(path, "/"); strings.ContainsAny(made.path, "*?#%\\") || strings.Contains("/"+made.path+"/", "/../") {
		return nil
	}
	if address, err := netip.ParseAddr(strings.Trim(rest, "[]")); err == nil {
		made.name = address.String()
		return made
	}
	rest, made.port, _ = strings.Cut(rest, ":")
	rest, made.below = strings.CutPrefix(rest, "*.")
	return made.named(strings.TrimSuffix(rest, "."))
}

// named sets the name; nil where it is none.
func (h *host) named(name string) *host {
	for i := range len(h.port) {
		if h.port[i] < '0' || h.port[i] > '9' {
			return nil
		}
	}
	ascii, err := idna.Lookup.ToASCII(name)
	if err != nil || (!strings.Contains(ascii, ".") && ascii != "localhost") || strings.ContainsAny(ascii, "*@/ ") || strings.Contains(ascii, "..") {
		return nil
	}
	h.name = ascii
	return h
}

// covers says whether all that the other names is h's.
func (h *host) covers(other *host) bool {
	switch {
	case h.port != "" && h.port != other.port:
		return false
	case h.path != "" && h.path != other.path && !strings.HasPrefix(other.path, h.path+"/"):
		return false
	case h.below:
		return strings.HasSuffix(other.name, "."+h.name) || (other.below && other.name == h.name)
	default:
		return h.name == other.name && !other.below
	}
}

// sharesName says whether the two have a name in common, whatever the port and path.
func (h *host) sharesName(other *host) bool {
	return h.name == other.name || (h.below && strings.HasSuffix(other.name, "."+h.name)) || (other.below && strings.HasSuffix(h.name, "."+other.name))
}

var (
	networkAll     = words("any", "every", "all", "unlimited", "unrestricted", "arbitrary", "full")
	networkNouns   = words("network", "internet", "endpoint", "endpoints", "host", "hosts", "access", "url", "urls", "address", "addresses")
	networkPlaces  = words("reachable from local machine", "reachable from machine", "reachable from this machine", "reachable from host")
	networkSubject = words(
		"network", "internet", "endpoint", "endpoints", "host", "hosts", "url", "urls", "http", "https", "website", "websites", "api", "apis",
	)
)

// anyNetwork says whether words state an unlimited network: any, every, all, unlimited, unrestricted, arbitrary or
// full, then network, internet, endpoint(s), host(s), URL(s), address(es) or access, and nothing else but "reachable
// from the local machine".
func anyNetwork(said []string) bool {
	if len(said) < 2 || !networkAll[said[0]] {
		return false
	}
	i := 1
	for i < len(said) && networkNouns[said[i]] {
		i++
	}
	if i == 1 || (i == 2 && said[1] == "access") { // "full access" speaks of no network
		return false
	}
	return i == len(said) || networkPlaces[strings.Join(said[i:], " ")]
}

// ofNetwork says whether words name something on the network.
func ofNetwork(said []string) bool {
	for _, word := range said {
		if networkSubject[word] {
			return true
		}
	}
	return false
}
