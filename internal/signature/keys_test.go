package signature_test

import (
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"agentpassport.dev/operator/api/v1alpha1"
	"agentpassport.dev/operator/internal/signature"
)

func block(t testing.TB, kind string, der []byte, err error) string {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}

// others are keys that sign no document: private and public, by what the error has to say.
func others(t testing.TB) (private, public map[string]string) {
	t.Helper()
	private, public = map[string]string{}, map[string]string{}
	add := func(says string, key any, open any) {
		der, err := x509.MarshalPKCS8PrivateKey(key)
		private[says] = block(t, "PRIVATE KEY", der, err)
		der, err = x509.MarshalPKIXPublicKey(open)
		public[says] = block(t, "PUBLIC KEY", der, err)
	}
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	add("an RSA key", rsaKey, rsaKey.Public())
	ecKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	add("an ECDSA key", ecKey, ecKey.Public())
	xKey, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	add("an X25519 key", xKey, xKey.PublicKey())
	return private, public
}

func TestParsePublicKey(t *testing.T) {
	good := publicPEM(t, rfcKey(t))
	for _, text := range []string{good, "\n" + good + "\n\n", strings.ReplaceAll(good, "\n", "\r\n")} {
		key, err := signature.ParsePublicKey(text)
		if err != nil || !key.Equal(rfcKey(t).Public()) {
			t.Errorf("%q: %v", text, err)
		}
	}
	_, refused := others(t)
	refused["more than one"] = good + good
	refused["text after"] = good + "x"
	refused["begins with -----BEGIN"] = "x\n" + good
	refused["it is no PEM block"] = ""
	refused["longer than"] = good + strings.Repeat("\n", 20000)
	refused["headers"] = strings.Replace(good, "-----\n", "-----\nA: b\n\n", 1)
	refused["private key"] = privatePEM(t, rfcKey(t))
	refused[`"CERTIFICATE"`] = block(t, "CERTIFICATE", []byte{1}, nil)
	refused["no public key that can be read"] = block(t, "PUBLIC KEY", []byte{1}, nil)
	for says, text := range refused {
		if _, err := signature.ParsePublicKey(text); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%v, want %q", err, says)
		}
	}
}

func privatePEM(t testing.TB, key ed25519.PrivateKey) string {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	return block(t, "PRIVATE KEY", der, err)
}

func TestParsePrivateKey(t *testing.T) {
	good := privatePEM(t, rfcKey(t))
	if key, err := signature.ParsePrivateKey(good); err != nil || !key.Equal(rfcKey(t)) {
		t.Errorf("%v", err)
	}
	refused, _ := others(t)
	refused["public key, which signs nothing"] = publicPEM(t, rfcKey(t))
	refused["encrypted"] = block(t, "ENCRYPTED PRIVATE KEY", []byte{1}, nil)
	refused[`"OPENSSH PRIVATE KEY"`] = block(t, "OPENSSH PRIVATE KEY", []byte{1}, nil)
	refused[`"EC PRIVATE KEY"`] = block(t, "EC PRIVATE KEY", []byte{1}, nil)
	refused["no private key that can be read"] = block(t, "PRIVATE KEY", []byte{1}, nil)
	refused["more than one"] = good + good
	for says, text := range refused {
		_, err := signature.ParsePrivateKey(text)
		if err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%v, want %q", err, says)
		}
		for line := range strings.Lines(text) {
			if body := strings.TrimSpace(line); err != nil && !strings.HasPrefix(body, "-----") && strings.Contains(err.Error(), body) {
				t.Errorf("%v quotes the key", err)
			}
		}
	}
}

func TestStates(t *testing.T) {
	hour, text := time.Hour, publicPEM(t, rfcKey(t))
	for name, test := range map[string]struct {
		changes []change
		want    v1alpha1.VendorKeyState
		next    time.Time
	}{
		"valid":                   {nil, v1alpha1.KeyValid, time.Time{}},
		"valid for an hour":       {[]change{from(now.Add(-hour)), until(now.Add(hour))}, v1alpha1.KeyValid, now.Add(hour)},
		"valid from now":          {[]change{from(now)}, v1alpha1.KeyValid, time.Time{}},
		"to come":                 {[]change{from(now.Add(hour)), until(now.Add(2 * hour))}, v1alpha1.KeyNotYetValid, now.Add(hour)},
		"over":                    {[]change{until(now)}, v1alpha1.KeyExpired, time.Time{}},
		"revoked":                 {[]change{revoked, until(now.Add(hour))}, v1alpha1.KeyRevoked, time.Time{}},
		"cannot be read":          {[]change{func(k *v1alpha1.VendorPublicKey) { k.PublicKey = "x" }}, v1alpha1.KeyInvalid, time.Time{}},
		"cannot be read, to come": {[]change{from(now.Add(hour)), func(k *v1alpha1.VendorPublicKey) { k.PublicKey = "x" }}, v1alpha1.KeyInvalid, time.Time{}},
	} {
		key := v1alpha1.VendorPublicKey{Name: "main", PublicKey: text}
		for _, apply := range test.changes {
			apply(&key)
		}
		spec := v1alpha1.VendorKeySpec{Vendor: vendor, Keys: []v1alpha1.VendorPublicKey{key}}
		want := v1alpha1.VendorKeyEntry{Name: "main", State: test.want, Fingerprint: rfcThumbprint}
		if test.want == v1alpha1.KeyInvalid {
			want.Fingerprint = ""
		}
		if diff := cmp.Diff([]v1alpha1.VendorKeyEntry{want}, signature.States(spec, now)); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
		if next := signature.NextChange(spec, now); !next.Equal(test.next) {
			t.Errorf("%s: next change %s, want %s", name, next, test.next)
		}
	}
}

func TestNextChangeIsTheFirst(t *testing.T) {
	one := vendorKey(t, "acme", vendor, rfcKey(t), until(now.Add(2*time.Hour)))
	two := vendorKey(t, "acme", vendor, otherKey(), from(now.Add(time.Hour)))
	three := vendorKey(t, "acme", vendor, otherKey())
	one.Spec.Keys = append(one.Spec.Keys, two.Spec.Keys[0], three.Spec.Keys[0])
	if next := signature.NextChange(one.Spec, now); !next.Equal(now.Add(time.Hour)) {
		t.Errorf("next change %s", next)
	}
}
