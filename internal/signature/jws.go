package signature

import (
	"encoding/base64"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/go-jose/go-jose/v4/json" // unlike encoding/json: exact names, no member twice
)

const (
	// Type is the typ of a document's signature, so that nothing else that the key signs passes for one.
	Type = "agentpassport-document+jws"
	// Algorithm is the only alg: Ed25519 under the name that RFC 8037 gave it.
	Algorithm = "EdDSA"
	// MaxJWSBytes is the longest signature that is read, as in DocumentSignature.
	MaxJWSBytes = 2048
)

// detached is a JWS in compact form without its payload, taken apart.
type detached struct {
	header    string // as it was signed, in base64url
	kid       string
	signature []byte
}

// thumbprint is what a SHA-256 is in base64url.
var thumbprint = regexp.MustCompile(`^[A-Za-z0-9_-]{43}$`)

// parse takes a JWS apart. It reads HEADER..SIGNATURE, and a header of alg, kid and typ alone: a key that the header
// brings along (jwk, x5c), or says where to fetch (jku, x5u), is never looked at.
func parse(jws string) (*detached, error) {
	if len(jws) > MaxJWSBytes {
		return nil, fmt.Errorf("it is longer than %d bytes", MaxJWSBytes)
	}
	header, rest, _ := strings.Cut(jws, ".")
	payload, signature, found := strings.Cut(rest, ".")
	switch {
	case !found || strings.Contains(signature, ".") || strings.ContainsAny(jws, "\r\n"): // which the decoder would pass over
		return nil, errors.New("it is not a JWS of the form HEADER..SIGNATURE")
	case payload != "":
		return nil, errors.New("it brings a payload along: a detached JWS, HEADER..SIGNATURE, is needed")
	}
	kid, err := keyID(header)
	if err != nil {
		return nil, err
	}
	// Strict: the same bytes have one spelling.
	raw, err := base64.RawURLEncoding.Strict().DecodeString(signature)
	if err != nil || len(raw) != 64 {
		return nil, errors.New("its last part is not an Ed25519 signature in base64url")
	}
	return &detached{header: header, kid: kid, signature: raw}, nil
}

// keyID reads a header, and gives its kid.
func keyID(header string) (string, error) {
	raw, err := base64.RawURLEncoding.Strict().DecodeString(header)
	if err != nil {
		return "", errors.New("its header is not base64url")
	}
	var members map[string]any
	if err := json.Unmarshal(raw, &members); err != nil || members == nil {
		return "", errors.New("its header is not a JSON object, or has a member twice")
	}
	for name := range members {
		if name != "alg" && name != "kid" && name != "typ" {
			return "", errors.New("its header has a member beside alg, kid and typ")
		}
	}
	kid, _ := members["kid"].(string)
	switch {
	case members["alg"] != Algorithm:
		return "", errors.New("its alg is not " + Algorithm)
	case members["typ"] != Type:
		return "", errors.New("its typ is not " + Type)
	case !thumbprint.MatchString(kid):
		return "", errors.New("its kid is not a JWK thumbprint (RFC 7638)")
	}
	return kid, nil
}

// signed is what the signature is over: the header, and the payload that was left out.
func (d *detached) signed(canonical []byte) []byte {
	return []byte(d.header + "." + base64.RawURLEncoding.EncodeToString(canonical))
}
