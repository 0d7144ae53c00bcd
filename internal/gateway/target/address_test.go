package target_test

import (
	"net/netip"
	"testing"

	"pgregory.net/rapid"

	"agentpassport.dev/operator/api/v1alpha1"
	"agentpassport.dev/operator/internal/gateway/target"
)

var allRanges = []v1alpha1.AddressRange{
	v1alpha1.RangeLoopback, v1alpha1.RangePrivate, v1alpha1.RangeLinkLocal, v1alpha1.RangeShared,
}

func TestCheckAddress(t *testing.T) {
	const public = target.Reason("")
	for text, want := range map[string]target.Reason{
		"1.1.1.1": public, "8.8.8.8": public, "100.63.255.255": public, "100.128.0.0": public, "172.15.0.1": public,
		"172.32.0.1": public, "192.0.1.1": public, "198.20.0.1": public, "223.255.255.255": public,
		"2606:4700:4700::1111": public, "2a00:1450::1": public, "64:ff9b::101:101": public, "::ffff:1.1.1.1": public,

		"127.0.0.1": target.LoopbackAddress, "127.255.255.254": target.LoopbackAddress, "::1": target.LoopbackAddress,
		"::ffff:127.0.0.1": target.LoopbackAddress, "64:ff9b::7f00:1": target.LoopbackAddress,
		"10.0.0.1": target.PrivateAddress, "172.16.0.1": target.PrivateAddress, "172.31.255.255": target.PrivateAddress,
		"192.168.1.1": target.PrivateAddress, "fc00::1": target.PrivateAddress, "fdff::1": target.PrivateAddress,
		"::ffff:10.0.0.1": target.PrivateAddress, "64:ff9b::a00:1": target.PrivateAddress,
		"169.254.1.1": target.LinkLocalAddress, "fe80::1": target.LinkLocalAddress, "fe80::1%eth0": target.LinkLocalAddress,
		"100.64.0.1": target.SharedAddress, "100.127.255.255": target.SharedAddress,

		"0.0.0.0": target.SpecialAddress, "0.1.2.3": target.SpecialAddress, "::": target.SpecialAddress,
		"192.0.0.1": target.SpecialAddress, "192.0.2.1": target.SpecialAddress, "198.18.0.1": target.SpecialAddress,
		"198.51.100.1": target.SpecialAddress, "203.0.113.1": target.SpecialAddress, "192.88.99.1": target.SpecialAddress,
		"224.0.0.1": target.SpecialAddress, "240.0.0.1": target.SpecialAddress, "255.255.255.255": target.SpecialAddress,
		"ff02::1": target.SpecialAddress, "2001:db8::1": target.SpecialAddress, "3fff::1": target.SpecialAddress,
		"2001::1": target.SpecialAddress, "2001:2::1": target.SpecialAddress, "2002:7f00:1::": target.SpecialAddress,
		"2002:808:808::": target.SpecialAddress, "64:ff9b:1::7f00:1": target.SpecialAddress, "::7f00:1": target.SpecialAddress,
		"::ffff:0:7f00:1": target.SpecialAddress, "fec0::1": target.SpecialAddress, "100::1": target.SpecialAddress,
		"5f00::1": target.SpecialAddress, "4000::1": target.SpecialAddress, "2606:4700::5efe:7f00:1": target.SpecialAddress,
		"2606:4700::200:5efe:a00:1": target.SpecialAddress,

		"169.254.169.254": target.MetadataAddress, "169.254.169.253": target.MetadataAddress,
		"169.254.170.2": target.MetadataAddress, "169.254.170.23": target.MetadataAddress,
		"169.254.42.42": target.MetadataAddress, "100.100.100.200": target.MetadataAddress,
		"192.0.0.192": target.MetadataAddress, "168.63.129.16": target.MetadataAddress,
		"fd00:ec2::254": target.MetadataAddress, "fd00:ec2::23": target.MetadataAddress, "fd20:ce::254": target.MetadataAddress,
		"fe80::a9fe:a9fe": target.MetadataAddress, "fe80::a9fe:a9fe%eth0": target.MetadataAddress,
		"::ffff:169.254.169.254": target.MetadataAddress, "64:ff9b::a9fe:a9fe": target.MetadataAddress,
	} {
		addr := netip.MustParseAddr(text)
		err := target.CheckAddress(addr, nil)
		if want == public {
			if err != nil {
				t.Errorf("%s: %v", text, err)
			}
			continue
		}
		refused(t, text, err, want)
		byName := map[target.Reason]v1alpha1.AddressRange{
			target.LoopbackAddress: v1alpha1.RangeLoopback, target.PrivateAddress: v1alpha1.RangePrivate,
			target.LinkLocalAddress: v1alpha1.RangeLinkLocal, target.SharedAddress: v1alpha1.RangeShared,
		}
		for _, r := range allRanges {
			err := target.CheckAddress(addr, []v1alpha1.AddressRange{r})
			if (err == nil) != (byName[want] == r) {
				t.Errorf("%s with %s: %v", text, r, err)
			}
		}
	}
	if target.CheckAddress(netip.Addr{}, allRanges) == nil {
		t.Error("no address is one")
	}
}

// What net/netip calls private, loopback, link-local, multicast or unspecified is never public, and ranges
// never let a metadata address through.
func TestAddressesThatAreNotPublic(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var addr netip.Addr
		if rapid.Bool().Draw(t, "v4") {
			addr = netip.AddrFrom4([4]byte(rapid.SliceOfN(rapid.Byte(), 4, 4).Draw(t, "bytes")))
		} else {
			addr = netip.AddrFrom16([16]byte(rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "bytes")))
		}
		public := target.CheckAddress(addr, nil) == nil
		if public && (!addr.Unmap().IsGlobalUnicast() || addr.Unmap().IsPrivate()) {
			t.Fatalf("%s is public", addr)
		}
		if mapped := netip.AddrFrom16(addr.As16()); public != (target.CheckAddress(mapped, nil) == nil) {
			t.Fatalf("%s is not judged as %s", mapped, addr)
		}
		if public && target.CheckAddress(addr, allRanges) != nil {
			t.Fatalf("%s is refused where more is allowed", addr)
		}
	})
}
