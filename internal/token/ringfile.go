package token

import (
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	jose "github.com/go-jose/go-jose/v4"
	strictjson "sigs.k8s.io/json"
)

// MaxRingBytes is the longest stored ring that is read.
const MaxRingBytes = 64 << 10

// ErrRing means that a stored ring is not one that MarshalRing could have written. An error that
// wraps it says why, and quotes nothing of the ring.
var ErrRing = errors.New("not a key ring")

// ringFile is how a ring is stored.
type ringFile struct {
	Current           keyFile       `json:"current"`
	Next              keyFile       `json:"next"`
	Retired           []retiredFile `json:"retired,omitempty"`
	RotationRequested bool          `json:"rotationRequested,omitempty"`
}

type keyFile struct {
	PrivateKey  jose.JSONWebKey `json:"privateKey"`
	CreatedAt   time.Time       `json:"createdAt"`
	PublishedAt time.Time       `json:"publishedAt,omitzero"`
	ActivatedAt time.Time       `json:"activatedAt,omitzero"`
}

type retiredFile struct {
	PublicKey jose.JSONWebKey `json:"publicKey"`
	RetiredAt time.Time       `json:"retiredAt"`
	ExpiresAt time.Time       `json:"expiresAt"`
}

// MarshalRing writes a ring for storage, private keys and all: what it returns belongs into a
// Secret and nowhere else. (Marshalling a Ring as JSON directly leaves the private keys out.)
func MarshalRing(ring Ring) ([]byte, error) {
	file := ringFile{
		Current:           fileOfKey(ring.Current),
		Next:              fileOfKey(ring.Next),
		RotationRequested: ring.RotationRequested,
	}
	for _, key := range ring.Retired {
		file.Retired = append(file.Retired, retiredFile{
			PublicKey: jsonWebKey(key.Public, key.ID),
			RetiredAt: key.RetiredAt,
			ExpiresAt: key.ExpiresAt,
		})
	}
	return json.Marshal(file)
}

// ParseRing reads what MarshalRing wrote. It is strict, since a ring that is half understood would
// be written back without the other half: unknown, doubled and missing fields are refused, as are
// keys that are not Ed25519, that come twice, whose kid is not their thumbprint, or whose halves
// do not belong together.
func ParseRing(data []byte) (Ring, error) {
	if len(data) > MaxRingBytes {
		return Ring{}, fmt.Errorf("%w: larger than %d bytes", ErrRing, MaxRingBytes)
	}
	var file ringFile
	unknown, err := strictjson.UnmarshalStrict(data, &file)
	if err != nil || len(unknown) > 0 {
		return Ring{}, fmt.Errorf("%w: not JSON, or a field is unknown, doubled or of a wrong form", ErrRing)
	}
	ring := Ring{RotationRequested: file.RotationRequested}
	if ring.Current, err = file.Current.key(); err != nil {
		return Ring{}, fmt.Errorf("%w: current: %w", ErrRing, err)
	}
	if ring.Next, err = file.Next.key(); err != nil {
		return Ring{}, fmt.Errorf("%w: next: %w", ErrRing, err)
	}
	for i, retired := range file.Retired {
		key, err := retired.key()
		if err != nil {
			return Ring{}, fmt.Errorf("%w: retired[%d]: %w", ErrRing, i, err)
		}
		ring.Retired = append(ring.Retired, key)
	}
	if err := ring.check(); err != nil {
		return Ring{}, fmt.Errorf("%w: %w", ErrRing, err)
	}
	return ring, nil
}

func (r Ring) check() error {
	seen := map[string]bool{}
	for id := range r.public() {
		seen[id] = true
	}
	switch {
	case len(r.Retired) > maxRetired:
		return fmt.Errorf("more than %d keys", MaxKeys)
	case len(seen) != 2+len(r.Retired):
		return errors.New("a key comes twice")
	case r.Current.ActivatedAt.IsZero():
		return errors.New("the current key has no activatedAt")
	case !r.Next.ActivatedAt.IsZero():
		return errors.New("the next key has an activatedAt")
	}
	return nil
}

func fileOfKey(key Key) keyFile {
	return keyFile{
		PrivateKey:  jsonWebKey(key.private, key.ID),
		CreatedAt:   key.CreatedAt,
		PublishedAt: key.PublishedAt,
		ActivatedAt: key.ActivatedAt,
	}
}

func (f keyFile) key() (Key, error) {
	private, ok := f.PrivateKey.Key.(ed25519.PrivateKey)
	if !ok {
		return Key{}, errors.New("not a private Ed25519 key")
	}
	if f.CreatedAt.IsZero() {
		return Key{}, errors.New("no createdAt")
	}
	return Key{
		ID:          f.PrivateKey.KeyID,
		CreatedAt:   timestamp(f.CreatedAt),
		PublishedAt: timestamp(f.PublishedAt),
		ActivatedAt: timestamp(f.ActivatedAt),
		private:     private,
	}, checkJSONWebKey(f.PrivateKey)
}

func (f retiredFile) key() (RetiredKey, error) {
	public, ok := f.PublicKey.Key.(ed25519.PublicKey)
	if !ok {
		return RetiredKey{}, errors.New("not a public Ed25519 key")
	}
	if f.RetiredAt.IsZero() || f.ExpiresAt.IsZero() {
		return RetiredKey{}, errors.New("no retiredAt or no expiresAt")
	}
	return RetiredKey{
		ID:        f.PublicKey.KeyID,
		Public:    public,
		RetiredAt: timestamp(f.RetiredAt),
		ExpiresAt: timestamp(f.ExpiresAt),
	}, checkJSONWebKey(f.PublicKey)
}

// jsonWebKey describes a private or public key as one that signs or verifies passports.
func jsonWebKey(key any, id string) jose.JSONWebKey {
	return jose.JSONWebKey{Key: key, KeyID: id, Use: "sig", Algorithm: string(Algorithm)}
}

func checkJSONWebKey(key jose.JSONWebKey) error {
	id, err := thumbprint(key.Public().Key)
	switch {
	case err != nil || id != key.KeyID:
		return errors.New("kid is not the key's thumbprint")
	case key.Use != "sig" || key.Algorithm != string(Algorithm):
		return errors.New("use is not sig, or alg is not " + string(Algorithm))
	}
	return nil
}
