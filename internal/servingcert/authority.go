package servingcert

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io"
	"math/big"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/util/cert"
	"k8s.io/client-go/util/keyutil"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

const (
	authorityLife = 10 * 365 * 24 * time.Hour
	// backdate is for clients whose clocks are behind.
	backdate = time.Hour
)

// ErrForeign means that the Secret holds something else. It is left as it is.
var ErrForeign = errors.New("the Secret does not hold the authority")

// Authority signs certificates.
type Authority struct {
	certificate *x509.Certificate
	key         crypto.Signer
	// PEM is the certificate of the authority, for clients.
	PEM []byte
}

// LoadAuthority reads the authority from its Secret, makes one where there is none, and publishes its
// certificate. random gives the key. The client must not read from a cache.
func LoadAuthority(ctx context.Context, c client.Client, place Place, random io.Reader, now time.Time) (*Authority, error) {
	secret, err := authoritySecret(ctx, c, place, random, now)
	if err != nil {
		return nil, fmt.Errorf("secret %s/%s: %w", place.Namespace, place.Secret, err)
	}
	authority, err := parse(secret.Data)
	if err != nil {
		return nil, fmt.Errorf("secret %s/%s: %w; delete it to begin with a new authority", place.Namespace, place.Secret, err)
	}
	if err := publish(ctx, c, place, authority.PEM); err != nil {
		return nil, fmt.Errorf("configmap %s/%s: %w", place.Namespace, place.ConfigMap, err)
	}
	return authority, nil
}

func authoritySecret(ctx context.Context, c client.Client, place Place, random io.Reader, now time.Time) (*corev1.Secret, error) {
	key := client.ObjectKey{Namespace: place.Namespace, Name: place.Secret}
	secret := &corev1.Secret{}
	if err := c.Get(ctx, key, secret); !apierrors.IsNotFound(err) {
		return secret, err
	}
	data, err := makeAuthority(place.CommonName, random, now)
	if err != nil {
		return nil, err
	}
	secret = &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: place.Namespace, Name: place.Secret}, Type: corev1.SecretTypeTLS, Data: data}
	err = c.Create(ctx, secret)
	if apierrors.IsAlreadyExists(err) {
		err = c.Get(ctx, key, secret)
	}
	return secret, err
}

func makeAuthority(name string, random io.Reader, now time.Time) (map[string][]byte, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), random)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name},
		NotBefore: now.Add(-backdate), NotAfter: now.Add(authorityLife),
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature, BasicConstraintsValid: true, IsCA: true, MaxPathLenZero: true,
	}
	signed, err := x509.CreateCertificate(random, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	pair, err := encode(signed, key)
	return map[string][]byte{corev1.TLSCertKey: pair.Certificate, corev1.TLSPrivateKeyKey: pair.Key}, err
}

// parse quotes nothing of what it cannot read: it was meant to be a private key.
func parse(data map[string][]byte) (*Authority, error) {
	certificates, err := cert.ParseCertsPEM(data[corev1.TLSCertKey])
	if err != nil || len(certificates) != 1 || !certificates[0].IsCA {
		return nil, ErrForeign
	}
	parsed, err := keyutil.ParsePrivateKeyPEM(data[corev1.TLSPrivateKeyKey])
	if err != nil {
		return nil, ErrForeign
	}
	key, ok := parsed.(*ecdsa.PrivateKey)
	if !ok || !key.PublicKey.Equal(certificates[0].PublicKey) {
		return nil, ErrForeign
	}
	return &Authority{certificate: certificates[0], key: key, PEM: data[corev1.TLSCertKey]}, nil
}

func publish(ctx context.Context, c client.Client, place Place, certificate []byte) error {
	var published corev1.ConfigMap
	err := c.Get(ctx, client.ObjectKey{Namespace: place.Namespace, Name: place.ConfigMap}, &published)
	want := map[string]string{ConfigMapKey: string(certificate)}
	switch {
	case apierrors.IsNotFound(err):
		made := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: place.Namespace, Name: place.ConfigMap}, Data: want}
		return client.IgnoreAlreadyExists(c.Create(ctx, made)) // another replica was faster
	case err != nil || bytes.Equal([]byte(published.Data[ConfigMapKey]), certificate):
		return err
	default:
		published.Data = want
		return c.Update(ctx, &published)
	}
}
