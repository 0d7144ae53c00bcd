package state_test

import (
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	testingclock "k8s.io/utils/clock/testing"

	"agentpassport.dev/operator/api/v1alpha1"
	"agentpassport.dev/operator/internal/gateway/state"
	"agentpassport.dev/operator/test/apiserver"
)

// noon is when the tests with a clock of their own take place.
var noon = time.Date(2026, time.March, 2, 12, 0, 0, 0, time.UTC)

// The clocks are the test's, so that minutes take no time; what comes from the API server is real.
func TestLost(t *testing.T) {
	local := testingclock.NewFakeClock(noon)
	w := begin(t, func(o *state.Options) { o.Local = local })
	_, passport, verified := w.ready("p")
	connection := w.connect("github", &v1alpha1.ServiceCredential{SecretName: "github"})
	w.secret("github", map[string]string{"token": "first"})
	w.grant("github")
	w.within(patience, "the credential is read", func() bool {
		_, why := w.sends(connection)
		return why == v1alpha1.ReasonCredentialRead
	})
	lost := func(why string) {
		t.Helper()
		w.within(patience, "it is lost: "+why, func() bool {
			look := w.view.Look(verified, "slack")
			return (why == "" && look.Lost == "") || (why != "" && strings.Contains(look.Lost, why))
		})
	}
	// everything has the API server say something about every kind, and waits until it arrived.
	everything := func(name string) {
		t.Helper()
		other := w.agent(name)
		w.passport(name, other)
		block := w.block(name, other.Name)
		w.do(admin.Create(t.Context(), block))
		w.connect(name, nil)
		w.within(patience, "everything arrived", func() bool {
			found, ok := w.view.Reader(), true
			for _, object := range []struct {
				name string
				get  func() error
			}{
				{"passport", func() error { return found.Get(t.Context(), w.key(name), &v1alpha1.Passport{}) }},
				{"agent", func() error { return found.Get(t.Context(), w.key(name), &v1alpha1.AgentPassport{}) }},
				{"block", func() error { return found.Get(t.Context(), w.key(name), &v1alpha1.AgentBlock{}) }},
				{"connection", func() error { return found.Get(t.Context(), w.key(name), &v1alpha1.ServiceConnection{}) }},
			} {
				ok = ok && object.get() == nil
			}
			return ok
		})
	}
	lost("")
	w.within(patience, "the prober waits", local.HasWaiters)
	local.Step(59 * time.Second)
	lost("")
	// The probe has asked meanwhile: the API server is there. The watches may be silent a while longer.
	local.Step(29 * time.Second)
	lost("")
	local.Step(4 * time.Second)
	lost("the watch of ")
	if _, why := w.sends(connection); why != v1alpha1.ReasonNoGatewayYet {
		t.Errorf("a credential that may have been rotated: %s", why)
	}
	everything("one")
	w.do(touchKeys(t))
	lost("")

	// A watch that hangs: what happens meanwhile is not seen, and after 90 s nothing is let through.
	w.gate.cut(false)
	w.status(passport, func(status *v1alpha1.PassportStatus) { status.Phase = v1alpha1.PhaseRevoked })
	local.Step(89 * time.Second)
	lost("")
	if look := w.view.Look(verified, "slack"); look.Standing.Phase != v1alpha1.PhaseActive {
		t.Fatalf("the watches are not cut: %+v", look)
	}
	local.Step(2 * time.Second)
	lost("the watch of ")
	if live, err := w.view.LookLive(t.Context(), verified, "slack"); err != nil || live.Lost == "" {
		t.Errorf("a live look opens what is lost: %+v, %v", live, err)
	}
	w.gate.open()
	everything("two")
	w.do(touchKeys(t))
	lost("")
	w.within(patience, "the revocation is seen", func() bool {
		return w.view.Look(verified, "slack").Standing.Phase == v1alpha1.PhaseRevoked
	})

	// An API server that answers nothing.
	w.gate.cut(true)
	local.Step(50 * time.Second)
	lost("")
	local.Step(15 * time.Second)
	lost("the API server has not answered for 1m")
	w.gate.open()
	w.within(patience, "the API server is heard again", func() bool {
		local.Step(time.Second)
		return !strings.Contains(w.view.Lost(), "has not answered")
	})
}

func (w *world) key(name string) types.NamespacedName {
	return types.NamespacedName{Namespace: w.namespace, Name: name}
}

// touchKeys has the API server say something about the published keys.
func touchKeys(t *testing.T) error {
	var published corev1.ConfigMap
	if err := admin.Get(t.Context(), types.NamespacedName{Namespace: apiserver.OperatorNamespace, Name: "agent-passport-jwks"}, &published); err != nil {
		return err
	}
	metav1.SetMetaDataAnnotation(&published.ObjectMeta, "touched", time.Now().String())
	return admin.Update(t.Context(), &published)
}

// Nothing is ever heard of a Secret that the gateway may not read: what a person has to mend is the right.
func TestARefusedCredentialIsNotLost(t *testing.T) {
	local := testingclock.NewFakeClock(noon)
	w := begin(t, func(o *state.Options) { o.Local = local })
	connection := w.connect("github", &v1alpha1.ServiceCredential{SecretName: "github"})
	refused := func() bool {
		_, why := w.sends(connection)
		return why == v1alpha1.ReasonCredentialForbidden
	}
	w.within(patience, "the credential is refused", refused)
	local.Step(10 * time.Minute)
	if !refused() {
		_, why := w.sends(connection)
		t.Errorf("after ten minutes without the right: %s", why)
	}
}
