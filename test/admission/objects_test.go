package admission

import (
	"context"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"agentpassport.dev/operator/api/v1alpha1"
	"agentpassport.dev/operator/test/apiserver"
)

// by is a name that an object gives itself.
func by(username string) *v1alpha1.Actor { return &v1alpha1.Actor{Username: username} }

// byVia is a name that an object gives itself, with the writer that vouches for it.
func byVia(username, via string) *v1alpha1.Actor {
	return &v1alpha1.Actor{Username: username, Via: via}
}

func (p place) meta() metav1.ObjectMeta {
	return metav1.ObjectMeta{GenerateName: "test-", Namespace: p.namespace}
}

func (p place) agentPassport() *v1alpha1.AgentPassport {
	return &v1alpha1.AgentPassport{ObjectMeta: p.meta(), Spec: v1alpha1.AgentPassportSpec{
		Grants: []v1alpha1.ServiceGrant{{Service: "tickets"}},
	}}
}

func (p place) passport(agent string) *v1alpha1.Passport {
	return &v1alpha1.Passport{ObjectMeta: p.meta(), Spec: v1alpha1.PassportSpec{
		AgentRef: v1alpha1.AgentReference{Name: agent},
		Intent:   &v1alpha1.Intent{Summary: "answer tickets", Services: []v1alpha1.ServiceName{"tickets"}},
	}}
}

func (p place) checkpoint(agent string) *v1alpha1.Checkpoint {
	return &v1alpha1.Checkpoint{ObjectMeta: p.meta(), Spec: v1alpha1.CheckpointSpec{
		AgentRef:    v1alpha1.AgentReference{Name: agent},
		PassportRef: v1alpha1.PassportReference{Name: "mission"},
	}}
}

func (p place) checkout(agent string) *v1alpha1.Checkout {
	return &v1alpha1.Checkout{ObjectMeta: p.meta(), Spec: v1alpha1.CheckoutSpec{
		AgentRef:    v1alpha1.AgentReference{Name: agent},
		PassportRef: v1alpha1.PassportReference{Name: "mission"},
	}}
}

func (p place) block(agent string) *v1alpha1.AgentBlock {
	return &v1alpha1.AgentBlock{ObjectMeta: p.meta(), Spec: v1alpha1.AgentBlockSpec{
		AgentRef: &v1alpha1.AgentReference{Name: agent}, Reason: "it wrote where it should not",
	}}
}

func (p place) connection() *v1alpha1.ServiceConnection {
	return &v1alpha1.ServiceConnection{ObjectMeta: p.meta(), Spec: v1alpha1.ServiceConnectionSpec{
		BaseURL: "https://api.example.com", Credential: &v1alpha1.ServiceCredential{SecretName: "credential"},
	}}
}

func (p place) packaged() *v1alpha1.CapabilityPassport {
	return &v1alpha1.CapabilityPassport{ObjectMeta: p.meta(), Spec: v1alpha1.CapabilityPassportSpec{Document: v1alpha1.PackageDocument{
		Schema: v1alpha1.PackageDocumentSchema, Package: "tool", PackageVersion: "1", Publisher: "example", RiskLevel: v1alpha1.RiskLow,
		Reads: []v1alpha1.Statement{}, Writes: []v1alpha1.Statement{}, Accesses: []v1alpha1.Statement{},
	}}}
}

func (p place) check() *v1alpha1.CompatibilityCheck {
	return &v1alpha1.CompatibilityCheck{ObjectMeta: p.meta(), Spec: v1alpha1.CompatibilityCheckSpec{
		PackageRef: v1alpha1.CapabilityPassportReference{Name: "tool"}, AgentRef: v1alpha1.AgentReference{Name: "a"},
		InstallMode: v1alpha1.InstallLocalTool,
	}}
}

func (p place) pack() *v1alpha1.PolicyPack {
	return &v1alpha1.PolicyPack{ObjectMeta: p.meta(), Spec: v1alpha1.PolicyPackSpec{Rules: []v1alpha1.PolicyRule{{
		ID: "no-a", Action: v1alpha1.PolicyBlock, At: []v1alpha1.PolicyPoint{v1alpha1.PolicyAtIssue},
		Agents: &v1alpha1.AgentMatch{Names: []string{"a"}},
	}}}}
}

// vendorKey is one of the cluster, under a name of the place's own.
func (p place) vendorKey() *v1alpha1.VendorKey {
	return &v1alpha1.VendorKey{ObjectMeta: metav1.ObjectMeta{Name: p.namespace}, Spec: v1alpha1.VendorKeySpec{
		Vendor: "Example", Keys: []v1alpha1.VendorPublicKey{{Name: "one", PublicKey: publicKey}},
	}}
}

// publicKey is the example of RFC 8410, section 10.1.
const publicKey = "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n-----END PUBLIC KEY-----\n"

// created creates an object as a user who may.
func created[T client.Object](ctx context.Context, username string, object T) T {
	GinkgoHelper()
	Expect(as(username).Create(ctx, object)).To(Succeed())
	return object
}

// active is a Passport of agent a that the manager has issued.
func (p place) active(ctx context.Context) *v1alpha1.Passport {
	GinkgoHelper()
	passport := created(ctx, p.agentA, p.passport("a"))
	passport.Status.Phase = v1alpha1.PhaseActive
	Expect(as(apiserver.Manager).Status().Update(ctx, passport)).To(Succeed())
	return passport
}

// judged is a Checkout of agent a that the manager has judged: engineer asked for the mission, and the
// submitters reported on it, beside agent a, which checked out.
func (p place) judged(ctx context.Context, verdict v1alpha1.Verdict, submitters ...string) *v1alpha1.Checkout {
	GinkgoHelper()
	checkout := created(ctx, p.agentA, p.checkout("a"))
	checkout.Status.Verdict = verdict
	checkout.Status.Mission = &v1alpha1.MissionRecord{RequestedBy: by(engineer), Submitters: submitters}
	conclude(ctx, checkout, v1alpha1.ConditionReady, metav1.ConditionTrue, v1alpha1.ReasonJudged)
	if verdict == v1alpha1.VerdictClean {
		return conclude(ctx, checkout, v1alpha1.ConditionAccepted, metav1.ConditionTrue, v1alpha1.ReasonClean)
	}
	return conclude(ctx, checkout, v1alpha1.ConditionAccepted, metav1.ConditionUnknown, v1alpha1.ReasonAwaitingReview)
}

// conclude sets a condition of a Checkout, as the manager, together with what else of its status was set.
func conclude(ctx context.Context, checkout *v1alpha1.Checkout,
	condition v1alpha1.ConditionType, status metav1.ConditionStatus, reason v1alpha1.Reason,
) *v1alpha1.Checkout {
	GinkgoHelper()
	meta.SetStatusCondition(&checkout.Status.Conditions,
		metav1.Condition{Type: string(condition), Status: status, Reason: string(reason)})
	Expect(as(apiserver.Manager).Status().Update(ctx, checkout)).To(Succeed())
	return checkout
}

// fresh reads an object again.
func fresh[T client.Object](ctx context.Context, object T) T {
	GinkgoHelper()
	Expect(server.Admin().Get(ctx, client.ObjectKeyFromObject(object), object)).To(Succeed())
	return object
}

// owner makes an object own another.
func owner(configMap *corev1.ConfigMap) []metav1.OwnerReference {
	return []metav1.OwnerReference{{APIVersion: "v1", Kind: "ConfigMap", Name: configMap.Name, UID: configMap.UID}}
}

// configMap is an object to own others with.
func (p place) configMap(ctx context.Context) *corev1.ConfigMap {
	GinkgoHelper()
	object := &corev1.ConfigMap{ObjectMeta: p.meta()}
	Expect(server.Admin().Create(ctx, object)).To(Succeed())
	return object
}

// merge is a JSON merge patch.
func merge(patch string) client.Patch {
	return client.RawPatch("application/merge-patch+json", []byte(patch))
}
