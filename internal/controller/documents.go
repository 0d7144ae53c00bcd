package controller

import (
	"context"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/tools/events"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"agentpassport.dev/operator/api/v1alpha1"
	"agentpassport.dev/operator/internal/lifecycle"
)

// vendorKeys gives the VendorKeys that a signature may be held against; none where there is no signature.
func vendorKeys(ctx context.Context, reader client.Reader, signed *v1alpha1.DocumentSignature) ([]v1alpha1.VendorKey, error) {
	if signed == nil {
		return nil, nil
	}
	var list v1alpha1.VendorKeyList
	err := reader.List(ctx, &list, client.UnsafeDisableDeepCopy)
	return list.Items, err
}

// packs gives the PolicyPacks of a namespace, from the cache or live.
func packs(ctx context.Context, reader client.Reader, namespace string) ([]v1alpha1.PolicyPack, error) {
	var list v1alpha1.PolicyPackList
	err := reader.List(ctx, &list, client.InNamespace(namespace), client.UnsafeDisableDeepCopy)
	return list.Items, err
}

// rereadAfter is how long a reading holds if nothing is changed; 0: for good.
func rereadAfter(reading *lifecycle.Reading, now time.Time) time.Duration {
	if reading == nil {
		return 0
	}
	return untilAfter(reading.Proof.Until, now)
}

// untilAfter is how long it is to a time; 0: there is none.
func untilAfter(at, now time.Time) time.Duration {
	if at.IsZero() {
		return 0
	}
	return max(at.Sub(now), time.Second)
}

// tellOf makes an Event of each condition that was not there before, or not with that reason. Worth says of what
// type the Event is; empty: none is made.
func tellOf(
	recorder events.EventRecorder, object runtime.Object, action string, before, after []metav1.Condition, worth func(metav1.Condition) string,
) {
	for _, condition := range after {
		if old := meta.FindStatusCondition(before, condition.Type); old != nil && old.Reason == condition.Reason {
			continue
		}
		if kind := worth(condition); kind != "" {
			recorder.Eventf(object, nil, kind, condition.Reason, action, "%s", note(condition.Message))
		}
	}
}

// normalIfTrue is what a condition is worth that is good where it is True.
func normalIfTrue(condition metav1.Condition) string {
	if condition.Status == metav1.ConditionTrue {
		return corev1.EventTypeNormal
	}
	return corev1.EventTypeWarning
}
