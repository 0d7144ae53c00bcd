package token

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"

	jose "github.com/go-jose/go-jose/v4"
)

const (
	// Type is the typ of every passport: the media type application/passport+jwt.
	Type = "passport+jwt"

	// Algorithm is the only alg: Ed25519 under the name that RFC 8037 gave it. RFC 9864 has a
	// newer name, which most libraries do not know yet.
	Algorithm = jose.EdDSA

	// MaxTokenBytes is the longest token that is made or read. Proxies and servers commonly take
	// no more in all headers of a request together.
	MaxTokenBytes = 8192
)

// Sign makes the token of these claims. It fails with ErrTooLarge, with ErrLifetime, or with
// ErrMalformed where a required claim is missing. The same key and claims give the same token.
func Sign(key Key, claims *Claims) (string, error) {
	if err := claims.check(); err != nil {
		return "", err
	}
	payload, err := json.Marshal(claims)
	if err != nil {
		return "", fmt.Errorf("encode the claims: %w", err)
	}
	token, err := seal(key, Type, payload)
	if err != nil {
		return "", err
	}
	if len(token) > MaxTokenBytes {
		return "", ErrTooLarge
	}
	return token, nil
}

// seal signs a payload of a type. The same key and payload give the same bytes.
func seal(key Key, typ jose.ContentType, payload []byte) (string, error) {
	signer, err := jose.NewSigner(
		jose.SigningKey{Algorithm: Algorithm, Key: jose.JSONWebKey{Key: key.private, KeyID: key.ID}},
		(&jose.SignerOptions{}).WithType(typ))
	if err != nil {
		return "", errors.New("the signing key cannot be used")
	}
	signed, err := signer.Sign(payload)
	if err != nil {
		return "", errors.New("signing failed")
	}
	token, err := signed.CompactSerialize()
	if err != nil {
		return "", errors.New("serialising the signed token failed")
	}
	return token, nil
}

// header is the one protected header that a token of this type and key has, encoded.
func header(typ, keyID string) string {
	return base64.RawURLEncoding.EncodeToString(
		[]byte(`{"alg":"` + string(Algorithm) + `","kid":"` + keyID + `","typ":"` + typ + `"}`))
}
