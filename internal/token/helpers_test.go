package token_test

import (
	"bytes"
	"encoding/hex"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"agentpassport.dev/operator/internal/token"
)

const (
	issuer   = "https://passports.example.com"
	audience = "agent-passport-gateway"
)

// noon is when the tests take place.
var noon = time.Date(2026, time.March, 2, 12, 0, 0, 0, time.UTC)

// rfcSeed is the published private key of RFC 8037, appendix A.1; its thumbprint is in A.3.
const (
	rfcSeed       = "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60"
	rfcThumbprint = "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"
)

// rfcRing is a ring whose current key is that of RFC 8037.
func rfcRing(t testing.TB) token.Ring {
	t.Helper()
	seed, err := hex.DecodeString(rfcSeed)
	if err != nil {
		t.Fatal(err)
	}
	ring, err := token.NewRing(bytes.NewReader(append(seed, bytes.Repeat([]byte{7}, 32)...)), noon)
	if err != nil {
		t.Fatal(err)
	}
	return ring
}

// seeded is a source of keys that gives the same ones in every run.
func seeded(seed byte) *rand.ChaCha8 { return rand.NewChaCha8([32]byte{seed}) }

// supportBot is the passport of a mission, complete in every field but parent_jti.
func supportBot(t testing.TB) *token.Claims {
	t.Helper()
	intent := &token.Intent{
		Summary:                  "Answer ticket 4711 & close it",
		Services:                 []string{"zendesk", "slack"},
		EstimatedDurationSeconds: 600,
	}
	digest, err := token.IntentDigest(intent)
	if err != nil {
		t.Fatal(err)
	}
	document, err := token.DocumentDigest([]byte(`{"schema": "agent-passport/v0.1", "name": "support-bot"}`))
	if err != nil {
		t.Fatal(err)
	}
	const uid = "6f1a5f0e-3c1b-4c0e-9a55-0d6a1a2b3c4d"
	claims := &token.Claims{
		Issuer:   issuer,
		Subject:  token.Subject("cluster.local", "support", "support-bot"),
		Audience: []string{audience},
		ID:       token.JTI(uid),
		Mission:  token.Mission{ID: uid, S256: digest, Deadline: noon.Add(24 * time.Hour).Unix()},
		Passport: token.Passport{
			Agent: token.Agent{
				Namespace: "support", Name: "support-bot",
				UID: "0b8e7d52-7d61-4d0f-8b4e-5a7f4f6f2c11", Generation: 3,
			},
			DocumentSHA256: document,
			Accountability: token.Enforced,
			Intent:         intent,
			Services: []token.Service{
				{
					Name:   "zendesk",
					Scopes: []string{"tickets:read", "tickets:write"},
					Constraints: []token.Constraint{
						{Path: "method", Op: "in", Value: token.Value{List: []string{"GET", "PUT"}}},
						{Path: "url.pathname", Op: "starts_with", Value: token.Value{String: "/api/v2/"}},
					},
				},
				{Name: "slack", Scopes: []string{"chat:write"}},
			},
			TTL:                900,
			CheckpointInterval: 300,
			SessionID:          token.SessionID(uid),
		},
	}
	claims.SetTimes(noon, noon, noon.Add(5*time.Minute))
	return claims
}

func sign(t testing.TB, ring token.Ring, claims *token.Claims) string {
	t.Helper()
	signed, err := token.Sign(ring.Signing(), claims)
	if err != nil {
		t.Fatal(err)
	}
	return signed
}

func golden(t testing.TB, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return bytes.TrimSpace(data)
}
