// Package v1alpha1 is the API of the Agent Passport Operator, group
// agentpassport.dev. One file holds one kind; conditions.go holds every
// condition type and reason.
//
// +kubebuilder:object:generate=true
// +groupName=agentpassport.dev
package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

var (
	// GroupVersion is the group and version of every kind in this package.
	GroupVersion = schema.GroupVersion{Group: "agentpassport.dev", Version: "v1alpha1"}

	schemeBuilder = runtime.NewSchemeBuilder(addKnownTypes)

	// AddToScheme registers every kind in this package with a scheme.
	AddToScheme = schemeBuilder.AddToScheme
)

func addKnownTypes(scheme *runtime.Scheme) error {
	scheme.AddKnownTypes(GroupVersion,
		&AgentPassport{}, &AgentPassportList{},
		&Passport{}, &PassportList{},
		&Checkpoint{}, &CheckpointList{},
		&Checkout{}, &CheckoutList{},
		&AgentBlock{}, &AgentBlockList{},
		&ServiceConnection{}, &ServiceConnectionList{},
		&CapabilityPassport{}, &CapabilityPassportList{},
		&CompatibilityCheck{}, &CompatibilityCheckList{},
		&PolicyPack{}, &PolicyPackList{},
		&VendorKey{}, &VendorKeyList{},
	)
	metav1.AddToGroupVersion(scheme, GroupVersion)
	return nil
}
