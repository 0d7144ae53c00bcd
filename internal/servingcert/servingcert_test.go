package servingcert_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"maps"
	"os"
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	clocktesting "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"agentpassport.dev/operator/internal/servingcert"
	"agentpassport.dev/operator/test/apiserver"
)

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

// api is an API server: authorities are kept there.
var api *apiserver.Server

func TestMain(m *testing.M) {
	os.Exit(func() int {
		var err error
		if api, err = apiserver.Start(context.Background(), "../..", apiserver.ValidatingPolicies); err != nil {
			panic(err)
		}
		defer api.Stop() //nolint:errcheck // the tests are over
		return m.Run()
	}())
}

func TestAuthority(t *testing.T) {
	ctx := t.Context()
	c := api.Admin()
	namespace, err := api.Namespace(ctx, "certificates")
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

// What a gateway shows is kept while it is good, and each part is made anew alone.
func TestGatewayData(t *testing.T) {
	authority, other := newAuthority(t), newAuthority(t)
	names := []string{"gateway.example.com", "192.0.2.1"}
	good, changed, err := authority.GatewayData(map[string][]byte{"kept": []byte("x")}, "system", names, rand.Reader, noon)
	if err != nil || !changed {
		t.Fatal(changed, err)
	}
	for name, tc := range map[string]struct {
		by    *servingcert.Authority
		names []string
		at    time.Time
		spoil func(map[string][]byte)
		want  []string
	}{
		"nothing to do":                      {authority, names, noon, nil, nil},
		"just before two thirds":             {authority, names, noon.Add(20*24*time.Hour - time.Second), nil, nil},
		"at two thirds":                      {authority, names, noon.Add(20 * 24 * time.Hour), nil, []string{"client.crt", "client.key", "tls.crt", "tls.key"}},
		"a clock that was wrong":             {authority, names, noon.Add(-2 * time.Hour), nil, []string{"client.crt", "client.key", "tls.crt", "tls.key"}},
		"another name":                       {authority, names[:1], noon, nil, []string{"tls.crt", "tls.key"}},
		"another authority":                  {other, names, noon, nil, []string{"ca.crt", "client.crt", "client.key", "tls.crt", "tls.key"}},
		"an authority that was written over": {authority, names, noon, func(d map[string][]byte) { d["ca.crt"] = other.PEM }, []string{"ca.crt"}},
		"a key that is no key":               {authority, names, noon, func(d map[string][]byte) { d["client.key"] = []byte("x") }, []string{"client.crt", "client.key"}},
		"the one pair in the other's place":  {authority, names, noon, func(d map[string][]byte) { d["tls.crt"], d["tls.key"] = d["client.crt"], d["client.key"] }, []string{"tls.crt", "tls.key"}},
		"a certificate and the other's key":  {authority, names, noon, func(d map[string][]byte) { d["tls.key"] = d["client.key"] }, []string{"tls.crt", "tls.key"}},
	} {
		have := maps.Clone(good)
		if tc.spoil != nil {
			tc.spoil(have)
		}
		before := maps.Clone(have)
		data, changed, err := tc.by.GatewayData(have, "system", tc.names, rand.Reader, tc.at)
		if err != nil || changed != (len(tc.want) > 0) {
			t.Errorf("%s: changed %t, %v", name, changed, err)
		}
		var got []string
		for key := range data {
			if !bytes.Equal(data[key], before[key]) {
				got = append(got, key)
			}
		}
		slices.Sort(got)
		if !slices.Equal(got, tc.want) {
			t.Errorf("%s: %v, want %v", name, got, tc.want)
		}
		if again, changed, err := tc.by.GatewayData(data, "system", tc.names, rand.Reader, tc.at); changed || err != nil || len(again) != 6 {
			t.Errorf("%s: not settled: %d keys, %v", name, len(again), err)
		}
	}
}

// newAuthority makes one in a namespace of its own.
func newAuthority(t *testing.T) *servingcert.Authority {
	t.Helper()
	namespace, err := api.Namespace(t.Context(), "authority")
	if err != nil {
		t.Fatal(err)
	}
	authority, err := servingcert.LoadAuthority(t.Context(), api.Admin(), servingcert.Channel(namespace), rand.Reader, noon)
	if err != nil {
		t.Fatal(err)
	}
	return authority
}
