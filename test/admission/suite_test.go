package admission

import (
	"context"
	"strings"
	"testing"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	logf "sigs.k8s.io/controller-runtime/pkg/log"

	"agentpassport.dev/operator/test/apiserver"
)

func TestAdmission(t *testing.T) {
	RegisterFailHandler(Fail)
	RunSpecs(t, "Admission")
}

// The users of these tests. What each may do is what RBAC in config/rbac, or the test, gives them.
const (
	clusterAdmin        = "cluster-admin"
	namespaceAdmin      = "namespace-admin"
	responder           = "responder"
	reviewer            = "reviewer"
	engineer            = "engineer" // writes AgentPassports
	gateway             = "system:serviceaccount:agent-passport-system:agent-passport-gateway"
	namespaceController = "system:serviceaccount:kube-system:namespace-controller"
	garbageCollector    = "system:serviceaccount:kube-system:generic-garbage-collector"
)

const group = "agentpassport.dev"

// rightsInForce bounds the wait for the API server to load what RBAC gives.
const rightsInForce = 30 * time.Second

var server *apiserver.Server

var _ = BeforeSuite(func(ctx SpecContext) {
	logf.SetLogger(GinkgoLogr)
	var err error
	server, err = apiserver.Start(ctx, "../..", apiserver.AllPolicies)
	Expect(err).NotTo(HaveOccurred())
	DeferCleanup(server.Stop)

	// The manager has every usual verb on our kinds, beyond its role: these tests ask what the policies
	// let through. It holds neither use, revoke nor review. What its role lets through beside our kinds is
	// asked as it is.
	ours := &rbacv1.ClusterRole{ObjectMeta: metav1.ObjectMeta{Name: "ours"}, Rules: []rbacv1.PolicyRule{
		{APIGroups: []string{group}, Resources: []string{"*"}, Verbs: []string{
			"create", "get", "list", "watch", "update", "patch", "delete", "deletecollection", "attest",
		}},
	}}
	Expect(server.Admin().Create(ctx, ours)).To(Succeed())
	bindEverywhere(ctx, clusterAdmin, "cluster-admin", "*")
	bindEverywhere(ctx, apiserver.Manager, ours.Name, "deletecollection")
})

// bindEverywhere gives a user a ClusterRole with a verb on all our kinds, and returns once it is in force.
func bindEverywhere(ctx context.Context, username, clusterRole, verb string) {
	GinkgoHelper()
	Expect(server.Admin().Create(ctx, &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{GenerateName: "binding-"},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: clusterRole},
		Subjects:   []rbacv1.Subject{user(username)},
	})).To(Succeed())
	mayEventually(ctx, username, "default", verb, "*", "")
}

// place is a namespace with the agents a and b, each with a ServiceAccount's user that may act as it,
// and with people.
type place struct {
	namespace      string
	agentA, agentB string
}

// newPlace makes a namespace for one test.
func newPlace(ctx context.Context) place {
	GinkgoHelper()
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "place-"}}
	Expect(server.Admin().Create(ctx, namespace)).To(Succeed())
	p := place{
		namespace: namespace.Name,
		agentA:    "system:serviceaccount:" + namespace.Name + ":a",
		agentB:    "system:serviceaccount:" + namespace.Name + ":b",
	}
	p.bind(ctx, p.agentA, "agent-passport-agent", "create", "passports")
	p.bind(ctx, p.agentB, "agent-passport-agent", "create", "passports")
	p.grant(ctx, p.agentA, "use", "agentpassports", "a")
	p.grant(ctx, p.agentB, "use", "agentpassports", "b")
	p.bind(ctx, responder, "agent-passport-responder", "revoke", "passports")
	p.bind(ctx, reviewer, "agent-passport-reviewer", "review", "checkouts")
	p.bind(ctx, namespaceAdmin, "agent-passport-admin", "use", "agentpassports")
	p.grant(ctx, engineer, "*", "agentpassports", "")
	p.allow(ctx, gateway, rbacv1.PolicyRule{
		Verbs:     []string{"create", "get", "update", "patch", "attest"},
		Resources: []string{"passports", "checkpoints", "checkouts", "agentblocks"},
	})
	return p
}

// bind gives a user a ClusterRole, and returns once a right that comes with it is in force.
func (p place) bind(ctx context.Context, username, clusterRole, verb, resource string) {
	GinkgoHelper()
	Expect(server.Admin().Create(ctx, &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{GenerateName: "binding-", Namespace: p.namespace},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: clusterRole},
		Subjects:   []rbacv1.Subject{user(username)},
	})).To(Succeed())
	mayEventually(ctx, username, p.namespace, verb, resource, "")
}

// grant gives a user one verb on a resource, or on one object of it, and returns once it is in force.
func (p place) grant(ctx context.Context, username, verb, resource, name string) {
	GinkgoHelper()
	rule := rbacv1.PolicyRule{Verbs: []string{verb}, Resources: []string{resource}}
	if name != "" {
		rule.ResourceNames = []string{name}
	}
	p.allow(ctx, username, rule)
}

// allow gives a user what a rule says, and returns once it is in force.
func (p place) allow(ctx context.Context, username string, rule rbacv1.PolicyRule) {
	GinkgoHelper()
	rule.APIGroups = []string{group}
	role := &rbacv1.Role{
		ObjectMeta: metav1.ObjectMeta{GenerateName: "role-", Namespace: p.namespace},
		Rules:      []rbacv1.PolicyRule{rule},
	}
	Expect(server.Admin().Create(ctx, role)).To(Succeed())
	Expect(server.Admin().Create(ctx, &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{GenerateName: "binding-", Namespace: p.namespace},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: role.Name},
		Subjects:   []rbacv1.Subject{user(username)},
	})).To(Succeed())
	mayEventually(ctx, username, p.namespace, rule.Verbs[0], rule.Resources[0], strings.Join(rule.ResourceNames, ""))
}

// mayEventually waits until RBAC, which the API server loads in its own time, gives a user a right.
func mayEventually(ctx context.Context, username, namespace, verb, resource, name string) {
	GinkgoHelper()
	Eventually(ctx, may).WithTimeout(rightsInForce).WithArguments(username, namespace, verb, resource, name).Should(BeTrue())
}

// may asks the API server whether a user has a right on a resource of ours.
func may(ctx context.Context, username, namespace, verb, resource, name string) (bool, error) {
	return mayIn(ctx, group, username, namespace, verb, resource, name)
}

func mayIn(ctx context.Context, apiGroup, username, namespace, verb, resource, name string) (bool, error) {
	review := &authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{
		User: username, Groups: apiserver.GroupsOf(username),
		ResourceAttributes: &authorizationv1.ResourceAttributes{
			Group: apiGroup, Resource: resource, Verb: verb, Namespace: namespace, Name: name,
		},
	}}
	err := server.Admin().Create(ctx, review)
	return review.Status.Allowed, err
}

func user(name string) rbacv1.Subject {
	return rbacv1.Subject{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: name}
}

// as returns a client of a user, who does not look at warnings.
func as(username string) client.Client { return server.As(username, nil) }
