package state_test

import (
	"crypto/rand"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/clock"

	"agentpassport.dev/operator/api/v1alpha1"
	"agentpassport.dev/operator/internal/gateway/decision"
	"agentpassport.dev/operator/internal/gateway/state"
	"agentpassport.dev/operator/internal/token"
)

func newRing(t *testing.T) token.Ring {
	t.Helper()
	keys, err := token.NewRing(rand.Reader, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

func TestToken(t *testing.T) {
	w := begin(t, nil)
	passport := &v1alpha1.Passport{ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: "p", UID: "u"}}
	good := w.token(passport, ring, nil)
	parts := strings.Split(good, ".")
	other := strings.Split(w.token(passport, ring, func(c *token.Claims) { c.Subject = "somebody" }), ".")
	for name, test := range map[string]struct {
		raw  string
		want decision.TokenState
	}{
		"good":             {good, decision.TokenValid},
		"expired":          {w.token(passport, ring, func(c *token.Claims) { c.SetTimes(time.Unix(1e9, 0), time.Unix(1e9, 0), time.Unix(1e9+60, 0)) }), decision.TokenValid},
		"several audience": {w.token(passport, ring, func(c *token.Claims) { c.Audience = []string{"x", audience} }), decision.TokenValid},
		"none":             {"", decision.TokenMissing},
		"another audience": {w.token(passport, ring, func(c *token.Claims) { c.Audience = []string{"x"} }), decision.TokenInvalid},
		"another issuer":   {w.token(passport, ring, func(c *token.Claims) { c.Issuer = issuer + "/" }), decision.TokenInvalid},
		"nonsense":         {"nonsense", decision.TokenInvalid},
		"too large":        {good + strings.Repeat("x", token.MaxTokenBytes), decision.TokenInvalid},
		"another key":      {w.token(passport, newRing(t), nil), decision.TokenForged},
		"another key and issuer": {
			w.token(passport, newRing(t), func(c *token.Claims) { c.Issuer = "https://elsewhere.example.com" }),
			decision.TokenInvalid,
		},
		"a signature of another": {strings.Join([]string{parts[0], parts[1], other[2]}, "."), decision.TokenForged},
		"claims of another":      {strings.Join([]string{parts[0], other[1], parts[2]}, "."), decision.TokenForged},
		"of another type": {strings.Join([]string{
			"eyJhbGciOiJFZERTQSIsImtpZCI6ImEiLCJ0eXAiOiJKV1QifQ", parts[1], parts[2],
		}, "."), decision.TokenForged},
		"without algorithm": {"eyJhbGciOiJub25lIn0." + parts[1] + ".", decision.TokenInvalid},
	} {
		t.Run(name, func(t *testing.T) {
			for range 2 { // the second time from memory
				verified, how := w.view.Token(test.raw)
				if how != test.want || (verified != nil) != (how == decision.TokenValid) {
					t.Errorf("%d, %v", how, verified)
				}
				if verified != nil && verified.Claims.ID != token.JTI("u") {
					t.Error("claims of another")
				}
			}
		})
	}
}

// A key that is published no more drops what it verified, and one that signs a moment after it was
// published verifies, though the watch has not brought it.
func TestKeysComeAndGo(t *testing.T) {
	first, second := newRing(t), newRing(t)
	var own string
	w := begin(t, func(o *state.Options) {
		namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: "keys-"}}
		if err := admin.Create(t.Context(), namespace); err != nil {
			t.Fatal(err)
		}
		own = namespace.Name
		if err := publish(t.Context(), own, first); err != nil {
			t.Fatal(err)
		}
		config := server.Config("") // no Role lets the gateway read keys there
		config.Wrap(o.Config.WrapTransport)
		o.Config, o.Namespace = config, own
	})
	passport := &v1alpha1.Passport{ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: "p", UID: "u"}}
	old, fresh := w.token(passport, first, nil), w.token(passport, second, nil)
	expect := func(raw string, want decision.TokenState) {
		t.Helper()
		if _, how := w.view.Token(raw); how != want {
			t.Fatalf("token state %d, want %d", how, want)
		}
	}
	expect(old, decision.TokenValid)
	w.gate.cut(false)
	w.do(publish(t.Context(), own, second))
	expect(fresh, decision.TokenValid)
	expect(old, decision.TokenForged)
	// Whoever sends unknown keys does not make the gateway ask each time.
	before := w.gate.gets.Load()
	began := time.Now()
	for range 100 {
		expect(w.token(passport, newRing(t), nil), decision.TokenForged)
	}
	if asked := w.gate.gets.Load() - before; asked > 2+int64(time.Since(began)/time.Second) {
		t.Errorf("%d requests", asked)
	}
	w.gate.open()
	w.do(publish(t.Context(), own, first))
	w.within(soon, "the first key is back", func() bool {
		_, how := w.view.Token(old)
		return how == decision.TokenValid
	})
	w.do(admin.Delete(t.Context(), &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: own, Name: "agent-passport-jwks"}}))
	w.within(soon, "without keys it is lost", func() bool { return strings.Contains(w.view.Lost(), "agent-passport-jwks") })
	w.do(publish(t.Context(), own, first))
	w.within(soon, "with keys it is not", func() bool { return w.view.Lost() == "" })
}

func TestOptionsAreChecked(t *testing.T) {
	whole := state.Options{
		Config: server.Config(""), Clock: clock.RealClock{}, Local: clock.RealClock{}, Namespace: "n", Issuer: issuer, Audience: audience,
	}
	if _, err := state.New(t.Context(), whole); err != nil {
		t.Error(err)
	}
	for name, change := range map[string]func(*state.Options){
		"no config":         func(o *state.Options) { o.Config = nil },
		"no clock":          func(o *state.Options) { o.Clock = nil },
		"no namespace":      func(o *state.Options) { o.Namespace = "" },
		"no issuer":         func(o *state.Options) { o.Issuer = "" },
		"negative silence":  func(o *state.Options) { o.WatchSilence = -1 },
		"negative interval": func(o *state.Options) { o.ProbeInterval = -1 },
	} {
		options := whole
		change(&options)
		if _, err := state.New(t.Context(), options); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
