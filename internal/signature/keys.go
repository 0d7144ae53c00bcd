package signature

import (
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"

	jose "github.com/go-jose/go-jose/v4"
)

// maxKeyBytes bounds the PEM text that is read. An Ed25519 key takes some 120 bytes.
const maxKeyBytes = 16 << 10

// The PEM blocks that are told apart.
const (
	blockPublic    = "PUBLIC KEY"
	blockPrivate   = "PRIVATE KEY"
	blockEncrypted = "ENCRYPTED PRIVATE KEY"
)

// ParsePublicKey reads an Ed25519 public key in PEM (SubjectPublicKeyInfo, RFC 8410), as `openssl pkey -pubout` gives
// it. The text holds this one block and nothing else. The error says what the text is instead.
func ParsePublicKey(text string) (ed25519.PublicKey, error) {
	block, err := onlyBlock(text)
	if err != nil {
		return nil, err
	}
	switch block.Type {
	case blockPublic:
	case blockPrivate, blockEncrypted:
		return nil, errors.New("it is a private key: `openssl pkey -pubout` gives its public half. Keep the private one to yourself")
	default:
		return nil, fmt.Errorf("it is a PEM block of type %q, and %q is needed", block.Type, blockPublic)
	}
	parsed, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return nil, errors.New("it is no public key that can be read")
	}
	key, ok := parsed.(ed25519.PublicKey)
	if !ok {
		return nil, fmt.Errorf("it is %s, and an Ed25519 key is needed", algorithmOf(parsed))
	}
	return key, nil
}

// ParsePrivateKey reads an Ed25519 private key in PEM (PKCS #8, RFC 8410), as `openssl genpkey -algorithm ed25519`
// makes it. The text holds this one block and nothing else. The error says what the text is instead, and quotes
// nothing of it.
func ParsePrivateKey(text string) (ed25519.PrivateKey, error) {
	block, err := onlyBlock(text)
	if err != nil {
		return nil, err
	}
	switch block.Type {
	case blockPrivate:
	case blockPublic:
		return nil, errors.New("it is a public key, which signs nothing: the private one is needed")
	case blockEncrypted:
		return nil, errors.New("it is encrypted: `openssl pkey` gives it in the clear, for a pipe")
	default:
		return nil, fmt.Errorf("it is a PEM block of type %q: `openssl genpkey -algorithm ed25519` makes the key that is needed", block.Type)
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, errors.New("it is no private key that can be read")
	}
	key, ok := parsed.(ed25519.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("it is %s: `openssl genpkey -algorithm ed25519` makes the key that is needed", algorithmOf(parsed))
	}
	return key, nil
}

// onlyBlock is the one PEM block of a text.
func onlyBlock(text string) (*pem.Block, error) {
	if len(text) > maxKeyBytes {
		return nil, fmt.Errorf("it is longer than %d bytes, which no such key is", maxKeyBytes)
	}
	text = strings.TrimSpace(text)
	block, rest := pem.Decode([]byte(text))
	switch {
	case block == nil || !strings.HasPrefix(text, "-----BEGIN "):
		return nil, errors.New("it is no PEM block, which begins with -----BEGIN")
	case strings.Count(text, "-----BEGIN ") > 1:
		return nil, errors.New("there is more than one PEM block")
	case len(rest) > 0:
		return nil, errors.New("there is text after its PEM block")
	case len(block.Headers) > 0:
		return nil, errors.New("its PEM block has headers, which such a key does not have")
	}
	return block, nil
}

// algorithmOf names the kind of a key that is not Ed25519.
func algorithmOf(key any) string {
	switch key.(type) {
	case *rsa.PublicKey, *rsa.PrivateKey:
		return "an RSA key"
	case *ecdsa.PublicKey, *ecdsa.PrivateKey:
		return "an ECDSA key"
	case *ecdh.PublicKey, *ecdh.PrivateKey:
		return "an X25519 key"
	default:
		return "a key of another algorithm"
	}
}

// Fingerprint is the key's JWK thumbprint (RFC 7638, SHA-256) in base64url: 43 characters, and the kid of what the
// key signs.
func Fingerprint(key ed25519.PublicKey) string {
	sum, err := (&jose.JSONWebKey{Key: key}).Thumbprint(crypto.SHA256)
	if err != nil { // only where the key is not of ed25519's length
		return ""
	}
	return base64.RawURLEncoding.EncodeToString(sum)
}
