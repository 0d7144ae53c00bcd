package lifecycle

import (
	"crypto/sha256"
	"encoding/hex"

	"k8s.io/apimachinery/pkg/types"
)

// derived is the part of a name by which what the operator makes for an object is known again after a
// crash: 40 bits of the object's UID and of what it is made for, in hex.
func derived(from types.UID, what string) string {
	sum := sha256.Sum256([]byte(string(from) + "/" + what))
	return hex.EncodeToString(sum[:5])
}
