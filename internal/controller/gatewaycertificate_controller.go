package controller

import (
	"context"
	"crypto/rand"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"agentpassport.dev/operator/internal/servingcert"
)

// GatewayCertificateReconciler keeps the Secret that gateways mount: what they show to the manager and to
// their own clients, made anew in time. One replica, the leader, does it.
type GatewayCertificateReconciler struct {
	// Client reads Secrets live, and writes.
	client.Client
	// Clock is the API server's.
	Clock clock.PassiveClock
	// Authority of this replica.
	Authority *ChannelAuthority
	// Namespace of the operator.
	Namespace string
	// Names under which clients reach the gateway, beside that of its Service.
	Names []string
}

// Reconcile writes the Secret where a certificate is due.
func (r *GatewayCertificateReconciler) Reconcile(ctx context.Context, _ ctrl.Request) (ctrl.Result, error) {
	again := ctrl.Result{RequeueAfter: authorityInterval}
	authority := r.Authority.Authority()
	if authority == nil {
		return again, nil // its arrival brings this back
	}
	secret := &corev1.Secret{}
	err := r.Get(ctx, types.NamespacedName{Namespace: r.Namespace, Name: servingcert.GatewaySecretName}, secret)
	missing := apierrors.IsNotFound(err)
	if err != nil && !missing {
		return ctrl.Result{}, err
	}
	data, changed, err := authority.GatewayData(secret.Data, r.Namespace, r.Names, rand.Reader, r.Clock.Now())
	if err != nil || !changed {
		return again, err
	}
	if missing {
		secret = &corev1.Secret{
			ObjectMeta: metav1.ObjectMeta{Namespace: r.Namespace, Name: servingcert.GatewaySecretName}, Type: corev1.SecretTypeTLS,
		}
	}
	secret.Data = data
	if missing {
		err = r.Create(ctx, secret)
	} else {
		err = r.Update(ctx, secret)
	}
	if err != nil {
		return ctrl.Result{}, fmt.Errorf("the certificates of the gateways: %w", err)
	}
	log.FromContext(ctx).Info("made certificates for the gateways", "secret", servingcert.GatewaySecretName)
	return again, nil
}
