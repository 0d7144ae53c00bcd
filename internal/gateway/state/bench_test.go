package state

import (
	"crypto/rand"
	"fmt"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	"k8s.io/utils/clock"

	"agentpassport.dev/operator/api/v1alpha1"
	"agentpassport.dev/operator/internal/gateway/decision"
	"agentpassport.dev/operator/internal/token"
)

// filled is a View that was told of so many passports, and one token of each of the first thousand.
func filled(b *testing.B, passports int) (*View, []string) {
	b.Helper()
	v, err := New(b.Context(), Options{
		Config: &rest.Config{Host: "https://127.0.0.1:1"}, Clock: clock.RealClock{}, Local: clock.RealClock{},
		Namespace: "agent-passport-system", Issuer: "https://passports.example.com", Audience: "agent-passport-gateway",
	})
	if err != nil {
		b.Fatal(err)
	}
	ring, err := token.NewRing(rand.Reader, time.Now())
	if err != nil {
		b.Fatal(err)
	}
	keys, err := token.ParseJWKS(token.JWKS(ring))
	if err != nil {
		b.Fatal(err)
	}
	v.keys.Store(&keys)
	v.synced.Store(true)
	meta := func(name string) metav1.ObjectMeta {
		return metav1.ObjectMeta{Namespace: "support", Name: name, UID: types.UID("uid-" + name)}
	}
	v.setAgent(nil, &v1alpha1.AgentPassport{ObjectMeta: meta("support-bot")})
	v.setConnection(nil, &v1alpha1.ServiceConnection{ObjectMeta: meta("slack"), Spec: v1alpha1.ServiceConnectionSpec{BaseURL: "https://slack.example.com"}})
	now := time.Now()
	var tokens []string
	for i := range passports {
		passport := &v1alpha1.Passport{
			ObjectMeta: meta(fmt.Sprint("p", i)),
			Spec:       v1alpha1.PassportSpec{AgentRef: v1alpha1.AgentReference{Name: "support-bot"}},
			Status: v1alpha1.PassportStatus{Phase: v1alpha1.PhaseActive, Issued: &v1alpha1.IssuedTerms{
				AgentUID: "uid-support-bot", Services: []v1alpha1.IssuedService{{Service: "slack"}},
			}},
		}
		v.setPassport(nil, passport)
		if len(tokens) == 1000 {
			continue
		}
		claims := &token.Claims{Issuer: v.options.Issuer, Subject: "s", Audience: []string{v.options.Audience}, ID: token.JTI(string(passport.UID))}
		claims.SetTimes(now, now, now.Add(time.Minute))
		signed, err := token.Sign(ring.Signing(), claims)
		if err != nil {
			b.Fatal(err)
		}
		tokens = append(tokens, signed)
	}
	return v, tokens
}

// What one call asks of a View whose tokens are known: the token and the look.
func BenchmarkLook(b *testing.B) {
	for _, passports := range []int{1_000, 50_000} {
		b.Run(fmt.Sprint("passports=", passports), func(b *testing.B) {
			v, tokens := filled(b, passports)
			for _, one := range tokens {
				v.Token(one)
			}
			verified, _ := v.Token(tokens[0])
			if look := v.Look(verified, "slack"); look.Standing == nil || look.AgentGone || look.Blocked != "" || look.Connection == nil || look.Lost != "" {
				b.Fatalf("%+v", look)
			}
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				verified, how := v.Token(tokens[i%len(tokens)])
				if how != decision.TokenValid {
					b.Fatal(how)
				}
				if look := v.Look(verified, "slack"); look.Standing == nil {
					b.Fatal("unknown")
				}
			}
		})
	}
}

// A token that was never seen: its signature is verified.
func BenchmarkTokenCold(b *testing.B) {
	v, tokens := filled(b, 1_000)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		v.tokens.Purge()
		if _, how := v.Token(tokens[i%len(tokens)]); how != decision.TokenValid {
			b.Fatal(how)
		}
	}
}

// Looks while the watch brings changes, by all processors at once.
func BenchmarkLookParallel(b *testing.B) {
	v, tokens := filled(b, 50_000)
	b.ReportAllocs()
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for i := 0; pb.Next(); i++ {
			verified, _ := v.Token(tokens[i%len(tokens)])
			if look := v.Look(verified, "slack"); look.Standing == nil {
				b.Fatal("unknown")
			}
		}
	})
}
