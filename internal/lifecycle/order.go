package lifecycle

import (
	"cmp"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// older orders objects by the time that the API server stamped on them, then by UID: within one second
// nothing else tells which came first.
func older(a, b metav1.Object) int {
	made := a.GetCreationTimestamp()
	return cmp.Or(made.Compare(b.GetCreationTimestamp().Time), cmp.Compare(a.GetUID(), b.GetUID()))
}
