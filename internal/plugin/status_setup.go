package plugin

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	appsv1 "k8s.io/api/apps/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/discovery"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"agentpassport.dev/operator/api/v1alpha1"
	"agentpassport.dev/operator/internal/gateway/presence"
	"agentpassport.dev/operator/internal/token"
)

var (
	// kindNames are the resources of the CRDs.
	kindNames = []string{
		"agentblocks", "agentpassports", "capabilitypassports", "checkouts", "checkpoints", "compatibilitychecks", "passports",
		"policypacks", "serviceconnections", "vendorkeys",
	}
	// validatingPolicies and mutatingPolicies are the names of the admission policies, and of their bindings.
	validatingPolicies = []string{
		"agent-passport-author", "agent-passport-block-in-force", "agent-passport-cause", "agent-passport-changed-by", "agent-passport-decision",
		"agent-passport-gateway-lease", "agent-passport-live-passport", "agent-passport-own-metadata", "agent-passport-review",
		"agent-passport-revoke", "agent-passport-short-leash", "agent-passport-source", "agent-passport-status",
		"agent-passport-undecided-checkout", "agent-passport-use",
	}
	mutatingPolicies = []string{
		"agent-passport-author", "agent-passport-backup", "agent-passport-changed-by", "agent-passport-decision", "agent-passport-finalizer",
	}
)

const (
	// lateRotation is how old a signing key is that should have been rotated: the default interval, and a day.
	lateRotation = 31 * 24 * time.Hour
	// managerLease is the Lease of the leader.
	managerLease = "agent-passport-manager"
)

// kinds looks for the CRDs. It is the first question to the API server: where it does not answer, there is no more.
func (st *statusCommand) kinds(c *cluster) (check, error) {
	asking, err := discovery.NewDiscoveryClientForConfig(c.config)
	if err != nil {
		return check{}, err
	}
	served, err := asking.ServerResourcesForGroupVersion(v1alpha1.GroupVersion.String())
	if err != nil && !apierrors.IsNotFound(err) {
		return check{}, err
	}
	var missing []string
	for _, name := range kindNames {
		if served == nil || !slices.ContainsFunc(served.APIResources, func(r metav1.APIResource) bool { return r.Name == name }) {
			missing = append(missing, name)
		}
	}
	return missingCheck("CRDs", len(kindNames), missing), nil
}

// policies looks for the admission policies and their bindings.
func (st *statusCommand) policies(ctx context.Context, c *cluster) []check {
	validating := policyCheck(ctx, c, "validating admission policies", validatingPolicies,
		&admissionv1.ValidatingAdmissionPolicyList{}, &admissionv1.ValidatingAdmissionPolicyBindingList{})
	mutating := policyCheck(ctx, c, "mutating admission policies", mutatingPolicies,
		&admissionv1.MutatingAdmissionPolicyList{}, &admissionv1.MutatingAdmissionPolicyBindingList{})
	return []check{validating, mutating}
}

func policyCheck(ctx context.Context, c *cluster, what string, names []string, lists ...client.ObjectList) check {
	var missing []string
	for i, list := range lists {
		err := c.List(ctx, list)
		if meta.IsNoMatchError(err) {
			return check{what: what, level: warning, how: "this API server has none (they came with Kubernetes 1.36): who asked, reported and decided stays unnamed"}
		}
		if err != nil {
			return unseen(what, err)
		}
		for _, name := range names {
			if !slices.ContainsFunc(items[client.Object](list), func(object client.Object) bool { return object.GetName() == name }) {
				if i > 0 {
					name = "the binding of " + name
				}
				missing = append(missing, name)
			}
		}
	}
	return missingCheck(what, len(names), missing)
}

// workloads looks whether the manager, the gateway and the audit log run.
func (st *statusCommand) workloads(ctx context.Context, c *cluster) []check {
	manager := &appsv1.Deployment{}
	gateway, auditlog := &appsv1.StatefulSet{}, &appsv1.StatefulSet{}
	return []check{
		st.workload(ctx, c, "manager", "deployment", "agent-passport-manager", manager, func() (int32, *int32) { return manager.Status.ReadyReplicas, manager.Spec.Replicas }),
		st.workload(ctx, c, "gateway", "statefulset", "agent-passport-gateway", gateway, func() (int32, *int32) { return gateway.Status.ReadyReplicas, gateway.Spec.Replicas }),
		st.workload(ctx, c, "audit log", "statefulset", "agent-passport-auditlog", auditlog, func() (int32, *int32) { return auditlog.Status.ReadyReplicas, auditlog.Spec.Replicas }),
	}
}

func (st *statusCommand) workload(ctx context.Context, c *cluster, what, kind, name string, object client.Object, replicas func() (ready int32, wanted *int32)) check {
	err := c.Get(ctx, client.ObjectKey{Namespace: st.operatorNamespace, Name: name}, object)
	if apierrors.IsNotFound(err) {
		return check{what, wrong, fmt.Sprintf("%s %s is not in namespace %s", kind, name, st.operatorNamespace), installHint + ", or give --operator-namespace"}
	}
	if err != nil {
		return unseen(what, err)
	}
	ready, wantedReplicas := replicas()
	wanted := ptr.Deref(wantedReplicas, 1)
	how := fmt.Sprintf("%d of %d ready", ready, wanted)
	why := fmt.Sprintf("see why: kubectl describe pods -n %s -l app.kubernetes.io/component=%s", st.operatorNamespace, strings.TrimPrefix(name, "agent-passport-"))
	switch {
	case ready == 0:
		return check{what, wrong, how, why}
	case ready < wanted:
		return check{what, warning, how, why}
	default:
		return check{what, fine, how, ""}
	}
}

// leases looks whether a manager leads, and which gateways live.
func (st *statusCommand) leases(ctx context.Context, c *cluster) []check {
	all, err := listed[*coordinationv1.Lease](ctx, c, &coordinationv1.LeaseList{}, client.InNamespace(st.operatorNamespace))
	if err != nil {
		return []check{unseen("leader", err)}
	}
	now := st.clock.Now()
	logs := "see why: kubectl logs -n " + st.operatorNamespace + " -l app.kubernetes.io/component="
	leader := check{"leader", wrong, "no manager leads: nothing is issued, extended or revoked", logs + "manager"}
	gateways := 0
	for _, lease := range all {
		switch {
		case lease.Name == managerLease && presence.Lives(lease, now):
			leader = check{what: "leader", level: fine, how: ptr.Deref(lease.Spec.HolderIdentity, "")}
		case lease.Labels[v1alpha1.LabelGateway] == "true" && presence.Lives(lease, now):
			gateways++
		}
	}
	live := check{what: "live gateways", level: fine, how: fmt.Sprint(gateways)}
	if gateways == 0 {
		live = check{"live gateways", warning, "none: agents that call through the gateway are refused", logs + "gateway"}
	}
	return []check{leader, live}
}

// keys looks at the signing keys, of which it prints ids and times alone.
func (st *statusCommand) keys(ctx context.Context, c *cluster) []check {
	published := &corev1.ConfigMap{}
	jwks := check{what: "published keys", level: fine}
	err := c.Get(ctx, client.ObjectKey{Namespace: st.operatorNamespace, Name: token.ConfigMapName}, published)
	switch {
	case apierrors.IsNotFound(err):
		jwks.level, jwks.how = wrong, "ConfigMap "+token.ConfigMapName+" is not there: the manager makes it at its first start"
	case err != nil:
		jwks = unseen(jwks.what, err)
	default:
		keys, err := token.ParseJWKS([]byte(published.Data[v1alpha1.SecretKeyJWKS]))
		if err != nil {
			jwks.level, jwks.how = wrong, err.Error()
			jwks.mend = fmt.Sprintf("delete it, and the manager writes it anew: kubectl delete configmap -n %s %s", st.operatorNamespace, token.ConfigMapName)
			break
		}
		jwks.how = counted(len(keys), "key verifies", "keys verify")
	}
	return []check{jwks, st.signing(ctx, c)}
}

func (st *statusCommand) signing(ctx context.Context, c *cluster) check {
	const what = "signing key"
	secret := &corev1.Secret{}
	err := c.Get(ctx, client.ObjectKey{Namespace: st.operatorNamespace, Name: keySecretName}, secret)
	if apierrors.IsNotFound(err) {
		return check{what: what, level: wrong, how: "Secret " + keySecretName + " is not there: the manager makes it at its first start"}
	}
	if err != nil {
		return unseen(what, err)
	}
	ring, err := token.ParseRing(secret.Data[keySecretData])
	if err != nil {
		mend := fmt.Sprintf("restore it from a backup, or begin with new keys: kubectl delete secret -n %s %s", st.operatorNamespace, keySecretName)
		return check{what, wrong, "Secret " + keySecretName + " is damaged: " + err.Error(), mend}
	}
	old := st.clock.Now().Sub(ring.Current.ActivatedAt)
	how := fmt.Sprintf("%s signs since %s (%s)", ring.Current.ID, stamp(ring.Current.ActivatedAt), span(old))
	switch asked := secret.Annotations[annotationRotate]; {
	case asked != "":
		return check{what, warning, how + "; rotation " + asked + " is asked for, and not done yet", ""}
	case old > lateRotation:
		return check{what, warning, how + ", which is longer than 30 days", "kubectl passport keys rotate"}
	default:
		return check{what, fine, how, ""}
	}
}
