package token_test

import (
	"testing"

	"agentpassport.dev/operator/internal/token"
)

func BenchmarkSign(b *testing.B) {
	key, claims := rfcRing(b).Signing(), supportBot(b)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := token.Sign(key, claims); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkVerify(b *testing.B) {
	ring := rfcRing(b)
	signed := sign(b, ring, supportBot(b))
	b.ReportMetric(float64(len(signed)), "token-bytes")
	b.ReportAllocs()
	for b.Loop() {
		if _, err := token.Verify(signed, ring, gateway()); err != nil {
			b.Fatal(err)
		}
	}
}
