package keysecret_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"agentpassport.dev/operator/internal/audit/keys"
	"agentpassport.dev/operator/internal/audit/keysecret"
	"agentpassport.dev/operator/test/apiserver"
)

const log = "agentpassport.dev/auditlog/test"

var server *apiserver.Server

func TestMain(m *testing.M) {
	os.Exit(run(m))
}

func run(m *testing.M) int {
	var err error
	if server, err = apiserver.Start(context.Background(), "../../..", apiserver.AllPolicies); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	code := m.Run()
	if err := server.Stop(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}

func secretIn(t *testing.T) client.ObjectKey {
	t.Helper()
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "keys-"}}
	if err := server.Admin().Create(t.Context(), ns); err != nil {
		t.Fatal(err)
	}
	return client.ObjectKey{Namespace: ns.Name, Name: keysecret.Name}
}

func load(t *testing.T, at client.ObjectKey) []keys.Private {
	t.Helper()
	privates, err := keysecret.Load(t.Context(), server.Admin(), at, rand.Reader, log)
	if err != nil {
		t.Fatal(err)
	}
	return privates
}

func TestTheSecretIsMadeOnceAndKept(t *testing.T) {
	at := secretIn(t)
	if _, err := keysecret.Read(t.Context(), server.Admin(), at, log); !apierrors.IsNotFound(err) {
		t.Fatal(err)
	}
	// Several start at once; all get the one key.
	found := make(chan keys.Public, 4)
	for range cap(found) {
		go func() {
			privates, err := keysecret.Load(t.Context(), server.Admin(), at, rand.Reader, log)
			if err != nil || len(privates) != 1 {
				t.Errorf("%d keys: %v", len(privates), err)
				found <- keys.Public{}
				return
			}
			found <- privates[0].Public
		}()
	}
	first := <-found
	for range cap(found) - 1 {
		if other := <-found; !other.Same(first) {
			t.Fatal("two keys were made")
		}
	}
	var secret corev1.Secret
	if err := server.Admin().Get(t.Context(), at, &secret); err != nil {
		t.Fatal(err)
	}
	if secret.Type != corev1.SecretTypeOpaque || !strings.HasPrefix(string(secret.Data[keysecret.DataKey]), "PRIVATE+KEY+"+log+"+") {
		t.Fatalf("type %s, keys %d", secret.Type, len(secret.Data))
	}
}

func TestAKeyIsAddedAndTheOldOnesRetire(t *testing.T) {
	at := secretIn(t)
	first := load(t, at)[0]
	second, err := keysecret.Add(t.Context(), server.Admin(), at, rand.Reader, log)
	if err != nil {
		t.Fatal(err)
	}
	if now := load(t, at); len(now) != 2 || !now[0].Same(first.Public) || !now[1].Same(second) {
		t.Fatal(now)
	}
	// A key that is not there retires nothing.
	stranger, err := keys.Generate(rand.Reader, log)
	if err != nil {
		t.Fatal(err)
	}
	if err := keysecret.Retire(t.Context(), server.Admin(), at, log, stranger.Public); err != nil {
		t.Fatal(err)
	}
	if now := load(t, at); len(now) != 2 {
		t.Fatalf("a stranger leaves %d keys", len(now))
	}
	if err := keysecret.Retire(t.Context(), server.Admin(), at, log, second); err != nil {
		t.Fatal(err)
	}
	if now := load(t, at); len(now) != 1 || !now[0].Same(second) {
		t.Fatal(now)
	}
}

func TestAForeignSecretIsLeftAlone(t *testing.T) {
	for name, secret := range map[string]*corev1.Secret{
		"another type":    {Type: "example.com/other", Data: map[string][]byte{keysecret.DataKey: []byte("x")}},
		"something else":  {Data: map[string][]byte{"password": []byte("hunter2-hunter2")}},
		"no key":          {Data: map[string][]byte{keysecret.DataKey: []byte("PRIVATE+KEY+secretpart\n")}},
		"for another log": {Data: map[string][]byte{keysecret.DataKey: other(t)}},
	} {
		at := secretIn(t)
		secret.Namespace, secret.Name = at.Namespace, at.Name
		if err := server.Admin().Create(t.Context(), secret); err != nil {
			t.Fatal(err)
		}
		_, err := keysecret.Load(t.Context(), server.Admin(), at, rand.Reader, log)
		if !errors.Is(err, keysecret.ErrForeign) {
			t.Errorf("%s: %v", name, err)
			continue
		}
		for _, part := range []string{"hunter2", "secretpart", "PRIVATE+KEY+agentpassport"} {
			if strings.Contains(err.Error(), part) {
				t.Errorf("%s: the error quotes the Secret", name)
			}
		}
		var now corev1.Secret
		if err := server.Admin().Get(t.Context(), at, &now); err != nil || now.ResourceVersion != secret.ResourceVersion {
			t.Errorf("%s: it was changed: %v", name, err)
		}
	}
}

func other(t *testing.T) []byte {
	t.Helper()
	private, err := keys.Generate(rand.Reader, "example.com/other")
	if err != nil {
		t.Fatal(err)
	}
	return private.Secret()
}
