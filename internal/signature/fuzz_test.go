package signature_test

import (
	"strings"
	"testing"

	"agentpassport.dev/operator/api/v1alpha1"
	"agentpassport.dev/operator/internal/signature"
)

// FuzzVerify looks for anything but the one signature that is accepted, and for panics.
func FuzzVerify(f *testing.F) {
	keys := []v1alpha1.VendorKey{vendorKey(f, "acme", vendor, rfcKey(f))}
	good := sign(f, document, rfcKey(f))
	f.Add(good, document)
	f.Add(good[1:], document)
	f.Add(strings.Replace(good, "..", ".e30.", 1), document)
	f.Add("eyJhbGciOiJub25lIn0..", "{}")
	f.Add("", "")
	f.Fuzz(func(t *testing.T, jws, text string) {
		got := signature.Verify([]byte(text), jws, vendor, keys, now)
		if got.Reason == "" || got.Message == "" {
			t.Fatalf("no word: %+v", got)
		}
		if got.Verified && jws != good {
			t.Fatal("forged")
		}
	})
}

// FuzzParseKeys looks for keys that cannot be used, for errors that quote a key, and for panics.
func FuzzParseKeys(f *testing.F) {
	f.Add(publicPEM(f, rfcKey(f)))
	f.Add(privatePEM(f, rfcKey(f)))
	f.Add("-----BEGIN PUBLIC KEY-----\nA: b\n\nAA==\n-----END PUBLIC KEY-----")
	f.Add("-----BEGIN \n-----BEGIN PUBLIC KEY-----")
	f.Fuzz(func(t *testing.T, text string) {
		if public, err := signature.ParsePublicKey(text); err == nil && len(signature.Fingerprint(public)) != 43 {
			t.Fatal("a key without a fingerprint")
		}
		if private, err := signature.ParsePrivateKey(text); err == nil {
			if _, err := signature.Sign([]byte(document), private); err != nil {
				t.Fatal(err)
			}
		}
	})
}
