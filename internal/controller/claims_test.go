package controller

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"pgregory.net/rapid"

	"agentpassport.dev/operator/api/v1alpha1"
	"agentpassport.dev/operator/internal/audit"
	"agentpassport.dev/operator/internal/lifecycle"
	"agentpassport.dev/operator/internal/token"
)

// emptyIsAbsent takes a list that is empty for one that is not there, as the API server and the token do.
var emptyIsAbsent = cmpopts.EquateEmpty()

// grants are as the API takes them: each service once, in any number.
func grants(t *rapid.T) []v1alpha1.ServiceGrant {
	text := rapid.StringN(0, 12, 48)
	constraint := rapid.Custom(func(t *rapid.T) v1alpha1.Constraint {
		c := v1alpha1.Constraint{Path: rapid.SampledFrom([]string{"method", "url.pathname", "headers.X"}).Draw(t, "path")}
		if rapid.Bool().Draw(t, "list") {
			c.Op = rapid.SampledFrom([]v1alpha1.ConstraintOp{v1alpha1.ConstraintIn, v1alpha1.ConstraintNotIn}).Draw(t, "op")
			c.Values = rapid.SliceOfN(text, 1, 3).Draw(t, "values")
			return c
		}
		value := text.Draw(t, "value")
		c.Op, c.Value = rapid.SampledFrom([]v1alpha1.ConstraintOp{v1alpha1.ConstraintEq, v1alpha1.ConstraintMatches}).Draw(t, "op"), &value
		return c
	})
	var made []v1alpha1.ServiceGrant
	for i := range rapid.IntRange(0, 4).Draw(t, "grants") {
		made = append(made, v1alpha1.ServiceGrant{
			Service:     v1alpha1.ServiceName(fmt.Sprintf("service-%d", i)),
			Scopes:      rapid.SliceOfNDistinct(rapid.SampledFrom([]v1alpha1.Scope{"r", "w", "<&>"}), 0, 3, rapid.ID).Draw(t, "scopes"),
			Constraints: rapid.SliceOfN(constraint, 0, 3).Draw(t, "constraints"),
		})
	}
	return made
}

// issued is a passport that the rules issue, with whatever terms they can produce.
func issued(t *rapid.T) *v1alpha1.Passport {
	created := time.Unix(rapid.Int64Range(1_000_000_000, 4_000_000_000).Draw(t, "created"), 0).UTC()
	its := &v1alpha1.AgentPassport{
		ObjectMeta: metav1.ObjectMeta{Namespace: "support", Name: "bot", UID: types.UID(rapid.StringMatching(`[0-9a-f-]{1,36}`).Draw(t, "agentUID")), Generation: rapid.Int64Range(1, 1<<53).Draw(t, "generation")},
		Spec: v1alpha1.AgentPassportSpec{Grants: grants(t), Accountability: v1alpha1.Accountability{
			Mode:               rapid.SampledFrom([]v1alpha1.AccountabilityMode{v1alpha1.ModeEnforced, v1alpha1.ModeLogged, v1alpha1.ModeStandard}).Draw(t, "mode"),
			UndeclaredServices: rapid.SampledFrom([]v1alpha1.UndeclaredServices{v1alpha1.UndeclaredFlag, v1alpha1.UndeclaredRefuse}).Draw(t, "undeclared"),
			MaxLifetimeSeconds: rapid.Int32Range(60, 2592000).Draw(t, "maxLifetime"),
		}},
	}
	passport := &v1alpha1.Passport{
		ObjectMeta: metav1.ObjectMeta{Namespace: "support", Name: "mission", UID: "uid", CreationTimestamp: metav1.NewTime(created)},
		Spec: v1alpha1.PassportSpec{
			AgentRef:                  v1alpha1.AgentReference{Name: "bot"},
			TTLSeconds:                rapid.Int32Range(60, 3600).Draw(t, "ttl"),
			CheckpointIntervalSeconds: rapid.Int32Range(60, 3600).Draw(t, "interval"),
			ActiveDeadlineSeconds:     rapid.SampledFrom([]int32{0, 60, its.Spec.Accountability.MaxLifetimeSeconds}).Draw(t, "deadline"),
			IssueDeadlineSeconds:      600,
			Audience:                  rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"gateway", "api", "<web>"}), 0, 3, rapid.ID).Draw(t, "audience"),
			SecretName:                rapid.SampledFrom([]string{"", "mine"}).Draw(t, "secretName"),
			TokenDelivery:             v1alpha1.DeliverySecret,
		},
	}
	if its.Spec.Accountability.Mode != v1alpha1.ModeStandard || rapid.Bool().Draw(t, "intent") {
		passport.Spec.Intent = &v1alpha1.Intent{
			Summary:                  "x" + rapid.StringN(0, 20, 80).Draw(t, "summary"),
			EstimatedDurationSeconds: rapid.Int32Range(0, 2592000).Draw(t, "estimate"), WillDelegate: rapid.Bool().Draw(t, "willDelegate"),
		}
		for _, grant := range its.Spec.Grants {
			if len(passport.Spec.Intent.Services) == 0 || rapid.Bool().Draw(t, "declared") {
				passport.Spec.Intent.Services = append(passport.Spec.Intent.Services, grant.Service)
			}
		}
	}
	authority := lifecycle.Authority{
		Issuer: "https://passports.example.org", GatewayAudience: "gateway",
		Subject: func(namespace, agent string) string { return token.Subject("example.org", namespace, agent) },
	}
	now := created.Add(time.Duration(rapid.IntRange(0, 600_000).Draw(t, "waitedMillis")) * time.Millisecond)
	decision := lifecycle.Decide(passport, its, lifecycle.Rules{}, authority, now)
	if decision.Verdict != lifecycle.VerdictIssue {
		t.Skip("not issued: " + decision.Message)
	}
	decision.Terms.DocumentDigest = rapid.SampledFrom([]string{"", fmt.Sprintf("%064d", 1)}).Draw(t, "digest")
	if rapid.Bool().Draw(t, "listed") {
		decision.Terms.StatusList = placeOf(audit.Entry{Epoch: rapid.Uint64Range(1, 9).Draw(t, "epoch"), Index: rapid.Uint64Range(0, 1<<40).Draw(t, "leaf")})
	}
	passport.Status = lifecycle.Issue(passport, decision.Terms, now, token.JTI("uid"), token.SessionID("uid"))
	return passport
}

// throughJSON is what a token says of its claims to whoever reads it.
func throughJSON(t *rapid.T, claims *token.Claims) *token.Claims {
	written, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	var read token.Claims
	if err := json.Unmarshal(written, &read); err != nil {
		t.Fatal(err)
	}
	return &read
}

func TestClaimsBecomeTheSameTerms(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		passport := issued(t)
		claims, err := claimsOf(passport)
		if err != nil {
			t.Fatal(err)
		}
		read := throughJSON(t, claims)
		if diff := cmp.Diff(claims, read, emptyIsAbsent); diff != "" {
			t.Fatalf("the token says something else: %s", diff)
		}
		for _, each := range []*token.Claims{claims, read} {
			terms, issueTime := termsOf(each, lifecycle.SecretName(passport))
			if diff := cmp.Diff(*passport.Status.Issued, terms, emptyIsAbsent); diff != "" {
				t.Fatalf("want -, got +:\n%s", diff)
			}
			if !issueTime.Equal(passport.Status.IssueTime.Time) {
				t.Fatalf("issued at %v, read %v", passport.Status.IssueTime, issueTime)
			}
		}
	})
}

// After a crash between the Secret and the status, the status is what it would have been, and signs
// the same claims.
func TestAnAdoptedPassportIsTheOneThatWasIssued(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		passport := issued(t)
		claims, err := claimsOf(passport)
		if err != nil {
			t.Fatal(err)
		}
		pending := passport.DeepCopy()
		pending.Status = v1alpha1.PassportStatus{}
		status := adopted(pending, throughJSON(t, claims))
		if diff := cmp.Diff(passport.Status, status, emptyIsAbsent); diff != "" {
			t.Fatalf("want -, got +:\n%s", diff)
		}
		pending.Status = status
		again, err := claimsOf(pending)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(claims, again, emptyIsAbsent); diff != "" {
			t.Fatalf("want -, got +:\n%s", diff)
		}
	})
}

// A token that is signed again after checkpoints tells of the same terms, and never lives longer
// than a token may.
func TestClaimsOfARenewedPassport(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		passport := issued(t)
		before, err := claimsOf(passport)
		if err != nil {
			t.Fatal(err)
		}
		at := passport.CreationTimestamp.Time
		for i := range rapid.IntRange(1, 5).Draw(t, "reports") {
			at = at.Add(time.Duration(rapid.IntRange(0, 3600).Draw(t, "gap")) * time.Second)
			checkpoint := v1alpha1.Checkpoint{ObjectMeta: metav1.ObjectMeta{UID: types.UID(fmt.Sprint(i)), CreationTimestamp: metav1.NewTime(at)}}
			checkpoint.Spec.AgentRef.Name = "bot"
			passport.Status = lifecycle.Advance(lifecycle.Situation{Passport: passport, Checkpoints: []v1alpha1.Checkpoint{checkpoint}, Now: at, ListedAt: at}).Status
		}
		after, err := claimsOf(passport)
		if err != nil {
			t.Fatal(err)
		}
		if life := after.Expiry - after.IssuedAt; life > int64(token.MaxLifetime/time.Second) || after.IssuedAt < before.IssuedAt || after.Expiry < before.Expiry {
			t.Fatalf("iat %d, exp %d", after.IssuedAt, after.Expiry)
		}
		before.IssuedAt, before.Expiry = after.IssuedAt, after.Expiry
		if diff := cmp.Diff(before, after); diff != "" {
			t.Fatalf("before -, after +:\n%s", diff)
		}
	})
}
