package token_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"agentpassport.dev/operator/internal/token"
)

// TestVector holds a fixed key and fixed claims to the bytes of testdata/token.jwt: other bytes
// would tell a mounted Secret apart from the stored state that it was made of.
func TestVector(t *testing.T) {
	ring := rfcRing(t)
	if got := ring.Signing().ID; got != rfcThumbprint {
		t.Errorf("kid is %s, RFC 8037 A.3 has %s", got, rfcThumbprint)
	}
	if got, want := sign(t, ring, supportBot(t)), string(golden(t, "token.jwt")); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestSignIsDeterministic(t *testing.T) {
	ring := rfcRing(t)
	rapid.Check(t, func(t *rapid.T) {
		claims := drawClaims(t)
		first, err := token.Sign(ring.Signing(), claims)
		if err != nil {
			t.Fatal(err)
		}
		if again, _ := token.Sign(ring.Signing(), claims); again != first {
			t.Fatal("the same claims and key made another token")
		}
	})
}

func TestSignRefuses(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*token.Claims)
		want   error
	}{
		"no issuer":        {func(c *token.Claims) { c.Issuer = "" }, token.ErrMalformed},
		"no subject":       {func(c *token.Claims) { c.Subject = "" }, token.ErrMalformed},
		"no audience":      {func(c *token.Claims) { c.Audience = nil }, token.ErrMalformed},
		"no jti":           {func(c *token.Claims) { c.ID = "" }, token.ErrMalformed},
		"no times":         {func(c *token.Claims) { c.IssuedAt, c.NotBefore, c.Expiry = 0, 0, 0 }, token.ErrMalformed},
		"a second too far": {func(c *token.Claims) { c.Expiry = c.IssuedAt + 3601 }, token.ErrLifetime},
		"too large":        {func(c *token.Claims) { c.Passport.Intent.Summary = strings.Repeat("a", 8192) }, token.ErrTooLarge},
	} {
		t.Run(name, func(t *testing.T) {
			claims := supportBot(t)
			test.change(claims)
			signed, err := token.Sign(rfcRing(t).Signing(), claims)
			if !errors.Is(err, test.want) || signed != "" {
				t.Errorf("got %d bytes and %v, want %v", len(signed), err, test.want)
			}
		})
	}
}

func TestSignTakesAnHour(t *testing.T) {
	claims := supportBot(t)
	claims.SetTimes(noon, noon, noon.Add(time.Hour))
	sign(t, rfcRing(t), claims)
}

func TestSignRefusesTheZeroKey(t *testing.T) {
	if signed, err := token.Sign(token.Key{}, supportBot(t)); err == nil {
		t.Errorf("signed %d bytes", len(signed))
	}
}

// TestSizeLimit walks up to MaxTokenBytes: what Sign lets through, Verify reads.
func TestSizeLimit(t *testing.T) {
	ring := rfcRing(t)
	longest := 0
	for size := 4000; size < 8192; size++ {
		claims := supportBot(t)
		claims.Passport.Intent.Summary = strings.Repeat("a", size)
		signed, err := token.Sign(ring.Signing(), claims)
		if errors.Is(err, token.ErrTooLarge) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if _, err := token.VerifySignature(signed, ring); err != nil {
			t.Fatalf("a token of %d bytes: %v", len(signed), err)
		}
		longest = len(signed)
	}
	if longest < token.MaxTokenBytes-2 || longest > token.MaxTokenBytes {
		t.Errorf("the longest token has %d bytes", longest)
	}
}

// drawClaims draws claims that can be signed.
func drawClaims(t *rapid.T) *token.Claims {
	text := rapid.StringN(1, 20, 40)
	texts := rapid.SliceOfN(text, 0, 3)
	value := rapid.Custom(func(t *rapid.T) token.Value {
		if rapid.Bool().Draw(t, "several") {
			return token.Value{List: append([]string{}, texts.Draw(t, "list")...)}
		}
		return token.Value{String: text.Draw(t, "string")}
	})
	constraint := rapid.Custom(func(t *rapid.T) token.Constraint {
		return token.Constraint{Path: text.Draw(t, "path"), Op: text.Draw(t, "op"), Value: value.Draw(t, "value")}
	})
	service := rapid.Custom(func(t *rapid.T) token.Service {
		return token.Service{
			Name:        text.Draw(t, "name"),
			Scopes:      texts.Draw(t, "scopes"),
			Constraints: rapid.SliceOfN(constraint, 0, 3).Draw(t, "constraints"),
		}
	})
	claims := &token.Claims{
		Issuer:   issuer,
		Subject:  text.Draw(t, "sub"),
		Audience: append([]string{audience}, texts.Draw(t, "aud")...),
		ID:       text.Draw(t, "jti"),
		Mission:  token.Mission{ID: text.Draw(t, "mission")},
		Passport: token.Passport{
			Agent: token.Agent{
				Namespace:  text.Draw(t, "namespace"),
				Name:       text.Draw(t, "agent"),
				Generation: rapid.Int64Min(1).Draw(t, "generation"),
			},
			Accountability:  rapid.SampledFrom([]token.Accountability{token.Enforced, token.Logged, token.Standard}).Draw(t, "mode"),
			Services:        rapid.SliceOfN(service, 0, 3).Draw(t, "services"),
			TTL:             rapid.Int64Range(60, 3600).Draw(t, "ttl"),
			DelegationDepth: rapid.Int64Range(0, 4).Draw(t, "depth"),
		},
	}
	if rapid.Bool().Draw(t, "has intent") {
		claims.Passport.Intent = &token.Intent{Summary: text.Draw(t, "summary"), Services: texts.Draw(t, "expected")}
	}
	renewed := noon.Add(time.Duration(rapid.IntRange(0, 86400).Draw(t, "renewed")) * time.Second)
	life := time.Duration(rapid.IntRange(1, 3600).Draw(t, "life")) * time.Second
	claims.SetTimes(noon, renewed, renewed.Add(life))
	return claims
}
