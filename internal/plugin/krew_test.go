package plugin

import (
	"crypto/sha256"
	"encoding/hex"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
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

func fill(t *testing.T, directory string) ([]byte, error) {
	t.Helper()
	return exec.CommandContext(t.Context(), "../../hack/krew/fill.sh", "v1.2.3", "https://releases.example.com/v1.2.3", directory).CombinedOutput()
}

func TestKrewManifest(t *testing.T) {
	archives := t.TempDir()
	if out, err := fill(t, archives); err == nil || !strings.Contains(string(out), "has no kubectl-passport_v1.2.3_linux_amd64.tar.gz") {
		t.Fatalf("without archives: %v, %s", err, out)
	}
	platforms := []string{"linux_amd64", "linux_arm64", "darwin_amd64", "darwin_arm64", "windows_amd64"}
	for _, platform := range platforms {
		if err := os.WriteFile(filepath.Join(archives, "kubectl-passport_v1.2.3_"+platform+".tar.gz"), []byte(platform), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	filled, err := fill(t, archives)
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
	for i, platform := range spec.Platforms {
		checkPlatform(t, platform, platforms[i])
	}
}

func checkPlatform(t *testing.T, platform krewPlatform, want string) {
	t.Helper()
	sum := sha256.Sum256([]byte(want))
	labels := platform.Selector.MatchLabels
	uri, err := url.Parse(platform.URI)
	if err != nil || uri.Scheme != "https" || !strings.HasSuffix(uri.Path, "_"+want+".tar.gz") {
		t.Errorf("%s: uri %q", want, platform.URI)
	}
	if labels["os"]+"_"+labels["arch"] != want || !krewSum.MatchString(platform.Sha256) || platform.Sha256 != hex.EncodeToString(sum[:]) {
		t.Errorf("%s: %+v", want, platform)
	}
	there := false
	for _, file := range platform.Files {
		there = there || file.From == platform.Bin
		if file.From == "" || file.To == "" {
			t.Errorf("%s: %+v", want, file)
		}
	}
	if !there || strings.HasSuffix(platform.Bin, ".exe") != (labels["os"] == "windows") {
		t.Errorf("%s: bin %q is not among %+v", want, platform.Bin, platform.Files)
	}
}
