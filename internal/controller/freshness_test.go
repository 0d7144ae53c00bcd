package controller_test

import (
	"context"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	clocktesting "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/cache"

	"agentpassport.dev/operator/api/v1alpha1"
	"agentpassport.dev/operator/internal/controller"
	"agentpassport.dev/operator/internal/token"
	"agentpassport.dev/operator/test/apiserver"
)

var _ = Describe("A replica whose watches fall silent", func() {
	It("hands out no status list, until it hears of every kind again", func(ctx context.Context) {
		w := newWorld(ctx)
		local := clocktesting.NewFakeClock(time.Now())
		config := server.Config(apiserver.Manager)
		fresh, err := controller.NewFreshness(config, apiserver.OperatorNamespace, nil, local)
		Expect(err).NotTo(HaveOccurred())
		cached, err := fresh.NewCache(config, cache.Options{Scheme: w.admin.Scheme(), Mapper: w.admin.RESTMapper()})
		Expect(err).NotTo(HaveOccurred())
		running, stop := context.WithCancel(ctx)
		DeferCleanup(stop)
		go func() {
			defer GinkgoRecover()
			Expect(cached.Start(running)).To(Succeed())
		}()
		options := w.options
		options.Fresh = fresh
		lists := controller.NewStatusLists(cached, w.client, options)
		ask := func() error {
			w.clock.Step(time.Second) // a look is kept for as long
			_, err := lists.List(ctx, 1<<40, 0)
			return err
		}
		Eventually(ask).Should(MatchError(token.ErrNoStatusList), "all is fresh, and there is no such list")

		local.Step(91 * time.Second)
		Expect(ask()).To(MatchError(ContainSubstring("is lost: nothing was heard for 1m31s")))
		w.agent()
		w.passport()
		Eventually(func(g Gomega) {
			g.Expect(cached.Get(ctx, w.request("mission").NamespacedName, &v1alpha1.Passport{})).To(Succeed())
		}).Should(Succeed())
		Expect(ask()).To(MatchError(ContainSubstring("the watch of agentblocks is lost")), "one that is silent is enough")
		Expect(server.Admin().List(ctx, &v1alpha1.AgentBlockList{})).To(Succeed())
		Expect(w.client.List(ctx, &v1alpha1.AgentBlockList{})).To(Succeed())
		Expect(ask()).To(MatchError(ContainSubstring("the watch of agentblocks is lost")), "a live list is no watch")
		w.block("stop")
		Eventually(ask).Should(MatchError(token.ErrNoStatusList))

		By("nothing happening any more, while the API server is asked how far it is")
		local.Step(91 * time.Second)
		Expect(ask()).To(MatchError(ContainSubstring("is lost")))
		go func() {
			defer GinkgoRecover()
			Expect(fresh.Start(running)).To(Succeed())
		}()
		Eventually(ask).WithTimeout(2*time.Minute).Should(MatchError(token.ErrNoStatusList), "bookmarks are heard")
	})
})
