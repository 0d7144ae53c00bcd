package passport

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	"agentpassport.dev/operator/internal/token"
)

const (
	// refetchEvery is how long it is between two fetches of the keys at least, whatever tokens come.
	refetchEvery = 10 * time.Second
	// keysFresh is how long keys are kept whose source does not say, and keysFreshest at most.
	keysFresh    = time.Minute
	keysFreshest = time.Hour
	// keysUsable is for how long keys serve whose source does not answer any more.
	keysUsable = time.Hour
)

// keySource reads a JWKS.
type keySource func(context.Context) (fetched, error)

// newKeys keeps the keys of a source.
func newKeys(now func() time.Time, source keySource) *cached[token.PublicKeys] {
	return newCached(now, refetchEvery, func(ctx context.Context) (held[token.PublicKeys], error) {
		at := now()
		document, err := source(ctx)
		if err != nil {
			return held[token.PublicKeys]{}, fmt.Errorf("%w: the keys: %w", ErrUnavailable, err)
		}
		keys, err := token.ParseJWKS(document.body)
		if err != nil {
			return held[token.PublicKeys]{}, fmt.Errorf("%w: the keys: %w", ErrUnavailable, err)
		}
		fresh := keysFresh
		if document.maxAge > 0 {
			fresh = min(document.maxAge, keysFreshest)
		}
		return held[token.PublicKeys]{value: keys, fetched: at, fresh: at.Add(fresh), usable: at.Add(max(fresh, keysUsable))}, nil
	})
}

// fromURL reads the JWKS at a URL.
func (v *Verifier) fromURL(url string) keySource {
	return func(ctx context.Context) (fetched, error) {
		return get(ctx, v.http, v.located(url), "application/jwk-set+json, application/json", token.MaxJWKSBytes)
	}
}

// fromDiscovery reads the JWKS that the issuer's OpenID configuration names.
func (v *Verifier) fromDiscovery(ctx context.Context) (fetched, error) {
	found, err := get(ctx, v.http, v.located(v.issuerBase()+token.DiscoveryPath), "application/json", token.MaxJWKSBytes)
	if err != nil {
		return fetched{}, err
	}
	var configuration struct {
		Issuer  string `json:"issuer"`
		JWKSURI string `json:"jwks_uri"`
	}
	if err := json.Unmarshal(found.body, &configuration); err != nil {
		return fetched{}, errors.New("the OpenID configuration is no JSON")
	}
	if configuration.Issuer != v.issuer || configuration.JWKSURI == "" {
		return fetched{}, fmt.Errorf("the OpenID configuration is of issuer %q, want %q with a jwks_uri", configuration.Issuer, v.issuer)
	}
	return v.fromURL(configuration.JWKSURI)(ctx)
}

// fromFile reads the JWKS in a file, such as a mounted ConfigMap.
func fromFile(path string) keySource {
	return func(context.Context) (fetched, error) {
		body, err := os.ReadFile(path) //nolint:gosec // the file that the caller named
		return fetched{body: body}, err
	}
}

// fromBytes gives a JWKS that never changes.
func fromBytes(jwks []byte) keySource {
	return func(context.Context) (fetched, error) { return fetched{body: jwks, maxAge: keysFreshest}, nil }
}
