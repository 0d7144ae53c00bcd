package capability_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"slices"
	"testing"
	"unicode/utf8"

	gocmp "github.com/google/go-cmp/cmp"

	"agentpassport.dev/operator/api/v1alpha1"
	"agentpassport.dev/operator/internal/capability"
)

// FuzzRead looks for files that panic, that are refused without a word, or that change on their way out and in.
func FuzzRead(f *testing.F) {
	for _, file := range fixtures(f) {
		data, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Add([]byte(agentFile("verified: false", "verified: false\n\"<<\": {\"\": [1.5e3, 0o7, 0x1F, 1_000, .5, -0, ~, 'true', \"\\u0085\"]}\ny: !!str x")))
	f.Add([]byte(agentFile("name: Bot", "name: &a Bot\n  <<: *a\n  ? [x]\n  : |\n    text\n")))
	f.Add([]byte("{\"schema\":\"apai.passport.v0.1\"}\n---\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		document, err := capability.Read(data)
		if err != nil {
			var problems capability.Problems
			if !errors.As(err, &problems) || len(problems) == 0 || problems[0].Message == "" {
				t.Fatalf("%#v", err)
			}
			return
		}
		exported := capability.Export(document.Raw())
		again, err := capability.Read(exported)
		if err != nil {
			t.Fatalf("cannot read what was exported: %v\n%s", err, exported)
		}
		if twice := capability.Export(again.Raw()); !bytes.Equal(exported, twice) {
			t.Fatal(gocmp.Diff(string(exported), string(twice)))
		}
		if changes := capability.Diff(document, again); len(changes) > 0 {
			t.Fatalf("%+v", changes)
		}
		if document.Agent != nil {
			capability.Findings(document.Agent)
		} else {
			capability.PackageFindings(document.Package)
		}
	})
}

// FuzzMatch looks for statements that panic, that are judged out of bounds, or that do not cover themselves.
func FuzzMatch(f *testing.F) {
	for i, seed := range [][2]string{
		{"./a/../b", "Files in current working directory (recursive)"},
		{"Git history", "git history and status"},
		{"No X but Y", "none"},
		{"https://user@[::1]:80/x?y", "*.slack.com:443"},
		{"Approval before deploys or walks", "Every action in default mode"},
		{"Ｎｏｎｅ", "ß\u0345"},
		{"/a/**/*/?/**", "/**/a*b*c/**"},
		{"((", "))"},
		{"", ""},
	} {
		f.Add(uint8(i), seed[0], seed[1])
	}
	f.Fuzz(func(t *testing.T, index uint8, declaration, offer string) {
		if len(declaration) > 2048 || len(offer) > 2048 {
			return
		}
		field := sixFields[int(index)%len(sixFields)]
		finding := judged(t, field, declaration, offer)
		if finding.Rule == "" || finding.Message == "" || utf8.RuneCountInString(finding.Message) > 1024 || !utf8.ValidString(*finding.Declaration) ||
			!slices.Contains([]v1alpha1.Coverage{v1alpha1.CoverageCovered, v1alpha1.CoverageOutside, v1alpha1.CoverageUnclear}, finding.Coverage) {
			t.Fatalf("%+v", finding)
		}
		if own := judged(t, field, declaration, offer, declaration); own.Coverage != v1alpha1.CoverageCovered {
			t.Fatalf("does not cover itself: %+v", own)
		}
		more := judged(t, field, declaration, offer, "Something else altogether")
		if finding.Coverage == v1alpha1.CoverageCovered && more.Coverage != v1alpha1.CoverageCovered {
			t.Fatalf("%+v", more)
		}
	})
}

// FuzzCodes looks for codes that panic, and for one that is a code and does not cover itself.
func FuzzCodes(f *testing.F) {
	for _, seed := range [][2]string{{"read:*", "read:git"}, {"read:*.a.b", "read:x.a.b"}, {"read:none", "read:none:x"}, {"read:", ":"}, {"read:*:*", "read:a:b"}} {
		f.Add(seed[0], seed[1])
	}
	f.Fuzz(func(t *testing.T, wide, narrow string) {
		covers := codeCovers(v1alpha1.CapabilityCode(wide), v1alpha1.CapabilityCode(narrow))
		if covers && !codeCovers(v1alpha1.CapabilityCode(narrow), v1alpha1.CapabilityCode(narrow)) {
			t.Fatalf("%q is covered, and not by itself", narrow)
		}
	})
}

// FuzzDiff looks for documents that panic, that differ from themselves, or whose changes one way are not those back.
func FuzzDiff(f *testing.F) {
	f.Add([]byte(`{"capabilities":{"can_read":["a","b"]},"x":{"y":1}}`), []byte(`{"capabilities":{"can_read":["b","b"]},"x":{"y":[1e3]},"agent":null}`))
	f.Add([]byte(`{"capabilities":[]}`), []byte(`{"capabilities":{"can_read":7}}`))
	f.Fuzz(func(t *testing.T, first, second []byte) {
		var before, after v1alpha1.AgentDocument
		if json.Unmarshal(first, &before) != nil || json.Unmarshal(second, &after) != nil {
			return
		}
		old, updated := capability.Document{Agent: &before}, capability.Document{Agent: &after}
		if changes := capability.Diff(old, old); len(changes) > 0 {
			t.Fatalf("%+v", changes)
		}
		there, back := capability.Diff(old, updated), capability.Diff(updated, old)
		if len(there) != len(back) {
			t.Fatalf("%+v\n%+v", there, back)
		}
		opposite := map[capability.ChangeKind]capability.ChangeKind{
			capability.Gained: capability.Lost, capability.Lost: capability.Gained, capability.Added: capability.Removed,
			capability.Removed: capability.Added, capability.Changed: capability.Changed,
		}
		for _, change := range there {
			turned := capability.Change{Path: change.Path, Kind: opposite[change.Kind], Before: change.After, After: change.Before}
			if !slices.Contains(back, turned) {
				t.Fatalf("%+v is not among %+v", turned, back)
			}
		}
	})
}
