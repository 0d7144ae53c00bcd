package plugin

import (
	"context"
	"fmt"
	"slices"
	"time"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"agentpassport.dev/operator/api/v1alpha1"
)

// longReview is for how long a mission may wait for its review before status warns.
const longReview = 24 * time.Hour

// consents looks whether each namespace with agents has consented to token Secrets.
func (st *statusCommand) consents(ctx context.Context, c *cluster) []check {
	agents, err := listed[*v1alpha1.AgentPassport](ctx, c, &v1alpha1.AgentPassportList{})
	if err != nil {
		return []check{unseen("agents", err)}
	}
	var namespaces []string
	for _, agent := range agents {
		namespaces = append(namespaces, agent.Namespace)
	}
	namespaces = unique(namespaces)
	slices.Sort(namespaces)
	all := []check{{what: "agents", level: fine, how: fmt.Sprintf("%d in %s", len(agents), counted(len(namespaces), "namespace", "namespaces"))}}
	for _, namespace := range namespaces {
		all = append(all, st.consent(ctx, c, namespace))
	}
	return all
}

func (st *statusCommand) consent(ctx context.Context, c *cluster, namespace string) check {
	what := "consent of namespace " + namespace
	given, err := listed[*rbacv1.RoleBinding](ctx, c, &rbacv1.RoleBindingList{}, client.InNamespace(namespace))
	if err != nil {
		return unseen(what, err)
	}
	if slices.ContainsFunc(given, func(binding *rbacv1.RoleBinding) bool { return consents(binding, st.operatorNamespace) }) {
		return check{what, fine, "given", ""}
	}
	return check{what, wrong, "not given: its passports stay Pending, reason NamespaceNotEnabled", "kubectl passport enable " + namespace + " --apply"}
}

// consents says whether a RoleBinding lets the operator write token Secrets.
func consents(binding *rbacv1.RoleBinding, operator string) bool {
	return binding.RoleRef.Kind == "ClusterRole" && binding.RoleRef.Name == consentName &&
		slices.ContainsFunc(binding.Subjects, func(subject rbacv1.Subject) bool {
			return subject.Kind == rbacv1.ServiceAccountKind && subject.Namespace == operator && subject.Name == managerAccount
		})
}

// credentials looks whether the gateways can read the credential of each ServiceConnection.
func (st *statusCommand) credentials(ctx context.Context, c *cluster) []check {
	connections, err := listed[*v1alpha1.ServiceConnection](ctx, c, &v1alpha1.ServiceConnectionList{})
	if err != nil {
		return []check{unseen("connections", err)}
	}
	all := []check{{what: "connections", level: fine, how: fmt.Sprint(len(connections))}}
	for _, connection := range connections {
		if connection.Spec.Credential == nil {
			continue
		}
		if found := st.credential(connection); found.level != fine {
			all = append(all, found)
		}
	}
	return all
}

func (st *statusCommand) credential(connection *v1alpha1.ServiceConnection) check {
	what := fmt.Sprintf("credential of connection %s in namespace %s", connection.Name, connection.Namespace)
	readable := meta.FindStatusCondition(connection.Status.Conditions, string(v1alpha1.ConditionCredentialReadable))
	switch {
	case readable == nil:
		return check{what, unknown, "the operator has not looked at it yet", ""}
	case readable.Status == metav1.ConditionTrue:
		return check{what, fine, readable.Message, ""}
	case readable.Reason == string(v1alpha1.ReasonCredentialForbidden):
		secret := connection.Spec.Credential.SecretName
		mend := fmt.Sprintf("kubectl passport enable %s --credential=%s --apply", connection.Namespace, secret)
		return check{what, wrong, "the gateways may not read Secret " + secret, mend}
	case readable.Status == metav1.ConditionUnknown:
		return check{what, warning, readable.Message, ""}
	default:
		return check{what, wrong, readable.Message, ""}
	}
}

// reviews counts the missions that a person has to decide on.
func (st *statusCommand) reviews(ctx context.Context, c *cluster) check {
	const what = "reviews"
	waiting, err := c.waiting(ctx, true)
	switch {
	case err != nil:
		return unseen(what, err)
	case len(waiting) == 0:
		return check{what, fine, "none waits", ""}
	}
	oldest := st.clock.Now().Sub(waiting[0].CreationTimestamp.Time)
	how := fmt.Sprintf("%s, the oldest since %s", counted(len(waiting), "mission waits", "missions wait"), span(oldest))
	if oldest > longReview {
		return check{what, warning, how, "kubectl passport review list -A"}
	}
	return check{what, fine, how, ""}
}
