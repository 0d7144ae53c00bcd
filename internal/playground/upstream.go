package playground

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"agentpassport.dev/operator/api/v1alpha1"
)

// upstreamNames are the outside services that the playground has: they answer on loopback, and show what
// reached them.
var upstreamNames = []v1alpha1.ServiceName{"slack", "github"}

// upstream is an outside service on loopback.
type upstream struct {
	service v1alpha1.ServiceName
	url     string
	// credential that calls have to bring.
	credential string

	screen *Screen
	server *http.Server

	mu  sync.Mutex
	got []arrival
}

// arrival is a request as it reached an upstream.
type arrival struct {
	method, target string
	header         http.Header
	body           string
}

// startUpstream starts one, and lets the gateway know of it: its ServiceConnection, its credential in a
// Secret, and the Role by which the gateway may read that one Secret.
func startUpstream(ctx context.Context, service v1alpha1.ServiceName, admin client.Client, screen *Screen) (*upstream, error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	u := &upstream{
		service: service, url: "http://" + listener.Addr().String(), screen: screen,
		credential: "credential-of-" + string(service) + "-that-no-agent-sees",
	}
	u.server = &http.Server{Handler: u, ReadHeaderTimeout: 5 * time.Second}
	go func() { _ = u.server.Serve(listener) }()
	for _, object := range u.objects() {
		// What an earlier visit left has another port.
		if err := admin.Delete(ctx, object); client.IgnoreNotFound(err) != nil {
			return nil, errors.Join(err, u.stop())
		}
		object.SetResourceVersion("")
		object.SetUID("")
		if err := admin.Create(ctx, object); err != nil {
			return nil, errors.Join(err, u.stop())
		}
	}
	return u, nil
}

func (u *upstream) objects() []client.Object {
	secret := string(u.service) + "-credential"
	role := "gateway-reads-" + secret
	at := func(name string) metav1.ObjectMeta { return metav1.ObjectMeta{Namespace: agentNamespace, Name: name} }
	return []client.Object{
		&corev1.Secret{ObjectMeta: at(secret), StringData: map[string]string{"token": u.credential}},
		&rbacv1.Role{ObjectMeta: at(role), Rules: []rbacv1.PolicyRule{{
			APIGroups: []string{""}, Resources: []string{"secrets"}, ResourceNames: []string{secret}, Verbs: []string{"get", "list", "watch"},
		}}},
		&rbacv1.RoleBinding{
			ObjectMeta: at(role),
			RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: role},
			Subjects:   []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: operatorNamespace, Name: gatewayAccount}},
		},
		&v1alpha1.ServiceConnection{ObjectMeta: at(string(u.service)), Spec: v1alpha1.ServiceConnectionSpec{
			BaseURL: u.url,
			// It is on this machine; a real service is not, and needs no such line.
			AllowedAddresses: []v1alpha1.AddressRange{v1alpha1.RangeLoopback},
			Credential:       &v1alpha1.ServiceCredential{SecretName: secret},
		}},
	}
}

// ServeHTTP implements http.Handler: it shows what came, and answers.
func (u *upstream) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	u.mu.Lock()
	u.got = append(u.got, arrival{method: r.Method, target: r.RequestURI, header: r.Header.Clone(), body: string(body)})
	u.mu.Unlock()
	credential := "no credential"
	if r.Header.Get("Authorization") == "Bearer "+u.credential {
		credential = "its credential"
	}
	passport := "no passport"
	if r.Header.Get("X-Passport-Token") != "" {
		passport = "the PASSPORT"
	}
	u.screen.Line("", "(%s got %s %s with %s, and %s)", u.service, r.Method, r.RequestURI, credential, passport)
	w.Header().Set("Content-Type", "application/json")
	_, _ = fmt.Fprintf(w, "{\"ok\":true,\"service\":%q}\n", u.service)
}

// last gives what reached the upstream last, and how much did.
func (u *upstream) last() (arrival, int) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if len(u.got) == 0 {
		return arrival{}, 0
	}
	return u.got[len(u.got)-1], len(u.got)
}

// check says what of an arrival is not as the gateway promises it.
func (u *upstream) check(a arrival) error {
	switch {
	case a.header.Get("Authorization") != "Bearer "+u.credential:
		return fmt.Errorf("%s did not get its credential", u.service)
	case a.header.Get("X-Passport-Token") != "":
		return fmt.Errorf("%s got the passport", u.service)
	case slices.ContainsFunc(a.header.Values("Authorization"), func(v string) bool { return strings.HasPrefix(v, "Bearer eyJ") }):
		return fmt.Errorf("%s got the caller's own token", u.service)
	}
	return nil
}

func (u *upstream) stop() error { return u.server.Close() }
