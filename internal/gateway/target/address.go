package target

import (
	"net/netip"
	"slices"

	"agentpassport.dev/operator/api/v1alpha1"
)

// metadata is where clouds hand out credentials, names and keys to whoever asks from inside.
var metadata = prefixes(
	"169.254.169.0/24",    // AWS, Azure, Google, OpenStack, Oracle, IBM, DigitalOcean, Hetzner, GKE
	"169.254.170.0/24",    // AWS ECS tasks, EKS Pod identities
	"169.254.42.42/32",    // Scaleway
	"169.254.0.23/32",     // Tencent
	"169.254.10.10/32",    // Tencent, older
	"100.100.100.200/32",  // Alibaba
	"192.0.0.192/32",      // Oracle, classic
	"168.63.129.16/32",    // Azure, wire server
	"fd00:ec2::/32",       // AWS: metadata, Pod identities, clock, names
	"fd20:ce::/32",        // Google
	"fd00:42::42/128",     // Scaleway
	"fd00:c1::/32",        // Oracle
	"fe80::a9fe:a9fe/128", // OpenStack
)

// ranges are what a ServiceConnection may allow by name.
var ranges = []struct {
	name     v1alpha1.AddressRange
	reason   Reason
	prefixes []netip.Prefix
}{
	{v1alpha1.RangeLoopback, LoopbackAddress, prefixes("127.0.0.0/8", "::1/128")},
	{v1alpha1.RangePrivate, PrivateAddress, prefixes("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7")},
	{v1alpha1.RangeLinkLocal, LinkLocalAddress, prefixes("169.254.0.0/16", "fe80::/10")},
	{v1alpha1.RangeShared, SharedAddress, prefixes("100.64.0.0/10")},
}

// special is what the registries of IANA (RFC 6890) do not call globally reachable, beside ranges.
var special = prefixes(
	"0.0.0.0/8",       // this network
	"192.0.0.0/24",    // protocol assignments
	"192.0.2.0/24",    // documentation
	"192.88.99.0/24",  // 6to4 relays
	"198.18.0.0/15",   // benchmarks
	"198.51.100.0/24", // documentation
	"203.0.113.0/24",  // documentation
	"224.0.0.0/4",     // multicast
	"240.0.0.0/4",     // reserved, broadcast
	"2001::/23",       // protocol assignments, among them Teredo, benchmarks and ORCHID
	"2001:db8::/32",   // documentation
	"2002::/16",       // 6to4
	"3fff::/20",       // documentation
)

var (
	// nat64 holds an IPv4 address in its last four bytes (RFC 6052).
	nat64 = netip.MustParsePrefix("64:ff9b::/96")
	// global is all of IPv6 that is given out for unicast.
	global = netip.MustParsePrefix("2000::/3")
)

// CheckAddress refuses addresses that are not public, but for those in the allowed ranges, and metadata
// addresses always. An IPv4 address inside an IPv6 one (mapped, or NAT64) is judged by itself; 6to4,
// Teredo and ISATAP are refused whole. The error is an *Error.
func CheckAddress(addr netip.Addr, allowed []v1alpha1.AddressRange) error {
	addr = addr.Unmap().WithZone("")
	if nat64.Contains(addr) {
		bytes := addr.As16()
		addr = netip.AddrFrom4([4]byte(bytes[12:]))
	}
	if contains(metadata, addr) {
		return refuse(MetadataAddress, "the address "+addr.String()+
			" is one at which a cloud hands out credentials: the gateway never connects to it")
	}
	for _, r := range ranges {
		if !contains(r.prefixes, addr) {
			continue
		}
		if slices.Contains(allowed, r.name) {
			return nil
		}
		return refuse(r.reason, "the address "+addr.String()+
			" is not public: a ServiceConnection allows it with "+string(r.name)+" in spec.allowedAddresses")
	}
	if !addr.IsValid() || contains(special, addr) || addr.Is6() && (!global.Contains(addr) || isISATAP(addr)) {
		return refuse(SpecialAddress, "the address "+addr.String()+" is reserved: the gateway never connects to it")
	}
	return nil
}

// isISATAP says whether the last four bytes are an IPv4 address that a tunnel leads to (RFC 5214).
func isISATAP(addr netip.Addr) bool {
	b := addr.As16()
	return (b[8] == 0 || b[8] == 2) && b[9] == 0 && b[10] == 0x5e && b[11] == 0xfe
}

func contains(prefixes []netip.Prefix, addr netip.Addr) bool {
	return slices.ContainsFunc(prefixes, func(p netip.Prefix) bool { return p.Contains(addr) })
}

func prefixes(texts ...string) []netip.Prefix {
	out := make([]netip.Prefix, len(texts))
	for i, text := range texts {
		out[i] = netip.MustParsePrefix(text)
	}
	return out
}
