package main

import (
	"bytes"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The bill of materials is the same each time, and has what the operator links and nothing that only its tests need.
func TestMaterials(t *testing.T) {
	t.Parallel() // with the archives: both wait for Go
	var bills [2][]byte
	for i := range bills {
		r := &release{root: "../..", out: t.TempDir(), said: io.Discard}
		if err := r.materials(t.Context()); err != nil {
			t.Fatal(err)
		}
		var err error
		if bills[i], err = os.ReadFile(filepath.Join(r.out, "sbom.cdx.json")); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(bills[0], bills[1]) {
		t.Error("it is another each time")
	}
	var bill struct {
		Format     string `json:"bomFormat"`
		Components []struct {
			Name    string `json:"name"`
			Version string `json:"version"`
			PURL    string `json:"purl"`
		} `json:"components"`
	}
	if err := json.Unmarshal(bills[0], &bill); err != nil {
		t.Fatal(err)
	}
	names := map[string]bool{}
	for _, component := range bill.Components {
		names[component.Name] = true
		if component.Version == "" || !strings.HasPrefix(component.PURL, "pkg:golang/") {
			t.Errorf("%+v", component)
		}
	}
	if bill.Format != "CycloneDX" || !names["sigs.k8s.io/controller-runtime"] || !names["github.com/transparency-dev/tessera"] || names["github.com/yuin/gopher-lua"] {
		t.Errorf("%s with %d components", bill.Format, len(names))
	}
}
