package audit

import (
	"crypto/sha256"
	"encoding/hex"
)

// ID is the identity of the record that a step on the object with this UID leaves: ar_ and 128 bits
// in hex. It is derived, not drawn, so that a repeat after a crash is known for one.
func ID(uid, step string) string {
	sum := sha256.Sum256([]byte("agentpassport.dev/audit\x00" + uid + "\x00" + step))
	return "ar_" + hex.EncodeToString(sum[:16])
}

// LogUID is what an epoch of the log has for a UID: it is no object of Kubernetes and has none.
func LogUID(origin string) string {
	sum := sha256.Sum256([]byte("agentpassport.dev/auditlog\x00" + origin))
	return "al-" + hex.EncodeToString(sum[:16])
}
