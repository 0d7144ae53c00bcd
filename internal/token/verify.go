package token

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	jose "github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/json" // unlike encoding/json: exact names, no member twice
)

// Why a token is refused. None of these errors, nor any that wraps one, holds a part of the token.
var (
	// ErrMalformed means that it is no passport at all: not a compact JWS, a header with anything
	// but alg, kid and typ, an encoding with more than one spelling, or claims that are missing,
	// doubled or of the wrong type.
	ErrMalformed = errors.New("token is malformed")
	// ErrTooLarge means that it is longer than MaxTokenBytes.
	ErrTooLarge = fmt.Errorf("token is larger than %d bytes", MaxTokenBytes)
	// ErrType means that its typ is not the one asked for: it was signed for another purpose.
	ErrType = errors.New("token is not of the type that is asked for")
	// ErrAlgorithm means that its alg is not Algorithm.
	ErrAlgorithm = errors.New("token is not signed with " + string(Algorithm))
	// ErrUnknownKey means that no key of the set has its kid. Fetching the set again may help.
	ErrUnknownKey = errors.New("token is signed with an unknown key")
	// ErrSignature means that the signature does not fit.
	ErrSignature = errors.New("token has a wrong signature")
	// ErrLifetime means that exp is more than MaxLifetime after iat.
	ErrLifetime = fmt.Errorf("token lives longer than %s", MaxLifetime)
	// ErrIssuer means that another issuer made it.
	ErrIssuer = errors.New("token is from another issuer")
	// ErrAudience means that it is meant for others.
	ErrAudience = errors.New("token is for another audience")
	// ErrNotYetValid means that its nbf lies ahead.
	ErrNotYetValid = errors.New("token is not valid yet")
	// ErrExpired means that its exp is reached.
	ErrExpired = errors.New("token has expired")
)

// KeySet finds a public key by its kid. Ring and PublicKeys are key sets.
type KeySet interface {
	Key(kid string) (ed25519.PublicKey, bool)
}

// Expectation is what a verifier holds a token to.
type Expectation struct {
	// Issuer must be the token's iss, byte for byte.
	Issuer string
	// Audience must be one of the token's aud.
	Audience string
	// Now is the verifier's time.
	Now time.Time
	// Leeway is how far the clocks of issuer and verifier may differ; a minute is plenty.
	Leeway time.Duration
}

// Verify returns the claims of a token that is authentic, current, and meant for the verifier.
// Its error is one of this package's, in the order of the checks: size, form, algorithm, type,
// key, signature, claims, issuer, audience, nbf, exp. A token is valid before its exp, not at it.
func Verify(token string, keys KeySet, want Expectation) (*Claims, error) {
	claims, err := VerifySignature(token, keys)
	switch {
	case err != nil:
		return nil, err
	case claims.Issuer != want.Issuer:
		return nil, ErrIssuer
	case !slices.Contains(claims.Audience, want.Audience):
		return nil, ErrAudience
	case want.Now.Add(want.Leeway).Unix() < claims.NotBefore:
		return nil, ErrNotYetValid
	case want.Now.Add(-want.Leeway).Unix() >= claims.Expiry:
		return nil, ErrExpired
	}
	return claims, nil
}

// VerifySignature returns the claims of an authentic token, whatever its issuer, audience and
// time. The operator adopts its own token by it after a crash; to let anyone in, use Verify.
func VerifySignature(token string, keys KeySet) (*Claims, error) {
	if len(token) > MaxTokenBytes {
		return nil, ErrTooLarge
	}
	payload, err := open(token, Type, keys)
	if err != nil {
		return nil, err
	}
	claims := &Claims{}
	if err := json.Unmarshal(payload, claims); err != nil {
		return nil, fmt.Errorf("%w: the claims are not those of a passport", ErrMalformed)
	}
	if err := claims.check(); err != nil {
		return nil, err
	}
	return claims, nil
}

// open returns the payload of a token of a type that one of the keys signed. The errors of the
// library are not passed on, since they quote the token.
func open(token, typ string, keys KeySet) ([]byte, error) {
	signed, err := jose.ParseSignedCompact(token, []jose.SignatureAlgorithm{Algorithm})
	if unexpected := new(jose.ErrUnexpectedSignatureAlgorithm); errors.As(err, &unexpected) {
		return nil, ErrAlgorithm
	}
	if err != nil {
		return nil, fmt.Errorf("%w: not a compact JWS", ErrMalformed)
	}
	protected := signed.Signatures[0].Protected
	if protected.ExtraHeaders[jose.HeaderType] != typ {
		return nil, ErrType
	}
	// A header of our own has no room for jku, jwk, x5c, crit or b64: the keys come from the caller.
	if !strings.HasPrefix(token, header(typ, protected.KeyID)+".") {
		return nil, fmt.Errorf("%w: the header has more than alg, kid and typ", ErrMalformed)
	}
	// Base64 can spell the same bytes in several ways: a digest of a token must know only one.
	spelt, err := signed.CompactSerialize()
	if err != nil || spelt != token {
		return nil, fmt.Errorf("%w: not in canonical base64url", ErrMalformed)
	}
	key, ok := keys.Key(protected.KeyID)
	if !ok {
		return nil, ErrUnknownKey
	}
	payload, err := signed.Verify(key)
	if err != nil {
		return nil, ErrSignature
	}
	return payload, nil
}
