package trail

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
)

// Gateway is who writes.
type Gateway struct {
	// Name of the gateway's Pod, and the Namespace that it runs in.
	Name, Namespace string
	// Username of its ServiceAccount.
	Username string
	// Boot tells this process from others of the same name: see NewBoot.
	Boot string
}

// NewBoot draws 64 bits for a process, in hex: its records are numbered, and no two may have one id.
func NewBoot() string {
	var drawn [8]byte
	_, _ = rand.Read(drawn[:]) // it never fails
	return hex.EncodeToString(drawn[:])
}

// uid is what a gateway has for a UID in the trail: the one of its Pod changes with each.
func (g *Gateway) uid() string {
	sum := sha256.Sum256([]byte("agentpassport.dev/gateway\x00" + g.Namespace + "\x00" + g.Name))
	return "gw-" + hex.EncodeToString(sum[:16])
}
