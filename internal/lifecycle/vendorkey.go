package lifecycle

import (
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"agentpassport.dev/operator/api/v1alpha1"
	"agentpassport.dev/operator/internal/signature"
)

// VendorKey gives the status of a VendorKey.
func VendorKey(key *v1alpha1.VendorKey, now time.Time) v1alpha1.VendorKeyStatus {
	status := *key.Status.DeepCopy()
	status.ObservedGeneration = key.Generation
	status.Keys = signature.States(key.Spec, now)
	valid := 0
	for _, entry := range status.Keys {
		if entry.State == v1alpha1.KeyValid {
			valid++
		}
	}
	value, reason, message := metav1.ConditionTrue, v1alpha1.ReasonTrusted,
		fmt.Sprintf("%d of %d keys speak for %s", valid, len(status.Keys), key.Spec.Vendor)
	if valid == 0 {
		value, reason = metav1.ConditionFalse, v1alpha1.ReasonNoValidKey
		message = fmt.Sprintf("no key speaks for %s: status.keys says why of each; add one that is valid, or delete the VendorKey", key.Spec.Vendor)
	}
	SetCondition(&status.Conditions, key.Generation, v1alpha1.ConditionReady, value, reason, message, now)
	return status
}
