package token

import (
	"crypto"
	"crypto/ed25519"
	"encoding/base64"
	"fmt"
	"io"
	"time"

	jose "github.com/go-jose/go-jose/v4"
)

// MaxKeys is the most keys that a ring ever holds. Some consumers of a JWKS take no more than a
// hundred, and a set that grows without bound has taken down issuers before.
const MaxKeys = 8

// maxRetired leaves room for the current and the next key.
const maxRetired = MaxKeys - 2

// Ring is the issuer's keys at one moment. It is a value: what changes it returns a new one.
type Ring struct {
	// Current signs.
	Current Key
	// Next is published, so that every verifier knows it before it signs.
	Next Key
	// Retired are the keys that signed before, the newest first.
	Retired []RetiredKey
	// RotationRequested makes Next sign as soon as it has been published for long enough.
	RotationRequested bool
}

// Key is a key that signs, or will. Its private part is not exported and never printed.
type Key struct {
	// ID is the kid: the RFC 7638 thumbprint of the public key.
	ID string
	// CreatedAt is when the key was made.
	CreatedAt time.Time
	// PublishedAt is when it was first seen to be in the published JWKS; zero until then.
	PublishedAt time.Time
	// ActivatedAt is when it began to sign; zero until then.
	ActivatedAt time.Time

	private ed25519.PrivateKey
}

// RetiredKey is a key that only verifies. Its private part is gone.
type RetiredKey struct {
	// ID is the kid.
	ID string
	// Public verifies what the key has signed.
	Public ed25519.PublicKey
	// RetiredAt is when it signed last.
	RetiredAt time.Time
	// ExpiresAt is when the last token that it signed is dead everywhere, and the key goes.
	ExpiresAt time.Time
}

// NewRing makes the first two keys of an issuer. The first one signs at once, since nobody can
// have fetched an older set. It fails only when random does.
func NewRing(random io.Reader, now time.Time) (Ring, error) {
	current, err := newKey(random, now)
	if err != nil {
		return Ring{}, err
	}
	next, err := newKey(random, now)
	if err != nil {
		return Ring{}, err
	}
	current.ActivatedAt = timestamp(now)
	return Ring{Current: current, Next: next}, nil
}

// Signing is the key to sign with.
func (r Ring) Signing() Key { return r.Current }

// Key finds the public half of a key of the ring, retired ones included.
func (r Ring) Key(kid string) (ed25519.PublicKey, bool) {
	for id, public := range r.public() {
		if id == kid {
			return public, true
		}
	}
	return nil, false
}

// public yields the kid and public key of all keys, in the order in which they are published.
func (r Ring) public() func(yield func(string, ed25519.PublicKey) bool) {
	return func(yield func(string, ed25519.PublicKey) bool) {
		if !yield(r.Current.ID, r.Current.Public()) || !yield(r.Next.ID, r.Next.Public()) {
			return
		}
		for _, retired := range r.Retired {
			if !yield(retired.ID, retired.Public) {
				return
			}
		}
	}
}

// Public is the half that verifies; nil for the zero Key.
func (k Key) Public() ed25519.PublicKey {
	if len(k.private) == 0 {
		return nil
	}
	return k.private.Public().(ed25519.PublicKey)
}

// Format prints the kid alone, whatever the verb.
func (k Key) Format(f fmt.State, _ rune) {
	_, _ = fmt.Fprintf(f, "key %s", k.ID)
}

// newKey draws a seed. It does not leave that to ed25519.GenerateKey, which no longer reads the
// source that it is given.
func newKey(random io.Reader, now time.Time) (Key, error) {
	seed := make([]byte, ed25519.SeedSize)
	if _, err := io.ReadFull(random, seed); err != nil {
		return Key{}, fmt.Errorf("draw a new key: %w", err)
	}
	private := ed25519.NewKeyFromSeed(seed)
	id, err := thumbprint(private.Public())
	if err != nil {
		return Key{}, err
	}
	return Key{ID: id, CreatedAt: timestamp(now), private: private}, nil
}

// thumbprint is the kid of a public key, by RFC 7638.
func thumbprint(public crypto.PublicKey) (string, error) {
	sum, err := (&jose.JSONWebKey{Key: public}).Thumbprint(crypto.SHA256)
	if err != nil {
		return "", fmt.Errorf("thumbprint of a key: %w", err)
	}
	return base64.RawURLEncoding.EncodeToString(sum), nil
}

// timestamp is a time as it comes back from storage: in UTC and without a monotonic reading.
func timestamp(t time.Time) time.Time { return t.UTC().Round(0) }
