package playground

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

// Verify checks a token as a service would that knows nothing of this operator but the URL of its
// published keys: signature, not-before and expiry, with go-jose. It returns the header and the
// claims as indented JSON. Errors never hold the token.
func Verify(ctx context.Context, token, jwksURL string, now time.Time) (header, claims string, err error) {
	keys, err := fetchKeys(ctx, jwksURL)
	if err != nil {
		return "", "", err
	}
	parsed, err := jwt.ParseSigned(token, []jose.SignatureAlgorithm{jose.EdDSA})
	if err != nil {
		return "", "", errors.New("not a token signed with EdDSA")
	}
	var registered jwt.Claims
	if err := parsed.Claims(keys, &registered); err != nil {
		return "", "", fmt.Errorf("signature: %w", err)
	}
	if err := registered.ValidateWithLeeway(jwt.Expected{Time: now}, 0); err != nil {
		return "", "", fmt.Errorf("claims: %w", err)
	}
	parts := strings.Split(token, ".")
	if header, err = indented(parts[0]); err != nil {
		return "", "", err
	}
	claims, err = indented(parts[1])
	return header, claims, err
}

func fetchKeys(ctx context.Context, url string) (*jose.JSONWebKeySet, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return nil, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s answers %s", url, response.Status)
	}
	var keys jose.JSONWebKeySet
	if err := json.NewDecoder(io.LimitReader(response.Body, 1<<20)).Decode(&keys); err != nil {
		return nil, fmt.Errorf("%s: %w", url, err)
	}
	return &keys, nil
}

func indented(part string) (string, error) {
	raw, err := base64.RawURLEncoding.DecodeString(part)
	if err != nil {
		return "", errors.New("not base64url")
	}
	var out bytes.Buffer
	if err := json.Indent(&out, raw, "", "  "); err != nil {
		return "", errors.New("not JSON")
	}
	return out.String(), nil
}
