package api

import (
	"context"
	"regexp"

	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"agentpassport.dev/operator/api/v1alpha1"
)

// idempotencyKeyHeader has a request that is repeated do what it did before
// (draft-ietf-httpapi-idempotency-key-header).
const idempotencyKeyHeader = "Idempotency-Key"

// idempotencyKey is drawn by a client for one request. Empty: every request is another one.
type idempotencyKey string

var keyForm = regexp.MustCompile(`^[\x21-\x7e]{1,255}$`)

func (c *call) idempotencyKey() (idempotencyKey, error) {
	given := c.r.Header.Values(idempotencyKeyHeader)
	switch {
	case len(given) == 0:
		return "", nil
	case len(given) > 1 || !keyForm.MatchString(given[0]):
		return "", invalid(fault{Field: idempotencyKeyHeader, Message: "is one header of 1 to 255 printable ASCII characters, such as a UUID"})
	}
	return idempotencyKey(given[0]), nil
}

// name is that of the object which a request with the key makes: it follows from the caller, the path and
// the key, so that a repeat finds what was made. Empty without a key.
func (k idempotencyKey) name(c *call, prefix string) string {
	if k == "" {
		return ""
	}
	return prefix + "-" + derive("idempotency", c.who.GetName(), c.r.URL.Path, string(k))
}

// createOnce makes an object. Where one of its name is there it becomes that one, which has to be the same.
func (s *service) createOnce(ctx context.Context, object client.Object, same func() bool) error {
	err := s.Client.Create(ctx, object)
	if !apierrors.IsAlreadyExists(err) || object.GetName() == "" {
		return err
	}
	if err := s.Client.Get(ctx, client.ObjectKeyFromObject(object), object); err != nil {
		return err
	}
	if !same() {
		return fail(CodeKeyReused, "this %s came before with another body: draw a new key for a new request", idempotencyKeyHeader)
	}
	return nil
}

// sameMission says whether a stored Passport is what a request asks for.
func sameMission(wanted, stored *v1alpha1.PassportSpec) bool {
	compared := stored.DeepCopy()
	compared.Revocation = nil
	return sameAuthor(wanted.RequestedBy, compared.RequestedBy) &&
		equality.Semantic.DeepEqual(without(wanted), without(compared))
}

func without(spec *v1alpha1.PassportSpec) *v1alpha1.PassportSpec {
	compared := spec.DeepCopy()
	compared.RequestedBy = nil
	return compared
}

// sameReport says whether a stored Checkpoint is what a request reports.
func sameReport(wanted, stored *v1alpha1.CheckpointSpec) bool {
	a, b := wanted.DeepCopy(), stored.DeepCopy()
	a.SubmittedBy, b.SubmittedBy = nil, nil
	return sameAuthor(wanted.SubmittedBy, stored.SubmittedBy) && equality.Semantic.DeepEqual(a, b)
}

func sameAuthor(a, b *v1alpha1.Actor) bool { return a != nil && b != nil && a.Username == b.Username }
