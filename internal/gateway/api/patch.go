package api

import (
	"context"
	"errors"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// patch writes what was changed in an object since it was read. It is a conflict where another object has its
// name by now: whoever asked did not mean that one.
func (s *service) patch(ctx context.Context, changed, read client.Object) error {
	nobody := read.DeepCopyObject().(client.Object)
	nobody.SetUID("") // so that the patch names the UID, which the API server compares
	err := s.Client.Patch(ctx, changed, client.MergeFrom(nobody))
	if isAnother(err) {
		return apierrors.NewConflict(schema.GroupResource{}, read.GetName(), err)
	}
	return err
}

// isAnother says whether a patch was refused for its UID. To the API server that is a field which never changes.
func isAnother(err error) bool {
	var status apierrors.APIStatus
	if !apierrors.IsInvalid(err) || !errors.As(err, &status) || status.Status().Details == nil {
		return false
	}
	for _, cause := range status.Status().Details.Causes {
		if cause.Field == "metadata.uid" {
			return true
		}
	}
	return false
}
