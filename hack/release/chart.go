package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

const (
	// chartName is the name of the chart, and of the folder in its archive.
	chartName = "agent-passport-operator"
	// chartLayout is the directory of the chart, as the OCI image layout has it.
	chartLayout = "chart"
)

// chart packs the Helm chart with the version and the image of this release in it, as an archive and as an OCI layout.
func (r *release) chart(context.Context) error {
	files, err := r.chartFiles(filepath.Join(r.root, "charts", chartName))
	if err != nil {
		return err
	}
	var packed bytes.Buffer
	if err := packTar(&packed, files, r.commit.time); err != nil {
		return err
	}
	name := fmt.Sprintf("%s-%s.tgz", chartName, r.version.bare())
	r.say("  %s", name)
	if err := r.write(name, packed.Bytes()); err != nil {
		return err
	}
	return r.writeChartLayout(chartYAML(files), packed.Bytes())
}

// chartFiles are those of the chart, in order, Chart.yaml first, as Helm has them.
func (r *release) chartFiles(dir string) ([]file, error) {
	var files []file
	chart := os.DirFS(dir)
	err := fs.WalkDir(chart, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := fs.ReadFile(chart, name)
		if err != nil {
			return err
		}
		switch name {
		case "Chart.yaml":
			content, err = replaced(content, map[string]string{"version: ": r.version.bare(), "appVersion: ": string(r.version)})
		case "values.yaml":
			content, err = r.withImage(content)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		files = append(files, file{name: chartName + "/" + name, mode: 0o644, content: content})
		return nil
	})
	if err == nil && chartYAML(files) == nil {
		err = errors.New(dir + " has no Chart.yaml")
	}
	return files, err
}

func chartYAML(files []file) []byte {
	for _, one := range files {
		if one.name == chartName+"/Chart.yaml" {
			return one.content
		}
	}
	return nil
}

// withImage puts the image of this release into values.yaml: by digest where it was built, else by the chart's appVersion.
func (r *release) withImage(values []byte) ([]byte, error) {
	registry, repository := "", r.repository
	if host, path, found := strings.Cut(r.repository, "/"); found && (strings.ContainsAny(host, ".:") || host == "localhost") {
		registry, repository = host, path
	}
	digest, err := digestOf(filepath.Join(r.out, layout))
	if err != nil && !os.IsNotExist(err) {
		return nil, err
	}
	return replaced(values, map[string]string{
		"  registry: ": fmt.Sprintf("%q", registry), "  repository: ": repository, "  digest: ": fmt.Sprintf("%q", digest),
	})
}

// replaced writes values behind the beginnings of lines, of each of which there has to be one.
func replaced(text []byte, values map[string]string) ([]byte, error) {
	for begins, value := range values {
		line := regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(begins) + `.*$`)
		if found := len(line.FindAllIndex(text, -1)); found != 1 {
			return nil, fmt.Errorf("%d lines begin with %q, want one", found, begins)
		}
		text = line.ReplaceAllLiteral(text, []byte(begins+value))
	}
	return text, nil
}
