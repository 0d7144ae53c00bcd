package apiserver

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

const (
	// OperatorNamespace is the operator's own namespace.
	OperatorNamespace = "agent-passport-system"
	// ManagerServiceAccount is the operator's ServiceAccount in OperatorNamespace.
	ManagerServiceAccount = "agent-passport-manager"
)

// Config returns a config that acts as the user, without a limit of its own; as an administrator
// where user is empty.
func (s *Server) Config(user string) *rest.Config {
	config := rest.CopyConfig(s.env.Config)
	config.QPS = -1
	if user != "" {
		config.Impersonate = rest.ImpersonationConfig{UserName: user, Groups: GroupsOf(user)}
	}
	return config
}

// Namespace makes a namespace whose owner has consented to token Secrets, and returns its name.
func (s *Server) Namespace(ctx context.Context, prefix string) (string, error) {
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: prefix + "-"}}
	if err := s.Admin().Create(ctx, namespace); err != nil {
		return "", err
	}
	return namespace.Name, Consent(ctx, s.Admin(), namespace.Name)
}

// Consent binds the operator to the ClusterRole for token Secrets in a namespace.
func Consent(ctx context.Context, c client.Client, namespace string) error {
	return c.Create(ctx, &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "agent-passport-secrets"},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "agent-passport-secrets"},
		Subjects:   []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: OperatorNamespace, Name: ManagerServiceAccount}},
	})
}

// Watch follows the objects of one kind in a namespace, as an administrator.
func (s *Server) Watch(ctx context.Context, list client.ObjectList, namespace string) (watch.Interface, error) {
	c, err := client.NewWithWatch(s.env.Config, client.Options{Scheme: s.scheme, Mapper: s.mapper})
	if err != nil {
		return nil, err
	}
	return c.Watch(ctx, list, client.InNamespace(namespace))
}
