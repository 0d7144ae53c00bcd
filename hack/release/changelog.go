package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

// notes writes what the changelog says of this version, for the page of the release.
func (r *release) notes(context.Context) error {
	if r.commit.changed {
		r.say("  the working tree is not what was committed: this release cannot be made again")
	}
	text, err := os.ReadFile(filepath.Join(r.root, "CHANGELOG.md"))
	if err != nil {
		return err
	}
	sections, err := parseChangelog(string(text))
	if err != nil {
		return fmt.Errorf("CHANGELOG.md: %w", err)
	}
	for _, section := range sections {
		if section.version == r.version.bare() {
			return r.write("notes.md", []byte(section.text+"\n"))
		}
	}
	return fmt.Errorf("CHANGELOG.md has no section %s: move what is under Unreleased there", r.version.bare())
}

// section is what changed in one version.
type section struct {
	// version without a v; Unreleased is the first.
	version string
	date    time.Time
	text    string
}

const unreleased = "Unreleased"

var (
	versionLine = regexp.MustCompile(`^## \[([^\]]+)\](?: - (\d{4}-\d{2}-\d{2}))?$`)
	changeLine  = regexp.MustCompile(`^### (Added|Changed|Deprecated|Removed|Fixed|Security)$`)
)

// parseChangelog reads a changelog in the form of Keep a Changelog 1.1.0: the newest version first, Unreleased before it.
func parseChangelog(text string) ([]section, error) {
	var sections []section
	var errs []error
	for number, line := range strings.Split(text, "\n") {
		wrong := func(why string) { errs = append(errs, fmt.Errorf("line %d, %q: %s", number+1, line, why)) }
		switch {
		case strings.HasPrefix(line, "## "):
			next, err := parseVersionLine(line)
			if err != nil {
				wrong(err.Error())
				continue
			}
			if len(sections) == 0 && next.version != unreleased {
				wrong("the first section is [Unreleased]")
			}
			if len(sections) > 1 && next.date.After(sections[len(sections)-1].date) {
				wrong("it is newer than the version before it")
			}
			sections = append(sections, next)
			continue
		case strings.HasPrefix(line, "### ") && !changeLine.MatchString(line):
			wrong("want Added, Changed, Deprecated, Removed, Fixed or Security")
		}
		if len(sections) > 0 {
			sections[len(sections)-1].text += line + "\n"
		}
	}
	for i := range sections {
		sections[i].text = strings.TrimSpace(sections[i].text)
		if sections[i].version != unreleased && sections[i].text == "" {
			errs = append(errs, fmt.Errorf("version %s says nothing", sections[i].version))
		}
	}
	return sections, errors.Join(errs...)
}

func parseVersionLine(line string) (section, error) {
	found := versionLine.FindStringSubmatch(line)
	if found == nil {
		return section{}, errors.New("want ## [1.2.3] - 2026-01-31")
	}
	if found[1] == unreleased {
		return section{version: unreleased}, nil
	}
	if _, err := parseVersion("v" + found[1]); err != nil {
		return section{}, err
	}
	date, err := time.Parse(time.DateOnly, found[2])
	return section{version: found[1], date: date}, err
}
