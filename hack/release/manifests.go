package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
)

// manifests writes the one-file installations, with the image of this release in them.
func (r *release) manifests(ctx context.Context) error {
	image, err := r.reference()
	if err != nil {
		return err
	}
	if _, err := output(ctx, r.root, nil, "make", "--no-print-directory", "build-installer", "IMG="+image); err != nil {
		return err
	}
	var errs []error
	for _, name := range []string{"install.yaml", "install-before-1.36.yaml"} {
		text, err := os.ReadFile(filepath.Join(r.root, "dist", name))
		errs = append(errs, err, r.write(name, text))
	}
	return errors.Join(errs...)
}

// materials writes what the operator is made of, module by module, in CycloneDX.
func (r *release) materials(ctx context.Context) error {
	destination, err := filepath.Abs(filepath.Join(r.out, "sbom.cdx.json"))
	if err != nil {
		return err
	}
	_, err = output(ctx, r.root, []string{"CGO_ENABLED=0"},
		"go", "tool", "-modfile=hack/tools/go.mod", "cyclonedx-gomod", "mod", "-json", "-noserial", "-notimestamp", "-std", "-output", destination, ".")
	return err
}
