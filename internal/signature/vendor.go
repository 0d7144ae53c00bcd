package signature

import (
	"time"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"agentpassport.dev/operator/api/v1alpha1"
)

// States says of each key whether it counts now, in the order of the spec. A key counts from notBefore on, up to
// notAfter and not at it.
func States(spec v1alpha1.VendorKeySpec, now time.Time) []v1alpha1.VendorKeyEntry {
	entries := make([]v1alpha1.VendorKeyEntry, 0, len(spec.Keys))
	for i := range spec.Keys {
		entry, _ := state(&spec.Keys[i], now)
		entries = append(entries, entry)
	}
	return entries
}

// NextChange is when States next changes by time alone; zero if never.
func NextChange(spec v1alpha1.VendorKeySpec, now time.Time) time.Time {
	var next time.Time
	for i := range spec.Keys {
		_, change := state(&spec.Keys[i], now)
		next = earlier(next, change)
	}
	return next
}

// SameVendor says whether two texts name one vendor: they are the same after Unicode normalisation (NFKC) and case
// folding. White space and every other character count.
func SameVendor(one, other string) bool { return folded(one) == folded(other) }

// folded is a name as it is compared. Folding can undo the normal form, so that it is taken twice.
func folded(name string) string {
	return norm.NFKC.String(cases.Fold().String(norm.NFKC.String(name)))
}

// state is whether a key counts now, and when that changes by time alone; zero if never.
func state(key *v1alpha1.VendorPublicKey, now time.Time) (v1alpha1.VendorKeyEntry, time.Time) {
	entry := v1alpha1.VendorKeyEntry{Name: key.Name}
	public, err := ParsePublicKey(key.PublicKey)
	if err == nil {
		entry.Fingerprint = Fingerprint(public)
	}
	begins, ends := at(key.NotBefore), at(key.NotAfter)
	switch {
	case key.Revoked != nil: // even of a key that cannot be read: a revocation is the last word
		entry.State = v1alpha1.KeyRevoked
	case err != nil:
		entry.State = v1alpha1.KeyInvalid
	case !ends.IsZero() && !now.Before(ends):
		entry.State = v1alpha1.KeyExpired
	case now.Before(begins):
		entry.State = v1alpha1.KeyNotYetValid
		return entry, begins
	default:
		entry.State = v1alpha1.KeyValid
		return entry, ends
	}
	return entry, time.Time{}
}

func at(moment *metav1.Time) time.Time {
	if moment == nil {
		return time.Time{}
	}
	return moment.Time
}

// earlier is the first of two times, where zero is never.
func earlier(one, other time.Time) time.Time {
	if one.IsZero() || (!other.IsZero() && other.Before(one)) {
		return other
	}
	return one
}
