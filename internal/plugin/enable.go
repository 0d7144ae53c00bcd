package plugin

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/cli-runtime/pkg/printers"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"
)

// consentName is the name of the RoleBinding by which a namespace consents to token Secrets, and of the
// ClusterRole that it binds.
const consentName = "agent-passport-secrets"

type enableCommand struct {
	*session
	consent

	credentials []string
	apply       bool
}

func (s *session) newEnable() *cobra.Command {
	e := &enableCommand{session: s}
	cmd := &cobra.Command{
		Use:   "enable NAMESPACE",
		Short: "Print, or apply, a namespace's consent to token Secrets and to its credentials",
		Long: `Print, or apply, a namespace's consent: a RoleBinding that lets the operator write token Secrets there. It
trusts the operator with every Secret of the namespace.

With --credential it lets the gateway read one Secret too, by its name, for a ServiceConnection.`,
		Example: `  kubectl passport enable agents > consent.yaml
  kubectl passport enable agents --credential=github-credential --apply`,
		GroupID:           groupCluster,
		Args:              exactly(1, "one namespace"),
		ValidArgsFunction: s.completeNamespaces,
		RunE:              func(cmd *cobra.Command, args []string) error { return e.run(cmd.Context(), args[0]) },
	}
	cmd.Flags().StringSliceVar(&e.credentials, "credential", nil, "A Secret that the gateway may read. May be given more than once.")
	cmd.Flags().BoolVar(&e.apply, "apply", false, "Apply it, after asking.")
	e.add(cmd)
	return cmd
}

func (e *enableCommand) run(ctx context.Context, namespace string) error {
	if !e.apply && (e.yes || e.dryRun) {
		return misuse("--yes and --dry-run go with --apply")
	}
	objects := consentOf(namespace, e.operatorNamespace)
	for _, secret := range e.credentials {
		objects = append(objects, credentialConsent(namespace, secret, e.operatorNamespace)...)
	}
	if !e.apply {
		return e.print(objects)
	}
	c, err := e.connect()
	if err != nil {
		return err
	}
	what := "every Secret of namespace " + namespace + " to the operator"
	if len(e.credentials) > 0 {
		what += ", and " + counted(len(e.credentials), "credential", "credentials") + " to the gateway"
	}
	if err := e.confirm(&e.consent, "Open "+what+"?"); err != nil {
		return err
	}
	for _, object := range objects {
		if err := e.applyOne(ctx, c, object); err != nil {
			return err
		}
	}
	return nil
}

func (e *enableCommand) applyOne(ctx context.Context, c *cluster, object client.Object) error {
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(object)
	if err != nil {
		return err
	}
	options := []client.ApplyOption{client.ForceOwnership}
	if e.dryRun {
		options = append(options, client.DryRunAll)
	}
	if err := c.Apply(ctx, client.ApplyConfigurationFromUnstructured(&unstructured.Unstructured{Object: content}), options...); err != nil {
		return err
	}
	kind := object.GetObjectKind().GroupVersionKind().Kind
	_, err = fmt.Fprintln(e.Out, e.done(fmt.Sprintf("%s %s applied in namespace %s", kind, object.GetName(), object.GetNamespace())))
	return err
}

// print prints the manifests, as `kubectl apply -f -` takes them.
func (e *enableCommand) print(objects []client.Object) error {
	for i, object := range objects {
		content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(object)
		if err != nil {
			return err
		}
		delete(content["metadata"].(map[string]any), "creationTimestamp")
		text, err := yaml.Marshal(content)
		if err != nil {
			return err
		}
		separator := ""
		if i > 0 {
			separator = "---\n"
		}
		if _, err := fmt.Fprintf(e.Out, "%s%s", separator, printers.EscapeTerminal(string(text))); err != nil {
			return err
		}
	}
	return nil
}

// consentOf lets the operator write token Secrets in a namespace.
func consentOf(namespace, operator string) []client.Object {
	return []client.Object{binding(namespace, consentName, "ClusterRole", consentName, operator, managerAccount)}
}

// credentialConsent lets the gateways read one Secret. With watch they use a rotated one at once.
func credentialConsent(namespace, secret, operator string) []client.Object {
	name := "gateway-secret-" + secret
	return []client.Object{
		&rbacv1.Role{
			TypeMeta:   metav1.TypeMeta{APIVersion: rbacv1.SchemeGroupVersion.String(), Kind: "Role"},
			ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
			Rules: []rbacv1.PolicyRule{{
				APIGroups: []string{""}, Resources: []string{"secrets"}, ResourceNames: []string{secret}, Verbs: []string{"get", "list", "watch"},
			}},
		},
		binding(namespace, name, "Role", name, operator, gatewayAccount),
	}
}

// binding binds a role in a namespace to a ServiceAccount of the operator.
func binding(namespace, name, kind, role, operator, account string) *rbacv1.RoleBinding {
	return &rbacv1.RoleBinding{
		TypeMeta:   metav1.TypeMeta{APIVersion: rbacv1.SchemeGroupVersion.String(), Kind: "RoleBinding"},
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: kind, Name: role},
		Subjects:   []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: operator, Name: account}},
	}
}
