package token_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"agentpassport.dev/operator/internal/token"
)

// rotatedRing has a key in every state.
func rotatedRing(t testing.TB) token.Ring {
	t.Helper()
	ring, _ := advance(t, publishedRing(t), noon.Add(month))
	return token.RequestRotation(ring)
}

func stored(t testing.TB, ring token.Ring) string {
	t.Helper()
	data, err := token.MarshalRing(ring)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func TestRingIsStoredWhole(t *testing.T) {
	want := rotatedRing(t)
	got, err := token.ParseRing([]byte(stored(t, want)))
	if err != nil {
		t.Fatal(err)
	}
	if !cmp.Equal(got, want, sameRing) {
		t.Errorf("got  %s\nwant %s", stored(t, got), stored(t, want))
	}
	if sign(t, got, supportBot(t)) != sign(t, want, supportBot(t)) {
		t.Error("the ring that was read signs otherwise")
	}
	if !got.Current.ActivatedAt.Equal(want.Current.ActivatedAt) || !got.RotationRequested || len(got.Retired) != 1 {
		t.Errorf("read %+v", got)
	}
}

func TestRetiredKeysAreStoredWithoutTheirPrivateHalf(t *testing.T) {
	var file struct {
		Retired []struct{ PublicKey map[string]any }
	}
	if err := json.Unmarshal([]byte(stored(t, rotatedRing(t))), &file); err != nil {
		t.Fatal(err)
	}
	if _, private := file.Retired[0].PublicKey["d"]; private || len(file.Retired) != 1 {
		t.Error("a retired key is stored with d")
	}
}

func TestTimesAreReadInUTC(t *testing.T) {
	text := strings.ReplaceAll(stored(t, publishedRing(t)), "2026-03-02T12:00:00Z", "2026-03-02T13:00:00+01:00")
	ring, err := token.ParseRing([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	if !cmp.Equal(ring, publishedRing(t), sameRing) {
		t.Error("the same moment in another zone is another ring")
	}
}

func TestParseRingRefuses(t *testing.T) {
	good := stored(t, rotatedRing(t))
	ring := rotatedRing(t)
	change := func(old, replacement string) string {
		t.Helper()
		if !strings.Contains(good, old) {
			t.Fatalf("no %s in the stored ring", old)
		}
		return strings.Replace(good, old, replacement, 1)
	}
	clone := func(edit func(*token.Ring)) string {
		copied := ring
		copied.Retired = append([]token.RetiredKey(nil), ring.Retired...)
		edit(&copied)
		return stored(t, copied)
	}
	private := between(good, `"privateKey":`, `,"createdAt"`)
	public := between(good, `"publicKey":`, `,"retiredAt"`)
	for name, text := range map[string]string{
		"nothing":                   "",
		"no JSON":                   "{",
		"null":                      "null",
		"a list":                    "[]",
		"an empty object":           "{}",
		"more after it":             good + "{}",
		"an unknown field":          change(`{"current"`, `{"version":2,"current"`),
		"an unknown field of a key": change(`"createdAt"`, `"note":"","createdAt"`),
		"another case":              change(`"current"`, `"Current"`),
		"a field twice":             change(`{"current"`, `{"rotationRequested":false,"current"`),
		"d twice":                   change(`"d":`, `"d":"AA","d":`),
		"a time that is none":       change(`"createdAt":"2`, `"createdAt":"x`),
		"no createdAt":              change(`"createdAt":"2026-03-02T12:00:00Z",`, ``),
		"a foreign kid":             change(ring.Current.ID, rfcThumbprint),
		"x of another key":          change(`"x":"`, `"x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo","y":"`),
		"another use":               change(`"use":"sig"`, `"use":"enc"`),
		"another alg":               change(`"alg":"EdDSA"`, `"alg":"ES256"`),
		"a symmetric key":           change(`"kty":"OKP"`, `"k":"AAAA","kty":"oct"`),
		"one key twice":             clone(func(r *token.Ring) { r.Next = r.Current; r.Next.ActivatedAt = time.Time{} }),
		"retired and current":       clone(func(r *token.Ring) { r.Retired[0].ID, r.Retired[0].Public = r.Current.ID, r.Current.Public() }),
		"current not active":        clone(func(r *token.Ring) { r.Current.ActivatedAt = time.Time{} }),
		"next active":               clone(func(r *token.Ring) { r.Next.ActivatedAt = noon }),
		"retired without an end":    clone(func(r *token.Ring) { r.Retired[0].ExpiresAt = time.Time{} }),
		"current without d":         strings.Replace(good, private, public, 1),
		"retired with d":            strings.Replace(good, public, private, 1),
		"too many keys":             tooManyKeys(t, ring),
		"too long":                  good + strings.Repeat(" ", token.MaxRingBytes),
	} {
		t.Run(name, func(t *testing.T) {
			got, err := token.ParseRing([]byte(text))
			if !errors.Is(err, token.ErrRing) {
				t.Fatalf("got %v and %v, want ErrRing", got, err)
			}
			if len(err.Error()) > 120 {
				t.Errorf("%v says too much", err)
			}
		})
	}
}

func TestParseRingErrorsQuoteNothing(t *testing.T) {
	good := stored(t, rotatedRing(t))
	secret := between(good, `"d":"`, `"`)
	for _, text := range []string{
		strings.Replace(good, `"createdAt":"`, `"createdAt":"`+secret, 1),
		strings.Replace(good, `"current"`, `"`+secret+`":1,"current"`, 1),
		strings.Replace(good, `"current":{`, `"current":{"`+secret+`":1,"`+secret+`":1,`, 1),
		secret + good,
	} {
		if _, err := token.ParseRing([]byte(text)); err == nil || strings.Contains(err.Error(), secret[:8]) {
			t.Errorf("%v quotes the ring", err)
		}
	}
}

func tooManyKeys(t testing.TB, ring token.Ring) string {
	t.Helper()
	random := seeded(77)
	for range token.MaxKeys - 1 {
		other, err := token.NewRing(random, noon)
		if err != nil {
			t.Fatal(err)
		}
		ring.Retired = append(ring.Retired, token.RetiredKey{
			ID: other.Current.ID, Public: other.Current.Public(), RetiredAt: noon, ExpiresAt: noon,
		})
	}
	return stored(t, ring)
}

func between(text, before, after string) string {
	_, text, _ = strings.Cut(text, before)
	text, _, _ = strings.Cut(text, after)
	return text
}
