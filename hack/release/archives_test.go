package main

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"context"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
)

// Two clones of one commit, in different places, give the same archive to the byte, and it says which commit that is: also
// where the machine is set not to. It is for this machine, whose packages other tests have compiled.
func TestTheSameCommitGivesTheSameArchives(t *testing.T) {
	settings := filepath.Join(t.TempDir(), "env")
	if err := os.WriteFile(settings, []byte("GOFLAGS=-buildvcs=false\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("GOENV", settings)
	if _, err := exec.LookPath("git"); err != nil {
		t.Skip("git is not here")
	}
	platform := runtime.GOOS + "/" + runtime.GOARCH
	name := "mission_0.1.0_" + runtime.GOOS + "_" + runtime.GOARCH + ".tar.gz"
	var packed []byte
	for range 2 {
		clone := cloned(t)
		r := &release{
			root: clone, out: t.TempDir(), version: "v0.1.0", said: io.Discard,
			config: config{Files: []string{"LICENSE"}, Archives: []archive{{"mission", []string{platform}}, {"gone", []string{platform}}}},
		}
		var err error
		if r.commit, err = head(t.Context(), clone); err != nil {
			t.Fatal(err)
		}
		if r.commit.changed {
			t.Error("a fresh clone is taken for changed")
		}
		if err := r.archives(t.Context()); err != nil {
			t.Fatal(err)
		}
		content, err := os.ReadFile(filepath.Join(r.out, name))
		if err != nil {
			t.Fatal(err)
		}
		if packed != nil && !bytes.Equal(packed, content) {
			t.Errorf("%s is another", name)
		}
		unpacked := unzipped(t, content)
		if !bytes.Contains(unpacked, []byte("agentpassport.dev/operator/cmd/mission")) || bytes.Contains(unpacked, []byte(clone)) {
			t.Errorf("%s says where it was built", name)
		}
		if !bytes.Contains(unpacked, []byte("vcs.revision="+r.commit.id)) {
			t.Errorf("%s does not say which commit it is of", name)
		}
		packed = content
		if entries, err := os.ReadDir(r.out); err != nil || len(entries) != 1 {
			t.Errorf("%v %v: a command without source is left out", entries, err)
		}
	}
}

func unzipped(t *testing.T, content []byte) []byte {
	t.Helper()
	reader, err := gzip.NewReader(bytes.NewReader(content))
	if err != nil {
		t.Fatal(err)
	}
	plain, err := io.ReadAll(reader)
	if err != nil {
		t.Fatal(err)
	}
	return plain
}

// cloned is a clone of this repository, in a directory of its own.
func cloned(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "clone")
	if _, err := output(t.Context(), ".", nil, "git", "clone", "--quiet", "--shared", "../..", dir); err != nil {
		t.Fatal(err)
	}
	return dir
}

var files = []file{{"program", 0o755, []byte("#!\n")}, {"LICENSE", 0o644, []byte("as you like")}}

func TestPackTar(t *testing.T) {
	at := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	var packed bytes.Buffer
	if err := packTar(&packed, files, at); err != nil {
		t.Fatal(err)
	}
	zipped, err := gzip.NewReader(&packed)
	if err != nil {
		t.Fatal(err)
	}
	archived := tar.NewReader(zipped)
	for _, want := range files {
		header, err := archived.Next()
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(archived)
		if err != nil || header.Name != want.name || fs.FileMode(header.Mode) != want.mode || !bytes.Equal(content, want.content) ||
			!header.ModTime.Equal(at) || header.Uid != 0 || header.Uname != "" {
			t.Errorf("%+v %q %v", header, content, err)
		}
	}
	if _, err := archived.Next(); err != io.EOF {
		t.Error(err)
	}
}

func TestPackZip(t *testing.T) {
	var packed bytes.Buffer
	if err := packZip(&packed, files, time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)); err != nil {
		t.Fatal(err)
	}
	archived, err := zip.NewReader(bytes.NewReader(packed.Bytes()), int64(packed.Len()))
	if err != nil || len(archived.File) != len(files) {
		t.Fatal(err)
	}
	for i, want := range files {
		if got := archived.File[i]; got.Name != want.name || got.Mode() != want.mode {
			t.Errorf("%s %s", got.Name, got.Mode())
		}
	}
}

func TestChecksums(t *testing.T) {
	r := &release{out: t.TempDir()}
	for name, content := range map[string]string{"b.yaml": "b", "a.tar.gz": "a", "notes.md": "for the page"} {
		if err := os.WriteFile(filepath.Join(r.out, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := r.checksums(context.Background()); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(filepath.Join(r.out, "checksums.txt"))
	want := "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb  a.tar.gz\n" +
		"3e23e8160039594a33894f6564e1b1348bbd7a0088d42c4acb73eeaed59c009d  b.yaml\n"
	if err != nil || string(got) != want {
		t.Errorf("%v\n%s", err, got)
	}
}

// What release.yaml names is there, or may come.
func TestTheShippedConfig(t *testing.T) {
	read, err := readConfig("release.yaml")
	if err != nil {
		t.Fatal(err)
	}
	there := 0
	for _, one := range read.Archives {
		if _, err := os.Stat("../../cmd/" + one.Command); err == nil {
			there++
		}
		for _, platform := range one.Platforms {
			if system, processor, found := strings.Cut(platform, "/"); !found || system == "" || processor == "" {
				t.Errorf("%s: platform %q, want one such as linux/amd64", one.Command, platform)
			}
		}
	}
	if there == 0 || len(read.ImagePlatforms) == 0 {
		t.Errorf("%d commands, image for %v", there, read.ImagePlatforms)
	}
	for _, name := range read.Files {
		if _, err := os.Stat("../../" + name); err != nil {
			t.Error(err)
		}
	}
}
