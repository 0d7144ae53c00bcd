package upgrade

import (
	"path/filepath"
	"testing"

	"agentpassport.dev/operator/test/upgrade/compat"
)

// The CRDs of today take whatever the CRDs of a release took.
func TestCRDsTakeWhatTheyTook(t *testing.T) {
	after, err := crds(today)
	if err != nil {
		t.Fatal(err)
	}
	for _, release := range releases() {
		before, err := crds(filepath.Join(release, "crds"))
		if err != nil || len(before) == 0 {
			t.Fatalf("%s: %d CRDs, %v", release, len(before), err)
		}
		for name, crd := range before {
			if after[name] == nil {
				t.Errorf("%s had %s, which is gone: serve it on", release, name)
				continue
			}
			for _, line := range compat.Narrowed(crd, after[name]) {
				t.Errorf("%s, since %s: %s: what is stored may be lost or refused: keep it as it was, or serve a new version", name, release, line)
			}
		}
	}
}
