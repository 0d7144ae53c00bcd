package signature_test

import (
	"bytes"
	"encoding/json"
	"math/rand/v2"
	"testing"
	"time"

	"pgregory.net/rapid"

	"agentpassport.dev/operator/api/v1alpha1"
	"agentpassport.dev/operator/internal/signature"
	"agentpassport.dev/operator/internal/token"
)

// values draws a JSON value of some depth.
func values(depth int) *rapid.Generator[any] {
	leaves := rapid.OneOf(
		rapid.Custom(func(t *rapid.T) any { return rapid.String().Draw(t, "text") }),
		rapid.Custom(func(t *rapid.T) any { return float64(rapid.IntRange(-1e6, 1e6).Draw(t, "number")) / 8 }),
		rapid.Custom(func(t *rapid.T) any { return rapid.Bool().Draw(t, "bool") }),
		rapid.Just[any](nil),
	)
	if depth == 0 {
		return leaves
	}
	return rapid.OneOf(leaves,
		rapid.Custom(func(t *rapid.T) any { return rapid.SliceOfN(values(depth-1), 0, 3).Draw(t, "list") }),
		rapid.Custom(func(t *rapid.T) any { return members(depth).Draw(t, "object") }))
}

func members(depth int) *rapid.Generator[map[string]any] {
	return rapid.MapOfN(rapid.String(), values(depth-1), 1, 4)
}

// shuffled writes a value with its members in another order, and white space between.
func shuffled(t *rapid.T, order *rand.Rand, value any) []byte {
	write := func(value any) []byte {
		raw, err := json.Marshal(value)
		if err != nil {
			t.Fatal(err)
		}
		return raw
	}
	var out bytes.Buffer
	switch value := value.(type) {
	case map[string]any:
		names := make([]string, 0, len(value))
		for name := range value {
			names = append(names, name)
		}
		order.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
		out.WriteString(" {\n")
		for i, name := range names {
			if i > 0 {
				out.WriteString(" ,\t")
			}
			out.Write(write(name))
			out.WriteString("\r\n: ")
			out.Write(shuffled(t, order, value[name]))
		}
		out.WriteString("} ")
	case []any:
		out.WriteString("[")
		for i, item := range value {
			if i > 0 {
				out.WriteString(", ")
			}
			out.Write(shuffled(t, order, item))
		}
		out.WriteString("]")
	default:
		out.Write(write(value))
	}
	return out.Bytes()
}

// Members in another order, and other white space, are the same document; any other byte of its canonical form is
// another one.
func TestTheCanonicalFormIsWhatIsSigned(t *testing.T) {
	keys := []v1alpha1.VendorKey{vendorKey(t, "acme", vendor, rfcKey(t))}
	key := rfcKey(t)
	rapid.Check(t, func(t *rapid.T) {
		document := members(3).Draw(t, "document")
		raw, err := json.Marshal(document)
		if err != nil {
			t.Fatal(err)
		}
		jws, err := signature.Sign(raw, key)
		if err != nil {
			t.Fatal(err)
		}
		order := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0))
		if got := signature.Verify(shuffled(t, order, document), jws, vendor, keys, now); !got.Verified {
			t.Fatalf("%s: %+v", raw, got)
		}
		canonical, err := token.CanonicalJSON(raw)
		if err != nil {
			t.Fatal(err)
		}
		changed := bytes.Clone(canonical)
		changed[rapid.IntRange(0, len(changed)-1).Draw(t, "at")] ^= rapid.ByteRange(1, 255).Draw(t, "flip")
		again, err := token.CanonicalJSON(changed)
		if err == nil && bytes.Equal(again, canonical) {
			t.Skip("the same document in other bytes")
		}
		if got := signature.Verify(changed, jws, vendor, keys, now); got.Reason != v1alpha1.ReasonSignatureInvalid {
			t.Fatalf("%s: %+v", changed, got)
		}
	})
}

// Nothing but a good mention verifies, and a revocation ends it, in whatever order the VendorKeys come; and until
// Until the result stays what it is.
func TestRevocationWins(t *testing.T) {
	const hours = 6
	jws := sign(t, document, rfcKey(t))
	rapid.Check(t, func(r *rapid.T) {
		var keys []v1alpha1.VendorKey
		anyRevoked := false
		for i := range rapid.IntRange(0, 4).Draw(r, "keys") {
			var changes []change
			if begins := rapid.IntRange(-hours, hours).Draw(r, "from"); begins > -hours {
				changes = append(changes, from(now.Add(time.Duration(begins)*time.Hour)))
			}
			if ends := rapid.IntRange(-hours, hours).Draw(r, "until"); ends < hours {
				changes = append(changes, until(now.Add(time.Duration(ends)*time.Hour)))
			}
			if rapid.IntRange(0, 5).Draw(r, "revoked") == 0 {
				changes, anyRevoked = append(changes, revoked), true
			}
			keys = append(keys, vendorKey(t, string(rune('a'+i)), vendor, rfcKey(t), changes...))
		}
		got := signature.Verify([]byte(document), jws, vendor, keys, now)
		if got.Verified && anyRevoked || anyRevoked != (got.Reason == v1alpha1.ReasonKeyRevoked) {
			r.Fatalf("%+v", got)
		}
		for i := range 2 * hours {
			later := now.Add(time.Duration(i) * 30 * time.Minute)
			if !got.Until.IsZero() && !later.Before(got.Until) {
				break
			}
			if then := signature.Verify([]byte(document), jws, vendor, keys, later); then.Verified != got.Verified || then.Reason != got.Reason {
				r.Fatalf("at %s %+v, before %+v", later, then, got)
			}
		}
	})
}
