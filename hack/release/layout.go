package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"time"

	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"sigs.k8s.io/yaml"
)

// The media types of a Helm chart in a registry: https://helm.sh/docs/topics/registries.
const (
	helmConfig  = "application/vnd.cncf.helm.config.v1+json"
	helmContent = "application/vnd.cncf.helm.chart.content.v1.tar+gzip"
)

// writeChartLayout writes the chart as `helm push` would push it, into an OCI layout on disk. Its tag is its version.
func (r *release) writeChartLayout(metadata, packed []byte) error {
	root := filepath.Join(r.out, chartLayout)
	if err := os.MkdirAll(filepath.Join(root, ocispec.ImageBlobsDir, string(digest.SHA256)), 0o755); err != nil {
		return err
	}
	config, err := yaml.YAMLToJSON(metadata)
	if err != nil {
		return err
	}
	manifest := ocispec.Manifest{
		Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispec.MediaTypeImageManifest,
		Annotations: map[string]string{
			ocispec.AnnotationTitle: chartName, ocispec.AnnotationVersion: r.version.bare(),
			ocispec.AnnotationCreated: r.commit.time.Format(time.RFC3339), ocispec.AnnotationRevision: r.commit.id,
		},
	}
	if manifest.Config, err = writeBlob(root, helmConfig, config); err != nil {
		return err
	}
	content, err := writeBlob(root, helmContent, packed)
	if err != nil {
		return err
	}
	manifest.Layers = []ocispec.Descriptor{content}
	text, err := json.Marshal(manifest)
	if err != nil {
		return err
	}
	described, err := writeBlob(root, manifest.MediaType, text)
	if err != nil {
		return err
	}
	described.Annotations = map[string]string{ocispec.AnnotationRefName: r.version.bare()}
	index := ocispec.Index{
		Versioned: manifest.Versioned, MediaType: ocispec.MediaTypeImageIndex, Manifests: []ocispec.Descriptor{described},
	}
	if err := writeJSON(filepath.Join(root, ocispec.ImageIndexFile), index); err != nil {
		return err
	}
	return writeJSON(filepath.Join(root, ocispec.ImageLayoutFile), ocispec.ImageLayout{Version: ocispec.ImageLayoutVersion})
}

// writeBlob writes content under its digest.
func writeBlob(root, mediaType string, content []byte) (ocispec.Descriptor, error) {
	sum := digest.FromBytes(content)
	path := filepath.Join(root, ocispec.ImageBlobsDir, string(sum.Algorithm()), sum.Encoded())
	return ocispec.Descriptor{MediaType: mediaType, Digest: sum, Size: int64(len(content))}, os.WriteFile(path, content, 0o644)
}

func writeJSON(path string, value any) error {
	text, err := json.Marshal(value)
	if err != nil {
		return err
	}
	return os.WriteFile(path, text, 0o644)
}
