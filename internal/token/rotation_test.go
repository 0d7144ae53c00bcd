package token_test

import (
	"bytes"
	"io"
	"math/rand/v2"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"agentpassport.dev/operator/internal/token"
)

const month = 30 * 24 * time.Hour

var policy = token.DefaultPolicy(month)

// sameRing compares private halves too, which go-cmp cannot see.
var sameRing = cmp.Comparer(func(a, b token.Ring) bool {
	left, errLeft := token.MarshalRing(a)
	right, errRight := token.MarshalRing(b)
	return errLeft == nil && errRight == nil && bytes.Equal(left, right)
})

func publishedRing(t testing.TB) token.Ring {
	t.Helper()
	ring, err := token.NewRing(seeded(1), noon)
	if err != nil {
		t.Fatal(err)
	}
	ring, _ = token.MarkPublished(ring, noon)
	return ring
}

func advance(t testing.TB, ring token.Ring, now time.Time) (token.Ring, []token.Change) {
	t.Helper()
	advanced, changes, err := token.Advance(ring, seeded(byte(now.Unix()%251)), now, policy)
	if err != nil {
		t.Fatal(err)
	}
	return advanced, changes
}

func TestMarkPublished(t *testing.T) {
	ring, err := token.NewRing(seeded(1), noon)
	if err != nil {
		t.Fatal(err)
	}
	published, changes := token.MarkPublished(ring, noon.Add(time.Minute))
	want := []token.Change{{Event: token.KeyPublished, KeyID: ring.Current.ID}, {Event: token.KeyPublished, KeyID: ring.Next.ID}}
	if diff := cmp.Diff(want, changes); diff != "" {
		t.Error(diff)
	}
	if !published.Next.PublishedAt.Equal(noon.Add(time.Minute)) || !ring.Next.PublishedAt.IsZero() {
		t.Error("published is marked on the new ring alone")
	}
	again, changes := token.MarkPublished(published, noon.Add(time.Hour))
	if len(changes) > 0 || !cmp.Equal(again, published, sameRing) {
		t.Error("published a second time")
	}
}

func TestScheduledRotation(t *testing.T) {
	ring := publishedRing(t)
	due := noon.Add(month)
	if next := token.NextChange(ring, noon, policy); !next.Equal(due) {
		t.Errorf("next change at %s, want %s", next, due)
	}
	if early, changes := advance(t, ring, due.Add(-time.Nanosecond)); len(changes) > 0 || !cmp.Equal(early, ring, sameRing) {
		t.Errorf("a moment early: %v", changes)
	}

	rotated, changes := advance(t, ring, due)
	want := []token.Change{
		{Event: token.KeyRetired, KeyID: ring.Current.ID},
		{Event: token.KeyActivated, KeyID: ring.Next.ID},
		{Event: token.KeyCreated, KeyID: rotated.Next.ID},
	}
	if diff := cmp.Diff(want, changes); diff != "" {
		t.Error(diff)
	}
	if rotated.Current.ID != ring.Next.ID || !rotated.Current.ActivatedAt.Equal(due) {
		t.Error("the next key does not sign")
	}
	dead := due.Add(policy.MaxTokenLifetime + policy.Leeway)
	if len(rotated.Retired) != 1 || !rotated.Retired[0].RetiredAt.Equal(due) || !rotated.Retired[0].ExpiresAt.Equal(dead) {
		t.Errorf("retired: %+v", rotated.Retired)
	}

	rotated, _ = token.MarkPublished(rotated, due)
	if next := token.NextChange(rotated, due, policy); !next.Equal(dead) {
		t.Errorf("next change at %s, want %s", next, dead)
	}
	if _, early := advance(t, rotated, dead.Add(-time.Nanosecond)); len(early) > 0 {
		t.Errorf("removed early: %v", early)
	}
	pruned, changes := advance(t, rotated, dead)
	if diff := cmp.Diff([]token.Change{{Event: token.KeyRemoved, KeyID: ring.Current.ID}}, changes); diff != "" {
		t.Error(diff)
	}
	if _, ok := pruned.Key(ring.Current.ID); ok {
		t.Error("the removed key is still found")
	}
}

func TestUnpublishedKeyNeverSigns(t *testing.T) {
	ring, err := token.NewRing(seeded(1), noon)
	if err != nil {
		t.Fatal(err)
	}
	ring = token.RequestRotation(ring)
	later := noon.Add(12 * month)
	if _, changes := advance(t, ring, later); len(changes) > 0 {
		t.Errorf("unpublished: %v", changes)
	}
	if next := token.NextChange(ring, later, policy); !next.Equal(later) {
		t.Errorf("publishing is due at %s, want now", next)
	}
	ring, _ = token.MarkPublished(ring, later)
	if _, changes := advance(t, ring, later.Add(policy.PublishLead-time.Nanosecond)); len(changes) > 0 {
		t.Errorf("not published for long enough: %v", changes)
	}
	if rotated, _ := advance(t, ring, later.Add(policy.PublishLead)); rotated.Current.ID != ring.Next.ID {
		t.Error("not rotated after the lead")
	}
}

func TestRequestedRotation(t *testing.T) {
	ring := token.RequestRotation(publishedRing(t))
	due := noon.Add(policy.PublishLead)
	if next := token.NextChange(ring, noon, policy); !next.Equal(due) {
		t.Errorf("next change at %s, want %s", next, due)
	}
	if waiting, _ := advance(t, ring, due.Add(-time.Nanosecond)); !cmp.Equal(waiting, ring, sameRing) {
		t.Error("the request is done early, or lost")
	}
	rotated, _ := advance(t, ring, due)
	if rotated.Current.ID != ring.Next.ID || rotated.RotationRequested {
		t.Error("the request is not done, or done for ever")
	}
	if overdue := due.Add(time.Hour); !token.NextChange(ring, overdue, policy).Equal(overdue) {
		t.Error("the next change lies in the past")
	}
}

func TestEmergency(t *testing.T) {
	ring, _ := advance(t, token.RequestRotation(publishedRing(t)), noon.Add(time.Hour))
	before := ring
	at := noon.Add(time.Hour + time.Second)
	rotated, changes, err := token.RotateEmergency(token.RequestRotation(ring), seeded(9), at)
	if err != nil {
		t.Fatal(err)
	}
	want := []token.Change{
		{Event: token.KeyDropped, KeyID: before.Current.ID},
		{Event: token.KeyActivated, KeyID: before.Next.ID},
		{Event: token.KeyCreated, KeyID: rotated.Next.ID},
	}
	if diff := cmp.Diff(want, changes); diff != "" {
		t.Error(diff)
	}
	if _, ok := rotated.Key(before.Current.ID); ok {
		t.Error("the dropped key is still found")
	}
	if rotated.Current.ID != before.Next.ID || !rotated.Current.ActivatedAt.Equal(at) || rotated.RotationRequested {
		t.Error("the next key does not sign, or a rotation is still requested")
	}
	if len(rotated.Retired) != 1 {
		t.Error("tokens of keys that retired before are cut off")
	}

	twice, _, err := token.RotateEmergency(rotated, seeded(10), at)
	if err != nil {
		t.Fatal(err)
	}
	for _, leaked := range []string{before.Current.ID, before.Next.ID} {
		if _, ok := twice.Key(leaked); ok {
			t.Error("a key of the leaked ring survived two emergencies")
		}
	}
}

// TestFullRing asks for rotations as fast as they come: the ring fills, then waits rather than
// cut a token short.
func TestFullRing(t *testing.T) {
	slow := policy
	slow.MaxTokenLifetime = 24 * time.Hour
	ring, now := publishedRing(t), noon
	for range token.MaxKeys - 2 {
		now = now.Add(slow.PublishLead)
		rotated, changes, err := token.Advance(token.RequestRotation(ring), seeded(byte(now.Minute())), now, slow)
		if err != nil || len(changes) == 0 {
			t.Fatalf("not rotated: %v", err)
		}
		ring, _ = token.MarkPublished(rotated, now)
	}
	ring = token.RequestRotation(ring)
	first := ring.Retired[len(ring.Retired)-1].ExpiresAt
	if next := token.NextChange(ring, now, slow); !next.Equal(first) {
		t.Errorf("next change at %s, want %s, when there is room", next, first)
	}
	if _, changes, _ := token.Advance(ring, seeded(1), first.Add(-1), slow); len(changes) > 0 {
		t.Errorf("rotated a full ring: %v", changes)
	}
	if _, changes, _ := token.Advance(ring, seeded(1), first, slow); len(changes) != 4 {
		t.Errorf("room for one key, but %v", changes)
	}
}

func TestNoRandomnessNoRotation(t *testing.T) {
	ring := publishedRing(t)
	for name, rotate := range map[string]func(io.Reader) (token.Ring, []token.Change, error){
		"scheduled": func(random io.Reader) (token.Ring, []token.Change, error) {
			return token.Advance(ring, random, noon.Add(month), policy)
		},
		"emergency": func(random io.Reader) (token.Ring, []token.Change, error) {
			return token.RotateEmergency(ring, random, noon)
		},
	} {
		got, changes, err := rotate(iotest.ErrReader(io.ErrClosedPipe))
		if err == nil || len(changes) > 0 || !cmp.Equal(got, ring, sameRing) {
			t.Errorf("%s: the ring changed without a new key (%v)", name, err)
		}
	}
}

// issuance is a token in the world, until its exp.
type issuance struct {
	token, kid string
	expiry     time.Time
}

// TestAnyHistory plays random histories of an issuer, and holds each moment of each to the
// promises that rotation makes.
func TestAnyHistory(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		random := rand.NewChaCha8([32]byte{byte(rapid.IntRange(0, 255).Draw(t, "seed"))})
		policy := token.Policy{
			RotationInterval: time.Duration(rapid.IntRange(0, 48).Draw(t, "interval")) * time.Hour / 2,
			PublishLead:      10 * time.Minute,
			MaxTokenLifetime: time.Hour,
			Leeway:           time.Duration(rapid.IntRange(0, 120).Draw(t, "leeway")) * time.Second,
		}
		now := noon
		ring, err := token.NewRing(random, now)
		if err != nil {
			t.Fatal(err)
		}
		var live []issuance
		published := map[string]time.Time{}

		t.Repeat(map[string]func(*rapid.T){
			"wait": func(t *rapid.T) {
				now = now.Add(time.Duration(rapid.IntRange(1, 2*3600*1000).Draw(t, "ms")) * time.Millisecond)
			},
			"wait for the next change": func(*rapid.T) { now = token.NextChange(ring, now, policy) },
			"publish": func(t *rapid.T) {
				for _, kid := range kids(t, ring) {
					if _, known := published[kid]; !known {
						published[kid] = now
					}
				}
				ring, _ = token.MarkPublished(ring, now)
			},
			"advance": func(t *rapid.T) {
				due := token.NextChange(ring, now, policy)
				advanced, changes, err := token.Advance(ring, random, now, policy)
				if err != nil {
					t.Fatal(err)
				}
				if due.After(now) && len(changes) > 0 {
					t.Fatalf("%v, but nothing was due before %s", changes, due)
				}
				if !ring.Next.PublishedAt.IsZero() && !due.After(now) && len(changes) == 0 {
					t.Fatal("something was due, but nothing changed")
				}
				if len(changes) == 0 && !cmp.Equal(advanced, ring, sameRing) {
					t.Fatal("changed without a change")
				}
				if advanced.Current.ID != ring.Current.ID {
					since, ok := published[advanced.Current.ID]
					if !ok || now.Before(since.Add(policy.PublishLead)) {
						t.Fatal("a key signs that was not published for long enough")
					}
				}
				again, changes, err := token.Advance(advanced, random, now, policy)
				if err != nil || len(changes) > 0 || !cmp.Equal(again, advanced, sameRing) {
					t.Fatalf("advanced twice at one time: %v, %v", changes, err)
				}
				ring = advanced
			},
			"request": func(*rapid.T) { ring = token.RequestRotation(ring) },
			"emergency": func(t *rapid.T) {
				if rapid.IntRange(0, 4).Draw(t, "dice") > 0 {
					return
				}
				dropped := ring.Current.ID
				rotated, _, err := token.RotateEmergency(ring, random, now)
				if err != nil {
					t.Fatal(err)
				}
				ring = rotated
				for _, issued := range live {
					if _, err := token.VerifySignature(issued.token, ring); issued.kid == dropped && err == nil {
						t.Fatal("a token of the dropped key is still authentic")
					}
				}
				live = without(live, func(issued issuance) bool { return issued.kid == dropped })
			},
			"store and read": func(t *rapid.T) {
				data, err := token.MarshalRing(ring)
				if err != nil {
					t.Fatal(err)
				}
				read, err := token.ParseRing(data)
				if err != nil || !cmp.Equal(read, ring, sameRing) {
					t.Fatalf("read back another ring: %v", err)
				}
				ring = read
			},
			"sign": func(t *rapid.T) {
				expiry := now.Add(time.Duration(rapid.IntRange(60, 3600).Draw(t, "life")) * time.Second)
				claims := &token.Claims{Issuer: issuer, Subject: "agent", Audience: []string{audience}, ID: "jti"}
				claims.SetTimes(now, now, expiry)
				signed, err := token.Sign(ring.Signing(), claims)
				if err != nil {
					t.Fatal(err)
				}
				live = append(live, issuance{signed, ring.Signing().ID, time.Unix(claims.Expiry, 0)})
			},
			"": func(t *rapid.T) {
				live = without(live, func(issued issuance) bool { return !now.Before(issued.expiry) })
				keys, err := token.ParseJWKS(token.JWKS(ring))
				if err != nil {
					t.Fatal(err)
				}
				for _, issued := range live {
					want := token.Expectation{Issuer: issuer, Audience: audience, Now: now}
					if _, err := token.Verify(issued.token, keys, want); err != nil {
						t.Fatalf("a live token does not verify: %v", err)
					}
				}
				if len(keys) > token.MaxKeys {
					t.Fatalf("%d keys", len(keys))
				}
				mustBePublic(t, token.JWKS(ring))
			},
		})
	})
}

func without(all []issuance, gone func(issuance) bool) []issuance {
	var kept []issuance
	for _, issued := range all {
		if !gone(issued) {
			kept = append(kept, issued)
		}
	}
	return kept
}
