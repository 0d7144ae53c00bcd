package token_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"agentpassport.dev/operator/internal/token"
)

var paths = []string{token.JWKSPath, token.VersionedJWKSPath, token.DiscoveryPath}

func serve(t *testing.T, ring func() (token.Ring, bool)) *httptest.Server {
	t.Helper()
	server := httptest.NewServer(token.NewHandler(issuer, ring))
	t.Cleanup(server.Close)
	return server
}

func do(t *testing.T, method, url string, header ...string) (*http.Response, string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		request.Header.Set(header[i], header[i+1])
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response, string(body)
}

func TestHandlerServes(t *testing.T) {
	ring := rfcRing(t)
	server := serve(t, func() (token.Ring, bool) { return ring, true })
	for path, want := range map[string]string{
		token.JWKSPath:          string(token.JWKS(ring)),
		token.VersionedJWKSPath: string(token.JWKS(ring)),
		token.DiscoveryPath:     string(token.Discovery(issuer, issuer+"/.well-known/jwks.json")),
	} {
		response, body := do(t, http.MethodGet, server.URL+path)
		if response.StatusCode != http.StatusOK || body != want {
			t.Errorf("%s: %s %s", path, response.Status, body)
		}
		if got := response.Header.Get("Content-Type"); got != "application/json" {
			t.Errorf("%s: Content-Type %s", path, got)
		}
		if got := response.Header.Get("Cache-Control"); got != "public, max-age=300" {
			t.Errorf("%s: Cache-Control %s", path, got)
		}
		head, body := do(t, http.MethodHead, server.URL+path)
		if head.StatusCode != http.StatusOK || body != "" || head.ContentLength != int64(len(want)) {
			t.Errorf("HEAD %s: %s, %d bytes of %q", path, head.Status, head.ContentLength, body)
		}
	}
}

func TestHandlerETag(t *testing.T) {
	ring := rfcRing(t)
	server := serve(t, func() (token.Ring, bool) { return ring, true })
	first, _ := do(t, http.MethodGet, server.URL+token.JWKSPath)
	tag := first.Header.Get("ETag")
	if again, body := do(t, http.MethodGet, server.URL+token.JWKSPath, "If-None-Match", tag); again.StatusCode != http.StatusNotModified || body != "" {
		t.Errorf("unchanged: %s %s", again.Status, body)
	}
	ring = rotatedRing(t)
	changed, _ := do(t, http.MethodGet, server.URL+token.JWKSPath, "If-None-Match", tag)
	if changed.StatusCode != http.StatusOK || changed.Header.Get("ETag") == tag {
		t.Errorf("changed: %s", changed.Status)
	}
}

func TestHandlerRefusesOtherMethods(t *testing.T) {
	server := serve(t, func() (token.Ring, bool) { return rfcRing(t), true })
	for _, path := range paths {
		for _, method := range []string{http.MethodPost, http.MethodPut, http.MethodDelete, http.MethodOptions} {
			response, _ := do(t, method, server.URL+path)
			if response.StatusCode != http.StatusMethodNotAllowed || response.Header.Get("Allow") != "GET, HEAD" {
				t.Errorf("%s %s: %s, Allow %s", method, path, response.Status, response.Header.Get("Allow"))
			}
		}
	}
	if response, _ := do(t, http.MethodGet, server.URL+"/"); response.StatusCode != http.StatusNotFound {
		t.Errorf("GET /: %s", response.Status)
	}
}

func TestHandlerWaitsForKeys(t *testing.T) {
	var loaded bool
	server := serve(t, func() (token.Ring, bool) {
		if !loaded {
			return token.Ring{}, false
		}
		return rfcRing(t), true
	})
	for _, path := range paths {
		response, body := do(t, http.MethodGet, server.URL+path)
		var answer struct {
			Error struct{ Code, Message string }
		}
		if err := json.Unmarshal([]byte(body), &answer); err != nil || answer.Error.Code != "KEYS_NOT_LOADED" || answer.Error.Message == "" {
			t.Errorf("%s: %s (%v)", path, body, err)
		}
		if response.StatusCode != http.StatusServiceUnavailable || response.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: %s, Cache-Control %s", path, response.Status, response.Header.Get("Cache-Control"))
		}
	}
	loaded = true
	if response, _ := do(t, http.MethodGet, server.URL+token.JWKSPath); response.StatusCode != http.StatusOK {
		t.Errorf("loaded: %s", response.Status)
	}
}
