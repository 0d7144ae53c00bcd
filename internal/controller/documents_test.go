package controller_test

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"agentpassport.dev/operator/api/v1alpha1"
	"agentpassport.dev/operator/internal/audit"
	"agentpassport.dev/operator/internal/signature"
)

// worldLabel tells whose an object of the cluster is.
const worldLabel = "example.com/world"

// documentKinds are the kinds of documents, where the world has any.
func (w *world) documentKinds() []kindOfWorld {
	if !w.documents {
		return nil
	}
	return []kindOfWorld{
		{&v1alpha1.VendorKeyList{}, []reconcileFunc{w.vendorKeys.Reconcile, w.vendorKeyTrail.Reconcile}},
		{&v1alpha1.CapabilityPassportList{}, []reconcileFunc{w.packages.Reconcile, w.packageTrail.Reconcile}},
		{&v1alpha1.CompatibilityCheckList{}, []reconcileFunc{w.checks.Reconcile}},
		{&v1alpha1.PolicyPackList{}, []reconcileFunc{w.packs.Reconcile, w.packTrail.Reconcile}},
	}
}

// published reads a document of those that the pairing is tested with.
func published(folder, name string, into any) {
	GinkgoHelper()
	text, err := os.ReadFile(filepath.Join("..", "capability", "testdata", folder, name+".yaml"))
	Expect(err).NotTo(HaveOccurred())
	Expect(yaml.Unmarshal(text, into)).To(Succeed())
}

// agentDocument is the document of Claude Code; with may change it first.
func agentDocument(with ...func(map[string]any)) *v1alpha1.AgentDocument {
	GinkgoHelper()
	document := &v1alpha1.AgentDocument{}
	changed(document, "agents", "claude-code", with)
	return document
}

// packageDocument is the document of a package; with may change it first.
func packageDocument(name string, with ...func(map[string]any)) v1alpha1.PackageDocument {
	GinkgoHelper()
	document := v1alpha1.PackageDocument{}
	changed(&document, "packages", name, with)
	return document
}

func changed(document any, folder, name string, with []func(map[string]any)) {
	GinkgoHelper()
	var members map[string]any
	published(folder, name, &members)
	for _, change := range with {
		change(members)
	}
	text, err := yaml.Marshal(members)
	Expect(err).NotTo(HaveOccurred())
	Expect(yaml.Unmarshal(text, document)).To(Succeed())
}

// vendor is a vendor of one world, with a key.
type vendor struct {
	name    string
	public  string
	private ed25519.PrivateKey
}

func (w *world) vendor() *vendor {
	GinkgoHelper()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	Expect(err).NotTo(HaveOccurred())
	der, err := x509.MarshalPKIXPublicKey(public)
	Expect(err).NotTo(HaveOccurred())
	return &vendor{
		name: "Vendor of " + w.namespace, private: private,
		public: string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})),
	}
}

// sign gives the vendor's signature over a document.
func (v *vendor) sign(document []byte) *v1alpha1.DocumentSignature {
	GinkgoHelper()
	jws, err := signature.Sign(document, v.private)
	Expect(err).NotTo(HaveOccurred())
	return &v1alpha1.DocumentSignature{JWS: jws}
}

// trust makes a VendorKey of a vendor's key; with may change it first.
func (w *world) trust(v *vendor, with ...func(*v1alpha1.VendorPublicKey)) *v1alpha1.VendorKey {
	GinkgoHelper()
	w.documents = true
	key := v1alpha1.VendorPublicKey{Name: "one", PublicKey: v.public}
	for _, change := range with {
		change(&key)
	}
	trusted := &v1alpha1.VendorKey{
		ObjectMeta: metav1.ObjectMeta{Name: w.namespace, Labels: map[string]string{worldLabel: w.namespace}},
		Spec:       v1alpha1.VendorKeySpec{Vendor: v.name, Keys: []v1alpha1.VendorPublicKey{key}},
	}
	Expect(w.admin.Create(w.ctx, trusted)).To(Succeed())
	DeferCleanup(func(ctx context.Context) { deleteIfThere(ctx, trusted) })
	return trusted
}

// packaged makes a CapabilityPassport of a published document under its own name; with may change it first.
func (w *world) packaged(name string, with ...func(*v1alpha1.CapabilityPassport)) *v1alpha1.CapabilityPassport {
	GinkgoHelper()
	w.documents = true
	pkg := &v1alpha1.CapabilityPassport{
		ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: name},
		Spec:       v1alpha1.CapabilityPassportSpec{Document: packageDocument(name)},
	}
	for _, change := range with {
		change(pkg)
	}
	Expect(w.admin.Create(w.ctx, pkg)).To(Succeed())
	return pkg
}

// check makes a CompatibilityCheck of a package and the agent, under the package's name; with may change it first.
func (w *world) check(pkg string, with ...func(*v1alpha1.CompatibilityCheck)) *v1alpha1.CompatibilityCheck {
	GinkgoHelper()
	w.documents = true
	check := &v1alpha1.CompatibilityCheck{
		ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: pkg},
		Spec: v1alpha1.CompatibilityCheckSpec{
			PackageRef: v1alpha1.CapabilityPassportReference{Name: pkg}, AgentRef: v1alpha1.AgentReference{Name: "support-bot"},
			InstallMode: v1alpha1.InstallLocalTool,
		},
	}
	for _, change := range with {
		change(check)
	}
	Expect(w.admin.Create(w.ctx, check)).To(Succeed())
	return check
}

// pack makes a PolicyPack of rules; with may change it first.
func (w *world) pack(name string, rules []v1alpha1.PolicyRule, with ...func(*v1alpha1.PolicyPack)) *v1alpha1.PolicyPack {
	GinkgoHelper()
	w.documents = true
	pack := &v1alpha1.PolicyPack{
		ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: name}, Spec: v1alpha1.PolicyPackSpec{Rules: rules},
	}
	for _, change := range with {
		change(pack)
	}
	Expect(w.admin.Create(w.ctx, pack)).To(Succeed())
	return pack
}

func dryRun(pack *v1alpha1.PolicyPack) { pack.Spec.Mode = v1alpha1.PolicyDryRun }

func documentedBy(document *v1alpha1.AgentDocument) func(*v1alpha1.AgentPassport) {
	return func(agent *v1alpha1.AgentPassport) { agent.Spec.Document = document }
}

// condition tells one condition of an object that is there, such as "True Covered"; empty where it has none.
func (w *world) condition(name string, object client.Object, kind v1alpha1.ConditionType) string {
	GinkgoHelper()
	Expect(w.get(name, object)).To(Succeed())
	found := meta.FindStatusCondition(conditionsOf(object), string(kind))
	if found == nil {
		return ""
	}
	Expect(found.ObservedGeneration).To(Equal(object.GetGeneration()))
	return string(found.Status) + " " + found.Reason
}

func conditionsOf(object client.Object) []metav1.Condition {
	switch object := object.(type) {
	case *v1alpha1.AgentPassport:
		return object.Status.Conditions
	case *v1alpha1.CapabilityPassport:
		return object.Status.Conditions
	case *v1alpha1.CompatibilityCheck:
		return object.Status.Conditions
	case *v1alpha1.PolicyPack:
		return object.Status.Conditions
	case *v1alpha1.VendorKey:
		return object.Status.Conditions
	case *v1alpha1.Passport:
		return object.Status.Conditions
	default:
		return nil
	}
}

// documentEnds tells what is said of the documents, but for names that differ from world to world.
func (w *world) documentEnds() []string {
	GinkgoHelper()
	var ends []string
	tell := func(object client.Object, conditions []metav1.Condition, more string) {
		kind := fmt.Sprintf("%T", object)
		line := kind[strings.LastIndex(kind, ".")+1:] + " " + strings.ReplaceAll(object.GetName(), w.namespace, "world")
		for _, c := range conditions {
			line += fmt.Sprintf(" %s=%s/%s", c.Type, c.Status, c.Reason)
		}
		ends = append(ends, strings.TrimSpace(line+" "+more))
	}
	for _, kind := range append(w.documentKinds(), kindOfWorld{list: &v1alpha1.AgentPassportList{}}) {
		Expect(w.admin.List(w.ctx, kind.list, kind.of(w))).To(Succeed())
		items, err := meta.ExtractList(kind.list)
		Expect(err).NotTo(HaveOccurred())
		for _, item := range items {
			object, is := item.(client.Object)
			Expect(is).To(BeTrue())
			more := ""
			switch object := object.(type) {
			case *v1alpha1.CompatibilityCheck:
				more = fmt.Sprintf("%d findings, %v", len(object.Status.Findings), object.Status.Policy)
			case *v1alpha1.PolicyPack:
				more = fmt.Sprint(object.Status.Hits)
			}
			tell(object, conditionsOf(object), more)
		}
	}
	slices.Sort(ends)
	return ends
}

// verifications tells the records of signatures that were looked at, in order.
func (w *world) verifications() []string {
	var told []string
	for _, record := range w.log.records() {
		if record.Action == audit.DocumentVerify {
			told = append(told, strings.TrimSpace(record.Object.Kind+" "+string(record.Outcome)+" "+record.ErrorCode))
		}
	}
	return told
}

// outsideIsRefused blocks the install of what falls outside.
func outsideIsRefused() v1alpha1.PolicyRule {
	return v1alpha1.PolicyRule{
		ID: "inside", Action: v1alpha1.PolicyBlock, At: []v1alpha1.PolicyPoint{v1alpha1.PolicyAtInstall},
		Compatibility: []v1alpha1.Coverage{v1alpha1.CoverageOutside}, Message: "ask the vendor for a document that says so",
	}
}

// slackIs does something about slack at the issue.
func slackIs(action v1alpha1.PolicyAction) v1alpha1.PolicyRule {
	return v1alpha1.PolicyRule{
		ID: "slack", Action: action, At: []v1alpha1.PolicyPoint{v1alpha1.PolicyAtIssue},
		Grants: &v1alpha1.GrantMatch{Services: []v1alpha1.ServiceName{"slack"}}, Message: "slack is for people",
	}
}

// needing has a package reach one thing alone.
func needing(statement string) func(map[string]any) {
	return func(members map[string]any) { members["accesses"] = []any{statement} }
}

// offline takes every access from an agent.
func offline(members map[string]any) {
	capabilities, is := members["capabilities"].(map[string]any)
	Expect(is).To(BeTrue())
	capabilities["can_access"] = []any{}
}

// documentScenarios are those of the crash sweep that are about documents.
var documentScenarios = []scenario{
	{"documents that are paired under packs", func(w *world) { w.documents = true }, func(w *world) {
		w.agent(documentedBy(agentDocument(offline)))
		w.packaged("costguard", func(p *v1alpha1.CapabilityPassport) {
			p.Spec.Document = packageDocument("costguard", needing("api.example.com"))
		})
		w.check("costguard")
		w.pack("strict", []v1alpha1.PolicyRule{outsideIsRefused()})
		w.pack("trial", []v1alpha1.PolicyRule{outsideIsRefused()}, dryRun)
	}},
	{"a document that a vendor signed, whose key is revoked", func(w *world) {
		w.documents = true
		vendor := w.vendor()
		w.trust(vendor)
		w.packaged("mcp-audit", func(p *v1alpha1.CapabilityPassport) {
			p.Spec.Document = packageDocument("mcp-audit", func(members map[string]any) { members["publisher"] = vendor.name })
			p.Spec.Signature = vendor.sign(p.Spec.Document.Raw)
		})
	}, func(w *world) { w.revokeKey() }},
	{"a passport that a pack refuses", func(w *world) {
		w.agent()
		w.pack("strict", []v1alpha1.PolicyRule{slackIs(v1alpha1.PolicyBlock)})
	}, func(w *world) { w.passport() }},
	{"a passport that a pack warns of", func(w *world) {
		w.agent()
		w.pack("wary", []v1alpha1.PolicyRule{slackIs(v1alpha1.PolicyWarn)})
	}, func(w *world) { w.passport() }},
}

// revokeKey revokes the world's key.
func (w *world) revokeKey() {
	GinkgoHelper()
	key := &v1alpha1.VendorKey{}
	Expect(w.admin.Get(w.ctx, client.ObjectKey{Name: w.namespace}, key)).To(Succeed())
	key.Spec.Keys[0].Revoked = &v1alpha1.KeyRevocation{Reason: "stolen"}
	Expect(w.admin.Update(w.ctx, key)).To(Succeed())
}

var _ = Describe("Documents", func() {
	pkg := func() *v1alpha1.CapabilityPassport { return &v1alpha1.CapabilityPassport{} }
	agent := func() *v1alpha1.AgentPassport { return &v1alpha1.AgentPassport{} }
	check := func() *v1alpha1.CompatibilityCheck { return &v1alpha1.CompatibilityCheck{} }

	Context("of a package", func() {
		It("is read with one write, and says what nobody proves", func(ctx context.Context) {
			w := newWorld(ctx)
			w.documents = true
			w.packaged("costguard", func(p *v1alpha1.CapabilityPassport) {
				p.Spec.Document = packageDocument("costguard", func(members map[string]any) { members["publisher_verified"], members["homepage"] = true, "x" })
			})
			w.settle()
			Expect(w.wrote()).To(Equal([]string{"update status CapabilityPassport costguard"}))
			read := pkg()
			Expect(w.condition("costguard", read, v1alpha1.ConditionReady)).To(Equal("True DocumentRead"))
			Expect(w.condition("costguard", read, v1alpha1.ConditionVerified)).To(Equal("False NotSigned"))
			Expect(w.condition("costguard", read, v1alpha1.ConditionUnprovenClaim)).To(Equal("True NoProof"))
			Expect(w.condition("costguard", read, v1alpha1.ConditionUnknownFields)).To(Equal("True FieldsNotInSchema"))
			Expect(read.Status.Verified).To(HaveValue(BeFalse()))
			Expect(read.Status.DocumentDigest).To(HaveLen(64))
			Expect(w.events()).To(ConsistOf(ContainSubstring("NoProof"), ContainSubstring("FieldsNotInSchema")))
		})
	})

	Context("that a vendor signed", func() {
		signed := func(signer *vendor, with ...func(map[string]any)) func(*v1alpha1.AgentPassport) {
			with = append(with, func(members map[string]any) {
				members["agent"] = map[string]any{"name": "Bot", "version": "1", "vendor": strings.ToUpper(signer.name)}
			})
			return func(a *v1alpha1.AgentPassport) {
				a.Spec.Document = agentDocument(with...)
				a.Spec.Signature = signer.sign(a.Spec.Document.Raw)
			}
		}

		It("is verified once a VendorKey holds the key, and not any more once it is revoked", func(ctx context.Context) {
			w := newWorld(ctx)
			w.documents = true
			signer := w.vendor()
			w.agent(signed(signer, func(members map[string]any) { members["verified"] = true }))
			w.settle()
			Expect(w.condition("support-bot", agent(), v1alpha1.ConditionVerified)).To(Equal("False KeyNotTrusted"))
			Expect(w.condition("support-bot", agent(), v1alpha1.ConditionUnprovenClaim)).To(Equal("True NoProof"))

			w.trust(signer)
			w.settle()
			verified := agent()
			Expect(w.condition("support-bot", verified, v1alpha1.ConditionVerified)).To(Equal("True SignedByVendor"))
			Expect(w.condition("support-bot", verified, v1alpha1.ConditionUnprovenClaim)).To(BeEmpty())
			Expect(verified.Status.Verified).To(HaveValue(BeTrue()))
			Expect(verified.Status.Fingerprint).To(HaveLen(43))
			Expect(verified.Status.VendorKey).To(Equal(w.namespace))

			w.revokeKey()
			w.settle()
			revoked := agent()
			Expect(w.condition("support-bot", revoked, v1alpha1.ConditionVerified)).To(Equal("False KeyRevoked"))
			Expect(revoked.Status.Verified).To(HaveValue(BeFalse()))
			Expect(revoked.Status.Fingerprint).To(BeEmpty())
			Expect(w.condition("support-bot", revoked, v1alpha1.ConditionUnprovenClaim)).To(Equal("True NoProof"))
			Expect(w.verifications()).To(Equal([]string{
				"AgentPassport failure KEY_NOT_TRUSTED", "AgentPassport success", "AgentPassport failure KEY_REVOKED",
			}))
		})

		It("is verified for as long as its key counts", func(ctx context.Context) {
			w := newWorld(ctx)
			w.documents = true
			signer := w.vendor()
			now := w.clock.Now()
			w.agent(signed(signer))
			w.trust(signer, func(key *v1alpha1.VendorPublicKey) {
				key.NotBefore, key.NotAfter = &metav1.Time{Time: now.Add(time.Minute)}, &metav1.Time{Time: now.Add(time.Hour)}
			})
			key := &v1alpha1.VendorKey{}
			readKey := func() string {
				GinkgoHelper()
				Expect(w.admin.Get(w.ctx, client.ObjectKey{Name: w.namespace}, key)).To(Succeed())
				return string(key.Status.Keys[0].State) + " " + string(ready(key.Status.Conditions))
			}
			w.settle()
			Expect(w.condition("support-bot", agent(), v1alpha1.ConditionVerified)).To(Equal("False KeyNotValid"))
			Expect(readKey()).To(Equal("NotYetValid NoValidKey"))
			again, err := w.agents.Reconcile(w.ctx, w.request("support-bot"))
			Expect(err).NotTo(HaveOccurred())
			Expect(again.RequeueAfter).To(BeNumerically("<=", time.Minute), "nobody else wakes it")

			w.clock.Step(time.Minute)
			w.settle()
			Expect(w.condition("support-bot", agent(), v1alpha1.ConditionVerified)).To(Equal("True SignedByVendor"))
			Expect(readKey()).To(Equal("Valid Trusted"))

			w.clock.Step(time.Hour)
			w.settle()
			Expect(w.condition("support-bot", agent(), v1alpha1.ConditionVerified)).To(Equal("False KeyNotValid"))
			Expect(readKey()).To(Equal("Expired NoValidKey"))
		})

		It("is not verified once it is changed", func(ctx context.Context) {
			w := newWorld(ctx)
			w.documents = true
			signer := w.vendor()
			w.trust(signer)
			w.agent(signed(signer), func(a *v1alpha1.AgentPassport) {
				a.Spec.Document = agentDocument(offline, func(members map[string]any) {
					members["agent"] = map[string]any{"name": "Bot", "version": "1", "vendor": signer.name}
				})
			})
			w.settle()
			Expect(w.condition("support-bot", agent(), v1alpha1.ConditionVerified)).To(Equal("False SignatureInvalid"))
		})

		It("stays refused by the API server where a revocation is taken back, or a key changed", func(ctx context.Context) {
			w := newWorld(ctx)
			w.documents = true
			signer := w.vendor()
			key := w.trust(signer, func(key *v1alpha1.VendorPublicKey) { key.Revoked = &v1alpha1.KeyRevocation{Reason: "stolen"} })
			key.Spec.Keys[0].Revoked = nil
			Expect(w.admin.Update(w.ctx, key)).To(MatchError(ContainSubstring("a revocation is for good")))
			key.Spec.Keys[0].Revoked = &v1alpha1.KeyRevocation{Reason: "stolen"}
			key.Spec.Keys[0].PublicKey = w.vendor().public
			Expect(w.admin.Update(w.ctx, key)).To(MatchError(ContainSubstring("publicKey cannot be changed")))
		})
	})

	Context("of an agent whose grants go further", func() {
		It("says so, and the grant counts", func(ctx context.Context) {
			w := newWorld(ctx)
			w.documents = true
			w.agent(documentedBy(agentDocument(offline)))
			w.passport()
			w.settle()
			Expect(w.condition("support-bot", agent(), v1alpha1.ConditionGrantOutsideDocument)).To(Equal("True ServiceNotInDocument"))
			Expect(w.mission().Status.Phase).To(Equal(v1alpha1.PhaseActive))
			Expect(w.mission().Status.Issued.DocumentDigest).To(HaveLen(64))
		})
	})

	Context("that are paired", func() {
		It("wait for each other, and are paired anew when either changes", func(ctx context.Context) {
			w := newWorld(ctx)
			w.documents = true
			w.check("costguard")
			w.settle()
			Expect(w.condition("costguard", check(), v1alpha1.ConditionReady)).To(Equal("False PackageNotFound"))
			Expect(w.condition("costguard", check(), v1alpha1.ConditionCompatible)).To(Equal("Unknown PackageNotFound"))

			w.packaged("costguard", func(p *v1alpha1.CapabilityPassport) {
				p.Spec.Document = packageDocument("costguard", needing("api.example.com"))
			})
			w.settle()
			Expect(w.condition("costguard", check(), v1alpha1.ConditionReady)).To(Equal("False AgentNotFound"))

			w.agent()
			w.settle()
			Expect(w.condition("costguard", check(), v1alpha1.ConditionReady)).To(Equal("False NoDocument"))

			its := agent()
			Expect(w.get("support-bot", its)).To(Succeed())
			its.Spec.Document = agentDocument(offline)
			Expect(w.admin.Update(w.ctx, its)).To(Succeed())
			w.settle()
			paired := check()
			Expect(w.condition("costguard", paired, v1alpha1.ConditionCompatible)).To(HavePrefix("False "))
			Expect(w.condition("costguard", paired, v1alpha1.ConditionReady)).To(Equal("True Paired"), "it informs, and does not block")
			Expect(paired.Status.Findings).To(ContainElement(HaveField("Declaration", HaveValue(Equal("api.example.com")))))
			Expect(*paired.Status.Summary.Outside).To(BeNumerically(">", 0))
			Expect(paired.Status.PackageDigest).To(HaveLen(64))
			w.wrote()

			Expect(w.get("support-bot", its)).To(Succeed())
			its.Spec.Document = agentDocument()
			Expect(w.admin.Update(w.ctx, its)).To(Succeed())
			w.settle()
			Expect(w.wrote()).To(ConsistOf("update status AgentPassport support-bot", "update status CompatibilityCheck costguard"))
			Expect(w.get("costguard", paired)).To(Succeed())
			Expect(paired.Status.Findings).NotTo(ContainElement(HaveField("Declaration", HaveValue(Equal("api.example.com")))))
		})

		It("keep an install back where it says so itself", func(ctx context.Context) {
			w := newWorld(ctx)
			w.documents = true
			w.agent(documentedBy(agentDocument(offline)))
			w.packaged("costguard", func(p *v1alpha1.CapabilityPassport) {
				p.Spec.Document = packageDocument("costguard", needing("api.example.com"))
			})
			w.check("costguard", func(c *v1alpha1.CompatibilityCheck) { c.Spec.Enforcement = v1alpha1.EnforcementBlock })
			w.settle()
			Expect(w.condition("costguard", check(), v1alpha1.ConditionReady)).To(Equal("False NotCompatible"))
		})
	})

	Context("under packs of policy", func() {
		It("the strictest counts at an install, and a dry run says what it would refuse", func(ctx context.Context) {
			w := newWorld(ctx)
			w.documents = true
			w.agent(documentedBy(agentDocument(offline)))
			w.packaged("costguard", func(p *v1alpha1.CapabilityPassport) {
				p.Spec.Document = packageDocument("costguard", needing("api.example.com"))
			})
			w.check("costguard")
			trial := w.pack("trial", []v1alpha1.PolicyRule{outsideIsRefused()}, dryRun)
			w.settle()
			Expect(w.condition("costguard", check(), v1alpha1.ConditionReady)).To(Equal("True Paired"))
			w.clock.Step(10 * time.Second)
			w.settle()
			Expect(w.condition("trial", trial, v1alpha1.ConditionReady)).To(Equal("True DryRun"))
			Expect(trial.Status.Refused).To(HaveValue(BeEquivalentTo(1)))
			Expect(trial.Status.Hits).To(ConsistOf(v1alpha1.PolicyHit{Kind: "CompatibilityCheck", Name: "costguard", Rule: "inside", Action: v1alpha1.PolicyBlock}))

			warns := outsideIsRefused()
			warns.ID, warns.Action = "wary", v1alpha1.PolicyWarn
			w.pack("wary", []v1alpha1.PolicyRule{warns})
			w.settle()
			Expect(w.condition("costguard", check(), v1alpha1.ConditionReady)).To(Equal("True Paired"))
			Expect(w.condition("costguard", check(), v1alpha1.ConditionPolicyWarning)).To(Equal("True PolicyWarned"))

			w.pack("strict", []v1alpha1.PolicyRule{outsideIsRefused()})
			w.settle()
			refused := check()
			Expect(w.condition("costguard", refused, v1alpha1.ConditionReady)).To(Equal("False PolicyRefused"))
			Expect(refused.Status.Policy).To(HaveLen(2))
			Expect(meta.FindStatusCondition(refused.Status.Conditions, "Ready").Message).To(
				Equal("rule inside of PolicyPack strict (ask the vendor for a document that says so)"))
		})

		It("an issue is refused, or warned of", func(ctx context.Context) {
			w := newWorld(ctx)
			w.documents = true
			w.agent()
			w.pack("wary", []v1alpha1.PolicyRule{slackIs(v1alpha1.PolicyWarn)})
			w.passport(func(p *v1alpha1.Passport) { p.Name = "warned" })
			w.settle()
			warned := &v1alpha1.Passport{}
			Expect(w.condition("warned", warned, v1alpha1.ConditionPolicyWarning)).To(Equal("True PolicyWarned"))
			Expect(warned.Status.Phase).To(Equal(v1alpha1.PhaseActive))
			Expect(w.events()).To(ContainElement(ContainSubstring("rule slack of PolicyPack wary (slack is for people)")))

			w.pack("strict", []v1alpha1.PolicyRule{slackIs(v1alpha1.PolicyBlock)})
			w.passport()
			w.settle()
			Expect(w.mission().Status.Phase).To(Equal(v1alpha1.PhaseRejected))
			Expect(string(ready(w.mission().Status.Conditions))).To(Equal("PolicyRefused"))
			Expect(w.secretGone()).To(BeTrue())
			Expect(w.get("warned", warned)).To(Succeed())
			Expect(warned.Status.Phase).To(Equal(v1alpha1.PhaseActive), "what was issued lives on")

			w.passport(func(p *v1alpha1.Passport) {
				p.Name, p.Spec.Intent.Services = "narrow", []v1alpha1.ServiceName{"github"}
				p.Spec.Services = []v1alpha1.ServiceGrant{{Service: "github"}}
			})
			w.settle()
			narrow := &v1alpha1.Passport{}
			Expect(w.get("narrow", narrow)).To(Succeed())
			Expect(narrow.Status.Phase).To(Equal(v1alpha1.PhaseActive), "one that does not carry slack is issued")
		})
	})

	Context("under the whole manager", func() {
		It("are paired anew for one agent's change with one write each", func(ctx context.Context) {
			w := managed(ctx)
			w.agent(documentedBy(agentDocument()))
			w.packaged("costguard")
			const checks = 100
			for i := range checks {
				w.check("costguard", func(c *v1alpha1.CompatibilityCheck) { c.Name = fmt.Sprintf("check-%03d", i) })
			}
			// pairedWith counts the checks that were paired with a document.
			pairedWith := func(digest string) int {
				var list v1alpha1.CompatibilityCheckList
				Expect(w.admin.List(ctx, &list, inNamespace(w))).To(Succeed())
				paired := 0
				for i := range list.Items {
					if digest != "" && list.Items[i].Status.AgentDigest == digest {
						paired++
					}
				}
				return paired
			}
			digest := func() string {
				its := agent()
				Expect(w.get("support-bot", its)).To(Succeed())
				return its.Status.DocumentDigest
			}
			eventually(w, func() int { return pairedWith(digest()) }).Should(Equal(checks))
			before := digest()
			w.wrote()

			its := agent()
			Expect(w.get("support-bot", its)).To(Succeed())
			its.Spec.Document = agentDocument(offline)
			Expect(w.admin.Update(ctx, its)).To(Succeed())
			eventually(w, digest).ShouldNot(Equal(before))
			eventually(w, func() int { return pairedWith(digest()) }).Should(Equal(checks))
			writes := slices.DeleteFunc(w.wrote(), func(write string) bool { return !strings.HasPrefix(write, "update status CompatibilityCheck") })
			Expect(writes).To(HaveLen(checks))
		})
	})
})
