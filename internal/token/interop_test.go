package token_test

import (
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/lestrrat-go/jwx/v3/jwk"
	jwxt "github.com/lestrrat-go/jwx/v3/jwt"

	"agentpassport.dev/operator/internal/token"
)

// TestOtherLibrariesVerify has two libraries that share no code with this package verify a token
// from the published JWKS alone.
func TestOtherLibrariesVerify(t *testing.T) {
	ring := rfcRing(t)
	signed := sign(t, ring, supportBot(t))
	published := token.JWKS(ring)
	for name, verify := range map[string]func(string, []byte, time.Time) (string, error){
		"jwx":        verifyWithJWX,
		"golang-jwt": verifyWithGolangJWT,
	} {
		t.Run(name, func(t *testing.T) {
			jti, err := verify(signed, published, noon)
			if err != nil || jti != supportBot(t).ID {
				t.Errorf("jti %q, %v", jti, err)
			}
			if _, err = verify(signed, published, noon.Add(5*time.Minute)); err == nil {
				t.Error("verified at exp")
			}
			if _, err = verify(signed[:len(signed)-10]+"AAAAAAAAAA", published, noon); err == nil {
				t.Error("verified with a wrong signature")
			}
			dropped, _, err := token.RotateEmergency(ring, seeded(1), noon)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := verify(signed, token.JWKS(dropped), noon); err == nil {
				t.Error("verified with a key that was dropped")
			}
		})
	}
}

func verifyWithJWX(signed string, published []byte, now time.Time) (string, error) {
	set, err := jwk.Parse(published)
	if err != nil {
		return "", err
	}
	verified, err := jwxt.ParseString(signed,
		jwxt.WithKeySet(set),
		jwxt.WithIssuer(issuer),
		jwxt.WithAudience(audience),
		jwxt.WithClock(jwxt.ClockFunc(func() time.Time { return now })))
	if err != nil {
		return "", err
	}
	jti, _ := verified.JwtID()
	return jti, nil
}

func verifyWithGolangJWT(signed string, published []byte, now time.Time) (string, error) {
	var set struct {
		Keys []struct{ Kid, X string }
	}
	if err := json.Unmarshal(published, &set); err != nil {
		return "", err
	}
	var claims jwt.RegisteredClaims
	_, err := jwt.ParseWithClaims(signed, &claims,
		func(unverified *jwt.Token) (any, error) {
			for _, key := range set.Keys {
				if key.Kid == unverified.Header["kid"] {
					public, err := base64.RawURLEncoding.DecodeString(key.X)
					return ed25519.PublicKey(public), err
				}
			}
			return nil, errors.New("no such key")
		},
		jwt.WithValidMethods([]string{"EdDSA"}),
		jwt.WithIssuer(issuer),
		jwt.WithAudience(audience),
		jwt.WithTimeFunc(func() time.Time { return now }))
	return claims.ID, err
}
