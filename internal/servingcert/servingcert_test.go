package servingcert_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	clocktesting "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"agentpassport.dev/operator/internal/servingcert"
	"agentpassport.dev/operator/test/apiserver"
)

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func TestAuthority(t *testing.T) {
	ctx := context.Background()
	server, err := apiserver.Start(ctx, "../..", apiserver.ValidatingPolicies)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Stop(); err != nil {
			t.Error(err)
		}
	})
	c := server.Admin()
	namespace, err := server.Namespace(ctx, "certificates")
	if err != nil {
		t.Fatal(err)
	}
	authority, err := servingcert.LoadAuthority(ctx, c, servingcert.AuditLog(namespace), rand.Reader, noon)
	if err != nil {
		t.Fatal(err)
	}
	again, err := servingcert.LoadAuthority(ctx, c, servingcert.AuditLog(namespace), rand.Reader, noon.Add(time.Hour))
	if err != nil || !bytes.Equal(again.PEM, authority.PEM) {
		t.Fatalf("another authority after a restart: %v", err)
	}

	t.Run("is published, and published again", func(t *testing.T) {
		published := &corev1.ConfigMap{}
		key := client.ObjectKey{Namespace: namespace, Name: servingcert.AuditLogName}
		if err := c.Get(ctx, key, published); err != nil {
			t.Fatal(err)
		}
		published.Data[servingcert.ConfigMapKey] = "edited by hand"
		if err := c.Update(ctx, published); err != nil {
			t.Fatal(err)
		}
		if _, err := servingcert.LoadAuthority(ctx, c, servingcert.AuditLog(namespace), rand.Reader, noon); err != nil {
			t.Fatal(err)
		}
		if err := c.Get(ctx, key, published); err != nil || published.Data[servingcert.ConfigMapKey] != string(authority.PEM) {
			t.Errorf("published %q: %v", published.Data, err)
		}
	})

	t.Run("signs what clients accept, and renews it in time", func(t *testing.T) {
		clock := clocktesting.NewFakeClock(noon)
		serving := &servingcert.Serving{Authority: authority, Names: []string{"auditlog.system.svc", "127.0.0.1"}, Clock: clock, Random: rand.Reader}
		roots := x509.NewCertPool()
		if !roots.AppendCertsFromPEM(authority.PEM) {
			t.Fatal("no PEM")
		}
		shown := func() *x509.Certificate {
			t.Helper()
			served, err := serving.GetCertificate(nil)
			if err != nil {
				t.Fatal(err)
			}
			leaf, err := x509.ParseCertificate(served.Certificate[0])
			if err != nil {
				t.Fatal(err)
			}
			for _, name := range serving.Names {
				if _, err := leaf.Verify(x509.VerifyOptions{DNSName: name, Roots: roots, CurrentTime: clock.Now()}); err != nil {
					t.Errorf("as %s: %v", name, err)
				}
			}
			return leaf
		}
		first := shown()
		clock.Step(20*24*time.Hour - time.Second)
		if !shown().Equal(first) {
			t.Error("renewed too early")
		}
		clock.Step(time.Second)
		if shown().Equal(first) {
			t.Error("not renewed")
		}
	})

	t.Run("leaves another's Secret alone", func(t *testing.T) {
		secret := &corev1.Secret{}
		key := client.ObjectKey{Namespace: namespace, Name: servingcert.AuditLogName}
		if err := c.Get(ctx, key, secret); err != nil {
			t.Fatal(err)
		}
		foreign, err := servingcert.LoadAuthority(ctx, c, servingcert.AuditLog("default"), rand.Reader, noon)
		if err != nil {
			t.Fatal(err)
		}
		secret.Data[corev1.TLSCertKey] = foreign.PEM // of another key
		if err := c.Update(ctx, secret); err != nil {
			t.Fatal(err)
		}
		if _, err := servingcert.LoadAuthority(ctx, c, servingcert.AuditLog(namespace), rand.Reader, noon); !errors.Is(err, servingcert.ErrForeign) {
			t.Errorf("%v, want ErrForeign", err)
		}
	})
}
