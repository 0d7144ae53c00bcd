package token_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"agentpassport.dev/operator/internal/token"
)

// FuzzVerify looks for anything but the one authentic token that is accepted, and for panics.
func FuzzVerify(f *testing.F) {
	ring := rfcRing(f)
	good := sign(f, ring, supportBot(f))
	f.Add(good)
	f.Add(good[1:])
	f.Add(strings.Replace(good, ".", "..", 1))
	f.Add("eyJhbGciOiJub25lIn0.e30.")
	f.Add("")
	f.Fuzz(func(t *testing.T, signed string) {
		claims, err := token.VerifySignature(signed, ring)
		if (claims == nil) == (err == nil) {
			t.Fatal("claims and error, or neither")
		}
		if err == nil && signed != good {
			t.Fatal("forged")
		}
	})
}

// FuzzParseRing looks for rings that do not survive being stored again, and for panics.
func FuzzParseRing(f *testing.F) {
	f.Add([]byte(stored(f, rfcRing(f))))
	f.Add([]byte(stored(f, rotatedRing(f))))
	f.Add([]byte(`{"current":{},"next":{},"retired":[{}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		ring, err := token.ParseRing(data)
		if err != nil {
			return
		}
		again, err := token.ParseRing([]byte(stored(t, ring)))
		if err != nil || !cmp.Equal(again, ring, sameRing) {
			t.Fatalf("read back another ring: %v", err)
		}
		mustBePublic(t, token.JWKS(ring))
		if _, err := token.Sign(ring.Signing(), supportBot(t)); err != nil {
			t.Fatalf("a ring that cannot sign: %v", err)
		}
	})
}

// FuzzParseJWKS looks for keys that cannot be used, and for panics.
func FuzzParseJWKS(f *testing.F) {
	good := sign(f, rfcRing(f), supportBot(f))
	f.Add(token.JWKS(rfcRing(f)))
	f.Add(token.JWKS(rotatedRing(f)))
	f.Add([]byte(`{"keys":[{"kty":"EC"},{"kty":"OKP","crv":"Ed25519","use":"sig","alg":"EdDSA","kid":"x","x":""}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		keys, err := token.ParseJWKS(data)
		if (keys == nil) == (err == nil) {
			t.Fatal("keys and error, or neither")
		}
		for kid, public := range keys {
			if kid == "" || len(public) != 32 {
				t.Fatalf("key %q of %d bytes", kid, len(public))
			}
		}
		_, _ = token.VerifySignature(good, keys)
	})
}
