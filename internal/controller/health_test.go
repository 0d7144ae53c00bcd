package controller_test

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	lua "github.com/yuin/gopher-lua"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	kstatus "sigs.k8s.io/cli-utils/pkg/kstatus/status"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"agentpassport.dev/operator/api/v1alpha1"
)

// healthPage has a row for each state, as told, such as "| Passport | Active | Current | Healthy |".
const healthPage = "../../docs/gitops.md"

// judges says what GitOps tools think of an object as the controllers left it, and that docs/gitops.md says the same.
// Flux and others go by kstatus, Argo CD by the check that is shipped.
func (w *world) judges(kind, name, state string, wantKstatus kstatus.Status, wantArgo string) {
	GinkgoHelper()
	object := &unstructured.Unstructured{}
	object.SetGroupVersionKind(v1alpha1.GroupVersion.WithKind(kind))
	Expect(w.admin.Get(w.ctx, types.NamespacedName{Namespace: w.namespace, Name: name}, object)).To(Succeed())
	computed, err := kstatus.Compute(object)
	Expect(err).NotTo(HaveOccurred())
	Expect(computed.Status).To(Equal(wantKstatus), "%s, %s: %s", kind, state, computed.Message)
	status, message := argo(object)
	Expect(status).To(Equal(wantArgo), "%s, %s: %s", kind, state, message)
	Expect(message).NotTo(BeEmpty(), "%s, %s", kind, state)
	page, err := os.ReadFile(healthPage)
	Expect(err).NotTo(HaveOccurred())
	Expect(string(page)).To(ContainSubstring(fmt.Sprintf("| %s | %s | %s | %s |\n", kind, state, wantKstatus, wantArgo)))
}

// argo runs the shipped check on an object, with the libraries that Argo CD gives it, and no more.
func argo(object *unstructured.Unstructured) (status, message string) {
	GinkgoHelper()
	vm := lua.NewState(lua.Options{SkipOpenLibs: true})
	defer vm.Close()
	for name, open := range map[string]lua.LGFunction{lua.BaseLibName: lua.OpenBase, lua.TabLibName: lua.OpenTable} {
		Expect(vm.CallByParam(lua.P{Fn: vm.NewFunction(open), Protect: true}, lua.LString(name))).To(Succeed())
	}
	vm.SetGlobal("obj", toLua(vm, object.Object))
	Expect(vm.DoFile("../../config/argocd/health/" + strings.ToLower(object.GetKind()) + ".lua")).To(Succeed())
	health, is := vm.Get(-1).(*lua.LTable)
	Expect(is).To(BeTrue(), "the check gives no table")
	return health.RawGetString("status").String(), health.RawGetString("message").String()
}

// toLua gives a value of JSON as Lua has it.
func toLua(vm *lua.LState, value any) lua.LValue {
	switch value := value.(type) {
	case map[string]any:
		table := vm.NewTable()
		for key, one := range value {
			table.RawSetString(key, toLua(vm, one))
		}
		return table
	case []any:
		table := vm.NewTable()
		for _, one := range value {
			table.Append(toLua(vm, one))
		}
		return table
	case string:
		return lua.LString(value)
	case int64:
		return lua.LNumber(value)
	case float64:
		return lua.LNumber(value)
	case bool:
		return lua.LBool(value)
	default:
		return lua.LNil
	}
}

var _ = Describe("The health of a Passport", func() {
	const current, inProgress, failed = kstatus.CurrentStatus, kstatus.InProgressStatus, kstatus.FailedStatus

	It("follows a mission to its checkout", func(ctx context.Context) {
		w := newWorld(ctx)
		w.passport()
		w.judges("Passport", "mission", "not looked at yet", current, "Progressing")
		w.settle()
		w.judges("Passport", "mission", "Pending", inProgress, "Progressing")
		w.agent()
		w.settle()
		w.judges("Passport", "mission", "Active", current, "Healthy")
		w.checkout("done")
		w.settle()
		w.ended(v1alpha1.PhaseCheckedOut, v1alpha1.ReasonCheckedOut)
		w.judges("Passport", "mission", "CheckedOut", current, "Healthy")
	})

	It("is bad where the mission came to nothing", func(ctx context.Context) {
		w := newWorld(ctx)
		w.live(400 * time.Second)
		w.settle()
		w.ended(v1alpha1.PhaseExpired, v1alpha1.ReasonCheckpointSilence)
		w.judges("Passport", "mission", "Expired, Enforced or Logged", failed, "Degraded")

		w = newWorld(ctx)
		w.live(0)
		w.revoke()
		w.settle()
		w.ended(v1alpha1.PhaseRevoked, v1alpha1.ReasonRevokedByRequest)
		w.judges("Passport", "mission", "Revoked", failed, "Degraded")

		w = newWorld(ctx)
		w.agent()
		w.passport(func(p *v1alpha1.Passport) { p.Spec.Intent = nil })
		w.settle()
		w.judges("Passport", "mission", "Rejected", failed, "Degraded")
	})

	It("is good where a Standard passport has lived its time", func(ctx context.Context) {
		w := newWorld(ctx)
		w.agent(in(v1alpha1.ModeStandard))
		w.passport()
		w.settle()
		w.clock.SetTime(w.mission().Status.ExpirationTime.Add(10 * time.Second))
		w.settle()
		w.ended(v1alpha1.PhaseExpired, v1alpha1.ReasonTTLElapsed)
		w.judges("Passport", "mission", "Expired, Standard", current, "Healthy")
	})
})

var _ = Describe("The health of other kinds", func() {
	const current, inProgress, failed = kstatus.CurrentStatus, kstatus.InProgressStatus, kstatus.FailedStatus

	It("does not fail a rollout where a person stopped an agent", func(ctx context.Context) {
		w := newWorld(ctx)
		agent := w.agent()
		w.judges("AgentPassport", "support-bot", "not read yet", current, "Progressing")
		w.settle()
		w.judges("AgentPassport", "support-bot", "Registered", current, "Healthy")

		block := w.block("odd")
		w.judges("AgentBlock", "odd", "not read yet", current, "Progressing")
		w.settle()
		w.judges("AgentPassport", "support-bot", "Blocked", current, "Suspended")
		w.judges("AgentBlock", "odd", "Blocking", current, "Healthy")

		before := client.MergeFrom(block.DeepCopy())
		block.Spec.Lifted = &v1alpha1.BlockLift{Reason: "it was a test"}
		Expect(w.admin.Patch(ctx, block, before)).To(Succeed())
		w.judges("AgentBlock", "odd", "changed, and not read again yet", inProgress, "Progressing")
		w.settle()
		w.judges("AgentBlock", "odd", "Lifted", current, "Healthy")

		Expect(w.get("support-bot", agent)).To(Succeed())
		changed := client.MergeFrom(agent.DeepCopy())
		agent.Spec.Suspend = true
		Expect(w.admin.Patch(ctx, agent, changed)).To(Succeed())
		w.judges("AgentPassport", "support-bot", "changed, and not read again yet", inProgress, "Progressing")
		w.settle()
		w.judges("AgentPassport", "support-bot", "Suspended", current, "Suspended")
	})

	It("says which reports count", func(ctx context.Context) {
		w := newWorld(ctx)
		w.live(0)
		w.checkpoint("report")
		w.judges("Checkpoint", "report", "not judged yet", current, "Progressing")
		w.checkpoint("foreign", func(c *v1alpha1.Checkpoint) { c.Spec.AgentRef.Name = "another" })
		w.settle()
		w.judges("Checkpoint", "report", "Accepted", current, "Healthy")
		w.judges("Checkpoint", "foreign", "rejected", failed, "Degraded")

		w.checkout("done")
		w.judges("Checkout", "done", "not judged yet", current, "Progressing")
		w.settle()
		w.checkout("again")
		w.settle()
		w.judges("Checkout", "done", "Clean", current, "Healthy")
		w.judges("Checkout", "again", "does not count", failed, "Degraded")
	})

	DescribeTable("waits for a reviewer", func(ctx context.Context, decision v1alpha1.Decision, state, wantArgo string) {
		w := newWorld(ctx)
		w.live(0)
		w.checkout("done", using("slack", "notion"))
		w.settle()
		w.judges("Checkout", "done", "AwaitingReview", current, "Suspended")
		w.review("done", decision, "looked at it")
		w.settle()
		w.judges("Checkout", "done", state, current, wantArgo)
	},
		Entry("who approves", v1alpha1.DecisionApproved, "Approved", "Healthy"),
		Entry("who blocks", v1alpha1.DecisionBlocked, "Blocked", "Degraded"))

	It("is on its way while the flags of a Checkout are blocking the agent", func(ctx context.Context) {
		w := newWorld(ctx)
		w.live(0)
		agent := &v1alpha1.AgentPassport{}
		Expect(w.get("support-bot", agent)).To(Succeed())
		before := client.MergeFrom(agent.DeepCopy())
		agent.Spec.Accountability.OnWarning = v1alpha1.EscalateBlock
		Expect(w.admin.Patch(ctx, agent, before)).To(Succeed())
		w.fault = func(_ int, write string, land func() error) error {
			if strings.HasPrefix(write, "create AgentBlock") {
				return fmt.Errorf("the API server is busy")
			}
			return land()
		}
		w.checkout("done", using("slack", "notion"))
		Expect(w.settleUntil(5)).NotTo(Succeed())
		w.judges("Checkout", "done", "BlockingAgent", inProgress, "Progressing")
	})

	It("says whether a service is reached", func(ctx context.Context) {
		w := newWorld(ctx)
		connection := w.connection()
		w.judges("ServiceConnection", "github", "not read yet", current, "Progressing")
		w.settle()
		w.judges("ServiceConnection", "github", "NoGatewayYet", inProgress, "Progressing")
		for _, reason := range []v1alpha1.Reason{
			v1alpha1.ReasonCredentialForbidden, v1alpha1.ReasonCredentialNotFound, v1alpha1.ReasonCredentialKeyMissing,
		} {
			w.says("gateway-0", connection, reason)
			w.settle()
			w.judges("ServiceConnection", "github", string(reason), inProgress, "Degraded")
		}
		w.says("gateway-0", connection, v1alpha1.ReasonCredentialRead)
		w.settle()
		w.judges("ServiceConnection", "github", "Served", current, "Healthy")
		w.edit(func(c *v1alpha1.ServiceConnection) { c.Spec.TimeoutSeconds = 5 })
		w.judges("ServiceConnection", "github", "changed, and not read again yet", inProgress, "Progressing")
	})

	It("says what came of documents and packs", func(ctx context.Context) {
		w := newWorld(ctx)
		vendor := w.vendor()
		w.trust(vendor)
		w.check("costguard")
		w.pack("strict", []v1alpha1.PolicyRule{outsideIsRefused()}, dryRun)
		w.judges("VendorKey", w.namespace, "not read yet", current, "Progressing")
		w.judges("CompatibilityCheck", "costguard", "not read yet", current, "Progressing")
		w.judges("PolicyPack", "strict", "not read yet", current, "Progressing")
		w.settle()
		w.judges("VendorKey", w.namespace, "Trusted", current, "Healthy")
		w.judges("CompatibilityCheck", "costguard", "PackageNotFound", inProgress, "Progressing")

		w.packaged("costguard", func(p *v1alpha1.CapabilityPassport) {
			p.Spec.Document = packageDocument("costguard", needing("api.example.com"))
		})
		w.judges("CapabilityPassport", "costguard", "not read yet", current, "Progressing")
		w.agent(documentedBy(agentDocument(offline)))
		w.settle()
		w.judges("CapabilityPassport", "costguard", "DocumentRead", current, "Healthy")
		w.judges("CompatibilityCheck", "costguard", "Paired", current, "Healthy")

		check, pack := &v1alpha1.CompatibilityCheck{}, &v1alpha1.PolicyPack{}
		Expect(w.get("costguard", check)).To(Succeed())
		check.Spec.Enforcement = v1alpha1.EnforcementBlock
		Expect(w.admin.Update(ctx, check)).To(Succeed())
		w.settle()
		w.judges("CompatibilityCheck", "costguard", "NotCompatible", inProgress, "Degraded")
		Expect(w.get("strict", pack)).To(Succeed())
		pack.Spec.Mode = v1alpha1.PolicyEnforce
		Expect(w.admin.Update(ctx, pack)).To(Succeed())
		w.revokeKey()
		w.settle()
		w.judges("PolicyPack", "strict", "Enforcing", current, "Healthy")
		w.judges("CompatibilityCheck", "costguard", "PolicyRefused", inProgress, "Degraded")
		w.judges("VendorKey", w.namespace, "NoValidKey", inProgress, "Degraded")
	})
})
