package target

import (
	"net/netip"

	"agentpassport.dev/operator/api/v1alpha1"
)

// CheckAddress refuses addresses that are not public, but for those in the allowed ranges, and metadata
// addresses always. The error is an *Error.
func CheckAddress(addr netip.Addr, allowed []v1alpha1.AddressRange) error {
	return refuse(SpecialAddress, "not read yet")
}
