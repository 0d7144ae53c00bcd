package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// Decimal is a number in decimal notation, such as 12.5 or 1.2e+06. Numbers that are not whole are
// written as text in Kubernetes APIs: encoders round them differently.
//
// +kubebuilder:validation:MaxLength=32
// +kubebuilder:validation:Pattern=`^[0-9]+(\.[0-9]+)?(e[+-][0-9]+)?$`
type Decimal string

// Distribution is a running mean and variance (Welford).
type Distribution struct {
	// mean of the values.
	// +optional
	Mean Decimal `json:"mean,omitempty"`

	// variance of the values, of the whole population.
	// +optional
	Variance Decimal `json:"variance,omitempty"`
}

// ServiceCount says in how many missions a service was used.
type ServiceCount struct {
	// service is the name of the outside service.
	// +required
	Service ServiceName `json:"service,omitempty"`

	// missions that used it.
	// +required
	// +kubebuilder:validation:Minimum=1
	Missions int64 `json:"missions,omitempty"`
}

// Baseline is what an agent's missions are like. Only missions that are Clean or Approved feed it,
// each once.
type Baseline struct {
	// missions that fed the baseline, since the agent was registered.
	// +optional
	// +kubebuilder:validation:Minimum=0
	Missions int64 `json:"missions,omitempty"`

	// actions a mission. The last hundred missions weigh the most.
	// +optional
	Actions Distribution `json:"actions,omitempty,omitzero"`

	// durationSeconds of a mission. The last hundred missions weigh the most.
	// +optional
	DurationSeconds Distribution `json:"durationSeconds,omitempty,omitzero"`

	// services that missions used, at most 128: beyond, the one that was used least is dropped.
	// +optional
	// +listType=map
	// +listMapKey=service
	// +kubebuilder:validation:MaxItems=128
	Services []ServiceCount `json:"services,omitempty"`

	// fed lists the UIDs of Checkouts that are counted here and not yet marked themselves.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=20
	Fed []types.UID `json:"fed,omitempty"`

	// lastTime is when a mission last fed the baseline.
	// +optional
	LastTime *metav1.Time `json:"lastTime,omitempty"`
}
