package api_test

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"

	"agentpassport.dev/operator/internal/gateway/api"
)

// document is the OpenAPI document, read and checked by another's rules.
func document(t testing.TB) *openapi3.T {
	t.Helper()
	doc, err := openapi3.NewLoader().LoadFromData(api.OpenAPI())
	if err != nil {
		t.Fatal(err)
	}
	return doc
}

func TestDocumentIsValid(t *testing.T) {
	if err := document(t).Validate(context.Background()); err != nil {
		t.Error(err)
	}
}

// isProxy tells the routes that another handler serves.
func isProxy(path string) bool {
	return strings.HasPrefix(path, "/v1/proxy") || strings.HasPrefix(path, "/proxy/")
}

func TestDocumentHasEveryRouteAndNoOther(t *testing.T) {
	var documented []string
	for path, item := range document(t).Paths.Map() {
		for method := range item.Operations() {
			if !isProxy(path) {
				documented = append(documented, method+" "+path)
			}
		}
	}
	slices.Sort(documented)
	served := api.Routes()
	slices.Sort(served)
	if !slices.Equal(documented, served) {
		t.Errorf("documented: %q\nserved: %q", documented, served)
	}
}

func TestDocumentHasEveryCodeWithItsStatus(t *testing.T) {
	schema := document(t).Components.Schemas["Code"].Value
	told := map[string]string{}
	for line := range strings.Lines(schema.Description) {
		cells := strings.Split(line, "|")
		if len(cells) < 3 {
			continue
		}
		for code := range strings.SplitSeq(cells[1], ",") {
			told[strings.TrimSpace(code)] = strings.TrimSpace(cells[2])
		}
	}
	for code, status := range api.Codes() {
		if !slices.Contains(schema.Enum, any(string(code))) {
			t.Errorf("%s is not in the document", code)
		}
		if want := told[string(code)]; want != strconv.Itoa(status) {
			t.Errorf("%s is answered with %d, and documented with %s", code, status, want)
		}
	}
}
