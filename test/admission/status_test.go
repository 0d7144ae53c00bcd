package admission

import (
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"agentpassport.dev/operator/test/apiserver"
)

var _ = Describe("Status", func() {
	var p place
	BeforeEach(func(ctx SpecContext) { p = newPlace(ctx) })

	for resource, object := range map[string]func() client.Object{
		"agentpassports":     func() client.Object { return p.agentPassport() },
		"passports":          func() client.Object { return p.passport("a") },
		"checkpoints":        func() client.Object { return p.checkpoint("a") },
		"checkouts":          func() client.Object { return p.checkout("a") },
		"agentblocks":        func() client.Object { return p.block("a") },
		"serviceconnections": func() client.Object { return p.connection() },

		"capabilitypassports": func() client.Object { return p.packaged() },
		"compatibilitychecks": func() client.Object { return p.check() },
		"policypacks":         func() client.Object { return p.pack() },
		"vendorkeys":          func() client.Object { return p.vendorKey() },
	} {
		It("of "+resource+" is written by the manager alone", func(ctx SpecContext) {
			object := created(ctx, clusterAdmin, object())
			const status = `{"status":{"observedGeneration":1}}`
			Expect(as(clusterAdmin).Status().Patch(ctx, object, merge(status))).To(BeRefusedBy("status",
				"status of "+resource+"/"+object.GetName()+" is written by the operator alone, not by cluster-admin"))
			Expect(as(clusterAdmin).Status().Update(ctx, object)).To(BeRefusedBy("status"))
			Expect(as(apiserver.Manager).Status().Patch(ctx, object, merge(status))).To(Succeed())
		})
	}
})
