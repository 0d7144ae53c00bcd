package admission

import (
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"agentpassport.dev/operator/api/v1alpha1"
)

var _ = Describe("A backup", func() {
	var p place
	BeforeEach(func(ctx SpecContext) { p = newPlace(ctx) })

	It("leaves missions out, whatever labels they have and whoever writes them", func(ctx SpecContext) {
		plain := created(ctx, p.agentA, p.passport("a"))
		Expect(plain.Labels).To(HaveKeyWithValue(v1alpha1.LabelExcludeFromBackup, "true"))

		labelled := p.checkpoint("a")
		labelled.Labels = map[string]string{"team": "support"}
		Expect(as(p.agentA).Create(ctx, labelled)).To(Succeed())
		Expect(labelled.Labels).To(Equal(map[string]string{"team": "support", v1alpha1.LabelExcludeFromBackup: "true"}))
		Expect(created(ctx, p.agentA, p.checkout("a")).Labels).To(HaveKeyWithValue(v1alpha1.LabelExcludeFromBackup, "true"))

		plain.Labels = nil
		Expect(as(clusterAdmin).Update(ctx, plain)).To(Succeed())
		Expect(plain.Labels).To(HaveKey(v1alpha1.LabelExcludeFromBackup))
	})

	It("keeps blocks, which have to outlive a disaster", func(ctx SpecContext) {
		Expect(created(ctx, responder, p.block("a")).Labels).To(BeEmpty())
	})
})
