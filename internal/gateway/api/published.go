package api

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"fmt"
	"net/http"
	"sync"
	"time"

	"sigs.k8s.io/yaml"

	"agentpassport.dev/operator/internal/token"
)

// jwks serves the keys that verify tokens.
func (s *service) jwks(c *call) error {
	keys, known := s.Keys.JWKS()
	if !known {
		return fail(CodeUnavailable, "the keys are not loaded yet").with(details{retryAfter: 5})
	}
	return c.publish(keys)
}

// discovery serves the OpenID configuration, by which verifiers find the keys.
func (s *service) discovery(c *call) error {
	return c.publish(token.Discovery(s.Issuer, token.JWKSURI(s.Issuer)))
}

// statusList serves a signed status list.
func (s *service) statusList(c *call) error {
	token.NewStatusListHandler(s.StatusLists).ServeHTTP(c.w, c.r)
	return nil
}

//go:embed openapi.yaml
var openAPI []byte

// openAPIJSON is the document as JSON. It is of this package, and tested to be readable.
var openAPIJSON = sync.OnceValues(func() ([]byte, error) { return yaml.YAMLToJSON(openAPI) })

// OpenAPI is the OpenAPI 3.1 document of the API, proxy included, as YAML.
func OpenAPI() []byte { return bytes.Clone(openAPI) }

// openAPI serves the document.
func (*service) openAPI(c *call) error {
	document, err := openAPIJSON()
	if err != nil {
		return err
	}
	return c.publish(document)
}

// publish answers with JSON that anyone may keep for a while.
func (c *call) publish(body []byte) error {
	header := c.w.Header()
	header.Set("Content-Type", "application/json")
	header.Set("Cache-Control", fmt.Sprintf("public, max-age=%d", token.CacheSeconds))
	header.Set("ETag", fmt.Sprintf(`"%x"`, sha256.Sum256(body)))
	http.ServeContent(c.w, c.r, "", time.Time{}, bytes.NewReader(body))
	return nil
}
