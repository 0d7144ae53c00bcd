package mirror_test

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	testclock "k8s.io/utils/clock/testing"
	"sigs.k8s.io/yaml"

	"agentpassport.dev/operator/internal/audit/epoch"
	"agentpassport.dev/operator/internal/audit/keys"
	"agentpassport.dev/operator/internal/audit/keys/keystest"
	"agentpassport.dev/operator/internal/audit/mirror"
	"agentpassport.dev/operator/internal/audit/writer"
)

// FuzzParseManifest looks for a state that is accepted without being whole, and for panics.
func FuzzParseManifest(f *testing.F) {
	private := keystest.Fixed("agentpassport.dev/auditlog/test", 1)
	log, err := writer.Open(f.Context(), writer.Options{
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
		if _, head, err := epoch.OpenState(got); err != nil || head.Size != 0 {
			t.Fatalf("a state is accepted that nobody signed: %d records, %v", head.Size, err)
		}
	})
}
