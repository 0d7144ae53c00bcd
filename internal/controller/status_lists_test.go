package controller_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"agentpassport.dev/operator/api/v1alpha1"
	"agentpassport.dev/operator/internal/audit"
	"agentpassport.dev/operator/internal/controller"
	"agentpassport.dev/operator/internal/token"
	"agentpassport.dev/operator/test/apiserver"
)

// entry is what the newest status list says at a leaf of the audit log.
func (w *world) entry(leaf uint64) (invalid bool, err error) {
	GinkgoHelper()
	list, index := int64(leaf/token.StatusListSize), int64(leaf%token.StatusListSize)
	// New ones remember nothing.
	signed, err := controller.NewStatusLists(w.client, w.client, w.options).List(w.ctx, 1, list)
	if err != nil {
		return true, err
	}
	ring, _ := w.keys.Ring()
	uri := fmt.Sprintf("%s/statuslists/1/%d", issuer, list)
	bits, _, err := token.VerifyStatusList(signed, ring, uri, w.clock.Now(), 0)
	Expect(err).NotTo(HaveOccurred())
	return bits.Invalid(index), nil
}

// mayBeListed is listed, empty too where the issue is so long ago that no list has to say anything.
func (w *world) mayBeListed() string {
	GinkgoHelper()
	if w.clock.Now().After(time.Now().Add(100 * time.Second)) {
		return ""
	}
	return w.listed()
}

// listed is what the status list says of the mission, in words; empty where it was never issued.
func (w *world) listed() string {
	GinkgoHelper()
	leaf, issued := w.log.lastIssue()
	if !issued {
		return ""
	}
	switch invalid, err := w.entry(leaf); {
	case errors.Is(err, token.ErrNoStatusList):
		return "in no list"
	default:
		Expect(err).NotTo(HaveOccurred())
		return map[bool]string{true: "invalid", false: "valid"}[invalid]
	}
}

// suspend suspends the agent.
func (w *world) suspend() {
	GinkgoHelper()
	agent := &v1alpha1.AgentPassport{}
	Expect(w.get("support-bot", agent)).To(Succeed())
	patch := client.MergeFrom(agent.DeepCopy())
	agent.Spec.Suspend = true
	Expect(w.admin.Patch(w.ctx, agent, patch)).To(Succeed())
}

// blockAll blocks every agent of the namespace.
func (w *world) blockAll() {
	GinkgoHelper()
	block := &v1alpha1.AgentBlock{
		ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: "stop-all"}, Spec: v1alpha1.AgentBlockSpec{Reason: "an incident"},
	}
	Expect(w.admin.Create(w.ctx, block)).To(Succeed())
}

var _ = Describe("The status list", func() {
	It("has the place of a passport in its token, in its status, and nowhere in the log", func(ctx context.Context) {
		w := newWorld(ctx)
		issued(w)
		w.settle()
		leaf, found := w.log.lastIssue()
		Expect(found).To(BeTrue())
		place := w.mission().Status.Issued.StatusList
		Expect(place).NotTo(BeNil())
		Expect(place.Epoch).To(Equal(int64(1)))
		Expect(*place.List*token.StatusListSize + *place.Index).To(Equal(int64(leaf)))
		Expect(w.claims().Status.StatusList).To(Equal(token.StatusListEntry{
			Index: *place.Index, URI: fmt.Sprintf("%s/statuslists/1/%d", issuer, *place.List),
		}))
		for _, record := range w.log.records() {
			if record.Facts != nil {
				Expect(record.Facts.Terms).NotTo(ContainSubstring("statusList"))
			}
		}
		By("a log in another epoch")
		w.log.begin(2)
		w.checkpoint("report")
		w.settle()
		Expect(w.mission().Status.Issued.StatusList).To(Equal(place), "stored at issue, and never recomputed")
	})

	It("leaves a passport that was issued before there were lists as it is", func(ctx context.Context) {
		w := newWorld(ctx)
		issued(w)
		w.settle()
		mission := w.mission()
		mission.Status.Issued.StatusList = nil
		Expect(server.As(apiserver.Manager, nil).Status().Update(ctx, mission)).To(Succeed())
		w.settle()
		w.checkpoint("report")
		w.settle()
		Expect(w.mission().Status.Issued.StatusList).To(BeNil())
		Expect(w.claims().Status).To(BeNil())
		Expect(w.admin.Delete(ctx, w.mission())).To(Succeed())
		w.settle()
		Expect(w.wrote()).NotTo(ContainElement(ContainSubstring("ConfigMap")))
	})

	for name, end := range map[string]struct {
		event func(*world)
		want  string
	}{
		"nothing":          {func(*world) {}, "valid"},
		"a checkpoint":     {func(w *world) { w.checkpoint("report") }, "valid"},
		"a revocation":     {func(w *world) { w.revoke() }, "invalid"},
		"a checkout":       {func(w *world) { w.checkout("done") }, "valid"},
		"a block":          {func(w *world) { w.block("stop") }, "invalid"},
		"a deletion":       {func(w *world) { Expect(w.admin.Delete(w.ctx, w.mission())).To(Succeed()) }, "invalid"},
		"the expiry":       {func(w *world) { w.clock.SetTime(w.mission().Status.ExpirationTime.Add(5 * time.Second)) }, "invalid"},
		"a block for all":  {func(w *world) { w.blockAll() }, "invalid"},
		"a suspension":     {func(w *world) { w.suspend() }, "invalid"},
		"right before exp": {func(w *world) { w.clock.SetTime(w.mission().Status.ExpirationTime.Add(-2 * time.Second)) }, "valid"},
	} {
		It("says "+end.want+" at once after "+name+", before the operator has looked", func(ctx context.Context) {
			w := newWorld(ctx)
			issued(w)
			w.settle()
			Expect(w.listed()).To(Equal("valid"))
			end.event(w)
			Expect(w.listed()).To(Equal(end.want))
		})
	}

	It("gives the same bytes while nothing changes, and others once something has, within a second", func(ctx context.Context) {
		w := newWorld(ctx)
		issued(w)
		w.settle()
		leaf, _ := w.log.lastIssue()
		list := int64(leaf / token.StatusListSize)
		lists := controller.NewStatusLists(w.client, w.client, w.options)
		first, err := lists.List(ctx, 1, list)
		Expect(err).NotTo(HaveOccurred())
		w.revoke()
		Expect(lists.List(ctx, 1, list)).To(Equal(first), "within the second")
		w.clock.Step(time.Second)
		Expect(lists.List(ctx, 1, list)).NotTo(Equal(first))
	})

	It("is signed anew when its key is dropped", func(ctx context.Context) {
		w := newWorld(ctx)
		issued(w)
		w.settle()
		Expect(w.listed()).To(Equal("valid"))
		ring, _ := w.keys.Ring()
		dropped, _, err := token.RotateEmergency(ring, zeros{}, w.clock.Now())
		Expect(err).NotTo(HaveOccurred())
		w.keys.Set(dropped)
		Expect(w.listed()).To(Equal("valid"))
	})

	It("has no list that no passport is in", func(ctx context.Context) {
		w := newWorld(ctx)
		lists := controller.NewStatusLists(w.client, w.client, w.options)
		for _, place := range [][2]int64{{1, 4711}, {77, 0}, {0, 0}, {1, -1}} {
			_, err := lists.List(ctx, place[0], place[1])
			Expect(err).To(MatchError(token.ErrNoStatusList))
		}
	})

	It("vouches for nothing while the API server does not answer", func(ctx context.Context) {
		w := newWorld(ctx)
		issued(w)
		w.settle()
		Expect(w.listed()).To(Equal("valid"))
		given, up := context.WithCancel(ctx)
		up()
		_, err := controller.NewStatusLists(w.client, w.client, w.options).List(given, 1, 0)
		Expect(err).NotTo(HaveOccurred(), "a caller that gives up takes nothing from the others")

		config := server.Config(apiserver.Manager)
		config.Host = "https://127.0.0.1:1"
		away, err := client.New(config, client.Options{Scheme: server.Admin().Scheme(), Mapper: server.Admin().RESTMapper()})
		Expect(err).NotTo(HaveOccurred())
		_, err = controller.NewStatusLists(w.client, away, w.options).List(ctx, 1, 0)
		Expect(err).To(HaveOccurred())
		Expect(err).NotTo(MatchError(token.ErrNoStatusList))
	})

	Describe("of a deleted passport", func() {
		It("says invalid until the last token is dead", func(ctx context.Context) {
			w := newWorld(ctx)
			issued(w)
			w.settle()
			expiry := w.mission().Status.ExpirationTime.Time
			leaf, _ := w.log.lastIssue()
			Expect(w.admin.Delete(ctx, w.mission())).To(Succeed())
			w.settle()
			Expect(w.gone()).To(BeTrue())
			Expect(w.listed()).To(Equal("invalid"))
			w.clock.SetTime(expiry.Add(time.Minute))
			Expect(w.entry(leaf)).To(BeTrue())
		})

		It("leaves no tombstone where the last token is dead by then", func(ctx context.Context) {
			w := newWorld(ctx)
			checkedOut("slack")(w)
			w.settle()
			w.wrote()
			w.clock.Step(48 * time.Hour)
			w.settle()
			Expect(w.gone()).To(BeTrue())
			Expect(w.wrote()).NotTo(ContainElement(ContainSubstring("ConfigMap")))
		})

		It("leaves one where a mission is not kept after its end", func(ctx context.Context) {
			w := newWorld(ctx)
			w.agent()
			w.passport(func(p *v1alpha1.Passport) { p.Spec.TTLSecondsAfterFinished = new(int32) })
			w.settle()
			w.checkout("done")
			w.settle()
			w.clock.Step(20 * time.Second)
			w.settle()
			Expect(w.gone()).To(BeTrue())
			Expect(w.listed()).To(Equal("invalid"))
		})

		It("is kept when its namespace goes", func(ctx context.Context) {
			w := newWorld(ctx)
			issued(w)
			w.settle()
			Expect(w.admin.Delete(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: w.namespace}})).To(Succeed())
			Expect(w.admin.Delete(ctx, w.mission())).To(Succeed())
			w.settle()
			Expect(w.gone()).To(BeTrue())
			Expect(w.listed()).To(Equal("invalid"))
		})

		It("is not let go while its tombstone cannot be written, for an hour at most", func(ctx context.Context) {
			w := newWorld(ctx)
			issued(w)
			w.settle()
			w.fault = func(_ int, write string, land func() error) error {
				if write == "update ConfigMap agent-passport-ended" || write == "create ConfigMap agent-passport-ended" {
					return errCrash
				}
				return land()
			}
			Expect(w.admin.Delete(ctx, w.mission())).To(Succeed())
			Expect(w.settleUntil(5)).NotTo(Succeed())
			Expect(w.gone()).To(BeFalse())
			Expect(w.listed()).To(Equal("invalid"))
			w.clock.Step(time.Hour)
			_ = w.settleUntil(5)
			Expect(w.gone()).To(BeTrue())
		})

		It("is one of many in a few writes", func(ctx context.Context) {
			w := newWorld(ctx)
			w.agent(in(v1alpha1.ModeStandard))
			const many = 30
			for i := range many {
				w.passport(func(p *v1alpha1.Passport) { p.Name = fmt.Sprintf("mission-%d", i) })
			}
			w.settle()
			var passports v1alpha1.PassportList
			Expect(w.admin.List(ctx, &passports, inNamespace(w))).To(Succeed())
			Expect(w.admin.DeleteAllOf(ctx, &v1alpha1.Passport{}, inNamespace(w))).To(Succeed())
			w.wrote()
			// The first write takes until all of them have ended, or, on a slow machine, until it times out.
			patient := NewGomega(func(string, ...int) {})
			w.fault = func(_ int, write string, land func() error) error {
				if strings.HasSuffix(write, controller.EndedConfigMapName) {
					for i := range passports.Items {
						patient.Eventually(func() bool { return w.log.has(passports.Items[i].UID, audit.PassportRevoke) }).WithTimeout(8 * time.Second).Should(BeTrue())
					}
				}
				return land()
			}
			var working sync.WaitGroup
			for i := range passports.Items {
				working.Go(func() {
					defer GinkgoRecover()
					Eventually(func() error {
						_, err := w.passports.Reconcile(ctx, w.request(passports.Items[i].Name))
						return err
					}).Should(Succeed())
				})
			}
			working.Wait()
			for i := range passports.Items {
				place := passports.Items[i].Status.Issued.StatusList
				Expect(w.entry(uint64(*place.List*token.StatusListSize + *place.Index))).To(BeTrue())
			}
			writes := slices.DeleteFunc(w.wrote(), func(write string) bool { return !strings.HasSuffix(write, controller.EndedConfigMapName) })
			Expect(len(writes)).To(And(BeNumerically(">", 0), BeNumerically("<", many/2)))
		})
	})
})

// zeros is a source of keys.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return len(p), nil }
