package state

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"agentpassport.dev/operator/api/v1alpha1"
	"agentpassport.dev/operator/internal/gateway/decision"
	"agentpassport.dev/operator/internal/token"
)

const (
	// keysTimeout bounds a live read of the keys.
	keysTimeout = 2 * time.Second
)

// Verified is a token whose signature, issuer and audience are right. It is never changed once made.
type Verified struct {
	// Claims of the token. Its exp is not judged: the stored expiry of the passport decides.
	Claims *token.Claims

	// The key that verified it.
	kid string
	key ed25519.PublicKey
}

// digest of a token, by which it is remembered.
type digest [sha256.Size]byte

// Token verifies a token, once: what was verified is remembered by its SHA-256 while its key is
// published. The Verified is nil unless the state is TokenValid. Ask only while Lost is empty: without
// keys every token looks forged. A token with our issuer and an unknown key has the keys read anew, once a
// second at most, since a key may sign a moment after it was published.
func (v *View) Token(raw string) (*Verified, decision.TokenState) {
	if raw == "" {
		return nil, decision.TokenMissing
	}
	if len(raw) > token.MaxTokenBytes {
		return nil, decision.TokenInvalid
	}
	var room [2048]byte // most tokens fit, and need no memory of their own to be hashed
	sum := digest(sha256.Sum256(append(room[:0], raw...)))
	keys := v.published()
	if verified, ok := v.tokens.Get(sum); ok && bytes.Equal(keys[verified.kid], verified.key) {
		return verified, decision.TokenValid
	}
	verified, err := v.verify(raw, keys)
	if errors.Is(err, token.ErrUnknownKey) && claimedIssuer(raw) == v.options.Issuer && v.readKeys() {
		verified, err = v.verify(raw, v.published())
	}
	if err != nil {
		v.tokens.Remove(sum)
		return nil, v.refused(raw, err)
	}
	v.tokens.Add(sum, verified)
	return verified, decision.TokenValid
}

// verify a token for this gateway, but for its times.
func (v *View) verify(raw string, keys token.PublicKeys) (*Verified, error) {
	used := usedKey{PublicKeys: keys}
	claims, err := token.VerifySignature(raw, &used)
	switch {
	case err != nil:
		return nil, err
	case claims.Issuer != v.options.Issuer:
		return nil, token.ErrIssuer
	case !slices.Contains(claims.Audience, v.options.Audience):
		return nil, token.ErrAudience
	}
	return &Verified{Claims: claims, kid: used.kid, key: keys[used.kid]}, nil
}

// refused tells a forged token from one that is none of ours.
func (v *View) refused(raw string, err error) decision.TokenState {
	wrong := errors.Is(err, token.ErrUnknownKey) || errors.Is(err, token.ErrSignature) || errors.Is(err, token.ErrType)
	if wrong && claimedIssuer(raw) == v.options.Issuer {
		return decision.TokenForged
	}
	return decision.TokenInvalid
}

// claimedIssuer is the iss that a token claims, true or not.
func claimedIssuer(raw string) string {
	parts := strings.Split(raw, ".")
	if len(parts) != 3 {
		return ""
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return ""
	}
	var claimed struct {
		Issuer string `json:"iss"`
	}
	if json.Unmarshal(payload, &claimed) != nil {
		return ""
	}
	return claimed.Issuer
}

// usedKey notes which key a token was verified with.
type usedKey struct {
	token.PublicKeys
	kid string
}

// Key implements token.KeySet.
func (u *usedKey) Key(kid string) (ed25519.PublicKey, bool) {
	u.kid = kid
	return u.PublicKeys.Key(kid)
}

// published are the keys that verify; nil while none are known.
func (v *View) published() token.PublicKeys {
	if keys := v.keys.Load(); keys != nil {
		return *keys
	}
	return nil
}

// setKeys takes in the ConfigMap; nil where there is none. Keys that cannot be read verify nothing.
func (v *View) setKeys(published *corev1.ConfigMap) {
	v.readingKeys.Lock()
	defer v.readingKeys.Unlock()
	if published == nil {
		v.keys.Store(nil)
		return
	}
	if !newer(published.ResourceVersion, v.keysVersion) {
		return
	}
	v.keysVersion = published.ResourceVersion
	keys, err := token.ParseJWKS([]byte(published.Data[v1alpha1.SecretKeyJWKS]))
	if err != nil {
		v.options.Log.Error(err, "the published keys cannot be read: no token is taken until they can", "configMap", published.Name)
		v.keys.Store(nil)
		return
	}
	raw := []byte(published.Data[v1alpha1.SecretKeyJWKS])
	v.jwks.Store(&raw)
	v.keys.Store(&keys)
}

// readKeys reads the keys from the API server, unless that was done within a second, and says whether
// they may be other ones now.
func (v *View) readKeys() bool {
	if !v.keyReads.AllowN(v.options.Local.Now(), 1) {
		return false
	}
	ctx, cancel := context.WithTimeout(context.Background(), keysTimeout)
	defer cancel()
	var published corev1.ConfigMap
	if err := v.live.Get(ctx, types.NamespacedName{Namespace: v.options.Namespace, Name: token.ConfigMapName}, &published); err != nil {
		v.options.Log.Error(err, "could not read the published keys anew", "configMap", token.ConfigMapName)
		return false
	}
	v.setKeys(&published)
	return true
}

// JWKS is the key set as the manager published it last; false where there is none that can be read.
func (v *View) JWKS() ([]byte, bool) {
	if published := v.jwks.Load(); published != nil && v.published() != nil {
		return *published, true
	}
	return nil, false
}

// lostKeys says that there is nothing to verify tokens with.
func (v *View) lostKeys() string {
	if v.published() != nil {
		return ""
	}
	return fmt.Sprintf("ConfigMap %s/%s holds no keys that verify passports; the manager publishes them", v.options.Namespace, token.ConfigMapName)
}
