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
