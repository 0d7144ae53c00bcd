package badinput

import (
	"path/filepath"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

var _ = Describe("The API server", func() {
	for _, file := range files("refused") {
		It("refuses "+filepath.Base(file), func(ctx SpecContext) {
			wrong, namespace := read(file, "Refused"), newNamespace(ctx)
			last := len(wrong.objects) - 1
			for _, object := range wrong.objects[:last] {
				Expect(write(ctx, namespace, object)).To(Succeed())
			}
			err := write(ctx, namespace, wrong.objects[last])
			Expect(err).To(MatchError(ContainSubstring(wrong.says)))
			Expect(err).To(Or(Satisfy(apierrors.IsInvalid), Satisfy(apierrors.IsBadRequest), Satisfy(apierrors.IsForbidden)))
			AddReportEntry("message", err.Error())
		})
	}

	for _, file := range files("explained") {
		It("accepts "+filepath.Base(file)+", for the operator to explain", func(ctx SpecContext) {
			odd, namespace := read(file, "Condition"), newNamespace(ctx)
			Expect(odd.says).To(MatchRegexp(`^(AgentPassport|Passport|Checkpoint|Checkout|AgentBlock) [A-Z]\w+=(True|False) [A-Z]\w+$`))
			for _, object := range odd.objects {
				Expect(write(ctx, namespace, object)).To(Succeed())
			}
		})
	}

	It("has sixty manifests to refuse, at the least", func() {
		Expect(len(files("refused"))).To(BeNumerically(">=", 60))
	})
})
