package controller_test

import (
	"context"
	"fmt"
	"strings"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"agentpassport.dev/operator/api/v1alpha1"
	"agentpassport.dev/operator/internal/controller"
)

var _ = Describe("The gauges", func() {
	const rotation = 24 * time.Hour

	// shown is what the gauges of a world show under these names.
	shown := func(w *world, expected string, names ...string) {
		GinkgoHelper()
		registry := prometheus.NewRegistry()
		cached := client.NewNamespacedClient(w.admin, w.namespace)
		Expect(controller.RegisterGauges(registry, cached, w.keys, rotation)).To(Succeed())
		Expect(testutil.GatherAndCompare(registry, strings.NewReader(expected), names...)).To(Succeed())
	}

	It("count what lives and what waits, and say since when", func(ctx context.Context) {
		const oldest, waiting, live = "agentpassport_checkouts_awaiting_review_oldest_timestamp_seconds",
			"agentpassport_checkouts_awaiting_review", "agentpassport_passports_live"
		w := newWorld(ctx)
		w.live(0)
		shown(w, `
# HELP agentpassport_passports_live Passports in phase Active, by mode.
# TYPE agentpassport_passports_live gauge
agentpassport_passports_live{mode="Enforced"} 1
agentpassport_passports_live{mode="Logged"} 0
agentpassport_passports_live{mode="Standard"} 0
`, live, oldest)

		w.checkout("done", using("slack", "notion"))
		w.settle()
		judged := w.judgement("done").Status.JudgedTime.Unix()
		w.clock.Step(time.Hour)
		shown(w, fmt.Sprintf(`
# HELP agentpassport_checkouts_awaiting_review Checkouts that a reviewer has to decide on, by verdict.
# TYPE agentpassport_checkouts_awaiting_review gauge
agentpassport_checkouts_awaiting_review{verdict="Blocked"} 0
agentpassport_checkouts_awaiting_review{verdict="Flagged"} 1
# HELP agentpassport_checkouts_awaiting_review_oldest_timestamp_seconds When the Checkout was judged that waits the longest for a reviewer, in seconds since 1970, by verdict; absent where none waits.
# TYPE agentpassport_checkouts_awaiting_review_oldest_timestamp_seconds gauge
agentpassport_checkouts_awaiting_review_oldest_timestamp_seconds{verdict="Flagged"} %d
`, judged), waiting, oldest)

		w.review("done", v1alpha1.DecisionApproved, "it was asked for")
		w.settle()
		shown(w, "", oldest)
	})

	It("say when the key that signs is to be replaced", func(ctx context.Context) {
		const due = "agentpassport_signing_key_rotation_due_timestamp_seconds"
		w := newWorld(ctx)
		ring, _ := w.keys.Ring()
		shown(w, fmt.Sprintf(`
# HELP agentpassport_signing_key_rotation_due_timestamp_seconds When the key that signs is to be replaced, in seconds since 1970; absent until there are keys.
# TYPE agentpassport_signing_key_rotation_due_timestamp_seconds gauge
agentpassport_signing_key_rotation_due_timestamp_seconds %d
`, ring.Current.ActivatedAt.Add(rotation).Unix()), due)
		w.keys = &controller.Keyring{}
		shown(w, "", due)
	})
})
