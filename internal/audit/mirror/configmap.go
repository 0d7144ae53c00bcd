package mirror

import (
	"errors"
	"fmt"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"agentpassport.dev/operator/internal/audit/epoch"
)

// Name is the name of the ConfigMap, in the operator's own namespace.
const Name = "agent-passport-auditlog"

// The keys of its data. None of them is changed by hand.
const (
	epochKey      = "epoch"
	checkpointKey = "checkpoint"
	witnessedKey  = "checkpoint.witnessed"
	keysKey       = epoch.KeysFile
)

// maxManifest is the longest manifest that is read, in bytes: what an API server stores of one object.
const maxManifest = 3 << 20

// ErrDamaged means that the ConfigMap does not hold what this package wrote.
var ErrDamaged = errors.New("the ConfigMap " + Name + " is damaged")

// Parse reads a state from a ConfigMap and checks it by itself.
func Parse(object *corev1.ConfigMap) (epoch.State, error) {
	number, err := strconv.ParseUint(object.Data[epochKey], 10, 64)
	if err != nil || number == 0 || strconv.FormatUint(number, 10) != object.Data[epochKey] {
		return epoch.State{}, fmt.Errorf("%w: %s is no number from 1", ErrDamaged, epochKey)
	}
	state := epoch.State{
		Epoch: number, Checkpoint: []byte(object.Data[checkpointKey]), Keys: []byte(object.Data[keysKey]),
	}
	if witnessed, found := object.Data[witnessedKey]; found {
		state.Witnessed = []byte(witnessed)
	}
	if _, _, err := epoch.OpenState(state); err != nil {
		return epoch.State{}, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	return state, nil
}

// ParseManifest reads a state from what `kubectl get configmap -o yaml` (or json) prints.
func ParseManifest(raw []byte) (epoch.State, error) {
	if len(raw) > maxManifest {
		return epoch.State{}, fmt.Errorf("%w: %d bytes, at most %d", ErrDamaged, len(raw), maxManifest)
	}
	var object corev1.ConfigMap
	if err := yaml.Unmarshal(raw, &object); err != nil || object.Kind != "ConfigMap" {
		return epoch.State{}, fmt.Errorf("%w: no manifest of a ConfigMap", ErrDamaged)
	}
	return Parse(&object)
}

// fill writes a state into a ConfigMap.
func fill(object *corev1.ConfigMap, state epoch.State) {
	object.Data = map[string]string{
		epochKey: strconv.FormatUint(state.Epoch, 10), checkpointKey: string(state.Checkpoint), keysKey: string(state.Keys),
	}
	if len(state.Witnessed) > 0 {
		object.Data[witnessedKey] = string(state.Witnessed)
	}
}

func empty(namespace string) *corev1.ConfigMap {
	return &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{
		Namespace: namespace, Name: Name,
		Labels: map[string]string{"app.kubernetes.io/part-of": "agent-passport-operator", "app.kubernetes.io/component": "auditlog"},
	}}
}
