package keys

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"fmt"
	"io"
	"strings"

	"golang.org/x/mod/sumdb/note"
)

// maxPrivate is how many private keys are read at most. One signs; others wait or are retired.
const maxPrivate = 100

// Private is a private key. It prints as its public half.
type Private struct {
	Public
	key ed25519.PrivateKey
}

// Generate makes a new key for the log of this name, which may hold no space and no plus.
func Generate(random io.Reader, name string) (Private, error) {
	text, _, err := note.GenerateKey(random, name)
	if err != nil {
		return Private{}, fmt.Errorf("a new key of the audit log: %w", err)
	}
	return parsePrivate(text)
}

// parsePrivate reads PRIVATE+KEY+<name>+<hash>+<seed>.
func parsePrivate(text string) (Private, error) {
	if _, err := note.NewSigner(text); err != nil {
		return Private{}, fmt.Errorf("%w: want PRIVATE+KEY+<name>+<hash>+<seed>", ErrKey)
	}
	parts := strings.SplitN(text, "+", 5)
	raw, err := base64.StdEncoding.DecodeString(parts[4])
	if err != nil {
		return Private{}, fmt.Errorf("%w: want PRIVATE+KEY+<name>+<hash>+<seed>", ErrKey)
	}
	private := Private{key: ed25519.NewKeyFromSeed(raw[1:])}
	public, ok := private.key.Public().(ed25519.PublicKey)
	if !ok {
		return Private{}, ErrKey
	}
	private.Public = Public{name: parts[2], key: public}
	return private, nil
}

// ParsePrivates reads private keys of one log, one a line, the newest last. Empty lines and those that
// begin with # are left out.
func ParsePrivates(text []byte) ([]Private, error) {
	var all []Private
	for line := range bytes.Lines(text) {
		line := strings.TrimSpace(string(line))
		if line == "" || line[0] == '#' {
			continue
		}
		private, err := parsePrivate(line)
		switch {
		case err != nil:
			return nil, fmt.Errorf("private key %d: %w", len(all)+1, err)
		case len(all) == maxPrivate:
			return nil, fmt.Errorf("%w: more than %d private keys", ErrKey, maxPrivate)
		case len(all) > 0 && all[0].name != private.name:
			return nil, fmt.Errorf("%w: private key %d is for another log than the first", ErrKey, len(all)+1)
		}
		for i := range all {
			if all[i].Same(private.Public) {
				return nil, fmt.Errorf("%w: private keys %d and %d are the same", ErrKey, i+1, len(all)+1)
			}
		}
		all = append(all, private)
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("%w: there is no private key", ErrKey)
	}
	return all, nil
}

// Secret is the key as ParsePrivates reads it, with the end of its line. It must go nowhere but to where the
// key is kept.
func (p Private) Secret() []byte {
	// The note package writes private keys from new seeds alone, so the text is put together here.
	public := strings.SplitN(p.String(), "+", 3)
	seed := append([]byte{algorithm}, p.key.Seed()...)
	return []byte("PRIVATE+KEY+" + p.name + "+" + public[1] + "+" + base64.StdEncoding.EncodeToString(seed) + "\n")
}

// GoString keeps the key out of %#v.
func (p Private) GoString() string { return p.String() }

// Signer signs the heads of an epoch.
func (p Private) Signer(epoch uint64) note.Signer {
	return p.signer(Origin(p.name, epoch))
}

func (p Private) signer(name string) note.Signer {
	return signer{name: name, verifier: p.under(name), key: p.key}
}

// signer is a note.Signer of the key under some name.
type signer struct {
	name     string
	verifier string
	key      ed25519.PrivateKey
}

// String and GoString keep the key out of what is printed.
func (s signer) String() string { return s.verifier }

// GoString is String.
func (s signer) GoString() string { return s.verifier }

// Name implements note.Signer.
func (s signer) Name() string { return s.name }

// KeyHash implements note.Signer.
func (s signer) KeyHash() uint32 {
	verifier, err := note.NewVerifier(s.verifier)
	if err != nil {
		panic(err) // it was made by the same package
	}
	return verifier.KeyHash()
}

// Sign implements note.Signer.
func (s signer) Sign(message []byte) ([]byte, error) { return ed25519.Sign(s.key, message), nil }
