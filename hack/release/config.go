package main

import (
	"fmt"
	"os"
	"regexp"
	"slices"

	"sigs.k8s.io/yaml"
)

// config is what release.yaml says.
type config struct {
	Archives       []archive `json:"archives"`
	Files          []string  `json:"files"`
	ImagePlatforms []string  `json:"imagePlatforms"`
}

// archive is one command, for these platforms, such as linux/amd64.
type archive struct {
	Command   string   `json:"command"`
	Platforms []string `json:"platforms"`
}

// platforms are those that any command is released for, each once.
func (c config) platforms() []string {
	var all []string
	for _, one := range c.Archives {
		all = append(all, one.Platforms...)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

func readConfig(path string) (config, error) {
	var read config
	text, err := os.ReadFile(path)
	if err != nil {
		return read, err
	}
	if err := yaml.UnmarshalStrict(text, &read); err != nil {
		return read, fmt.Errorf("%s: %w", path, err)
	}
	return read, nil
}

// version is that of a release, such as v0.1.0.
type version string

var semantic = regexp.MustCompile(`^v(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(-[0-9A-Za-z-]+(\.[0-9A-Za-z-]+)*)?$`)

func parseVersion(text string) (version, error) {
	if !semantic.MatchString(text) {
		return "", fmt.Errorf("%q is no version: want one such as v0.1.0, or v0.1.0-rc.1", text)
	}
	return version(text), nil
}

// bare is the version without its v, as changelogs and file names have it.
func (v version) bare() string { return string(v[1:]) }
