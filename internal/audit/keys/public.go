package keys

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
)

// ErrKey means that something is not an Ed25519 key of a signed note. No error quotes a private key.
var ErrKey = errors.New("not an Ed25519 key of a signed note")

// algorithm is the byte that a note key of Ed25519 begins with.
const algorithm = 1

// Origin is the name of a tree: what its heads are signed under.
func Origin(name string, epoch uint64) string {
	return name + "/" + strconv.FormatUint(epoch, 10)
}

// ParseOrigin is the name of a log and the epoch in the origin of a head.
func ParseOrigin(origin string) (name string, epoch uint64, err error) {
	slash := strings.LastIndexByte(origin, '/')
	if slash > 0 {
		epoch, err = strconv.ParseUint(origin[slash+1:], 10, 64)
		if err == nil && epoch > 0 && origin == Origin(origin[:slash], epoch) {
			return origin[:slash], epoch, nil
		}
	}
	return "", 0, fmt.Errorf("%q is no origin of an audit log: want <name>/<epoch>", origin)
}

// Public is the public half of a key.
type Public struct {
	name string
	key  ed25519.PublicKey
}

// ParsePublic reads a verifier key as notes write it: <name>+<hash>+<key>. The name may be that of the log
// or of one of its epochs; what counts is the key.
func ParsePublic(text string) (Public, error) {
	text = strings.TrimSpace(text)
	if _, err := note.NewVerifier(text); err != nil {
		return Public{}, fmt.Errorf("%w: want <name>+<hash>+<key>", ErrKey)
	}
	// The note package has checked the shape, the hash and the algorithm.
	parts := strings.SplitN(text, "+", 3)
	raw, err := base64.StdEncoding.DecodeString(parts[2])
	if err != nil {
		return Public{}, fmt.Errorf("%w: want <name>+<hash>+<key>", ErrKey)
	}
	return Public{name: parts[0], key: raw[1:]}, nil
}

// Name is the name of the log.
func (p Public) Name() string { return p.name }

// ID tells keys apart: 128 bits of the key's SHA-256, in hex.
func (p Public) ID() string {
	sum := sha256.Sum256(p.key)
	return hex.EncodeToString(sum[:16])
}

// Same reports whether it is the same key, under whatever name.
func (p Public) Same(other Public) bool { return bytes.Equal(p.key, other.key) }

// String is the verifier key as notes write it.
func (p Public) String() string { return p.under(p.name) }

// ForEpoch is the verifier key of the heads of one epoch, as notes write it: what witnesses are given.
func (p Public) ForEpoch(epoch uint64) string { return p.under(Origin(p.name, epoch)) }

func (p Public) under(name string) string {
	text, err := note.NewEd25519VerifierKey(name, p.key)
	if err != nil {
		panic(err) // of a key of the right length it never is
	}
	return text
}

// verifier verifies what was signed under a name.
func (p Public) verifier(name string) (note.Verifier, error) {
	return note.NewVerifier(p.under(name))
}
