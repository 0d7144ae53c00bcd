package signature

import (
	"crypto/ed25519"
	"errors"
	"fmt"

	jose "github.com/go-jose/go-jose/v4"

	"agentpassport.dev/operator/internal/token"
)

// Sign makes the detached JWS of a document in JSON. The same document and key give the same signature, whatever the
// document's white space and the order of its members. It fails where the document has no canonical form (RFC 8785).
func Sign(document []byte, key ed25519.PrivateKey) (string, error) {
	if len(key) != ed25519.PrivateKeySize {
		return "", errors.New("the key is no Ed25519 private key")
	}
	canonical, err := token.CanonicalJSON(document)
	if err != nil {
		return "", err
	}
	kid := Fingerprint(key.Public().(ed25519.PublicKey))
	signer, err := jose.NewSigner(
		jose.SigningKey{Algorithm: jose.EdDSA, Key: jose.JSONWebKey{Key: key, KeyID: kid}},
		(&jose.SignerOptions{}).WithType(Type))
	if err != nil {
		return "", fmt.Errorf("use the key to sign: %w", err)
	}
	signed, err := signer.Sign(canonical)
	if err != nil {
		return "", fmt.Errorf("sign the document: %w", err)
	}
	return signed.DetachedCompactSerialize()
}
