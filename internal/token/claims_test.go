package token_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/gowebpki/jcs"

	"agentpassport.dev/operator/internal/token"
)

// TestClaimsJSON holds the claim set to its written form, member by member and in order.
func TestClaimsJSON(t *testing.T) {
	got, err := json.Marshal(supportBot(t))
	if err != nil {
		t.Fatal(err)
	}
	if want := string(golden(t, "claims.json")); string(got) != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestAbsentMembersAreLeftOut(t *testing.T) {
	claims := &token.Claims{Passport: token.Passport{Accountability: token.Standard}}
	got, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	for _, member := range []string{"s256", "document_sha256", "intent", "checkpoint_interval", "parent_jti"} {
		if strings.Contains(string(got), member) {
			t.Errorf("%s is in %s", member, got)
		}
	}
	if strings.Contains(string(got), "null") {
		t.Errorf("null in %s", got)
	}
}

func TestEmptyAndAbsentListsMakeTheSameToken(t *testing.T) {
	ring := rfcRing(t)
	absent, empty := supportBot(t), supportBot(t)
	absent.Passport.Services = []token.Service{{Name: "slack"}}
	empty.Passport.Services = []token.Service{{Name: "slack", Scopes: []string{}, Constraints: []token.Constraint{}}}
	if sign(t, ring, absent) != sign(t, ring, empty) {
		t.Error("the tokens differ")
	}
}

func TestValue(t *testing.T) {
	for _, text := range []string{`"GET"`, `""`, `["GET","PUT"]`, `["GET"]`, `[]`} {
		var value token.Value
		if err := json.Unmarshal([]byte(text), &value); err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if again, err := json.Marshal(value); err != nil || string(again) != text {
			t.Errorf("%s came back as %s (%v)", text, again, err)
		}
	}
	for _, text := range []string{`1`, `true`, `null`, `{}`, `[1]`, `[["GET"]]`} {
		var value token.Value
		if err := json.Unmarshal([]byte(text), &value); err == nil {
			t.Errorf("%s was read as %+v", text, value)
		}
	}
}

func TestSetTimes(t *testing.T) {
	var claims token.Claims
	claims.SetTimes(noon, noon.Add(40*time.Minute), noon.Add(45*time.Minute))
	if claims.NotBefore != noon.Unix()-10 {
		t.Errorf("nbf is %d s from the issue, want -10", claims.NotBefore-noon.Unix())
	}
	if claims.IssuedAt != noon.Unix()+40*60 || claims.Expiry != noon.Unix()+45*60 {
		t.Errorf("iat %d, exp %d: not the renewal and the end", claims.IssuedAt, claims.Expiry)
	}
}

func TestSubject(t *testing.T) {
	got := token.Subject("cluster.local", "support", "support-bot")
	if want := "spiffe://cluster.local/ns/support/agent/support-bot"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestDerivedIDs(t *testing.T) {
	jti, session := token.JTI("uid-1"), token.SessionID("uid-1")
	if !regexp.MustCompile(`^pp_[0-9a-f]{32}$`).MatchString(jti) {
		t.Errorf("jti %s", jti)
	}
	if !regexp.MustCompile(`^ses_[0-9a-f]{32}$`).MatchString(session) {
		t.Errorf("session %s", session)
	}
	if strings.TrimPrefix(jti, "pp_") == strings.TrimPrefix(session, "ses_") {
		t.Error("jti and session are derived alike")
	}
	if token.JTI("uid-1") != jti || token.JTI("uid-2") == jti {
		t.Error("a jti must follow from its uid and from nothing else")
	}
	// Objects outlive versions of the operator: the derivation must never change.
	if want := "pp_02d66094e1f7c4d78368180ae84f14e3"; jti != want {
		t.Errorf("jti of uid-1 is %s, want %s", jti, want)
	}
}

// TestIntentDigestIsOfTheIntentInTheToken recomputes s256 the way that a verifier does, from the
// token alone.
func TestIntentDigestIsOfTheIntentInTheToken(t *testing.T) {
	signed := sign(t, rfcRing(t), supportBot(t))
	payload, err := base64.RawURLEncoding.DecodeString(strings.Split(signed, ".")[1])
	if err != nil {
		t.Fatal(err)
	}
	var claims struct {
		Mission  struct{ S256 string }
		Passport struct{ Intent json.RawMessage }
	}
	if err = json.Unmarshal(payload, &claims); err != nil {
		t.Fatal(err)
	}
	canonical, err := jcs.Transform(claims.Passport.Intent)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(canonical)
	if got := base64.RawURLEncoding.EncodeToString(sum[:]); got != claims.Mission.S256 {
		t.Errorf("s256 is %s, the intent's digest %s", claims.Mission.S256, got)
	}
}

func TestIntentDigest(t *testing.T) {
	digest := func(intent *token.Intent) string {
		t.Helper()
		got, err := token.IntentDigest(intent)
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	if got := digest(nil); got != "" {
		t.Errorf("no intent has the digest %s", got)
	}
	if digest(&token.Intent{Summary: "a"}) != digest(&token.Intent{Summary: "a", Services: []string{}}) {
		t.Error("an absent and an empty list of services differ")
	}
	if digest(&token.Intent{Summary: "a"}) == digest(&token.Intent{Summary: "b"}) {
		t.Error("two intents have one digest")
	}
}

func TestDocumentDigest(t *testing.T) {
	a, errA := token.DocumentDigest([]byte(`{"b": 1.0, "a": [true, "\u00e9"]}`))
	b, errB := token.DocumentDigest([]byte(`{"a":[true,"é"],"b":1}`))
	if errA != nil || errB != nil || a != b {
		t.Errorf("one document, two digests: %s (%v), %s (%v)", a, errA, b, errB)
	}
	sum := sha256.Sum256([]byte(`{"a":[true,"é"],"b":1}`))
	if want := hex.EncodeToString(sum[:]); a != want {
		t.Errorf("got %s, want %s", a, want)
	}
	for _, raw := range []string{``, `{`, `{"a":1,"a":2}`, `{"a":1} {}`} {
		if got, err := token.DocumentDigest([]byte(raw)); err == nil || got != "" {
			t.Errorf("%q has the digest %q (%v)", raw, got, err)
		}
	}
}
