package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// layout is the directory of the image, as the OCI image layout has it.
const layout = "image"

// image builds the image for every platform, as an OCI layout on disk. Without buildah there is none.
func (r *release) image(ctx context.Context) error {
	if !installed("buildah") {
		r.say("  no buildah here: no image, and manifests that name it by tag")
		return nil
	}
	name := r.repository + ":" + string(r.version)
	if _, err := output(ctx, r.root, r.commit.environment(), "hack/image.sh", name, strings.Join(r.ImagePlatforms, " ")); err != nil {
		return err
	}
	destination, err := filepath.Abs(filepath.Join(r.out, layout))
	if err != nil {
		return err
	}
	_, err = output(ctx, r.root, nil, "buildah", "--storage-driver", "vfs", "manifest", "push", "--all", "--format", "oci",
		name, "oci:"+destination+":"+string(r.version))
	return err
}

// installed says whether a program is there to be run.
func installed(program string) bool {
	_, err := exec.LookPath(program)
	return err == nil
}

// reference is the image as manifests name it: by digest where it was built, else by tag.
func (r *release) reference() (string, error) {
	digest, err := digestOf(filepath.Join(r.out, layout))
	if os.IsNotExist(err) {
		return r.repository + ":" + string(r.version), nil
	}
	return r.repository + "@" + digest, err
}

// digestOf is the digest of the one image in a layout.
func digestOf(dir string) (string, error) {
	text, err := os.ReadFile(filepath.Join(dir, "index.json"))
	if err != nil {
		return "", err
	}
	var index struct {
		Manifests []struct {
			Digest string `json:"digest"`
		} `json:"manifests"`
	}
	if err := json.Unmarshal(text, &index); err != nil {
		return "", fmt.Errorf("%s: %w", dir, err)
	}
	if len(index.Manifests) != 1 {
		return "", fmt.Errorf("%s holds %d images, want one", dir, len(index.Manifests))
	}
	return index.Manifests[0].Digest, nil
}
