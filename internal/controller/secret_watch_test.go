package controller_test

import (
	"context"
	"errors"
	"net/http"
	"path"
	"sync"
	"sync/atomic"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/rest"

	"agentpassport.dev/operator/api/v1alpha1"
	"agentpassport.dev/operator/test/apiserver"
)

// Nothing but the watch has the operator look at these passports again before they expire. So a Secret
// that is back before is back because of the watch.
var _ = Describe("The watch on token Secrets", Serial, func() {
	var line *watchLine
	var reads *atomic.Int32

	BeforeEach(func() { line, reads = &watchLine{}, &atomic.Int32{} })

	// active is a managed world over the line, with a mission that is Active.
	active := func(ctx context.Context) *world {
		GinkgoHelper()
		w := managed(ctx, line.lay, countReads("mission-token", reads))
		w.agent()
		w.passport()
		eventually(w, w.phase).Should(Equal(v1alpha1.PhaseActive))
		return w
	}

	It("restores what was deleted before its first list", func(ctx context.Context) {
		line.takeDown()
		w := active(ctx)
		before := w.claims()
		w.deleteSecret("mission-token")
		line.mend()
		w.restored("mission-token")
		Expect(w.claims()).To(Equal(before))
	})

	It("restores what was deleted while it was broken", func(ctx context.Context) {
		w := active(ctx)
		w.watched("mission-token")
		before := w.claims()
		line.takeDown()
		eventually(w, line.lost.Load).ShouldNot(BeZero())
		w.deleteSecret("mission-token")
		line.mend()
		w.restored("mission-token")
		Expect(w.claims()).To(Equal(before))
	})

	It("restores what was deleted while the namespace had taken its consent back", func(ctx context.Context) {
		w := active(ctx)
		w.watched("mission-token")
		before := w.claims()
		w.withdrawConsent()
		line.cut()
		eventually(w, line.refused.Load).ShouldNot(BeZero())
		w.deleteSecret("mission-token")
		w.consent()
		w.passport(named("other"))
		w.restored("mission-token")
		Expect(w.claims()).To(Equal(before))
	})

	It("restores what was deleted before the operator knew that it had made it", func(ctx context.Context) {
		w := active(ctx)
		w.watched("mission-token")
		w.passport(named("other"))
		w.restored("other-token")
		before := w.claims()
		made, answer := w.holdAnswer("create Secret mission-token")
		w.deleteSecret("mission-token")
		eventually(w, made).Should(BeTrue())
		w.deleteSecret("mission-token")
		// It brings changes in order: where this one is restored, the one before has been brought.
		w.deleteSecret("other-token")
		w.restored("other-token")
		answer()
		w.restored("mission-token")
		Expect(w.claims()).To(Equal(before))
	})

	It("costs no read of a Secret that nobody touched since it was made", func(ctx context.Context) {
		line.takeDown()
		w := active(ctx)
		w.passport(named("other"))
		w.restored("other-token")
		made := reads.Load()
		Expect(made).To(BeNumerically("<=", 1), "asked for before it is made, while nothing is watched")
		line.mend()
		w.watched("other-token")
		Expect(reads.Load()).To(Equal(made))
	})
})

// watchLine is what the manager's watch on token Secrets runs over: a spec may take it down.
type watchLine struct {
	// lost counts the requests that found it down, refused those that the API server forbade.
	lost, refused atomic.Int32

	mu   sync.Mutex
	down bool
	// running ends what runs over it.
	running []context.CancelFunc
}

var errDown = errors.New("the line is down")

// lay puts the line between a manager and the API server.
func (l *watchLine) lay(config *rest.Config) {
	config.Wrap(func(next http.RoundTripper) http.RoundTripper {
		return roundTripper(func(request *http.Request) (*http.Response, error) {
			if path.Base(request.URL.Path) != "secrets" || !request.URL.Query().Has("labelSelector") {
				return next.RoundTrip(request)
			}
			ctx, err := l.take(request.Context())
			if err != nil {
				return nil, err
			}
			response, err := next.RoundTrip(request.WithContext(ctx))
			if err == nil && response.StatusCode == http.StatusForbidden {
				l.refused.Add(1)
			}
			return response, err
		})
	})
}

// take gives the context of a request that goes over the line.
func (l *watchLine) take(ctx context.Context) (context.Context, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.down {
		l.lost.Add(1)
		return nil, errDown
	}
	ctx, end := context.WithCancel(ctx)
	l.running = append(l.running, end)
	return ctx, nil
}

// cut ends what runs over the line.
func (l *watchLine) cut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, end := range l.running {
		end()
	}
	l.running = nil
}

func (l *watchLine) takeDown() {
	l.mu.Lock()
	l.down = true
	l.mu.Unlock()
	l.cut()
}

func (l *watchLine) mend() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.down = false
}

// named gives a Passport another name than mission.
func named(name string) func(*v1alpha1.Passport) {
	return func(passport *v1alpha1.Passport) { passport.Name = name }
}

// deleteSecret deletes a Secret by hand.
func (w *world) deleteSecret(name string) {
	GinkgoHelper()
	secret := &corev1.Secret{}
	Expect(w.get(name, secret)).To(Succeed())
	Expect(w.admin.Delete(w.ctx, secret)).To(Succeed())
}

// restored waits until a Secret is there.
func (w *world) restored(name string) {
	GinkgoHelper()
	eventually(w, func() error { return w.get(name, &corev1.Secret{}) }).Should(Succeed())
}

// watched makes sure that the watch runs: it has this Secret restored.
func (w *world) watched(name string) {
	GinkgoHelper()
	w.deleteSecret(name)
	w.restored(name)
}

// consent gives the namespace's consent again, and waits until the API server minds it.
func (w *world) consent() {
	GinkgoHelper()
	Expect(apiserver.Consent(w.ctx, w.admin, w.namespace)).To(Succeed())
	Eventually(w.consented).Should(BeTrue())
}

// holdAnswer holds up the answer to the operator's next write of this name. It gives whether the write
// has landed, and what lets the answer go.
func (w *world) holdAnswer(write string) (landed func() bool, answer func()) {
	var done atomic.Bool
	release := make(chan struct{})
	hold := sync.OnceFunc(func() {
		done.Store(true)
		<-release
	})
	w.mu.Lock()
	defer w.mu.Unlock()
	w.fault = func(_ int, name string, land func() error) error {
		err := land()
		if name == write {
			hold()
		}
		return err
	}
	answer = sync.OnceFunc(func() { close(release) })
	DeferCleanup(answer)
	return done.Load, answer
}
