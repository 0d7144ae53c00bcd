package controller

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strings"
	"sync"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"agentpassport.dev/operator/api/v1alpha1"
	"agentpassport.dev/operator/internal/lifecycle"
	"agentpassport.dev/operator/internal/token"
)

// SecretsClusterRole is the ClusterRole that a namespace's owner binds to the operator to consent to
// token Secrets in that namespace.
const SecretsClusterRole = "agent-passport-secrets"

// deliveryProblem is why a token cannot be written to its Secret. A person mends it.
type deliveryProblem struct {
	reason  v1alpha1.Reason
	message string
}

func (p *deliveryProblem) Error() string { return p.message }

// wait is what a passport does that cannot be issued for the problem.
func (p *deliveryProblem) wait() lifecycle.Decision {
	return lifecycle.Decision{Verdict: lifecycle.VerdictWait, Reason: p.reason, Message: p.message}
}

// tokenSecrets writes the tokens of passports into Secrets. It changes a Secret only where type and
// owner UID are its own.
type tokenSecrets struct {
	// client reads Secrets live; nothing caches their contents.
	client client.Client
	// live reads Passports from the API server itself.
	live client.Reader
	// watch tells which token Secrets exist. Without one, every question is a live read.
	watch *secretWatch
	// manager is the user that consent is given to.
	manager types.NamespacedName
	// gateway is what Secrets say of the gateway.
	gateway gatewayAccess

	mu sync.Mutex
	// good holds, by passport, what its Secret was when it was last known to be right.
	good map[types.UID]trust
}

// trust is what is known of a Secret: the resourceVersion at which it was right, and the digest of the
// claims that were right then. An old view of the passport asks for others.
type trust struct {
	resourceVersion string
	claims          [sha256.Size]byte
}

// create writes the first Secret of a passport. Where the passport has one already, from before a
// crash, it gives the token in that one instead, and its claims. The error may be a deliveryProblem.
func (s *tokenSecrets) create(
	ctx context.Context, passport *v1alpha1.Passport, wanted *token.Claims, signed string, ring token.Ring,
) (claims *token.Claims, err error) {
	if err := s.gateway.check(); err != nil {
		return nil, err
	}
	secret := s.secret(passport, lifecycle.SecretName(passport), signed, ring)
	if err = s.client.Create(ctx, secret); err == nil {
		s.follow(passport.Namespace)
		return nil, s.trust(passport.UID, secret, wanted)
	}
	if !apierrors.IsAlreadyExists(err) {
		return nil, s.problem(passport, err)
	}
	return s.adopt(ctx, passport, ring)
}

// none says that the passport has no Secret, and that its namespace has consented: the watch on Secrets shows
// both.
func (s *tokenSecrets) none(passport *v1alpha1.Passport) bool {
	if s.watch == nil || s.known(passport.UID).resourceVersion != "" {
		return false
	}
	secrets, known := s.watch.find(passport.Namespace, passport.UID)
	return known && len(secrets) == 0
}

// adopt gives the claims of the token that the passport's Secret holds already; nil where it has no
// Secret, or one of its own that holds no good token, which is then removed. A Secret of somebody
// else's is a deliveryProblem.
func (s *tokenSecrets) adopt(ctx context.Context, passport *v1alpha1.Passport, ring token.Ring) (*token.Claims, error) {
	name := lifecycle.SecretName(passport)
	var secret corev1.Secret
	if err := s.client.Get(ctx, types.NamespacedName{Namespace: passport.Namespace, Name: name}, &secret); err != nil {
		if apierrors.IsNotFound(err) {
			return nil, nil
		}
		return nil, s.problem(passport, err)
	}
	if !owned(&secret, passport) {
		return nil, conflict(passport, name)
	}
	claims, err := token.VerifySignature(string(secret.Data[v1alpha1.SecretKeyToken]), ring)
	if err != nil || claims.ID != token.JTI(string(passport.UID)) {
		// Ours by name and owner, but not a token of ours: edited by hand before the issue was stored.
		return nil, client.IgnoreNotFound(s.delete(ctx, &secret))
	}
	if !s.isRight(&secret, passport, claims, ring) {
		return claims, nil // what is beside the token is put right once it is Active
	}
	return claims, s.trust(passport.UID, &secret, claims)
}

// keep sees to it that the Secret of an Active passport holds the token of its claims. It costs
// nothing while the watch has seen no change. The error may be a deliveryProblem.
func (s *tokenSecrets) keep(ctx context.Context, passport *v1alpha1.Passport, ring token.Ring) error {
	s.follow(passport.Namespace)
	claims, err := claimsOf(passport)
	if err != nil {
		return err
	}
	if right, err := s.trusted(passport, claims); err != nil || right {
		return err
	}
	if err := s.gateway.check(); err != nil {
		return err
	}
	name := passport.Status.Issued.SecretName
	var have corev1.Secret
	err = s.client.Get(ctx, types.NamespacedName{Namespace: passport.Namespace, Name: name}, &have)
	switch {
	case err != nil && !apierrors.IsNotFound(err):
		return s.problem(passport, err)
	case err == nil && !owned(&have, passport):
		return conflict(passport, name)
	case err == nil && s.isRight(&have, passport, claims, ring):
		return s.trust(passport.UID, &have, claims)
	}
	if meant, err := s.isMeant(ctx, passport, claims); err != nil || !meant {
		return err
	}
	signed, signErr := token.Sign(ring.Signing(), claims)
	if signErr != nil {
		return signErr
	}
	want := s.secret(passport, name, signed, ring)
	if apierrors.IsNotFound(err) {
		err = s.client.Create(ctx, want)
	} else {
		want.UID, want.ResourceVersion = have.UID, have.ResourceVersion
		err = s.client.Update(ctx, want)
	}
	if err != nil {
		return s.problem(passport, err)
	}
	return s.trust(passport.UID, want, claims)
}

// isMeant says whether the stored Passport is Active with these claims. An old cache may show one that
// is over, which gets no token back, or one that was extended since, whose token is newer.
func (s *tokenSecrets) isMeant(ctx context.Context, passport *v1alpha1.Passport, claims *token.Claims) (bool, error) {
	stored, err := find[v1alpha1.Passport](ctx, s.live, passport.Namespace, passport.Name)
	if err != nil || stored == nil || stored.UID != passport.UID || stored.Status.Phase != v1alpha1.PhaseActive {
		return false, err
	}
	newest, err := claimsOf(stored)
	return err == nil && sameClaims(newest, claims), err
}

// remove deletes whatever token Secrets a finished passport has left.
func (s *tokenSecrets) remove(ctx context.Context, passport *v1alpha1.Passport) error {
	if passport.Spec.TokenDelivery == v1alpha1.DeliveryNone {
		return nil
	}
	name := lifecycle.SecretName(passport)
	if s.none(passport) {
		return nil
	}
	var secret corev1.Secret
	err := s.client.Get(ctx, types.NamespacedName{Namespace: passport.Namespace, Name: name}, &secret)
	if err == nil && owned(&secret, passport) {
		err = s.delete(ctx, &secret)
	}
	if client.IgnoreNotFound(err) == nil {
		s.distrust(passport.UID)
		return nil
	}
	return err
}

func (s *tokenSecrets) delete(ctx context.Context, secret *corev1.Secret) error {
	return s.client.Delete(ctx, secret, client.Preconditions{UID: &secret.UID})
}

// follow watches the namespace's token Secrets from now on.
func (s *tokenSecrets) follow(namespace string) {
	if s.watch != nil {
		s.watch.follow(namespace)
	}
}

// trust notes that a Secret, as it is now, is right for these claims.
func (s *tokenSecrets) trust(passport types.UID, secret *corev1.Secret, claims *token.Claims) error {
	digest, err := digestOf(claims)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.good == nil {
		s.good = map[types.UID]trust{}
	}
	s.good[passport] = trust{resourceVersion: secret.ResourceVersion, claims: digest}
	return nil
}

// trusted says whether a passport's Secret needs no look: it was right for these claims once, and is
// as it was then.
func (s *tokenSecrets) trusted(passport *v1alpha1.Passport, claims *token.Claims) (bool, error) {
	digest, err := digestOf(claims)
	return err == nil && s.known(passport.UID).claims == digest && s.unchanged(passport.UID, secretOf(passport)), err
}

// unchanged says whether the watch shows no change of a Secret since it was known to be right. The watch
// is asked here, and its events only bring the passport back: so a change is found whether its event
// comes before trust or after it.
func (s *tokenSecrets) unchanged(passport types.UID, secret types.NamespacedName) bool {
	known := s.known(passport).resourceVersion
	return known != "" && (s.watch == nil || !s.watch.changedSince(secret, known))
}

// known gives what the passport's Secret was when it was last known to be right.
func (s *tokenSecrets) known(passport types.UID) trust {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.good[passport]
}

func (s *tokenSecrets) distrust(passport types.UID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.good, passport)
}

// distrustAll has every Secret looked at again.
func (s *tokenSecrets) distrustAll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.good)
}

// secret is the Secret that holds a passport's token, with what verifies it.
func (s *tokenSecrets) secret(passport *v1alpha1.Passport, name, signed string, ring token.Ring) *corev1.Secret {
	controller := true
	data := s.beside(ring)
	data[v1alpha1.SecretKeyToken] = []byte(signed)
	return &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: passport.Namespace,
			Name:      name,
			Labels: map[string]string{
				v1alpha1.LabelPassportUID:       string(passport.UID),
				v1alpha1.LabelExcludeFromBackup: "true",
			},
			OwnerReferences: []metav1.OwnerReference{{
				APIVersion: v1alpha1.GroupVersion.String(),
				Kind:       "Passport",
				Name:       passport.Name,
				UID:        passport.UID,
				Controller: &controller,
			}},
		},
		Type: v1alpha1.SecretTypePassportToken,
		Data: data,
	}
}

// beside is all that a Secret holds but the token: what verifies it, and where to show it.
func (s *tokenSecrets) beside(ring token.Ring) map[string][]byte {
	data := s.gateway.data()
	data[v1alpha1.SecretKeyJWKS] = token.JWKS(ring)
	return data
}

// secretOf is where a passport's token goes.
func secretOf(passport *v1alpha1.Passport) types.NamespacedName {
	return types.NamespacedName{Namespace: passport.Namespace, Name: lifecycle.SecretName(passport)}
}

// owned says whether a Secret is the passport's own: by type and by owner UID.
func owned(secret *corev1.Secret, passport *v1alpha1.Passport) bool {
	owner := metav1.GetControllerOf(secret)
	return secret.Type == v1alpha1.SecretTypePassportToken && owner != nil && owner.UID == passport.UID
}

// isRight says whether a Secret is just as it should be: a token with these very claims, signed by a
// key that still stands, what goes beside it, and the label by which it is watched.
func (s *tokenSecrets) isRight(secret *corev1.Secret, passport *v1alpha1.Passport, claims *token.Claims, ring token.Ring) bool {
	signed, err := token.VerifySignature(string(secret.Data[v1alpha1.SecretKeyToken]), ring)
	want := s.beside(ring)
	want[v1alpha1.SecretKeyToken] = secret.Data[v1alpha1.SecretKeyToken]
	return err == nil &&
		sameClaims(signed, claims) &&
		maps.EqualFunc(secret.Data, want, bytes.Equal) &&
		secret.Labels[v1alpha1.LabelPassportUID] == string(passport.UID)
}

func sameClaims(a, b *token.Claims) bool {
	digestA, errA := digestOf(a)
	digestB, errB := digestOf(b)
	return errA == nil && errB == nil && digestA == digestB
}

func digestOf(claims *token.Claims) ([sha256.Size]byte, error) {
	encoded, err := json.Marshal(claims)
	return sha256.Sum256(encoded), err
}

func conflict(passport *v1alpha1.Passport, name string) error {
	return &deliveryProblem{
		reason: v1alpha1.ReasonSecretConflict,
		message: fmt.Sprintf("Secret %s in namespace %s exists and does not belong to this Passport: delete it, or create a Passport with another secretName",
			name, passport.Namespace),
	}
}

// problem tells what a person has to mend from what time mends.
func (s *tokenSecrets) problem(passport *v1alpha1.Passport, err error) error {
	status := apierrors.APIStatus(nil)
	if !errors.As(err, &status) {
		return err
	}
	switch {
	case apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause):
		return &deliveryProblem{reason: v1alpha1.ReasonSecretRefused, message: "namespace " + passport.Namespace + " is being deleted"}
	case apierrors.IsForbidden(err) && lacksRight(err):
		return &deliveryProblem{
			reason: v1alpha1.ReasonNamespaceNotEnabled,
			message: fmt.Sprintf("namespace %[1]s has not consented to token Secrets. Its owner runs: kubectl create rolebinding %[2]s --namespace %[1]s --clusterrole %[2]s --serviceaccount %[3]s:%[4]s",
				passport.Namespace, SecretsClusterRole, s.manager.Namespace, s.manager.Name),
		}
	case apierrors.IsForbidden(err), apierrors.IsInvalid(err):
		return &deliveryProblem{reason: v1alpha1.ReasonSecretRefused, message: fmt.Sprintf("the API server refuses the token Secret: %s", status.Status().Message)}
	default:
		return err
	}
}

// lacksRight tells a refusal by RBAC, which names what the user cannot do, from one by a quota or a
// policy.
func lacksRight(err error) bool { return strings.Contains(err.Error(), " cannot ") }
