package token

import (
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"

	jose "github.com/go-jose/go-jose/v4"
	exactjson "github.com/go-jose/go-jose/v4/json"
)

// Limits on a JWKS that is read.
const (
	// MaxJWKSBytes is the longest.
	MaxJWKSBytes = 64 << 10
	// MaxJWKSKeys is the most keys in one.
	MaxJWKSKeys = 64
)

// ErrJWKS means that what was read is not a JWKS to verify passports with.
var ErrJWKS = errors.New("not a JWKS")

// publicKey is a published key. It has no field for a private part.
type publicKey struct {
	KeyType   string `json:"kty"`
	Curve     string `json:"crv"`
	X         string `json:"x"`
	Use       string `json:"use"`
	Algorithm string `json:"alg"`
	KeyID     string `json:"kid"`
}

// JWKS is the public half of a ring (RFC 7517): the current key, the next and the retired ones,
// in this order.
func JWKS(ring Ring) []byte {
	var set struct {
		Keys []publicKey `json:"keys"`
	}
	for id, public := range ring.public() {
		set.Keys = append(set.Keys, publicKey{
			KeyType:   "OKP",
			Curve:     "Ed25519",
			X:         base64.RawURLEncoding.EncodeToString(public),
			Use:       "sig",
			Algorithm: string(Algorithm),
			KeyID:     id,
		})
	}
	return encode(set)
}

// PublicKeys is a key set read from a JWKS, by kid.
type PublicKeys map[string]ed25519.PublicKey

// Key finds a public key by its kid.
func (k PublicKeys) Key(kid string) (ed25519.PublicKey, bool) {
	public, ok := k[kid]
	return public, ok
}

// ParseJWKS reads the keys of a JWKS that verify passports. It passes over keys of other types,
// algorithms or uses, as RFC 7517 asks, so that an issuer may add some. Of those it reads it refuses
// a malformed or private one, one without kid, and two of one kid: then the whole set is refused.
func ParseJWKS(data []byte) (PublicKeys, error) {
	if len(data) > MaxJWKSBytes {
		return nil, fmt.Errorf("%w: larger than %d bytes", ErrJWKS, MaxJWKSBytes)
	}
	var set struct {
		Keys []exactjson.RawMessage `json:"keys"`
	}
	if err := exactjson.Unmarshal(data, &set); err != nil || set.Keys == nil {
		return nil, fmt.Errorf("%w: no JSON object with keys", ErrJWKS)
	}
	if len(set.Keys) > MaxJWKSKeys {
		return nil, fmt.Errorf("%w: more than %d keys", ErrJWKS, MaxJWKSKeys)
	}
	keys := PublicKeys{}
	for i, raw := range set.Keys {
		var kind publicKey
		if err := exactjson.Unmarshal(raw, &kind); err != nil {
			return nil, fmt.Errorf("%w: keys[%d] is malformed", ErrJWKS, i)
		}
		if kind.KeyType != "OKP" || kind.Curve != "Ed25519" || kind.Algorithm != string(Algorithm) || kind.Use != "sig" {
			continue
		}
		var key jose.JSONWebKey
		if err := key.UnmarshalJSON(raw); err != nil {
			return nil, fmt.Errorf("%w: keys[%d] is malformed", ErrJWKS, i)
		}
		public, ok := key.Key.(ed25519.PublicKey)
		if !ok {
			return nil, fmt.Errorf("%w: keys[%d] is not public", ErrJWKS, i)
		}
		if _, twice := keys[key.KeyID]; twice || key.KeyID == "" {
			return nil, fmt.Errorf("%w: keys[%d] has no kid, or another's", ErrJWKS, i)
		}
		keys[key.KeyID] = public
	}
	return keys, nil
}

// Discovery is the issuer's OpenID configuration, as far as it applies to an issuer that has no
// login of its own: enough for verifiers that find the JWKS by it.
func Discovery(issuer, jwksURI string) []byte {
	return encode(struct {
		Issuer        string   `json:"issuer"`
		JWKSURI       string   `json:"jwks_uri"`
		ResponseTypes []string `json:"response_types_supported"`
		SubjectTypes  []string `json:"subject_types_supported"`
		Algorithms    []string `json:"id_token_signing_alg_values_supported"`
	}{issuer, jwksURI, []string{"id_token"}, []string{"public"}, []string{string(Algorithm)}})
}

// encode is for structs of strings alone, which always have a JSON form.
func encode(value any) []byte {
	data, _ := json.Marshal(value)
	return data
}
