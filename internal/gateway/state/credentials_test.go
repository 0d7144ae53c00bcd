package state_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/types"

	"agentpassport.dev/operator/api/v1alpha1"
	"agentpassport.dev/operator/internal/gateway/decision"
	"agentpassport.dev/operator/internal/gateway/state"
	"agentpassport.dev/operator/test/apiserver"
)

// grant lets the gateway read Secrets by name, as the condition CredentialReadable says.
func (w *world) grant(names ...string) *rbacv1.RoleBinding {
	w.Helper()
	name := "gateway-" + names[0]
	w.do(admin.Create(w.Context(), &rbacv1.Role{ObjectMeta: w.meta(name), Rules: []rbacv1.PolicyRule{{
		APIGroups: []string{""}, Resources: []string{"secrets"}, ResourceNames: names, Verbs: []string{"get", "list", "watch"},
	}}}))
	binding := &rbacv1.RoleBinding{
		ObjectMeta: w.meta(name),
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: name},
		Subjects:   []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: apiserver.OperatorNamespace, Name: "agent-passport-gateway"}},
	}
	w.do(admin.Create(w.Context(), binding))
	return binding
}

func (w *world) secret(name string, data map[string]string) *corev1.Secret {
	w.Helper()
	secret := &corev1.Secret{ObjectMeta: w.meta(name), StringData: data}
	w.do(admin.Create(w.Context(), secret))
	return secret
}

// sends gives what goes into a call to the connection, or why nothing does.
func (w *world) sends(connection *v1alpha1.ServiceConnection) (string, v1alpha1.Reason) {
	parsed, err := decision.ConnectionOf(connection)
	w.do(err)
	value, err := w.view.Credential(parsed)
	if failure := new(state.CredentialError); errors.As(err, &failure) {
		return "", failure.Reason
	}
	w.do(err)
	header := http.Header{}
	query := value.Apply(header, "")
	return header.Get("Authorization") + header.Get("X-Key") + query, v1alpha1.ReasonCredentialRead
}

func TestCredentials(t *testing.T) {
	w := begin(t, nil)
	ctx := t.Context()
	bearer := w.connect("bearer", &v1alpha1.ServiceCredential{SecretName: "shared"})
	basic := w.connect("basic", &v1alpha1.ServiceCredential{SecretName: "shared", Type: v1alpha1.CredentialBasic, Key: "password"})
	other := w.connect("other", &v1alpha1.ServiceCredential{SecretName: "other", Type: v1alpha1.CredentialHeader, Name: "X-Key"})
	none := w.connect("none", nil)
	// A new Role is in force a moment after it is made, and the gateway asks every few seconds.
	reason := func(connection *v1alpha1.ServiceConnection, want v1alpha1.Reason) {
		t.Helper()
		w.within(patience, connection.Name+" is "+string(want), func() bool {
			_, got := w.sends(connection)
			return got == want
		})
		w.within(soon, "the state says so", func() bool {
			for _, one := range w.view.Credentials() {
				if one.UID == connection.UID {
					return one.Reason == want && one.Name == connection.Name && one.Generation == connection.Generation
				}
			}
			return false
		})
	}
	sends := func(connection *v1alpha1.ServiceConnection, want string) {
		t.Helper()
		took := w.within(soon, connection.Name+" sends "+want, func() bool {
			got, _ := w.sends(connection)
			return got == want
		})
		t.Logf("%s after %s", connection.Name, took)
	}
	parsed, err := decision.ConnectionOf(none)
	w.do(err)
	if value, err := w.view.Credential(parsed); value != nil || err != nil {
		t.Errorf("no credential: %v, %v", value, err)
	}
	secret := w.secret("shared", map[string]string{"token": "first", "username": "bot", "password": "word"})
	reason(bearer, v1alpha1.ReasonCredentialForbidden)
	reason(other, v1alpha1.ReasonCredentialForbidden)
	binding := w.grant("shared", "other")
	reason(bearer, v1alpha1.ReasonCredentialRead)
	reason(basic, v1alpha1.ReasonCredentialRead)
	reason(other, v1alpha1.ReasonCredentialNotFound)
	sends(bearer, "Bearer first")
	sends(basic, "Basic Ym90OndvcmQ=")

	secret.StringData = map[string]string{"token": "second"}
	w.do(admin.Update(ctx, secret))
	sends(bearer, "Bearer second")
	w.secret("other", map[string]string{"token": "own"})
	sends(other, "own")
	secret.Data, secret.StringData = nil, map[string]string{"token": "third"}
	w.do(admin.Update(ctx, secret))
	sends(bearer, "Bearer third")
	reason(basic, v1alpha1.ReasonCredentialKeyMissing)

	// A connection that comes to a Secret that is watched already, one that changes, one that goes.
	late := w.connect("late", &v1alpha1.ServiceCredential{SecretName: "shared", Type: v1alpha1.CredentialQuery, Name: "k"})
	reason(late, v1alpha1.ReasonCredentialRead)
	sends(late, "k=third")
	late.Spec.Credential.Name = "key"
	w.do(admin.Update(ctx, late))
	sends(late, "key=third")
	late.Spec.Credential.SecretName = "other"
	w.do(admin.Update(ctx, late))
	sends(late, "key=own")
	stale := late.DeepCopy()
	stale.Generation--
	if _, why := w.sends(stale); why != v1alpha1.ReasonNoGatewayYet {
		t.Errorf("a credential for a connection that has changed: %s", why)
	}
	w.do(admin.Delete(ctx, late))
	w.within(soon, "it is gone", func() bool {
		_, why := w.sends(late)
		return why == v1alpha1.ReasonNoGatewayYet
	})
	sends(other, "own")

	w.do(admin.Delete(ctx, secret))
	reason(bearer, v1alpha1.ReasonCredentialNotFound)
	// A right that is taken back counts when the watch begins anew, here for another connection.
	w.do(admin.Delete(ctx, binding))
	w.within(patience, "the right is gone", func() bool {
		return server.As(gateway, nil).Get(ctx, types.NamespacedName{Namespace: w.namespace, Name: "other"}, &corev1.Secret{}) != nil
	})
	w.connect("another", &v1alpha1.ServiceCredential{SecretName: "other"})
	reason(other, v1alpha1.ReasonCredentialForbidden)
}

func TestTooManySecrets(t *testing.T) {
	w := begin(t, func(o *state.Options) { o.MaxSecrets = 1 })
	// Connections of other tests may be left over: those of their namespaces count too.
	for _, name := range []string{"one", "two"} {
		w.connect(name, &v1alpha1.ServiceCredential{SecretName: name})
	}
	w.within(patience, "one of them is refused", func() bool {
		refused := 0
		for _, name := range []string{"one", "two"} {
			connection := &v1alpha1.ServiceConnection{}
			w.do(admin.Get(t.Context(), types.NamespacedName{Namespace: w.namespace, Name: name}, connection))
			parsed, err := decision.ConnectionOf(connection)
			w.do(err)
			if _, err := w.view.Credential(parsed); err != nil && strings.Contains(err.Error(), "takes no more") {
				refused++
			}
		}
		return refused > 0
	})
}
