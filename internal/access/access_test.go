package access_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"github.com/go-logr/logr/testr"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/server/dynamiccertificates"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"agentpassport.dev/operator/internal/access"
	"agentpassport.dev/operator/internal/audit/audittest"
	"agentpassport.dev/operator/test/apiserver"
)

const (
	audience  = "agent-passport-auditlog"
	namespace = "audit-access"
)

var server *apiserver.Server

func TestMain(m *testing.M) {
	os.Exit(run(m))
}

func run(m *testing.M) int {
	ctx := context.Background()
	var err error
	if server, err = apiserver.Start(ctx, "../..", apiserver.AllPolicies); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = server.Stop() }()
	if err := install(ctx, server.Admin()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

// install makes ServiceAccounts: an appender, an auditor, one who lists the rows of a namespace, one who
// may all of it in vain, since on another resource, one who may nothing, and three whose right is on a
// named object, on a subresource and on another group.
func install(ctx context.Context, admin client.Client) error {
	objects := []client.Object{&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}}}
	for _, name := range []string{"appender", "auditor", "team", "other", "nobody", "agent", "operator", "apps"} {
		objects = append(objects, &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}})
	}
	rule := func(name string, rule rbacv1.PolicyRule) {
		objects = append(objects, &rbacv1.ClusterRole{
			ObjectMeta: metav1.ObjectMeta{Name: "test-" + name}, Rules: []rbacv1.PolicyRule{rule},
		})
	}
	role := func(name, resource string, verbs ...string) {
		rule(name, rbacv1.PolicyRule{APIGroups: []string{"agentpassport.dev"}, Resources: []string{resource}, Verbs: verbs})
	}
	role("appender", "auditrecords", "create")
	role("auditor", "auditrecords", "list", "get")
	role("team", "auditrecords", "list", "get")
	role("other", "passports", "create", "list", "get")
	rule("agent", rbacv1.PolicyRule{
		APIGroups: []string{"agentpassport.dev"}, Resources: []string{"agentpassports"}, ResourceNames: []string{"support-bot"}, Verbs: []string{"use"},
	})
	role("operator", "passports/status", "update")
	rule("apps", rbacv1.PolicyRule{APIGroups: []string{"apps"}, Resources: []string{"deployments"}, Verbs: []string{"get"}})
	bound := func(name string) (rbacv1.RoleRef, []rbacv1.Subject) {
		return rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "test-" + name},
			[]rbacv1.Subject{
				{Kind: rbacv1.ServiceAccountKind, Namespace: namespace, Name: name},
				{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: "cert-" + name},
				{APIGroup: rbacv1.GroupName, Kind: rbacv1.GroupKind, Name: "group-" + name},
			}
	}
	for _, name := range []string{"appender", "auditor", "other", "agent", "operator", "apps"} {
		ref, subjects := bound(name)
		objects = append(objects, &rbacv1.ClusterRoleBinding{ObjectMeta: metav1.ObjectMeta{Name: "test-" + name}, RoleRef: ref, Subjects: subjects})
	}
	ref, subjects := bound("team")
	objects = append(objects, &rbacv1.RoleBinding{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "test-team"}, RoleRef: ref, Subjects: subjects})
	for _, object := range objects {
		if err := admin.Create(ctx, object); err != nil {
			return err
		}
	}
	return nil
}

func newAccess(t *testing.T, ca *audittest.Authority, config *rest.Config) *access.Access {
	t.Helper()
	options := access.Options{Config: config, Audience: audience, Log: testr.New(t)}
	if ca != nil {
		provider, err := dynamiccertificates.NewStaticCAContent("test", ca.PEM)
		if err != nil {
			t.Fatal(err)
		}
		options.ClientCA = provider
	}
	a, err := access.New(options)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// token is one of a ServiceAccount for an audience.
func token(t *testing.T, account, forWhom string) string {
	t.Helper()
	request := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{Audiences: []string{forWhom}}}
	object := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: account}}
	if err := server.Admin().SubResource("token").Create(t.Context(), object, request); err != nil {
		t.Fatal(err)
	}
	return request.Status.Token
}

func bearer(text string) *http.Request {
	request := httptest.NewRequest(http.MethodGet, "/v1/records", http.NoBody)
	if text != "" {
		request.Header.Set("Authorization", "Bearer "+text)
	}
	return request
}

func certified(t *testing.T, pair tls.Certificate) *http.Request {
	t.Helper()
	leaf, err := x509.ParseCertificate(pair.Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	request := bearer("")
	request.TLS = &tls.ConnectionState{PeerCertificates: []*x509.Certificate{leaf}}
	return request
}

func TestWhoIsIt(t *testing.T) {
	ca, foreign := audittest.NewAuthority(t), audittest.NewAuthority(t)
	a := newAccess(t, ca, server.Config(""))
	account := "system:serviceaccount:" + namespace + ":auditor"
	both := certified(t, foreign.Pair(t, "cert-auditor"))
	both.Header.Set("Authorization", "Bearer "+token(t, "auditor", audience))
	cut := token(t, "auditor", audience)
	for name, test := range map[string]struct {
		request *http.Request
		user    string
	}{
		"a token":                            {bearer(token(t, "auditor", audience)), account},
		"a token for another audience":       {bearer(token(t, "auditor", "agent-passport-gateway")), ""},
		"a token for the API server":         {bearer(token(t, "auditor", "https://kubernetes.default.svc")), ""},
		"a token cut short":                  {bearer(cut[:len(cut)-4]), ""},
		"no token":                           {bearer("nonsense"), ""},
		"nothing":                            {bearer(""), ""},
		"a certificate":                      {certified(t, ca.Pair(t, "cert-auditor", "group-auditor")), "cert-auditor"},
		"a foreign certificate":              {certified(t, foreign.Pair(t, "cert-auditor")), ""},
		"a foreign certificate and a token":  {both, account},
		"a certificate, and no name in it":   {certified(t, ca.Pair(t, "")), ""},
		"a name in a header of a front door": {func() *http.Request { r := bearer(""); r.Header.Set("X-Remote-User", "cert-auditor"); return r }(), ""},
	} {
		t.Run(name, func(t *testing.T) {
			who, err := a.Authenticate(test.request)
			switch {
			case test.user == "" && !errors.Is(err, access.ErrUnauthenticated):
				t.Errorf("%v, %v", who, err)
			case test.user == "" && strings.Contains(err.Error(), cut[:20]):
				t.Errorf("%q quotes the token", err)
			case test.user != "" && (err != nil || who.GetName() != test.user):
				t.Errorf("%v, %v", who, err)
			}
		})
	}
	without := newAccess(t, nil, server.Config(""))
	if who, err := without.Authenticate(certified(t, ca.Pair(t, "cert-auditor"))); !errors.Is(err, access.ErrUnauthenticated) {
		t.Errorf("a certificate counts without a client CA: %v, %v", who, err)
	}
}

func TestWhatMayThey(t *testing.T) {
	ca := audittest.NewAuthority(t)
	a := newAccess(t, ca, server.Config(""))
	rights := map[string]access.Right{
		"append":       {Verb: access.Create, Resource: "auditrecords"},
		"list":         {Verb: access.List, Resource: "auditrecords"},
		"list in":      {Verb: access.List, Resource: "auditrecords", Namespace: namespace},
		"list in else": {Verb: access.List, Resource: "auditrecords", Namespace: "default"},
		"get":          {Verb: access.Get, Resource: "auditrecords"},
		"use":          {Verb: access.Use, Resource: "agentpassports", Namespace: namespace, Name: "support-bot"},
		"use another":  {Verb: access.Use, Resource: "agentpassports", Namespace: namespace, Name: "other-bot"},
		"use all":      {Verb: access.Use, Resource: "agentpassports", Namespace: namespace},
		"status":       {Verb: access.Update, Resource: "passports", Subresource: "status", Namespace: namespace},
		"spec":         {Verb: access.Update, Resource: "passports", Namespace: namespace},
		"core":         {Verb: access.Get, Group: "apps", Resource: "deployments", Namespace: namespace},
		"not core":     {Verb: access.Get, Resource: "deployments", Namespace: namespace},
	}
	may := map[string][]string{
		"appender": {"append"},
		"auditor":  {"list", "list in", "list in else", "get"},
		"team":     {"list in"},
		"other":    nil,
		"nobody":   nil,
		"agent":    {"use"},
		"operator": {"status"},
		"apps":     {"core"},
	}
	for account, allowed := range may {
		byToken, err := a.Authenticate(bearer(token(t, account, audience)))
		if err != nil {
			t.Fatal(err)
		}
		byName, err := a.Authenticate(certified(t, ca.Pair(t, "cert-"+account)))
		if err != nil {
			t.Fatal(err)
		}
		byGroup, err := a.Authenticate(certified(t, ca.Pair(t, "somebody", "group-"+account)))
		if err != nil {
			t.Fatal(err)
		}
		for name, right := range rights {
			want := false
			for _, one := range allowed {
				want = want || one == name
			}
			for _, who := range []user.Info{byToken, byName, byGroup} {
				err := a.Authorize(t.Context(), who, right)
				if want != (err == nil) {
					t.Errorf("%s, %s: %v", who.GetName(), name, err)
				}
				if err != nil && (!errors.Is(err, access.ErrForbidden) || !strings.Contains(err.Error(), right.String()) || !strings.Contains(err.Error(), who.GetName())) {
					t.Errorf("%s, %s: %v does not say what is missing", who.GetName(), name, err)
				}
			}
		}
	}
}

// Where the API server cannot be asked nobody is let in, and nobody is told that they may not.
func TestAnAPIServerThatIsAway(t *testing.T) {
	away := rest.CopyConfig(server.Config(""))
	away.Host = "https://127.0.0.1:1"
	a := newAccess(t, nil, away)
	if _, err := a.Authenticate(bearer(token(t, "auditor", audience))); !errors.Is(err, access.ErrUnavailable) {
		t.Error(err)
	}
	if err := a.Authorize(t.Context(), &user.DefaultInfo{Name: "cert-auditor"}, access.Right{Verb: access.List, Resource: "auditrecords"}); !errors.Is(err, access.ErrUnavailable) {
		t.Error(err)
	}
	// Nor where the service itself may not ask.
	powerless := newAccess(t, nil, server.Config("system:serviceaccount:"+namespace+":nobody"))
	if _, err := powerless.Authenticate(bearer(token(t, "auditor", audience))); !errors.Is(err, access.ErrUnavailable) {
		t.Error(err)
	}
}
