package main

import (
	"bytes"
	"io"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/registry"
	helmcmd "helm.sh/helm/v4/pkg/cmd"
	"oras.land/oras-go/v2"
	"oras.land/oras-go/v2/content/oci"
	"oras.land/oras-go/v2/registry/remote"
)

const (
	someDigest = "sha256:0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a"
	someImage  = "registry.example.com:5000/platform/passports"
)

// charted makes the chart of a release, where an image was built before.
func charted(t *testing.T) *release {
	t.Helper()
	r := &release{
		root: "../..", out: t.TempDir(), version: "v1.2.3-rc.1", repository: someImage, said: io.Discard,
		commit: commit{id: "0123", time: time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)},
	}
	if err := os.Mkdir(filepath.Join(r.out, layout), 0o700); err != nil {
		t.Fatal(err)
	}
	index := `{"manifests": [{"digest": "` + someDigest + `"}]}`
	if err := os.WriteFile(filepath.Join(r.out, layout, "index.json"), []byte(index), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := r.chart(t.Context()); err != nil {
		t.Fatal(err)
	}
	return r
}

func TestTheSameCommitGivesTheSameChart(t *testing.T) {
	one, other := charted(t), charted(t)
	compared := 0
	err := filepath.WalkDir(one.out, func(path string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		name, _ := filepath.Rel(one.out, path)
		before, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		after, err := os.ReadFile(filepath.Join(other.out, name))
		if err != nil || !bytes.Equal(before, after) {
			t.Errorf("%s is another: %v", name, err)
		}
		compared++
		return nil
	})
	if err != nil || compared != 7 {
		t.Errorf("%d files compared, want 7: the archive, the image's index, and a layout of five: %v", compared, err)
	}
}

// From a registry to which the layout was copied Helm installs this version, with the image of the release by its digest.
func TestHelmInstallsFromARegistry(t *testing.T) {
	r := charted(t)
	server := httptest.NewServer(registry.New())
	defer server.Close()
	host := strings.TrimPrefix(server.URL, "http://")
	layout, err := oci.NewFromFS(t.Context(), os.DirFS(filepath.Join(r.out, chartLayout)))
	if err != nil {
		t.Fatal(err)
	}
	repository, err := remote.NewRepository(host + "/charts/" + chartName)
	if err != nil {
		t.Fatal(err)
	}
	repository.PlainHTTP = true
	if _, err := oras.Copy(t.Context(), layout, "1.2.3-rc.1", repository, "", oras.DefaultCopyOptions); err != nil {
		t.Fatal(err)
	}
	for _, from := range [][]string{
		{"oci://" + host + "/charts/" + chartName, "--version=1.2.3-rc.1", "--plain-http"},
		{filepath.Join(r.out, chartName+"-1.2.3-rc.1.tgz")},
	} {
		rendered := helm(t, append([]string{"template", "passports", "--kube-version=v1.36.0"}, from...)...)
		for _, want := range []string{`image: "` + someImage + "@" + someDigest + `"`, `app.kubernetes.io/version: "v1.2.3-rc.1"`} {
			if !strings.Contains(rendered, want) {
				t.Errorf("%s: no %s in what it renders", from, want)
			}
		}
	}
}

// helm runs Helm, with its files in a folder of the test's.
func helm(t *testing.T, args ...string) string {
	t.Helper()
	for _, name := range []string{"HELM_CACHE_HOME", "HELM_CONFIG_HOME", "HELM_DATA_HOME"} {
		t.Setenv(name, t.TempDir())
	}
	var out, complaints bytes.Buffer
	root, err := helmcmd.NewRootCmd(&out, args, func(bool) {})
	if err != nil {
		t.Fatal(err)
	}
	root.SetArgs(args)
	root.SetOut(&out)
	root.SetErr(&complaints)
	if err := root.ExecuteContext(t.Context()); err != nil {
		t.Fatalf("helm %s: %v\n%s", strings.Join(args, " "), err, complaints.String())
	}
	return out.String()
}

// What is to be written has its one place.
func TestReplaced(t *testing.T) {
	got, err := replaced([]byte("a: 1\nb: 2\n"), map[string]string{"a: ": "x$1"})
	if err != nil || string(got) != "a: x$1\nb: 2\n" {
		t.Errorf("%q, %v", got, err)
	}
	for _, text := range []string{"b: 2\n", "a: 1\na: 2\n"} {
		if _, err := replaced([]byte(text), map[string]string{"a: ": "x"}); err == nil {
			t.Errorf("%q is taken", text)
		}
	}
}
