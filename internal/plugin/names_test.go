package plugin

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"agentpassport.dev/operator/internal/controller"
)

// The plugin links no controller: these names are written down twice, and held together here.
func TestNamesAreTheOperators(t *testing.T) {
	for got, want := range map[string]string{
		keySecretName: controller.KeySecretName, keySecretData: controller.KeySecretData,
		annotationRotate: controller.AnnotationRotate,
	} {
		if got != want {
			t.Errorf("%q: the operator has %q", got, want)
		}
	}
	for kind, names := range map[string][]string{"validating": validatingPolicies, "mutating": mutatingPolicies} {
		if want := policiesIn(t, kind); !slices.Equal(names, want) {
			t.Errorf("%s policies %v: config/admission has %v", kind, names, want)
		}
	}
	crds, err := filepath.Glob("../../config/crd/bases/agentpassport.dev_*.yaml")
	if err != nil || len(crds) != len(kindNames) {
		t.Fatalf("%v, %v", crds, err)
	}
	for i, file := range crds {
		if want := strings.TrimSuffix(strings.TrimPrefix(filepath.Base(file), "agentpassport.dev_"), ".yaml"); kindNames[i] != want {
			t.Errorf("kind %q: config/crd has %q", kindNames[i], want)
		}
	}
}

var policyName = regexp.MustCompile(`(?m)^kind: (?:Validating|Mutating)AdmissionPolicy\nmetadata:\n  name: (\S+)$`)

func policiesIn(t *testing.T, kind string) []string {
	t.Helper()
	files, err := filepath.Glob("../../config/admission/" + kind + "/*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, file := range files {
		manifest, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, found := range policyName.FindAllSubmatch(manifest, -1) {
			names = append(names, string(found[1]))
		}
	}
	slices.Sort(names)
	return names
}
