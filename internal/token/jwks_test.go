package token_test

import (
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"agentpassport.dev/operator/internal/token"
)

// tester is what a test and a property have in common.
type tester interface {
	Helper()
	Fatal(...any)
	Fatalf(string, ...any)
}

// jwks reads a set without this package.
func jwks(t tester, data []byte) []map[string]string {
	t.Helper()
	var set struct{ Keys []map[string]string }
	if err := json.Unmarshal(data, &set); err != nil {
		t.Fatal(err)
	}
	return set.Keys
}

func kids(t tester, ring token.Ring) []string {
	t.Helper()
	var kids []string
	for _, key := range jwks(t, token.JWKS(ring)) {
		kids = append(kids, key["kid"])
	}
	return kids
}

// mustBePublic holds every key of a set to exactly the members that a published key has.
func mustBePublic(t tester, data []byte) {
	t.Helper()
	for _, key := range jwks(t, data) {
		members := slices.Sorted(maps.Keys(key))
		if !slices.Equal(members, []string{"alg", "crv", "kid", "kty", "use", "x"}) {
			t.Fatalf("a published key has %v", members)
		}
		if key["kty"] != "OKP" || key["crv"] != "Ed25519" || key["alg"] != "EdDSA" || key["use"] != "sig" {
			t.Fatalf("a published key is %v", key)
		}
	}
}

func TestJWKS(t *testing.T) {
	ring := rfcRing(t)
	if got, want := string(token.JWKS(ring)), string(golden(t, "jwks.json")); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	rotated := rotatedRing(t)
	want := []string{rotated.Current.ID, rotated.Next.ID, rotated.Retired[0].ID}
	if diff := cmp.Diff(want, kids(t, rotated)); diff != "" {
		t.Error(diff)
	}
	mustBePublic(t, token.JWKS(rotated))
}

func TestParseJWKS(t *testing.T) {
	ring := rotatedRing(t)
	keys, err := token.ParseJWKS(token.JWKS(ring))
	if err != nil {
		t.Fatal(err)
	}
	if len(keys) != 3 {
		t.Errorf("%d keys", len(keys))
	}
	for kid, public := range keys {
		if want, ok := ring.Key(kid); !ok || !public.Equal(want) {
			t.Errorf("%s is not the ring's", kid)
		}
	}
}

func TestParseJWKSPassesOverOtherKeys(t *testing.T) {
	own := jwks(t, token.JWKS(rfcRing(t)))[0]
	other := func(member, value string) map[string]string {
		key := maps.Clone(own)
		key["kid"] = member + value
		if value == "" {
			delete(key, member)
		} else {
			key[member] = value
		}
		return key
	}
	data, err := json.Marshal(map[string]any{
		"issuer": "someone",
		"keys": []any{
			other("use", "enc"), other("use", ""), other("alg", "Ed448"), other("alg", ""), other("crv", "X25519"),
			map[string]string{"kty": "EC", "crv": "secp256k1", "x": "?", "y": "?", "alg": "ES256K", "use": "sig", "kid": "k1"},
			map[string]string{"kty": "quantum"},
			map[string]string{},
			own,
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	keys, err := token.ParseJWKS(data)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{rfcThumbprint}, slices.Collect(maps.Keys(keys))); diff != "" {
		t.Error(diff)
	}
}

func TestParseJWKSRefuses(t *testing.T) {
	good := string(golden(t, "jwks.json"))
	const d = `"d":"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A",`
	for name, text := range map[string]string{
		"nothing":       "",
		"no JSON":       "{",
		"null":          "null",
		"no keys":       `{}`,
		"keys null":     `{"keys":null}`,
		"keys no list":  `{"keys":{}}`,
		"keys twice":    `{"keys":[],` + good[1:],
		"no object":     `{"keys":[1]}`,
		"a private key": strings.Replace(good, `"x":`, d+`"x":`, 1),
		"no kid":        strings.Replace(good, rfcThumbprint, "", 1),
		"one kid twice": `{"keys":[` + strings.Repeat(good[len(`{"keys":[`):strings.Index(good, "}")+1]+",", 2) + "{}]}",
		"x is short":    strings.Replace(good, `"x":"`, `"x":"AA","z":"`, 1),
		"x is no text":  strings.Replace(good, `"x":"`, `"x":1,"z":"`, 1),
		"too many keys": `{"keys":[` + strings.Repeat("{},", token.MaxJWKSKeys) + "{}]}",
		"too long":      good + strings.Repeat(" ", token.MaxJWKSBytes),
	} {
		t.Run(name, func(t *testing.T) {
			if keys, err := token.ParseJWKS([]byte(text)); !errors.Is(err, token.ErrJWKS) || keys != nil {
				t.Errorf("got %v and %v", keys, err)
			}
		})
	}
}

func TestDiscovery(t *testing.T) {
	got := string(token.Discovery(issuer, token.JWKSURI(issuer)))
	want := `{"issuer":"https://passports.example.com",` +
		`"jwks_uri":"https://passports.example.com/.well-known/jwks.json",` +
		`"response_types_supported":["id_token"],"subject_types_supported":["public"],` +
		`"id_token_signing_alg_values_supported":["EdDSA"]}`
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if uri := token.JWKSURI("https://a.example/tenant/"); uri != "https://a.example/tenant/.well-known/jwks.json" {
		t.Error(uri)
	}
}
