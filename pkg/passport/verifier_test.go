package passport_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"agentpassport.dev/operator/internal/token"
	"agentpassport.dev/operator/pkg/passport"
)

func TestVerifySaysAll(t *testing.T) {
	i := newIssuer(t)
	got, err := i.verifier(t).Verify(t.Context(), i.sign(t))
	if err != nil {
		t.Fatal(err)
	}
	want := &passport.Claims{
		Issuer: i.URL, Subject: "spiffe://cluster.local/ns/support/agent/support-bot", Audience: []string{"gateway", audience}, ID: token.JTI("uid"),
		IssuedAt: noon, NotBefore: noon.Add(-10 * time.Second), Expiry: noon.Add(10 * time.Minute),
		MissionID: "uid", Deadline: noon.Add(time.Hour), SessionID: "ses_1", DelegationDepth: 2, ParentID: "pp_parent",
		Agent:          passport.Agent{Namespace: "support", Name: "support-bot", UID: "agent-uid", Generation: 3},
		DocumentSHA256: "d0c", Accountability: "enforced",
		Intent:       &passport.Intent{Summary: "Answer one ticket", Services: []string{"slack"}, EstimatedDuration: 15 * time.Minute, WillDelegate: true},
		IntentDigest: "digest",
		Services: []passport.Service{
			{Name: "github", Scopes: []string{"repo:read"}, Constraints: []passport.Constraint{
				{Path: "method", Op: "in", Values: []string{"GET"}}, {Path: "url.pathname", Op: "starts_with", Value: "/repos/"},
			}},
			{Name: "slack", Scopes: []string{}},
		},
		TTL: 15 * time.Minute, CheckpointInterval: 5 * time.Minute,
		Status: &passport.StatusEntry{URI: i.URL + "/statuslists/1/0", Index: 7},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("want -, got +:\n%s", diff)
	}
	if !got.Allows("slack") || got.Allows("stripe") {
		t.Error("Allows")
	}
	if github, _ := got.Service("github"); !github.HasScope("repo:read") || github.HasScope("repo:*") {
		t.Error("HasScope")
	}
}

func TestVerifyRefuses(t *testing.T) {
	i := newIssuer(t)
	v := i.verifier(t)
	other, err := token.NewRing(rand.NewChaCha8([32]byte{9}), noon)
	if err != nil {
		t.Fatal(err)
	}
	foreign, err := token.Sign(other.Signing(), i.claims())
	if err != nil {
		t.Fatal(err)
	}
	list, err := i.List(t.Context(), 1, 0)
	if err != nil {
		t.Fatal(err)
	}
	good := i.sign(t)
	for name, c := range map[string]struct {
		raw  string
		want error
	}{
		"nothing":           {"", passport.ErrMalformed},
		"rubbish":           {"a.b.c", passport.ErrMalformed},
		"too much":          {strings.Repeat("a", 8193), passport.ErrTooLarge},
		"a status list":     {list, passport.ErrType},
		"another's key":     {foreign, passport.ErrUnknownKey},
		"a wrong signature": {good[:len(good)-8] + "AAAAAAAA", passport.ErrSignature},
		"no algorithm":      {"eyJhbGciOiJub25lIn0.e30.", passport.ErrAlgorithm},
		"another issuer":    {i.sign(t, func(c *token.Claims) { c.Issuer = "https://other.example.com" }), passport.ErrIssuer},
		"another audience":  {i.sign(t, func(c *token.Claims) { c.Audience = []string{"gateway"} }), passport.ErrAudience},
		"before its time":   {i.sign(t, func(c *token.Claims) { c.NotBefore = noon.Unix() + 31 }), passport.ErrNotYetValid},
		"after its time":    {i.sign(t, func(c *token.Claims) { c.Expiry = noon.Unix() - 30 }), passport.ErrExpired},
		"a list elsewhere":  {i.sign(t, func(c *token.Claims) { c.Status.StatusList.URI = "https://evil.example.com/statuslists/1/0" }), passport.ErrUnavailable},
		"no such list":      {i.sign(t, func(c *token.Claims) { c.Status.StatusList.URI = i.URL + "/statuslists/1/1" }), passport.ErrUnavailable},
		"the good one":      {good, nil},
		"from before lists": {i.sign(t, func(c *token.Claims) { c.Status = nil }), nil},
		"within the leeway": {i.sign(t, func(c *token.Claims) { c.Expiry = noon.Unix() - 29 }), nil},
	} {
		claims, err := v.Verify(t.Context(), c.raw)
		if !errors.Is(err, c.want) || (claims == nil) != (c.want != nil) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
		if err != nil && len(c.raw) > 20 && strings.Contains(err.Error(), c.raw[:20]) {
			t.Errorf("%s: the error quotes the token", name)
		}
	}
}

func TestStatusList(t *testing.T) {
	i := newIssuer(t)
	v, open, off := i.verifier(t), i.verifier(t, passport.WithStatus(passport.StatusOpen)), i.verifier(t, passport.WithStatus(passport.StatusOff))
	signed := i.sign(t)
	verify := func(v *passport.Verifier, want error) {
		t.Helper()
		if _, err := v.Verify(t.Context(), signed); !errors.Is(err, want) {
			t.Errorf("%v, want %v", err, want)
		}
	}
	const path = "/statuslists/1/0"
	for range 5 {
		verify(v, nil)
	}
	if asked := i.askedFor(path); asked != 1 {
		t.Errorf("%d fetches within the ttl", asked)
	}
	i.set(func() { i.list.Invalidate(7) })
	verify(v, nil) // as fresh as its ttl says
	i.set(func() { i.now = noon.Add(time.Minute) })
	verify(v, passport.ErrRevoked)
	verify(open, passport.ErrRevoked)
	verify(off, nil)

	// A list that cannot be fetched again serves until its exp, and no longer.
	i.set(func() { i.away = true })
	i.set(func() { i.now = noon.Add(3 * time.Minute) })
	verify(v, passport.ErrRevoked)
	i.set(func() { i.now = noon.Add(6*time.Minute + time.Second) })
	verify(v, passport.ErrUnavailable)
	verify(open, nil)
	verify(off, nil)
	i.set(func() { i.away = false; i.now = i.now.Add(2 * time.Second) })
	verify(v, passport.ErrRevoked)
}

func TestAwayIssuer(t *testing.T) {
	i := newIssuer(t)
	signed := i.sign(t)
	i.set(func() { i.away = true })
	v := i.verifier(t)
	for range 5 {
		if _, err := v.Verify(t.Context(), signed); !errors.Is(err, passport.ErrUnavailable) {
			t.Fatal(err)
		}
	}
	if asked := i.askedFor(token.DiscoveryPath); asked != 1 {
		t.Errorf("%d fetches within a second", asked)
	}
	i.set(func() { i.away = false; i.now = noon.Add(time.Second) })
	if _, err := v.Verify(t.Context(), signed); err != nil {
		t.Fatal(err)
	}
}

func TestKeysAreKept(t *testing.T) {
	i := newIssuer(t)
	v := i.verifier(t, passport.WithStatus(passport.StatusOff))
	good := func(want error) {
		t.Helper()
		if _, err := v.Verify(t.Context(), i.sign(t)); !errors.Is(err, want) {
			t.Errorf("%v, want %v", err, want)
		}
	}
	fetched := func(want int) {
		t.Helper()
		if asked := i.askedFor(token.JWKSPath); asked != want {
			t.Errorf("%d fetches, want %d", asked, want)
		}
	}
	good(nil)
	i.set(func() { i.now = noon.Add(299 * time.Second) })
	good(nil)
	fetched(1)
	i.set(func() { i.now = noon.Add(300 * time.Second) })
	good(nil)
	fetched(2)

	// A new key: one look for it, and one more only ten seconds later.
	i.set(func() {
		var err error
		if i.ring, err = token.NewRing(rand.NewChaCha8([32]byte{2}), noon); err != nil {
			t.Error(err)
		}
	})
	i.set(func() { i.now = noon.Add(305 * time.Second) })
	good(passport.ErrUnknownKey)
	fetched(2)
	i.set(func() { i.now = noon.Add(310 * time.Second) })
	good(nil)
	fetched(3)

	// Keys serve for an hour after their source has gone.
	i.set(func() { i.away = true; i.now = noon.Add(9 * time.Minute) })
	good(nil)
}

func TestOneFetchForAll(t *testing.T) {
	i := newIssuer(t)
	v, signed := i.verifier(t), i.sign(t)
	var verifying sync.WaitGroup
	for range 50 {
		verifying.Go(func() {
			if _, err := v.Verify(t.Context(), signed); err != nil {
				t.Error(err)
			}
		})
	}
	verifying.Wait()
	for _, path := range []string{token.DiscoveryPath, token.JWKSPath, "/statuslists/1/0"} {
		if asked := i.askedFor(path); asked != 1 {
			t.Errorf("%s: %d fetches", path, asked)
		}
	}
}

func TestSourcesOfKeys(t *testing.T) {
	i := newIssuer(t)
	jwks := token.JWKS(i.ring)
	file := filepath.Join(t.TempDir(), "jwks.json")
	if err := os.WriteFile(file, jwks, 0o600); err != nil {
		t.Fatal(err)
	}
	off := passport.WithStatus(passport.StatusOff)
	for name, option := range map[string]passport.VerifierOption{
		"bytes": passport.WithJWKS(jwks), "file": passport.WithJWKSFile(file), "URL": passport.WithJWKSURL(i.URL + token.VersionedJWKSPath),
	} {
		if _, err := i.verifier(t, off, option).Verify(t.Context(), i.sign(t)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, option := range map[string]passport.VerifierOption{
		"bytes": passport.WithJWKS([]byte("{}")), "file": passport.WithJWKSFile(file + ".no"), "URL": passport.WithJWKSURL(i.URL + "/nothing"),
	} {
		if _, err := i.verifier(t, off, option).Verify(t.Context(), i.sign(t)); !errors.Is(err, passport.ErrUnavailable) {
			t.Errorf("no %s: %v", name, err)
		}
	}
	if asked := i.askedFor(token.DiscoveryPath); asked != 0 {
		t.Errorf("asked the issuer %d times", asked)
	}
}

// TestBaseURL verifies the passports of an issuer that only another URL leads to.
func TestBaseURL(t *testing.T) {
	i := newIssuer(t)
	front := httptest.NewServer(i.Config.Handler)
	defer front.Close()
	unreachable := passport.WithHTTPClient(&http.Client{Transport: only(front.Listener.Addr().String())})
	if _, err := i.verifier(t, unreachable).Verify(t.Context(), i.sign(t)); !errors.Is(err, passport.ErrUnavailable) {
		t.Errorf("reached the issuer: %v", err)
	}
	if _, err := i.verifier(t, unreachable, passport.WithBaseURL(front.URL+"/")).Verify(t.Context(), i.sign(t)); err != nil {
		t.Error(err)
	}
}

// only lets requests to one address pass.
type only string

func (o only) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Host != string(o) {
		return nil, errors.New("no way to " + r.URL.Host)
	}
	return http.DefaultTransport.RoundTrip(r)
}

func TestRedirectsAreNotFollowed(t *testing.T) {
	i := newIssuer(t)
	elsewhere := httptest.NewServer(http.RedirectHandler(i.URL+token.JWKSPath, http.StatusFound))
	defer elsewhere.Close()
	if _, err := i.verifier(t, passport.WithJWKSURL(elsewhere.URL)).Verify(t.Context(), i.sign(t)); !errors.Is(err, passport.ErrUnavailable) {
		t.Error(err)
	}
}

func TestForeignDiscovery(t *testing.T) {
	i := newIssuer(t)
	evil := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write(token.Discovery("https://evil.example.com", i.URL+token.JWKSPath))
	}))
	defer evil.Close()
	if _, err := i.verifier(t, passport.WithBaseURL(evil.URL)).Verify(t.Context(), i.sign(t)); !errors.Is(err, passport.ErrUnavailable) {
		t.Error(err)
	}
}

// TestListOfAnother does not take a list that another key signed, nor one of other contents.
func TestListOfAnother(t *testing.T) {
	i := newIssuer(t)
	signed := i.sign(t)
	v := i.verifier(t, passport.WithJWKS(token.JWKS(i.ring)))
	i.set(func() {
		var err error
		if i.ring, err = token.NewRing(rand.NewChaCha8([32]byte{2}), noon); err != nil {
			t.Error(err)
		}
	})
	if _, err := v.Verify(t.Context(), signed); !errors.Is(err, passport.ErrUnavailable) || !errors.Is(err, token.ErrUnknownKey) {
		t.Error(err)
	}
}

func TestAGivenUpCallTakesNothingFromOthers(t *testing.T) {
	i := newIssuer(t)
	v, signed := i.verifier(t), i.sign(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := v.Verify(ctx, signed); !errors.Is(err, passport.ErrUnavailable) {
		t.Error(err)
	}
	if _, err := v.Verify(t.Context(), signed); err != nil {
		t.Error(err)
	}
}

func TestNewVerifierRefuses(t *testing.T) {
	const good = "https://passports.example.com"
	for name, c := range map[string]struct {
		issuer, audience string
		option           passport.VerifierOption
	}{
		"no issuer":      {"", audience, nil},
		"no URL":         {"passports.example.com", audience, nil},
		"no audience":    {good, "", nil},
		"no base":        {good, audience, passport.WithBaseURL("gateway")},
		"leeway":         {good, audience, passport.WithLeeway(2 * time.Minute)},
		"no leeway":      {good, audience, passport.WithLeeway(-1)},
		"too large":      {good, audience, passport.WithMaxTokenBytes(8193)},
		"unknown policy": {good, audience, passport.WithStatus(3)},
	} {
		var options []passport.VerifierOption
		if c.option != nil {
			options = append(options, c.option)
		}
		if _, err := passport.NewVerifier(c.issuer, c.audience, options...); err == nil {
			t.Errorf("%s: made", name)
		}
	}
}

func BenchmarkVerify(b *testing.B) {
	i := newIssuer(b)
	v, signed := i.verifier(b), i.sign(b)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := v.Verify(b.Context(), signed); err != nil {
			b.Fatal(err)
		}
	}
}
