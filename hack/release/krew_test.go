package main

import (
	"crypto/sha256"
	"encoding/hex"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

// krewManifest has the fields that krew documents for its Plugin manifest; reading is strict.
type krewManifest struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	Metadata   struct {
		Name string `json:"name"`
	} `json:"metadata"`
	Spec struct {
		Version          string         `json:"version"`
		ShortDescription string         `json:"shortDescription"`
		Description      string         `json:"description"`
		Caveats          string         `json:"caveats"`
		Homepage         string         `json:"homepage"`
		Platforms        []krewPlatform `json:"platforms"`
	} `json:"spec"`
}

type krewPlatform struct {
	URI      string `json:"uri"`
	Sha256   string `json:"sha256"`
	Selector struct {
		MatchLabels map[string]string `json:"matchLabels"`
	} `json:"selector"`
	Files []struct {
		From string `json:"from"`
		To   string `json:"to"`
	} `json:"files"`
	Bin string `json:"bin"`
}

var (
	// What krew's validation asks of a manifest.
	krewName    = regexp.MustCompile(`^[a-z0-9]+(-[a-z0-9]+)*$`)
	krewVersion = regexp.MustCompile(`^v\d+\.\d+\.\d+(-[0-9A-Za-z.-]+)?$`)
	krewSum     = regexp.MustCompile(`^[a-f0-9]{64}$`)
)

// fillKrew runs fill.sh on a directory of archives.
func fillKrew(t *testing.T, directory string) ([]byte, error) {
	t.Helper()
	return exec.CommandContext(t.Context(), "../krew/fill.sh", "v1.2.3", "https://releases.example.com/v1.2.3", directory).CombinedOutput()
}

// The manifest has every archive of the plugin that a release makes, under the name that it has there.
func TestKrewManifest(t *testing.T) {
	const plugin = "kubectl-passport"
	r := &release{out: t.TempDir(), version: "v1.2.3"}
	var err error
	if r.config, err = readConfig("release.yaml"); err != nil {
		t.Fatal(err)
	}
	if out, err := fillKrew(t, r.out); err == nil || !strings.Contains(string(out), "has no kubectl-passport_1.2.3_linux_amd64.tar.gz") {
		t.Fatalf("without archives: %v, %s", err, out)
	}
	released := slices.IndexFunc(r.Archives, func(one archive) bool { return one.Command == plugin })
	platforms := r.Archives[released].Platforms
	for _, platform := range platforms {
		name, _ := r.archiveNames(plugin, platform)
		if err := r.write(name, []byte(platform)); err != nil {
			t.Fatal(err)
		}
	}
	filled, err := fillKrew(t, r.out)
	if err != nil {
		t.Fatalf("%v: %s", err, filled)
	}
	var manifest krewManifest
	if err := yaml.UnmarshalStrict(filled, &manifest); err != nil {
		t.Fatalf("%v\n%s", err, filled)
	}
	spec := manifest.Spec
	if manifest.APIVersion != "krew.googlecontainertools.github.com/v1alpha2" || manifest.Kind != "Plugin" ||
		!krewName.MatchString(manifest.Metadata.Name) || !krewVersion.MatchString(spec.Version) ||
		spec.ShortDescription == "" || len(spec.ShortDescription) > 50 || spec.Description == "" || spec.Homepage == "" {
		t.Errorf("%+v", manifest)
	}
	if len(spec.Platforms) != len(platforms) {
		t.Fatalf("%d platforms, want %d", len(spec.Platforms), len(platforms))
	}
	for i, platform := range platforms {
		name, binary := r.archiveNames(plugin, platform)
		checkKrewPlatform(t, spec.Platforms[i], platform, name, append([]string{binary}, r.Files...))
	}
}

// checkKrewPlatform compares one platform of the manifest with its archive, whose content is the platform's name here. The
// first of the files in it is the plugin.
func checkKrewPlatform(t *testing.T, got krewPlatform, platform, name string, files []string) {
	t.Helper()
	sum := sha256.Sum256([]byte(platform))
	labels := got.Selector.MatchLabels
	if got.URI != "https://releases.example.com/v1.2.3/"+name {
		t.Errorf("%s: uri %q, want one that ends with %s", platform, got.URI, name)
	}
	if labels["os"]+"/"+labels["arch"] != platform || !krewSum.MatchString(got.Sha256) || got.Sha256 != hex.EncodeToString(sum[:]) {
		t.Errorf("%s: %+v", platform, got)
	}
	var taken []string
	for _, file := range got.Files {
		taken = append(taken, file.From)
		if file.To != "." {
			t.Errorf("%s: %+v", platform, file)
		}
	}
	if got.Bin != files[0] || !slices.Equal(taken, files) {
		t.Errorf("%s: it runs %s and takes %v, the archive has %v", platform, got.Bin, taken, files)
	}
}
