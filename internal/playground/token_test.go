package playground

import (
	"crypto/ed25519"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

func TestVerify(t *testing.T) {
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Date(2026, 5, 14, 12, 0, 0, 0, time.UTC)
	token := signed(t, private, jwt.Claims{ID: "pp_1", Expiry: jwt.NewNumericDate(now.Add(time.Minute))})
	server := publish(t, public)

	header, claims, err := Verify(t.Context(), token, server, now)
	if err != nil || !strings.Contains(header, `"alg": "EdDSA"`) || !strings.Contains(claims, `"jti": "pp_1"`) {
		t.Errorf("valid: %v\n%s\n%s", err, header, claims)
	}

	other, _, _ := ed25519.GenerateKey(nil)
	for name, refuse := range map[string]func() error{
		"expired": func() error {
			_, _, err := Verify(t.Context(), token, server, now.Add(2*time.Minute))
			return err
		},
		"another key": func() error {
			_, _, err := Verify(t.Context(), token, publish(t, other), now)
			return err
		},
		"changed claims": func() error {
			parts := strings.Split(token, ".")
			_, _, err := Verify(t.Context(), parts[0]+"."+parts[1]+"x."+parts[2], server, now)
			return err
		},
		"no token": func() error {
			_, _, err := Verify(t.Context(), "no token", server, now)
			return err
		},
	} {
		if err := refuse(); err == nil {
			t.Errorf("%s: accepted", name)
		} else if strings.Contains(err.Error(), token) {
			t.Errorf("%s: the error holds the token", name)
		}
	}
}

func signed(t *testing.T, key ed25519.PrivateKey, claims jwt.Claims) string {
	t.Helper()
	signer, err := jose.NewSigner(
		jose.SigningKey{Algorithm: jose.EdDSA, Key: jose.JSONWebKey{Key: key, KeyID: "k"}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	token, err := jwt.Signed(signer).Claims(claims).Serialize()
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func publish(t *testing.T, key ed25519.PublicKey) string {
	t.Helper()
	set, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: key, KeyID: "k"}}})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write(set)
	}))
	t.Cleanup(server.Close)
	return server.URL
}
