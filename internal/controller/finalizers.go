package controller

import (
	"context"

	"sigs.k8s.io/controller-runtime/pkg/client"
)

// changeFinalizers writes what change makes of an object's finalizers, and nothing else: a spec that
// spells out what Go leaves out, such as false, would not survive an update. It says whether anything
// was written.
func changeFinalizers(
	ctx context.Context, c client.Client, object client.Object, finalizer string, change func(client.Object, string) bool,
) (bool, error) {
	before, ok := object.DeepCopyObject().(client.Object)
	if !ok || !change(object, finalizer) {
		return false, nil
	}
	// A list of finalizers is replaced whole: it must be the one that was read.
	patch := client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{})
	if err := c.Patch(ctx, object, patch); err != nil {
		return false, client.IgnoreNotFound(err)
	}
	return true, nil
}
