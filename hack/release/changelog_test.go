package main

import (
	"os"
	"strings"
	"testing"
)

func TestTheChangelogIsInItsForm(t *testing.T) {
	text, err := os.ReadFile("../../CHANGELOG.md")
	if err != nil {
		t.Fatal(err)
	}
	sections, err := parseChangelog(string(text))
	if err != nil {
		t.Fatal(err)
	}
	if len(sections) < 2 {
		t.Errorf("%d sections: want Unreleased and a version", len(sections))
	}
}

func TestParseChangelog(t *testing.T) {
	const good = "# Changelog\n\n## [Unreleased]\n\n## [0.2.0] - 2026-12-01\n\n### Fixed\n\n- This.\n\n## [0.1.0] - 2026-11-22\n\n### Added\n\n- That.\n"
	sections, err := parseChangelog(good)
	if err != nil {
		t.Fatal(err)
	}
	if len(sections) != 3 || sections[1].version != "0.2.0" || sections[2].text != "### Added\n\n- That." {
		t.Errorf("%+v", sections)
	}
	for name, tc := range map[string]struct{ from, to, want string }{
		"no Unreleased":      {"## [Unreleased]\n", "", "the first section is [Unreleased]"},
		"no date":            {" - 2026-11-22", "", "line 11"},
		"a date that is not": {"2026-11-22", "2026-13-22", "month out of range"},
		"out of order":       {"2026-11-22", "2026-12-22", "it is newer than the version before it"},
		"no version":         {"[0.1.0]", "[0.1]", `"v0.1" is no version`},
		"an odd heading":     {"### Added", "### New", "want Added, Changed"},
		"nothing to say":     {"\n### Added\n\n- That.\n", "", "version 0.1.0 says nothing"},
		"no brackets":        {"[0.1.0]", "0.1.0", "want ## [1.2.3] - 2026-01-31"},
	} {
		t.Run(name, func(t *testing.T) {
			changed := strings.Replace(good, tc.from, tc.to, 1)
			if changed == good {
				t.Fatal("nothing was changed")
			}
			if _, err := parseChangelog(changed); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("%v, want %q in it", err, tc.want)
			}
		})
	}
}

func TestParseVersion(t *testing.T) {
	for text, good := range map[string]bool{
		"v0.1.0": true, "v1.20.3-rc.1": true, "0.1.0": false, "v0.1": false, "v01.0.0": false, "v1.0.0+build": false, "": false, "v1.0.0\n": false,
	} {
		if _, err := parseVersion(text); (err == nil) != good {
			t.Errorf("%q: %v", text, err)
		}
	}
}
