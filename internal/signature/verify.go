package signature

import (
	"cmp"
	"crypto/ed25519"
	"fmt"
	"slices"
	"time"

	"github.com/go-jose/go-jose/v4/json" // unlike encoding/json: exact names

	"agentpassport.dev/operator/api/v1alpha1"
	"agentpassport.dev/operator/internal/token"
)

// NoFingerprint is the identity_key_fingerprint of an Agent Passport document whose vendor has no key.
const NoFingerprint = "unverified-v0.1"

// Result is what a signature says of a document.
type Result struct {
	// Verified says that a key signed the document which a VendorKey trusts for its vendor, and which is valid now.
	Verified bool
	// Reason of the condition Verified: SignedByVendor, NotSigned, KeyNotTrusted, KeyRevoked, KeyNotValid,
	// SignatureInvalid or FingerprintMismatch.
	Reason v1alpha1.Reason
	// Message for people: what was found, and what to do.
	Message string
	// Fingerprint is the JWK thumbprint of the key that verified the document. Empty while it is not verified.
	Fingerprint string
	// VendorKey names the VendorKey that the key stands in; where several hold it, the first by name that it is valid
	// in. Empty while the document is not verified.
	VendorKey string
	// Until is when the result may change by time alone: the next notBefore or notAfter of the key. Zero if never.
	Until time.Time
}

// mention is one place in a VendorKey where the key of a signature stands.
type mention struct {
	vendorKey string
	key       *v1alpha1.VendorPublicKey
	public    ed25519.PublicKey
	state     v1alpha1.VendorKeyState
	change    time.Time
}

// place names where a key stands, for people.
func (m *mention) place() string { return fmt.Sprintf("%s of VendorKey %s", m.key.Name, m.vendorKey) }

// Verify says whether one of the vendor's keys signed a document in JSON. The vendor is the one that the document
// names: agent.vendor of an Agent Passport document, publisher of a Capability Passport document. An empty jws is
// none. VendorKeys of other vendors do not count.
func Verify(document []byte, jws, vendor string, keys []v1alpha1.VendorKey, now time.Time) Result {
	if jws == "" {
		return refused(v1alpha1.ReasonNotSigned, "the document has no signature; `kubectl passport document sign` makes one")
	}
	canonical, err := token.CanonicalJSON(document)
	if err != nil {
		return refused(v1alpha1.ReasonSignatureInvalid, "nothing can sign the document: %v", err)
	}
	parsed, err := parse(jws)
	if err != nil {
		return refused(v1alpha1.ReasonSignatureInvalid, "the signature cannot be read: %v; have the vendor sign the document again", err)
	}
	mentions := mentionsOf(parsed.kid, vendor, keys, now)
	if len(mentions) == 0 {
		return refused(v1alpha1.ReasonKeyNotTrusted, "key %s signed, and no VendorKey of vendor %q holds it; %s",
			parsed.kid, vendor, whereElse(parsed.kid, vendor, keys, now))
	}
	if !ed25519.Verify(mentions[0].public, parsed.signed(canonical), parsed.signature) {
		return refused(v1alpha1.ReasonSignatureInvalid,
			"the signature is not of this document: one of the two was changed; have the vendor sign the document as it is now")
	}
	return judge(document, parsed.kid, mentions)
}

// judge says what becomes of a good signature.
func judge(document []byte, kid string, mentions []mention) Result {
	var valid *mention
	var until time.Time
	for i := range mentions {
		m := &mentions[i]
		if m.state == v1alpha1.KeyRevoked {
			return refused(v1alpha1.ReasonKeyRevoked,
				"key %s signed, %s, which is revoked (%s); have the vendor sign with another key", kid, m.place(), m.key.Revoked.Reason)
		}
		if m.state == v1alpha1.KeyValid && valid == nil {
			valid = m
		}
		until = earlier(until, m.change)
	}
	if valid == nil {
		result := refused(v1alpha1.ReasonKeyNotValid, "key %s signed, %s, which %s", kid, mentions[0].place(), whyNotValid(&mentions[0]))
		result.Until = until
		return result
	}
	if named := namedFingerprint(document); named != "" && named != NoFingerprint && named != kid {
		result := refused(v1alpha1.ReasonFingerprintMismatch,
			"the document names another key in identity_key_fingerprint than %s, which signed it; have the vendor write that in and sign again", kid)
		result.Until = until
		return result
	}
	return Result{
		Verified: true, Reason: v1alpha1.ReasonSignedByVendor, Message: fmt.Sprintf("signed by key %s, %s", kid, valid.place()),
		Fingerprint: kid, VendorKey: valid.vendorKey, Until: until,
	}
}

func refused(reason v1alpha1.Reason, format string, values ...any) Result {
	return Result{Reason: reason, Message: fmt.Sprintf(format, values...)}
}

// mentionsOf finds where the vendor's VendorKeys hold a key, in the order of their names.
func mentionsOf(kid, vendor string, keys []v1alpha1.VendorKey, now time.Time) []mention {
	var found []mention
	for i := range keys {
		if SameVendor(keys[i].Spec.Vendor, vendor) {
			found = append(found, mentionsIn(&keys[i], kid, now)...)
		}
	}
	slices.SortStableFunc(found, func(a, b mention) int { return cmp.Compare(a.vendorKey, b.vendorKey) })
	return found
}

func mentionsIn(vendorKey *v1alpha1.VendorKey, kid string, now time.Time) []mention {
	var found []mention
	for i := range vendorKey.Spec.Keys {
		key := &vendorKey.Spec.Keys[i]
		public, err := ParsePublicKey(key.PublicKey)
		if err != nil || Fingerprint(public) != kid {
			continue
		}
		entry, change := state(key, now)
		found = append(found, mention{vendorKey.Name, key, public, entry.State, change})
	}
	return found
}

// whereElse says what to do about a key that the vendor does not have.
func whereElse(kid, vendor string, keys []v1alpha1.VendorKey, now time.Time) string {
	for i := range keys {
		if len(mentionsIn(&keys[i], kid, now)) > 0 {
			return fmt.Sprintf("VendorKey %s does, for vendor %q: whoever may write VendorKeys decides whom the key speaks for",
				keys[i].Name, keys[i].Spec.Vendor)
		}
	}
	for i := range keys {
		if SameVendor(keys[i].Spec.Vendor, vendor) {
			return "if the vendor confirms that the key is its own, add it to VendorKey " + keys[i].Name
		}
	}
	return "if the vendor confirms that the key is its own, make a VendorKey with it"
}

func whyNotValid(m *mention) string {
	if m.state == v1alpha1.KeyNotYetValid {
		return "is not valid before " + stamp(m.change)
	}
	return "was valid until " + stamp(m.key.NotAfter.Time) + "; have the vendor sign with a key that is valid"
}

func stamp(moment time.Time) string { return moment.UTC().Format(time.RFC3339) }

// namedFingerprint is the key that an Agent Passport document says it has. A package's document has no such field.
func namedFingerprint(document []byte) string {
	var read struct {
		Schema      string `json:"schema"`
		Fingerprint string `json:"identity_key_fingerprint"`
	}
	if err := json.Unmarshal(document, &read); err != nil || read.Schema != v1alpha1.DocumentSchema {
		return ""
	}
	return read.Fingerprint
}
