package controller_test

import (
	"context"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"agentpassport.dev/operator/api/v1alpha1"
)

// stalePassport is a cache that shows a Passport as it once was.
type stalePassport struct {
	client.Client
	shown *v1alpha1.Passport
}

func (s stalePassport) Get(ctx context.Context, key client.ObjectKey, object client.Object, opts ...client.GetOption) error {
	if passport, ok := object.(*v1alpha1.Passport); ok {
		s.shown.DeepCopyInto(passport)
		return nil
	}
	return s.Client.Get(ctx, key, object, opts...)
}

var _ = Describe("An operator that takes over with an old cache", func() {
	It("blocks no agent for a silence that a newer status disproves", func(ctx context.Context) {
		w := newWorld(ctx)
		w.agent(func(a *v1alpha1.AgentPassport) { a.Spec.Accountability.OnWarning = v1alpha1.EscalateBlock })
		w.passport()
		w.clock.Step(-200 * time.Second)
		w.settle()
		before := w.mission()
		w.clock.Step(200 * time.Second)
		w.checkpoint("first")
		w.settle()
		now := before.Status.ExpirationTime.Add(10 * time.Second)
		Expect(w.mission().Status.ExpirationTime.Time).To(BeTemporally(">", now), "the checkpoint extended it")

		w.restart()
		w.clock.SetTime(now)
		w.passports.Client = stalePassport{w.passports.Client, before}
		mission := types.NamespacedName{Namespace: w.namespace, Name: "mission"}
		_, _ = w.passports.Reconcile(ctx, ctrl.Request{NamespacedName: mission}) // it may well give a conflict
		Expect(w.mission().Status.Phase).To(Equal(v1alpha1.PhaseActive))
		blocks := &v1alpha1.AgentBlockList{}
		Expect(w.admin.List(ctx, blocks, inNamespace(w))).To(Succeed())
		Expect(blocks.Items).To(BeEmpty())
	})
})
