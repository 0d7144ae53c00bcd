package controller

import (
	"context"

	"sigs.k8s.io/controller-runtime/pkg/client"
)

// changeFinalizers writes what change makes of an object's finalizers, and nothing else: a spec that
// spells out what Go leaves out, such as false, would not survive an update. What it wrote, written
// remembers.
func changeFinalizers(
	ctx context.Context, c client.Client, written *ownWrites, object client.Object, finalizer string, change func(client.Object, string) bool,
) error {
	before, ok := object.DeepCopyObject().(client.Object)
	if !ok || !change(object, finalizer) {
		return nil
	}
	// A list of finalizers is replaced whole: it must be the one that was read.
	patch := client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{})
	if err := c.Patch(ctx, object, patch); err != nil {
		return client.IgnoreNotFound(err)
	}
	written.record(object)
	return nil
}
