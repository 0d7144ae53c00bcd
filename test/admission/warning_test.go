package admission

import (
	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"agentpassport.dev/operator/api/v1alpha1"
)

var _ = Describe("A short leash", func() {
	var p place
	BeforeEach(func(ctx SpecContext) { p = newPlace(ctx) })

	DescribeTable("draws a warning with a mounted Secret alone", func(ctx SpecContext,
		interval int32, delivery v1alpha1.TokenDelivery, warned bool,
	) {
		var warnings []string
		passport := p.passport("a")
		passport.Spec.CheckpointIntervalSeconds = interval
		passport.Spec.TokenDelivery = delivery
		Expect(server.As(p.agentA, func(message string) { warnings = append(warnings, message) }).Create(ctx, passport)).To(Succeed())
		if !warned {
			Expect(warnings).To(BeEmpty())
			return
		}
		Expect(warnings).To(ConsistOf(And(
			ContainSubstring("is short for tokenDelivery Secret"),
			ContainSubstring("a mounted Secret lags by a minute or more"),
			ContainSubstring("Take 200 or more"))))
	},
		Entry("199 s", int32(199), v1alpha1.DeliverySecret, true),
		Entry("199 s, by default", int32(199), v1alpha1.TokenDelivery(""), true),
		Entry("200 s", int32(200), v1alpha1.DeliverySecret, false),
		Entry("the default", int32(0), v1alpha1.DeliverySecret, false),
		Entry("60 s without a Secret", int32(60), v1alpha1.DeliveryNone, false),
	)
})
