package controller

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"maps"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"agentpassport.dev/operator/api/v1alpha1"
	"agentpassport.dev/operator/internal/audit/steps"
	"agentpassport.dev/operator/internal/token"
)

const (
	// KeySecretName is the Secret in the operator's namespace that holds the signing keys.
	KeySecretName = "agent-passport-signing-keys"
	// KeySecretData is its data key.
	KeySecretData = "keys.json"
	// AnnotationRotate on the key Secret asks for a rotation: "now" lets tokens live on, "emergency"
	// drops the current key and signs every live token again.
	AnnotationRotate = "agentpassport.dev/rotate"

	// confirmInterval is how often the audit log is asked whether it still has the record of the key.
	confirmInterval = time.Minute

	rotateNow       = "now"
	rotateEmergency = "emergency"
)

// SigningKeysReconciler keeps the signing keys: it makes them, rotates them, and publishes what
// verifies. One replica, the leader, does it; a key is stored before it is published, and published
// before it signs.
type SigningKeysReconciler struct {
	// Client reads Secrets and ConfigMaps live, and writes.
	client.Client
	// Clock is the API server's.
	Clock clock.PassiveClock
	// Recorder makes Events.
	Recorder events.EventRecorder
	// Keys of this replica.
	Keys *Keyring
	// Namespace of the operator.
	Namespace string
	// Issuer is the `iss` claim.
	Issuer string
	// Policy of rotation.
	Policy token.Policy
	// Trail that a new key is recorded in.
	Trail *AuditTrail
}

// Reconcile does what is due for the keys and says when it is next.
func (r *SigningKeysReconciler) Reconcile(ctx context.Context, _ ctrl.Request) (ctrl.Result, error) {
	secret, ring, err := r.load(ctx)
	if err != nil {
		return ctrl.Result{}, err
	}
	now := r.Clock.Now()
	ring, changes, err := r.rotate(secret, ring)
	if err != nil {
		return ctrl.Result{}, err
	}
	if err := r.save(ctx, secret, ring, changes); err != nil {
		return ctrl.Result{}, err
	}
	if err := r.publish(ctx, ring); err != nil {
		return ctrl.Result{}, err
	}
	ring, changes = token.MarkPublished(ring, now)
	if err := r.save(ctx, secret, ring, changes); err != nil {
		return ctrl.Result{}, err
	}
	again := min(max(token.NextChange(ring, now, r.Policy).Sub(now), 1), confirmInterval)
	current := ring.Signing()
	if err := r.Trail.confirm(ctx, steps.Key(secret, current.ID, current.ActivatedAt, r.Trail.operator)); err != nil {
		again = min(again, retryWaiting) // nothing waits for the log but its record
	}
	return ctrl.Result{RequeueAfter: again}, nil
}

// load reads the stored keys, and makes the first ones where there are none.
func (r *SigningKeysReconciler) load(ctx context.Context) (*corev1.Secret, token.Ring, error) {
	var secret corev1.Secret
	err := r.Get(ctx, types.NamespacedName{Namespace: r.Namespace, Name: KeySecretName}, &secret)
	if err == nil {
		ring, parseErr := parseKeys(&secret)
		return &secret, ring, parseErr
	}
	if !apierrors.IsNotFound(err) {
		return nil, token.Ring{}, err
	}
	ring, err := token.NewRing(rand.Reader, r.Clock.Now())
	if err != nil {
		return nil, token.Ring{}, err
	}
	stored, err := token.MarshalRing(ring)
	if err != nil {
		return nil, token.Ring{}, err
	}
	secret = corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: r.Namespace, Name: KeySecretName},
		Type:       corev1.SecretTypeOpaque,
		Data:       map[string][]byte{KeySecretData: stored},
	}
	if err := r.Create(ctx, &secret); err != nil {
		return nil, token.Ring{}, fmt.Errorf("store the first signing keys: %w", err)
	}
	keyChanges.WithLabelValues(string(token.KeyCreated)).Add(2)
	log.FromContext(ctx).Info("made the first signing keys", "kid", ring.Signing().ID)
	return &secret, ring, nil
}

// parseKeys reads the keys in a Secret. Ones that cannot be read are never written over.
func parseKeys(secret *corev1.Secret) (token.Ring, error) {
	ring, err := token.ParseRing(secret.Data[KeySecretData])
	if err != nil {
		return token.Ring{}, fmt.Errorf("secret %s/%s does not hold signing keys under %s; restore it from a backup, or delete it to begin with new keys: live tokens are then signed again, and copies of the old ones are refused: %w",
			secret.Namespace, secret.Name, KeySecretData, err)
	}
	return ring, nil
}

// rotate does what the annotation asks for and what is due.
func (r *SigningKeysReconciler) rotate(secret *corev1.Secret, ring token.Ring) (token.Ring, []token.Change, error) {
	ring, asked, err := r.obey(secret.Annotations[AnnotationRotate], ring)
	if err != nil {
		return ring, nil, err
	}
	ring, due, err := token.Advance(ring, rand.Reader, r.Clock.Now(), r.Policy)
	return ring, slices.Concat(asked, due), err
}

// obey does what the annotation asks for.
func (r *SigningKeysReconciler) obey(request string, ring token.Ring) (token.Ring, []token.Change, error) {
	switch request {
	case rotateEmergency:
		return token.RotateEmergency(ring, rand.Reader, r.Clock.Now())
	case rotateNow:
		return token.RequestRotation(ring), nil, nil
	default:
		return ring, nil, nil
	}
}

// save stores the keys where they changed, takes the annotation off, and only then signs with them.
func (r *SigningKeysReconciler) save(ctx context.Context, secret *corev1.Secret, ring token.Ring, changes []token.Change) error {
	stored, err := token.MarshalRing(ring)
	if err != nil {
		return err
	}
	request := secret.Annotations[AnnotationRotate]
	if !bytes.Equal(stored, secret.Data[KeySecretData]) || request != "" {
		delete(secret.Annotations, AnnotationRotate)
		secret.Data[KeySecretData] = stored
		if err := r.Update(ctx, secret); err != nil {
			return err
		}
	}
	r.Keys.Set(ring)
	if request != "" && request != rotateNow && request != rotateEmergency {
		r.Recorder.Eventf(secret, nil, corev1.EventTypeWarning, "RotationNotUnderstood", "Rotate",
			"annotation %s was %q; it takes now or emergency", AnnotationRotate, request)
	}
	for _, change := range changes {
		keyChanges.WithLabelValues(string(change.Event)).Inc()
		kind := corev1.EventTypeNormal
		if change.Event == token.KeyDropped {
			kind = corev1.EventTypeWarning
		}
		r.Recorder.Eventf(secret, nil, kind, "Key"+string(change.Event), "Rotate", "signing key %s: %s", change.KeyID, change.Event)
		log.FromContext(ctx).Info("signing key changed", "kid", change.KeyID, "event", change.Event)
	}
	return nil
}

// publish writes the JWKS and the OpenID configuration where anyone in the cluster finds them.
func (r *SigningKeysReconciler) publish(ctx context.Context, ring token.Ring) error {
	want := map[string]string{
		v1alpha1.SecretKeyJWKS:      string(token.JWKS(ring)),
		token.ConfigMapKeyDiscovery: string(token.Discovery(r.Issuer, token.JWKSURI(r.Issuer))),
	}
	var published corev1.ConfigMap
	err := r.Get(ctx, types.NamespacedName{Namespace: r.Namespace, Name: token.ConfigMapName}, &published)
	switch {
	case apierrors.IsNotFound(err):
		published = corev1.ConfigMap{
			ObjectMeta: metav1.ObjectMeta{Namespace: r.Namespace, Name: token.ConfigMapName}, Data: want,
		}
		return r.Create(ctx, &published)
	case err != nil:
		return err
	}
	if equality.Semantic.DeepEqual(published.Data, want) {
		return nil
	}
	published.Data = maps.Clone(want)
	return r.Update(ctx, &published)
}

// KeyringLoader brings the stored keys into this replica. Every replica runs it, leader or not, so
// that each serves the same JWKS.
type KeyringLoader struct {
	// Client reads Secrets live.
	client.Client
	// Keys of this replica.
	Keys *Keyring
	// Namespace of the operator.
	Namespace string
}

// Reconcile reads the keys.
func (l *KeyringLoader) Reconcile(ctx context.Context, _ ctrl.Request) (ctrl.Result, error) {
	var secret corev1.Secret
	if err := l.Get(ctx, types.NamespacedName{Namespace: l.Namespace, Name: KeySecretName}, &secret); err != nil {
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	ring, err := parseKeys(&secret)
	if err != nil {
		return ctrl.Result{}, err
	}
	l.Keys.Set(ring)
	return ctrl.Result{}, nil
}
