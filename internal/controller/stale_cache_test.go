package controller_test

import (
	"context"
	"fmt"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"agentpassport.dev/operator/api/v1alpha1"
)

// view is what a cache once showed of the operator's kinds in one namespace.
type view struct {
	agents      v1alpha1.AgentPassportList
	passports   v1alpha1.PassportList
	checkpoints v1alpha1.CheckpointList
	checkouts   v1alpha1.CheckoutList
	blocks      v1alpha1.AgentBlockList
}

func (v *view) lists() []client.ObjectList {
	return []client.ObjectList{&v.agents, &v.passports, &v.checkpoints, &v.checkouts, &v.blocks}
}

// view reads how things stand.
func (w *world) view() *view {
	GinkgoHelper()
	var now view
	for _, list := range now.lists() {
		Expect(w.admin.List(w.ctx, list, inNamespace(w))).To(Succeed())
	}
	return &now
}

// staleClient reads from a view that is behind, and writes to the API server.
type staleClient struct {
	client.Client
	shown *view
}

func (s staleClient) Get(ctx context.Context, key client.ObjectKey, object client.Object, opts ...client.GetOption) error {
	switch object := object.(type) {
	case *v1alpha1.AgentPassport:
		return find(s.shown.agents.Items, key, object)
	case *v1alpha1.Passport:
		return find(s.shown.passports.Items, key, object)
	case *v1alpha1.Checkpoint:
		return find(s.shown.checkpoints.Items, key, object)
	case *v1alpha1.Checkout:
		return find(s.shown.checkouts.Items, key, object)
	case *v1alpha1.AgentBlock:
		return find(s.shown.blocks.Items, key, object)
	default:
		return s.Client.Get(ctx, key, object, opts...)
	}
}

func find[T any, P interface {
	*T
	client.Object
	DeepCopyInto(*T)
}](items []T, key client.ObjectKey, into P) error {
	for i := range items {
		if P(&items[i]).GetName() == key.Name {
			P(&items[i]).DeepCopyInto(into)
			return nil
		}
	}
	return apierrors.NewNotFound(schema.GroupResource{}, key.Name)
}

func (s staleClient) List(ctx context.Context, list client.ObjectList, opts ...client.ListOption) error {
	var options client.ListOptions
	options.ApplyOptions(opts)
	switch list := list.(type) {
	case *v1alpha1.PassportList:
		list.Items = choose(s.shown.passports.Items, options, "spec.agentRef.name", func(p *v1alpha1.Passport) string { return p.Spec.AgentRef.Name })
	case *v1alpha1.CheckpointList:
		list.Items = choose(s.shown.checkpoints.Items, options, "spec.passportRef.name", func(c *v1alpha1.Checkpoint) string { return c.Spec.PassportRef.Name })
	case *v1alpha1.CheckoutList:
		list.Items = choose(s.shown.checkouts.Items, options, "spec.passportRef.name", func(c *v1alpha1.Checkout) string { return c.Spec.PassportRef.Name })
		list.Items = choose(list.Items, options, "spec.agentRef.name", func(c *v1alpha1.Checkout) string { return c.Spec.AgentRef.Name })
	case *v1alpha1.AgentBlockList:
		list.Items = choose(s.shown.blocks.Items, options, "", nil)
	default:
		return s.Client.List(ctx, list, opts...)
	}
	return nil
}

// choose gives copies of the items that a field selector asks for.
func choose[T any, P interface {
	*T
	DeepCopyInto(*T)
}](items []T, options client.ListOptions, field string, value func(P) string) []T {
	var chosen []T
	for i := range items {
		if options.FieldSelector != nil && value != nil {
			if want, asked := options.FieldSelector.RequiresExactMatch(field); asked && value(&items[i]) != want {
				continue
			}
		}
		var item T
		P(&items[i]).DeepCopyInto(&item)
		chosen = append(chosen, item)
	}
	return chosen
}

// takeOver has a new operator look at everything in a view that is behind. What it cannot do yet, it
// gives up with an error.
func (w *world) takeOver(behind *view) {
	w.restart()
	w.passports.Client = staleClient{w.passports.Client, behind}
	w.checkpoints.Client = staleClient{w.checkpoints.Client, behind}
	w.checkouts.Client = staleClient{w.checkouts.Client, behind}
	w.agents.Client = staleClient{w.agents.Client, behind}
	w.blocks.Client = staleClient{w.blocks.Client, behind}
	for _, look := range []struct {
		list      client.ObjectList
		reconcile func(context.Context, ctrl.Request) (ctrl.Result, error)
	}{
		{&behind.agents, w.agents.Reconcile},
		{&behind.passports, w.passports.Reconcile},
		{&behind.checkpoints, w.checkpoints.Reconcile},
		{&behind.checkouts, w.checkouts.Reconcile},
		{&behind.blocks, w.blocks.Reconcile},
	} {
		_ = w.reconcileEach(look.list, look.reconcile)
	}
	w.restart()
	w.settle()
}

var _ = Describe("An operator that takes over with an old cache", func() {
	// Views as they were after each of the operator's own writes, from one to all of them behind.
	for _, s := range scenarios {
		It("changes nothing about the end of "+s.name+", however far behind it is", takeoverSweep, func(ctx context.Context) {
			aSweep()
			w := newWorld(ctx)
			var views []*view
			w.fault = func(_ int, _ string, land func() error) error {
				err := land()
				views = append(views, w.view())
				return err
			}
			s.before(w)
			views = append(views, w.view())
			w.settle()
			s.event(w)
			views = append(views, w.view())
			w.settle()
			w.fault = nil
			w.clock.Step(10 * time.Second)
			w.settle()
			want, judged := w.endState(), w.verdicts()
			for i := len(views) - 1; i >= 0; i-- {
				By(fmt.Sprintf("taking over with view %d of %d", i, len(views)))
				w.takeOver(views[i])
				Expect(w.endState()).To(Equal(want))
				Expect(w.verdicts()).To(Equal(judged))
			}
			w.wrote()
			w.settle()
			Expect(w.wrote()).To(BeEmpty(), "quiet means no writes")
		})
	}

	It("blocks no agent for a silence that a newer status disproves", func(ctx context.Context) {
		w := newWorld(ctx)
		w.agent(func(a *v1alpha1.AgentPassport) { a.Spec.Accountability.OnWarning = v1alpha1.EscalateBlock })
		w.passport()
		w.clock.Step(-200 * time.Second)
		w.settle()
		before := w.view()
		w.clock.Step(200 * time.Second)
		w.checkpoint("first")
		w.settle()
		now := before.passports.Items[0].Status.ExpirationTime.Add(10 * time.Second)
		Expect(w.mission().Status.ExpirationTime.Time).To(BeTemporally(">", now), "the checkpoint extended it")

		w.restart()
		w.clock.SetTime(now)
		w.passports.Client = staleClient{w.passports.Client, before}
		mission := types.NamespacedName{Namespace: w.namespace, Name: "mission"}
		_, _ = w.passports.Reconcile(ctx, ctrl.Request{NamespacedName: mission}) // it may well give a conflict
		Expect(w.mission().Status.Phase).To(Equal(v1alpha1.PhaseActive))
		Expect(w.view().blocks.Items).To(BeEmpty())
	})

	It("refuses no checkout by an earlier Passport of the name", func(ctx context.Context) {
		w := newWorld(ctx)
		w.agent(in(v1alpha1.ModeLogged))
		w.passport(func(p *v1alpha1.Passport) { p.Spec.Intent = nil })
		w.settle()
		Expect(w.mission().Status.Phase).To(Equal(v1alpha1.PhaseRejected))
		behind := w.view()
		Expect(w.admin.Delete(ctx, w.mission())).To(Succeed())
		w.settle()
		w.passport()
		w.settle()
		w.checkout("done")
		behind.checkouts = w.view().checkouts
		w.takeOver(behind)
		Expect(w.judgement("done").Status.Verdict).To(Equal(v1alpha1.VerdictClean))
	})

	for name, gone := range map[string]bool{"over": false, "being deleted": true} {
		It("marks and deletes no report of a later Passport of the name, where it shows one that is "+name, func(ctx context.Context) {
			w := newWorld(ctx)
			checkedOut("slack")(w)
			w.settle()
			behind := w.view()
			Expect(w.admin.Delete(ctx, w.mission())).To(Succeed())
			if gone {
				behind = w.view()
			}
			w.settle()
			w.passport()
			w.settle()
			w.checkpoint("report")
			behind.checkpoints = w.view().checkpoints
			w.takeOver(behind)
			report := &v1alpha1.Checkpoint{}
			Expect(w.get("report", report)).To(Succeed())
			Expect(ready(report.Status.Conditions)).To(Equal(v1alpha1.ReasonAccepted))
		})
	}

	It("writes no token that a checkpoint has extended since", func(ctx context.Context) {
		w := newWorld(ctx)
		w.live(200 * time.Second)
		behind := w.view()
		w.checkpoint("first")
		w.settle()
		extended := w.mission().Status.ExpirationTime.Unix()
		Expect(extended).To(BeNumerically(">", behind.passports.Items[0].Status.ExpirationTime.Unix()))

		w.restart()
		w.wrote()
		w.passports.Client = staleClient{w.passports.Client, behind}
		mission := types.NamespacedName{Namespace: w.namespace, Name: "mission"}
		_, _ = w.passports.Reconcile(ctx, ctrl.Request{NamespacedName: mission}) // it may well give a conflict
		Expect(w.wrote()).To(BeEmpty())
		Expect(w.claims().Expiry).To(Equal(extended))
	})

	It("hands out no token of a passport that is over", func(ctx context.Context) {
		w := newWorld(ctx)
		w.agent()
		w.passport()
		behind := w.view() // Pending
		w.settle()
		w.revoke()
		w.settle()
		Expect(w.mission().Status.Phase).To(Equal(v1alpha1.PhaseRevoked))
		w.clock.Step(100 * time.Second)
		told := w.log.told()
		w.restart()
		w.wrote()
		w.passports.Client = staleClient{w.passports.Client, behind}
		_, _ = w.passports.Reconcile(ctx, w.request("mission")) // it may well give a conflict
		Expect(w.wrote()).To(BeEmpty())
		Expect(w.log.told()).To(Equal(told))
	})

	It("records the end of a mission that its cache does not show yet, before it lets go", func(ctx context.Context) {
		w := newWorld(ctx)
		w.agent(in(v1alpha1.ModeStandard))
		w.passport()
		w.settle()
		Expect(w.admin.Delete(ctx, w.mission())).To(Succeed())
		w.restart()
		w.passports.Client = staleClient{w.passports.Client, w.view()}
		_, err := w.passports.Reconcile(ctx, w.request("mission"))
		Expect(err).NotTo(HaveOccurred())
		Expect(w.gone()).To(BeTrue())
		Expect(w.log.told()).To(Equal([]string{
			"passport.issue success by admin", "passport.revoke success PASSPORT_DELETED by unknown (deleted)",
		}))
	})

	It("makes no checkout for a mission that is gone", func(ctx context.Context) {
		w := newWorld(ctx)
		w.live(0)
		w.clock.Step(400 * time.Second)
		w.settle()
		behind := w.view()
		Expect(w.admin.Delete(ctx, w.mission())).To(Succeed())
		w.settle()
		own := w.view().checkouts.Items
		Expect(own).To(HaveLen(1), "the operator's own")
		w.review(own[0].Name, v1alpha1.DecisionApproved, "agreed")
		w.settle()
		Expect(client.IgnoreNotFound(w.admin.Delete(ctx, &own[0]))).To(Succeed())
		w.settle()
		w.clock.Step(2 * time.Hour)
		w.wrote()
		w.takeOver(behind)
		Expect(w.wrote()).NotTo(ContainElement(HavePrefix("create Checkout")))
	})

	It("makes no block again that a person has removed since", func(ctx context.Context) {
		w := newWorld(ctx)
		checkedOut("stripe")(w)
		w.settle()
		now := w.view()
		Expect(now.blocks.Items).To(HaveLen(1))
		Expect(w.admin.Delete(ctx, &now.blocks.Items[0])).To(Succeed())
		for i := range now.checkouts.Items {
			// As it was stored with its verdict, before the block was made.
			status := &now.checkouts.Items[i].Status
			meta.FindStatusCondition(status.Conditions, "Ready").Status = "Unknown"
			now.checkouts.Items[i].ResourceVersion = "1"
		}
		w.takeOver(now)
		Expect(w.view().blocks.Items).To(BeEmpty())
	})
})

// verdicts gives what was judged, to the second, by the names of the Checkouts.
func (w *world) verdicts() map[string]v1alpha1.CheckoutStatus {
	GinkgoHelper()
	judged := map[string]v1alpha1.CheckoutStatus{}
	for _, checkout := range w.view().checkouts.Items {
		judged[checkout.Name] = v1alpha1.CheckoutStatus{
			Verdict: checkout.Status.Verdict, Flags: checkout.Status.Flags, Mission: checkout.Status.Mission, JudgedTime: checkout.Status.JudgedTime,
		}
	}
	return judged
}
