package signature_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"agentpassport.dev/operator/api/v1alpha1"
	"agentpassport.dev/operator/internal/signature"
)

const (
	// vendor as the document names it.
	vendor = "Acme Robotics"
	// rfcThumbprint is that of the key of RFC 8037, appendix A.3.
	rfcThumbprint = "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"
	// document of an agent, as far as signatures care.
	document = `{"schema":"apai.agent-passport.v0.1","agent":{"name":"Robo","vendor":"Acme Robotics"},"identity_key_fingerprint":"unverified-v0.1","sandboxed":false}`
)

var now = time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)

// rfcKey is the key of RFC 8037, appendix A.1.
func rfcKey(t testing.TB) ed25519.PrivateKey {
	t.Helper()
	seed, err := hex.DecodeString("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")
	if err != nil {
		t.Fatal(err)
	}
	return ed25519.NewKeyFromSeed(seed)
}

func otherKey() ed25519.PrivateKey {
	return ed25519.NewKeyFromSeed(bytes.Repeat([]byte{7}, ed25519.SeedSize))
}

func publicPEM(t testing.TB, key ed25519.PrivateKey) string {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
}

func sign(t testing.TB, document string, key ed25519.PrivateKey) string {
	t.Helper()
	jws, err := signature.Sign([]byte(document), key)
	if err != nil {
		t.Fatal(err)
	}
	return jws
}

// change is something that is done to a key of a VendorKey.
type change func(*v1alpha1.VendorPublicKey)

func from(at time.Time) change {
	return func(k *v1alpha1.VendorPublicKey) { k.NotBefore = &metav1.Time{Time: at} }
}

func until(at time.Time) change {
	return func(k *v1alpha1.VendorPublicKey) { k.NotAfter = &metav1.Time{Time: at} }
}

func revoked(k *v1alpha1.VendorPublicKey) {
	k.Revoked = &v1alpha1.KeyRevocation{Reason: "stolen from the build server"}
}

// vendorKey holds one key.
func vendorKey(t testing.TB, name, vendor string, key ed25519.PrivateKey, changes ...change) v1alpha1.VendorKey {
	t.Helper()
	held := v1alpha1.VendorPublicKey{Name: "main", PublicKey: publicPEM(t, key)}
	for _, apply := range changes {
		apply(&held)
	}
	return v1alpha1.VendorKey{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec:       v1alpha1.VendorKeySpec{Vendor: vendor, Keys: []v1alpha1.VendorPublicKey{held}},
	}
}

func TestTheSignatureIsWhatTheRFCsSay(t *testing.T) {
	jws := sign(t, `{"b":1, "a":"é"}`, rfcKey(t))
	header, mac, found := strings.Cut(jws, "..")
	if !found {
		t.Fatalf("not detached: %s", jws)
	}
	raw, err := base64.RawURLEncoding.DecodeString(header)
	if err != nil {
		t.Fatal(err)
	}
	var members map[string]string
	if err := json.Unmarshal(raw, &members); err != nil {
		t.Fatal(err)
	}
	if len(members) != 3 || members["alg"] != "EdDSA" || members["kid"] != rfcThumbprint || members["typ"] != "agentpassport-document+jws" {
		t.Errorf("header %s", raw)
	}
	value, err := base64.RawURLEncoding.DecodeString(mac)
	if err != nil {
		t.Fatal(err)
	}
	// By hand: RFC 7515 signs HEADER.PAYLOAD, and the payload is RFC 8785's form of the document.
	input := header + "." + base64.RawURLEncoding.EncodeToString([]byte(`{"a":"é","b":1}`))
	if !ed25519.Verify(rfcKey(t).Public().(ed25519.PublicKey), []byte(input), value) {
		t.Error("the signature is not over the canonical form")
	}
	if again := sign(t, `{"a":"\u00e9","b":1.0}`, rfcKey(t)); again != jws {
		t.Error("another signature over the same document")
	}
	if got := signature.Fingerprint(rfcKey(t).Public().(ed25519.PublicKey)); got != rfcThumbprint {
		t.Errorf("fingerprint %s", got)
	}
}

func TestSignRefuses(t *testing.T) {
	if _, err := signature.Sign([]byte(`{"a":1,"a":2}`), rfcKey(t)); err == nil {
		t.Error("a document with a member twice was signed")
	}
	if _, err := signature.Sign([]byte(`{}`), nil); err == nil {
		t.Error("signed without a key")
	}
}

// want is what a result is held to.
type want struct {
	reason    v1alpha1.Reason
	vendorKey string
	until     time.Time
	says      string
}

// verification is one call of Verify.
type verification struct {
	document, jws, vendor string
	keys                  []v1alpha1.VendorKey
	want                  want
}

func TestVerify(t *testing.T) {
	key, hour := rfcKey(t), time.Hour
	good := sign(t, document, key)
	trusted := vendorKey(t, "acme", vendor, key)
	type keys = []v1alpha1.VendorKey
	for name, test := range map[string]verification{
		"signed by a trusted key":        {document, good, vendor, keys{trusted}, want{v1alpha1.ReasonSignedByVendor, "acme", time.Time{}, "main of VendorKey acme"}},
		"spaces and order do not count":  {`{ "sandboxed":false,` + strings.Replace(document[1:], `,"sandboxed":false`, "", 1), good, vendor, keys{trusted}, want{v1alpha1.ReasonSignedByVendor, "acme", time.Time{}, ""}},
		"case of the vendor":             {document, good, "ACME robotics", keys{trusted}, want{v1alpha1.ReasonSignedByVendor, "acme", time.Time{}, ""}},
		"Unicode form of the vendor":     {document, good, "Ａcme Robotics", keys{trusted}, want{v1alpha1.ReasonSignedByVendor, "acme", time.Time{}, ""}},
		"no signature":                   {document, "", vendor, keys{trusted}, want{v1alpha1.ReasonNotSigned, "", time.Time{}, "document sign"}},
		"another document":               {strings.Replace(document, "Robo", "Robi", 1), good, vendor, keys{trusted}, want{v1alpha1.ReasonSignatureInvalid, "", time.Time{}, "not of this document"}},
		"no document":                    {`{"a":`, good, vendor, keys{trusted}, want{v1alpha1.ReasonSignatureInvalid, "", time.Time{}, "canonical"}},
		"no VendorKey":                   {document, good, vendor, nil, want{v1alpha1.ReasonKeyNotTrusted, "", time.Time{}, "make a VendorKey"}},
		"another key of the vendor":      {document, good, vendor, keys{vendorKey(t, "acme", vendor, otherKey())}, want{v1alpha1.ReasonKeyNotTrusted, "", time.Time{}, "add it to VendorKey acme"}},
		"a key of another vendor":        {document, good, vendor, keys{vendorKey(t, "evil", "Acme Robotics Ltd", key)}, want{v1alpha1.ReasonKeyNotTrusted, "", time.Time{}, `VendorKey evil does, for vendor "Acme Robotics Ltd"`}},
		"a vendor with white space":      {document, good, vendor + " ", keys{trusted}, want{v1alpha1.ReasonKeyNotTrusted, "", time.Time{}, ""}},
		"a vendor with a hidden letter":  {document, good, "Acme\u200b Robotics", keys{trusted}, want{v1alpha1.ReasonKeyNotTrusted, "", time.Time{}, ""}},
		"a look-alike vendor":            {document, good, "Аcme Robotics", keys{trusted}, want{v1alpha1.ReasonKeyNotTrusted, "", time.Time{}, ""}},
		"revoked":                        {document, good, vendor, keys{vendorKey(t, "acme", vendor, key, revoked)}, want{v1alpha1.ReasonKeyRevoked, "", time.Time{}, "stolen from the build server"}},
		"revoked and over":               {document, good, vendor, keys{vendorKey(t, "acme", vendor, key, revoked, until(now.Add(-hour)))}, want{v1alpha1.ReasonKeyRevoked, "", time.Time{}, ""}},
		"revoked in one, valid in two":   {document, good, vendor, keys{trusted, vendorKey(t, "zeta", "acme robotics", key, revoked), vendorKey(t, "beta", vendor, key)}, want{v1alpha1.ReasonKeyRevoked, "", time.Time{}, "VendorKey zeta"}},
		"revoked for another vendor":     {document, good, vendor, keys{trusted, vendorKey(t, "zeta", "Zeta", key, revoked)}, want{v1alpha1.ReasonSignedByVendor, "acme", time.Time{}, ""}},
		"revoked, of another document":   {`{}`, good, vendor, keys{vendorKey(t, "acme", vendor, key, revoked)}, want{v1alpha1.ReasonSignatureInvalid, "", time.Time{}, ""}},
		"not yet valid":                  {document, good, vendor, keys{vendorKey(t, "acme", vendor, key, from(now.Add(hour)))}, want{v1alpha1.ReasonKeyNotValid, "", now.Add(hour), "not valid before 2026-06-01T13:00:00Z"}},
		"valid from now on":              {document, good, vendor, keys{vendorKey(t, "acme", vendor, key, from(now))}, want{v1alpha1.ReasonSignedByVendor, "acme", time.Time{}, ""}},
		"valid for an hour":              {document, good, vendor, keys{vendorKey(t, "acme", vendor, key, until(now.Add(hour)))}, want{v1alpha1.ReasonSignedByVendor, "acme", now.Add(hour), ""}},
		"over now":                       {document, good, vendor, keys{vendorKey(t, "acme", vendor, key, until(now))}, want{v1alpha1.ReasonKeyNotValid, "", time.Time{}, "valid until 2026-06-01T12:00:00Z"}},
		"over in one, valid in another":  {document, good, vendor, keys{vendorKey(t, "a", vendor, key, until(now)), vendorKey(t, "b", vendor, key, until(now.Add(hour)))}, want{v1alpha1.ReasonSignedByVendor, "b", now.Add(hour), ""}},
		"of two valid, the first":        {document, good, vendor, keys{vendorKey(t, "b", vendor, key), vendorKey(t, "a", vendor, key, until(now.Add(hour)))}, want{v1alpha1.ReasonSignedByVendor, "a", now.Add(hour), ""}},
		"over, and to come":              {document, good, vendor, keys{vendorKey(t, "a", vendor, key, until(now)), vendorKey(t, "b", vendor, key, from(now.Add(hour)))}, want{v1alpha1.ReasonKeyNotValid, "", now.Add(hour), ""}},
		"a key that cannot be read":      {document, good, vendor, keys{{Spec: v1alpha1.VendorKeySpec{Vendor: vendor, Keys: []v1alpha1.VendorPublicKey{{Name: "x", PublicKey: "x"}}}}}, want{v1alpha1.ReasonKeyNotTrusted, "", time.Time{}, ""}},
		"the document names this key":    naming(t, rfcThumbprint, keys{trusted}, want{v1alpha1.ReasonSignedByVendor, "acme", time.Time{}, ""}),
		"the document names another key": naming(t, "sha256:0000", keys{trusted}, want{v1alpha1.ReasonFingerprintMismatch, "", time.Time{}, rfcThumbprint}),
		"a package names no key":         {`{"schema":"apai.passport.v0.1","identity_key_fingerprint":"x"}`, sign(t, `{"schema":"apai.passport.v0.1","identity_key_fingerprint":"x"}`, key), vendor, keys{trusted}, want{v1alpha1.ReasonSignedByVendor, "acme", time.Time{}, ""}},
	} {
		t.Run(name, func(t *testing.T) {
			got := signature.Verify([]byte(test.document), test.jws, test.vendor, test.keys, now)
			check(t, got, test.want)
		})
	}
}

// naming is a document that names a key, and is signed.
func naming(t testing.TB, named string, keys []v1alpha1.VendorKey, want want) verification {
	t.Helper()
	text := strings.Replace(document, signature.NoFingerprint, named, 1)
	return verification{text, sign(t, text, rfcKey(t)), vendor, keys, want}
}

func check(t *testing.T, got signature.Result, want want) {
	t.Helper()
	t.Helper()
	verified := want.reason == v1alpha1.ReasonSignedByVendor
	fingerprint := ""
	if verified {
		fingerprint = rfcThumbprint
	}
	if got.Reason != want.reason || got.Verified != verified || got.VendorKey != want.vendorKey || got.Fingerprint != fingerprint ||
		!got.Until.Equal(want.until) || got.Message == "" || !strings.Contains(got.Message, want.says) {
		t.Errorf("%+v, want %+v", got, want)
	}
}

// withHeader makes a JWS with a header of its own, signed as RFC 7515 says.
func withHeader(t testing.TB, header string) string {
	t.Helper()
	canonical := base64.RawURLEncoding.EncodeToString([]byte(`{"a":1}`))
	encoded := base64.RawURLEncoding.EncodeToString([]byte(header))
	mac := ed25519.Sign(rfcKey(t), []byte(encoded+"."+canonical))
	return encoded + ".." + base64.RawURLEncoding.EncodeToString(mac)
}

func TestOnlyAHeaderOfThreeMembers(t *testing.T) {
	const kid, typ = `"kid":"` + rfcThumbprint + `"`, `"typ":"agentpassport-document+jws"`
	keys := []v1alpha1.VendorKey{vendorKey(t, "acme", vendor, rfcKey(t))}
	for header, good := range map[string]bool{
		`{"alg":"EdDSA",` + kid + `,` + typ + `}`:                                            true,
		`{` + typ + `, ` + kid + `, "alg":"EdDSA"}`:                                          true,
		`{"alg":"Ed25519",` + kid + `,` + typ + `}`:                                          false,
		`{"alg":"none",` + kid + `,` + typ + `}`:                                             false,
		`{"alg":"HS256",` + kid + `,` + typ + `}`:                                            false,
		`{` + kid + `,` + typ + `}`:                                                          false,
		`{"alg":"EdDSA",` + kid + `}`:                                                        false,
		`{"alg":"EdDSA",` + kid + `,"typ":"passport+jwt"}`:                                   false,
		`{"alg":"EdDSA","kid":"acme",` + typ + `}`:                                           false,
		`{"alg":"EdDSA","kid":7,` + typ + `}`:                                                false,
		`{"alg":"EdDSA",` + typ + `}`:                                                        false,
		`{"alg":"EdDSA",` + kid + `,` + typ + `,"alg":"EdDSA"}`:                              false,
		`{"alg":"EdDSA",` + kid + `,` + typ + `,"crit":["exp"],"exp":1}`:                     false,
		`{"alg":"EdDSA",` + kid + `,` + typ + `,"b64":true}`:                                 false,
		`{"alg":"EdDSA",` + kid + `,` + typ + `,"b64":false,"crit":["b64"]}`:                 false,
		`{"alg":"EdDSA",` + kid + `,` + typ + `,"jwk":{"kty":"OKP","crv":"Ed25519","x":""}}`: false,
		`{"alg":"EdDSA",` + kid + `,` + typ + `,"jku":"https://example.com/jwks"}`:           false,
		`{"alg":"EdDSA",` + kid + `,` + typ + `,"x5c":[]}`:                                   false,
		`{"alg":"EdDSA",` + kid + `,` + typ + `,"x5u":"https://example.com"}`:                false,
		`{"alg":"EdDSA",` + kid + `,` + typ + `,"cty":"json"}`:                               false,
		`["EdDSA"]`: false,
		`null`:      false,
		``:          false,
	} {
		got := signature.Verify([]byte(`{"a":1}`), withHeader(t, header), vendor, keys, now)
		if got.Verified != good || (!good && got.Reason != v1alpha1.ReasonSignatureInvalid) {
			t.Errorf("%s: %+v", header, got)
		}
	}
}

func TestOnlyOneSpelling(t *testing.T) {
	keys := []v1alpha1.VendorKey{vendorKey(t, "acme", vendor, rfcKey(t))}
	good := sign(t, document, rfcKey(t))
	header, mac, _ := strings.Cut(good, "..")
	last := mac[len(mac)-1]
	payload := base64.RawURLEncoding.EncodeToString([]byte(document))
	for name, jws := range map[string]string{
		"with its payload": header + "." + payload + "." + mac, "one dot": header + "." + mac, "no dot": mac, "four parts": good + ".x",
		"padding": good + "=", "loose bits": good[:len(good)-1] + string(last+1), "short": good[:len(good)-4],
		"empty signature": header + "..", "a space": good + " ", "a new line": good + "\n", "other alphabet": header + ".." + strings.Repeat("+", len(mac)),
		"too long": good + strings.Repeat("A", signature.MaxJWSBytes), "empty header": ".." + mac,
	} {
		if got := signature.Verify([]byte(document), jws, vendor, keys, now); got.Reason != v1alpha1.ReasonSignatureInvalid {
			t.Errorf("%s: %+v", name, got)
		}
	}
}
