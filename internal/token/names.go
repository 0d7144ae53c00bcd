package token

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"

	"github.com/gowebpki/jcs"
)

// Subject is the SPIFFE ID of an agent. Its parts are Kubernetes names, which SPIFFE allows as
// they are.
func Subject(trustDomain, namespace, agent string) string {
	return fmt.Sprintf("spiffe://%s/ns/%s/agent/%s", trustDomain, namespace, agent)
}

// JTI is the identity of the passport whose object has this UID: pp_ and 128 bits in hex. It is
// derived, not drawn, so that a repeated issue has the same one.
func JTI(uid string) string {
	return "pp_" + derive("jti", uid)
}

// SessionID is the identity of the session that the passport with this UID begins: ses_ and 128
// bits in hex.
func SessionID(uid string) string {
	return "ses_" + derive("session", uid)
}

// derive hashes a UID for one purpose, so that what is derived for one says nothing of another.
func derive(purpose, uid string) string {
	sum := sha256.Sum256([]byte("agentpassport.dev/" + purpose + "\x00" + uid))
	return hex.EncodeToString(sum[:16])
}

// IntentDigest is the base64url SHA-256 of the intent's canonical JSON (RFC 8785): what anyone
// computes from the intent in the token. It is empty for nil.
func IntentDigest(intent *Intent) (string, error) {
	if intent == nil {
		return "", nil
	}
	raw, err := json.Marshal(intent)
	if err != nil {
		return "", err
	}
	sum, err := canonicalSHA256(raw)
	return base64.RawURLEncoding.EncodeToString(sum), err
}

// DocumentDigest is the hex SHA-256 of a JSON document's canonical form (RFC 8785), so that
// neither its spacing nor the order of its members counts. It refuses what has no such form:
// invalid JSON, or an object that has a member twice.
func DocumentDigest(raw []byte) (string, error) {
	sum, err := canonicalSHA256(raw)
	return hex.EncodeToString(sum), err
}

// CanonicalJSON is the one form of a JSON document that RFC 8785 allows. It refuses what has no such
// form: invalid JSON, or an object that has a member twice.
func CanonicalJSON(raw []byte) ([]byte, error) {
	canonical, err := jcs.Transform(raw)
	if err != nil {
		return nil, fmt.Errorf("no canonical JSON form (RFC 8785): %w", err)
	}
	return canonical, nil
}

func canonicalSHA256(raw []byte) ([]byte, error) {
	canonical, err := CanonicalJSON(raw)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(canonical)
	return sum[:], nil
}
