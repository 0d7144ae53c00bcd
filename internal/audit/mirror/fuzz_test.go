package mirror_test

import (
	"crypto/rand"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	testclock "k8s.io/utils/clock/testing"
	"sigs.k8s.io/yaml"

	"agentpassport.dev/operator/internal/audit/epoch"
	"agentpassport.dev/operator/internal/audit/keys"
	"agentpassport.dev/operator/internal/audit/mirror"
)

// FuzzParseManifest looks for a state that is accepted without being whole, and for panics.
func FuzzParseManifest(f *testing.F) {
	private, err := keys.Generate(rand.Reader, "agentpassport.dev/auditlog/test")
	if err != nil {
		f.Fatal(err)
	}
	log, err := epoch.Open(f.Context(), epoch.Options{
		Dir: f.TempDir(), Keys: []keys.Private{private}, Clock: testclock.NewFakePassiveClock(noon),
	})
	if err != nil {
		f.Fatal(err)
	}
	state, err := log.State()
	if err != nil {
		f.Fatal(err)
	}
	if err := log.Close(); err != nil {
		f.Fatal(err)
	}
	raw, err := yaml.Marshal(corev1.ConfigMap{
		TypeMeta: metav1.TypeMeta{Kind: "ConfigMap", APIVersion: "v1"},
		Data:     map[string]string{"epoch": "1", "checkpoint": string(state.Checkpoint), "keys.json": string(state.Keys)},
	})
	if err != nil {
		f.Fatal(err)
	}
	if _, err := mirror.ParseManifest(raw); err != nil {
		f.Fatal(err)
	}
	f.Add(raw)
	f.Add(raw[:len(raw)/2])
	f.Add([]byte("kind: ConfigMap\ndata: {epoch: '1', checkpoint.witnessed: x}\n"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		got, err := mirror.ParseManifest(raw)
		if err != nil {
			return
		}
		if ring, _, err := epoch.OpenState(got); err != nil || !ring.Holds(private.Public) {
			t.Fatalf("a state is accepted that nobody signed: %v", err)
		}
	})
}
