package controller_test

import (
	"context"
	"errors"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/onsi/gomega/gstruct"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"agentpassport.dev/operator/api/v1alpha1"
	"agentpassport.dev/operator/test/apiserver"
)

var _ = Describe("Issuing a passport", func() {
	It("takes two writes, and gives an Enforced passport the leash of one interval", func(ctx context.Context) {
		w := newWorld(ctx)
		w.agent()
		w.settle()
		w.passport()
		w.wrote()
		issued := w.clock.Now()
		w.settle()

		Expect(w.wrote()).To(Equal([]string{"create Secret mission-token", "update status Passport mission"}))
		status := w.mission().Status
		Expect(status.Phase).To(Equal(v1alpha1.PhaseActive))
		Expect(status.ExpirationTime.Time).To(BeTemporally("==", issued.Add(300*time.Second)))
		Expect(status.CheckpointBy.Time).To(BeTemporally("==", issued.Add(150*time.Second)))
		Expect(status.JTI).To(MatchRegexp(`^pp_[0-9a-f]{32}$`))
		claims := w.claims()
		Expect(*claims).To(gstruct.MatchFields(gstruct.IgnoreExtras, gstruct.Fields{
			"Issuer":   Equal(issuer),
			"Subject":  Equal("spiffe://example.org/ns/" + w.namespace + "/agent/support-bot"),
			"Audience": ConsistOf("gateway"),
			"ID":       Equal(status.JTI),
			"Expiry":   Equal(status.ExpirationTime.Unix()),
		}))
		Expect(claims.Passport.Services).To(HaveLen(3))
		Expect(w.events()).To(ContainElement(ContainSubstring("Issued " + status.JTI + " issued to agent support-bot in mode Enforced")))
	})

	It("writes nothing once it is settled", func(ctx context.Context) {
		w := newWorld(ctx)
		w.agent()
		w.passport()
		w.settle()
		w.clock.Step(10 * time.Second)
		w.settle()
		w.wrote()
		w.restart()
		w.settle()
		Expect(w.wrote()).To(BeEmpty())
	})

	DescribeTable("gives each mode its first expiry",
		func(ctx context.Context, mode v1alpha1.AccountabilityMode, ttl, interval, deadline int32, want time.Duration) {
			w := newWorld(ctx)
			w.agent(in(mode))
			w.passport(func(p *v1alpha1.Passport) {
				p.Spec.TTLSeconds, p.Spec.CheckpointIntervalSeconds, p.Spec.ActiveDeadlineSeconds = ttl, interval, deadline
			})
			w.settle()
			status := w.mission().Status
			Expect(status.ExpirationTime.Sub(status.IssueTime.Time)).To(Equal(want))
		},
		Entry("Enforced: the interval, where it is shorter", v1alpha1.ModeEnforced, int32(900), int32(120), int32(0), 120*time.Second),
		Entry("Enforced: the ttl, where it is shorter", v1alpha1.ModeEnforced, int32(60), int32(300), int32(0), 60*time.Second),
		Entry("Enforced: the mission's limit, where it is shorter", v1alpha1.ModeEnforced, int32(900), int32(300), int32(90), 90*time.Second),
		Entry("Logged: the ttl", v1alpha1.ModeLogged, int32(900), int32(120), int32(0), 900*time.Second),
		Entry("Standard: the ttl", v1alpha1.ModeStandard, int32(600), int32(120), int32(0), 600*time.Second),
	)

	It("writes no Secret where none is wanted, and needs no consent then", func(ctx context.Context) {
		w := newWorld(ctx)
		w.withdrawConsent()
		w.agent()
		w.passport(func(p *v1alpha1.Passport) { p.Spec.TokenDelivery = v1alpha1.DeliveryNone })
		w.settle()
		Expect(w.mission().Status.Phase).To(Equal(v1alpha1.PhaseActive))
		Expect(w.secretGone()).To(BeTrue())
	})

	It("narrows services, adds constraints, and keeps the gateway in the audience", func(ctx context.Context) {
		w := newWorld(ctx)
		get := "GET"
		w.agent()
		w.passport(func(p *v1alpha1.Passport) {
			p.Spec.Intent.Services = []v1alpha1.ServiceName{"github"}
			p.Spec.Audience = []string{"https://api.example.com"}
			p.Spec.Services = []v1alpha1.ServiceGrant{{
				Service: "github", Scopes: []v1alpha1.Scope{"repo:read"},
				Constraints: []v1alpha1.Constraint{{Path: "method", Op: v1alpha1.ConstraintEq, Value: &get}},
			}}
		})
		w.settle()
		claims := w.claims()
		Expect(claims.Audience).To(HaveExactElements("gateway", "https://api.example.com"))
		Expect(claims.Passport.Services).To(HaveLen(1))
		Expect(claims.Passport.Services[0].Scopes).To(HaveExactElements("repo:read"))
		Expect(claims.Passport.Services[0].Constraints).To(HaveLen(1))
	})

	It("leaves out what the intent does not name, where the agent is to be refused it", func(ctx context.Context) {
		w := newWorld(ctx)
		w.agent(func(a *v1alpha1.AgentPassport) { a.Spec.Accountability.UndeclaredServices = v1alpha1.UndeclaredRefuse })
		w.passport()
		w.settle()
		Expect(w.claims().Passport.Services).To(HaveLen(2))
	})
})

var _ = Describe("A passport that has to wait", func() {
	It("waits for its agent, whatever order things are applied in", func(ctx context.Context) {
		w := newWorld(ctx)
		w.passport()
		w.settle()
		Expect(ready(w.mission().Status.Conditions)).To(Equal(v1alpha1.ReasonAgentNotFound))
		w.agent()
		w.settle()
		Expect(w.mission().Status.Phase).To(Equal(v1alpha1.PhaseActive))
	})

	It("is issued where its token was, though the agent went before that was known", func(ctx context.Context) {
		w := newWorld(ctx)
		agent := w.agent()
		w.passport()
		w.fault = func(_ int, write string, land func() error) error {
			if write == "create Secret mission-token" {
				return errors.Join(land(), errUnavailable)
			}
			return land()
		}
		_ = w.round() // the answer to the Secret's creation is lost
		w.fault = nil
		Expect(w.secretGone()).To(BeFalse())
		Expect(w.admin.Delete(ctx, agent)).To(Succeed())
		w.settle()
		w.ended(v1alpha1.PhaseRevoked, v1alpha1.ReasonAgentDeleted)
	})

	It("waits for the namespace's consent, and names the command", func(ctx context.Context) {
		w := newWorld(ctx)
		w.withdrawConsent()
		w.agent()
		w.passport()
		w.settle()
		Expect(ready(w.mission().Status.Conditions)).To(Equal(v1alpha1.ReasonNamespaceNotEnabled))
		Expect(meta.FindStatusCondition(w.mission().Status.Conditions, "Ready").Message).To(ContainSubstring(
			"kubectl create rolebinding agent-passport-secrets --namespace " + w.namespace + " --clusterrole agent-passport-secrets --serviceaccount agent-passport-system:agent-passport-manager"))
		w.wrote()
		w.settle()
		Expect(w.wrote()).To(BeEmpty())
		Expect(apiserver.Consent(ctx, w.admin, w.namespace)).To(Succeed())
		Eventually(func() v1alpha1.Phase {
			w.settle()
			return w.mission().Status.Phase
		}).Should(Equal(v1alpha1.PhaseActive))
	})

	It("leaves somebody else's Secret alone", func(ctx context.Context) {
		w := newWorld(ctx)
		w.agent()
		theirs := &corev1.Secret{
			ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: "mission-token"}, StringData: map[string]string{"token": "theirs"},
		}
		Expect(w.admin.Create(ctx, theirs)).To(Succeed())
		w.passport()
		w.settle()
		Expect(ready(w.mission().Status.Conditions)).To(Equal(v1alpha1.ReasonSecretConflict))
		Expect(w.get("mission-token", theirs)).To(Succeed())
		Expect(theirs.Data).To(HaveKeyWithValue("token", []byte("theirs")))

		Expect(w.admin.Delete(ctx, theirs)).To(Succeed())
		w.settle()
		Expect(w.mission().Status.Phase).To(Equal(v1alpha1.PhaseActive))
	})

	It("is rejected after its issue deadline, with what it waited for", func(ctx context.Context) {
		w := newWorld(ctx)
		passport := w.passport(func(p *v1alpha1.Passport) { p.Spec.IssueDeadlineSeconds = 600 })
		w.clock.SetTime(passport.CreationTimestamp.Add(600 * time.Second))
		w.settle()
		Expect(w.mission().Status.Phase).To(Equal(v1alpha1.PhasePending))
		w.clock.Step(time.Second)
		w.settle()
		status := w.mission().Status
		Expect(status.Phase).To(Equal(v1alpha1.PhaseRejected))
		Expect(ready(status.Conditions)).To(Equal(v1alpha1.ReasonNotIssuedInTime))
		Expect(meta.FindStatusCondition(status.Conditions, "Ready").Message).To(ContainSubstring("AgentPassport support-bot does not exist"))
	})
})

var _ = Describe("A passport that is never issued", func() {
	type change struct {
		agent    func(*v1alpha1.AgentPassport)
		passport func(*v1alpha1.Passport)
		world    func(*world)
	}
	DescribeTable("is rejected for good, with the reason",
		func(ctx context.Context, c change, want v1alpha1.Reason, message string) {
			w := newWorld(ctx)
			w.agent(func(a *v1alpha1.AgentPassport) {
				if c.agent != nil {
					c.agent(a)
				}
			})
			if c.world != nil {
				c.world(w)
			}
			w.passport(func(p *v1alpha1.Passport) {
				if c.passport != nil {
					c.passport(p)
				}
			})
			w.settle()
			status := w.mission().Status
			Expect(status.Phase).To(Equal(v1alpha1.PhaseRejected))
			Expect(ready(status.Conditions)).To(Equal(want))
			Expect(meta.FindStatusCondition(status.Conditions, "Ready").Message).To(ContainSubstring(message))
			Expect(meta.IsStatusConditionTrue(status.Conditions, "Stalled")).To(BeTrue())
			Expect(w.secretGone()).To(BeTrue())
			Expect(w.events()).To(ContainElement(ContainSubstring("Warning Rejected " + string(want))))
		},
		Entry("no intent", change{passport: func(p *v1alpha1.Passport) { p.Spec.Intent = nil }},
			v1alpha1.ReasonAccountabilityRequired, "spec.intent.summary and spec.intent.services"),
		Entry("no summary", change{passport: func(p *v1alpha1.Passport) { p.Spec.Intent.Summary = " " }},
			v1alpha1.ReasonAccountabilityRequired, "spec.intent.summary"),
		Entry("no services, Logged", change{agent: in(v1alpha1.ModeLogged), passport: func(p *v1alpha1.Passport) { p.Spec.Intent.Services = nil }},
			v1alpha1.ReasonAccountabilityRequired, "spec.intent.services"),
		Entry("an intent beyond the grants", change{passport: func(p *v1alpha1.Passport) { p.Spec.Intent.Services = []v1alpha1.ServiceName{"stripe"} }},
			v1alpha1.ReasonServiceNotGranted, "stripe"),
		Entry("a narrowing beyond the grants", change{passport: func(p *v1alpha1.Passport) { p.Spec.Services = []v1alpha1.ServiceGrant{{Service: "stripe"}} }},
			v1alpha1.ReasonServiceNotGranted, "stripe"),
		Entry("an intent beyond the narrowing", change{passport: func(p *v1alpha1.Passport) { p.Spec.Services = []v1alpha1.ServiceGrant{{Service: "github"}} }},
			v1alpha1.ReasonServiceNotGranted, "slack"),
		Entry("a scope beyond the grant", change{passport: func(p *v1alpha1.Passport) {
			p.Spec.Services = []v1alpha1.ServiceGrant{{Service: "slack", Scopes: []v1alpha1.Scope{"admin"}}, {Service: "github"}}
		}}, v1alpha1.ReasonScopeEscalation, "admin"),
		Entry("a mission longer than the agent's limit", change{passport: func(p *v1alpha1.Passport) { p.Spec.ActiveDeadlineSeconds = 86401 }},
			v1alpha1.ReasonLifetimeExceeded, "86400"),
		Entry("a suspended agent", change{agent: func(a *v1alpha1.AgentPassport) { a.Spec.Suspend = true }},
			v1alpha1.ReasonPassportBlocked, "suspended"),
		Entry("a blocked agent", change{world: func(w *world) { w.block("stop") }},
			v1alpha1.ReasonPassportBlocked, "AgentBlock stop"),
		Entry("a blocked namespace", change{world: func(w *world) {
			Expect(w.admin.Create(w.ctx, &v1alpha1.AgentBlock{
				ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: "all"}, Spec: v1alpha1.AgentBlockSpec{Reason: "kill switch"},
			})).To(Succeed())
		}}, v1alpha1.ReasonPassportBlocked, "kill switch"),
		Entry("revoked before it began", change{passport: func(p *v1alpha1.Passport) { p.Spec.Revocation = &v1alpha1.Revocation{Reason: "typo"} }},
			v1alpha1.ReasonRevokedByRequest, "typo"),
		Entry("a token over 8 KiB", change{agent: func(a *v1alpha1.AgentPassport) {
			for i := range 64 {
				a.Spec.Grants[0].Scopes = append(a.Spec.Grants[0].Scopes[:min(i, 63)], v1alpha1.Scope(strings.Repeat("x", 120)+string(rune('0'+i%10))+string(rune('a'+i/10))))
			}
		}}, v1alpha1.ReasonTokenTooLarge, "8192"),
	)

	It("gets nothing after a lifted block either, but the next one does", func(ctx context.Context) {
		w := newWorld(ctx)
		w.agent()
		block := w.block("stop")
		w.passport()
		w.settle()
		block.Spec.Lifted = &v1alpha1.BlockLift{Reason: "all clear"}
		Expect(w.get("stop", block)).To(Succeed())
		block.Spec.Lifted = &v1alpha1.BlockLift{Reason: "all clear"}
		Expect(w.admin.Update(ctx, block)).To(Succeed())
		w.passport(func(p *v1alpha1.Passport) { p.Name = "second" })
		w.settle()
		Expect(w.mission().Status.Phase).To(Equal(v1alpha1.PhaseRejected))
		second := &v1alpha1.Passport{}
		Expect(w.get("second", second)).To(Succeed())
		Expect(second.Status.Phase).To(Equal(v1alpha1.PhaseActive))
	})
})
