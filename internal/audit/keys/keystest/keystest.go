// Package keystest has keys of the audit log for tests that need the same ones in every process, as the
// workers of a fuzz test do. Nobody must use them for anything else.
package keystest

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"strings"

	"golang.org/x/mod/sumdb/note"

	"agentpassport.dev/operator/internal/audit/keys"
)

// Fixed is key n of the log of this name. It panics where the name is none.
func Fixed(name string, n byte) keys.Private {
	seed := bytes.Repeat([]byte{n}, ed25519.SeedSize)
	public, ok := ed25519.NewKeyFromSeed(seed).Public().(ed25519.PublicKey)
	if !ok {
		panic("no Ed25519 key")
	}
	verifier, err := note.NewEd25519VerifierKey(name, public)
	if err != nil {
		panic(err)
	}
	const ed25519Note = 1 // the algorithm, as notes write it
	hash := strings.SplitN(verifier, "+", 3)[1]
	text := "PRIVATE+KEY+" + name + "+" + hash + "+" + base64.StdEncoding.EncodeToString(append([]byte{ed25519Note}, seed...))
	privates, err := keys.ParsePrivates([]byte(text))
	if err != nil {
		panic(err)
	}
	return privates[0]
}
