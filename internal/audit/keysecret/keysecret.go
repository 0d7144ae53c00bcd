// Package keysecret keeps the private keys of the audit log in a Secret of the operator's own namespace.
package keysecret

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/util/retry"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"agentpassport.dev/operator/internal/audit/keys"
)

const (
	// Name is the Secret's name, unless one is given.
	Name = "agent-passport-auditlog-keys"
	// DataKey is the key of its data: private keys, one a line, the newest last.
	DataKey = "private-keys"
)

// ErrForeign means that a Secret of this name holds something else. It is left as it is.
var ErrForeign = errors.New("the Secret is not one of the audit log's keys")

// Load reads the private keys, and makes a Secret with a first one where there is none. random gives the
// seed, log is the name of the log. The client must not read from a cache.
func Load(ctx context.Context, c client.Client, at client.ObjectKey, random io.Reader, log string) ([]keys.Private, error) {
	secret, err := get(ctx, c, at)
	if apierrors.IsNotFound(err) {
		secret, err = create(ctx, c, at, random, log)
	}
	if err != nil {
		return nil, err
	}
	return read(secret, log)
}

// Read reads the private keys of a Secret that has to be there.
func Read(ctx context.Context, c client.Reader, at client.ObjectKey, log string) ([]keys.Private, error) {
	secret, err := get(ctx, c, at)
	if err != nil {
		return nil, err
	}
	return read(secret, log)
}

// Add puts a new private key beside those that are there, and returns it. A log that is open adopts it, and
// signs with it from then on.
func Add(ctx context.Context, c client.Client, at client.ObjectKey, random io.Reader, log string) (keys.Public, error) {
	next, err := keys.Generate(random, log)
	if err != nil {
		return keys.Public{}, err
	}
	err = change(ctx, c, at, log, func(there []keys.Private) []keys.Private { return append(there, next) })
	return next.Public, err
}

// Retire takes out the private keys that are older than the one that signs: who has one of them could sign
// another past. Without that one in the Secret it changes nothing.
func Retire(ctx context.Context, c client.Client, at client.ObjectKey, log string, active keys.Public) error {
	return change(ctx, c, at, log, func(there []keys.Private) []keys.Private {
		for i := range there {
			if there[i].Same(active) {
				return there[i:]
			}
		}
		return there
	})
}

// change writes what it is told, unless that is what is there. Whoever else has written in between is read
// again first.
func change(ctx context.Context, c client.Client, at client.ObjectKey, log string, to func([]keys.Private) []keys.Private) error {
	return retry.RetryOnConflict(retry.DefaultBackoff, func() error {
		secret, err := get(ctx, c, at)
		if err != nil {
			return err
		}
		there, err := read(secret, log)
		if err != nil {
			return err
		}
		text := encode(to(there))
		if bytes.Equal(text, secret.Data[DataKey]) {
			return nil
		}
		secret.Data[DataKey] = text
		return c.Update(ctx, secret)
	})
}

func get(ctx context.Context, c client.Reader, at client.ObjectKey) (*corev1.Secret, error) {
	var secret corev1.Secret
	err := c.Get(ctx, at, &secret)
	return &secret, err
}

// create makes the Secret. Where another was faster, that one's keys count.
func create(ctx context.Context, c client.Client, at client.ObjectKey, random io.Reader, log string) (*corev1.Secret, error) {
	first, err := keys.Generate(random, log)
	if err != nil {
		return nil, err
	}
	secret := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: at.Namespace, Name: at.Name,
			Labels: map[string]string{"app.kubernetes.io/part-of": "agent-passport-operator", "app.kubernetes.io/component": "auditlog"},
		},
		Type: corev1.SecretTypeOpaque,
		Data: map[string][]byte{DataKey: first.Secret()},
	}
	err = c.Create(ctx, secret)
	if apierrors.IsAlreadyExists(err) {
		return get(ctx, c, at)
	}
	return secret, err
}

func read(secret *corev1.Secret, log string) ([]keys.Private, error) {
	at := secret.Namespace + "/" + secret.Name
	if secret.Type != corev1.SecretTypeOpaque {
		return nil, fmt.Errorf("%s: %w: its type is %s", at, ErrForeign, secret.Type)
	}
	privates, err := keys.ParsePrivates(secret.Data[DataKey])
	if err != nil {
		return nil, fmt.Errorf("%s: %w: %s: %w", at, ErrForeign, DataKey, err)
	}
	if privates[0].Name() != log {
		return nil, fmt.Errorf("%s: %w: its keys are for the log %s", at, ErrForeign, privates[0].Name())
	}
	return privates, nil
}

func encode(privates []keys.Private) []byte {
	var text []byte
	for _, private := range privates {
		text = append(text, private.Secret()...)
	}
	return text
}
