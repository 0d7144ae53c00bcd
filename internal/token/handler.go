package token

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"net/http"
	"strings"
	"time"
)

const (
	// JWKSPath is where the JWKS is served, and what the OpenID configuration names.
	JWKSPath = "/.well-known/jwks.json"
	// VersionedJWKSPath serves the same for clients that put the API version in their base URL.
	VersionedJWKSPath = "/v1" + JWKSPath
	// DiscoveryPath is where the OpenID configuration is served.
	DiscoveryPath = "/.well-known/openid-configuration"

	// CacheSeconds is how long verifiers may keep what they fetched. It must stay well below
	// Policy.PublishLead.
	CacheSeconds = 300
)

// JWKSURI is the URL of an issuer's JWKS.
func JWKSURI(issuer string) string { return strings.TrimSuffix(issuer, "/") + JWKSPath }

// NewHandler serves the JWKS and the OpenID configuration of an issuer to anyone. It answers 503
// as long as ring says that there are no keys yet.
func NewHandler(issuer string, ring func() (Ring, bool)) http.Handler {
	jwks := document(ring, JWKS)
	discovery := document(ring, func(Ring) []byte { return Discovery(issuer, JWKSURI(issuer)) })
	mux := http.NewServeMux()
	mux.Handle("GET "+JWKSPath, jwks)
	mux.Handle("GET "+VersionedJWKSPath, jwks)
	mux.Handle("GET "+DiscoveryPath, discovery)
	return mux
}

func document(ring func() (Ring, bool), content func(Ring) []byte) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		keys, ok := ring()
		if !ok {
			w.Header().Set("Retry-After", "5")
			refuse(w, http.StatusServiceUnavailable, "KEYS_NOT_LOADED", "the signing keys are not loaded yet")
			return
		}
		body := content(keys)
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", fmt.Sprintf("public, max-age=%d", CacheSeconds))
		w.Header().Set("ETag", fmt.Sprintf(`"%x"`, sha256.Sum256(body)))
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(body))
	}
}
