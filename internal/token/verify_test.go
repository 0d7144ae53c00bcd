package token_test

import (
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"agentpassport.dev/operator/internal/token"
)

// gateway is what a verifier in the middle of the mission expects.
func gateway() token.Expectation {
	return token.Expectation{Issuer: issuer, Audience: audience, Now: noon.Add(time.Minute)}
}

func TestVerifyReturnsTheClaims(t *testing.T) {
	ring := rfcRing(t)
	want := supportBot(t)
	got, err := token.Verify(sign(t, ring, want), ring, gateway())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
		t.Error(diff)
	}
}

func TestVerifyExpectation(t *testing.T) {
	ring := rfcRing(t)
	signed := sign(t, ring, supportBot(t))
	expiry := noon.Add(5 * time.Minute)
	for name, test := range map[string]struct {
		change func(*token.Expectation)
		want   error
	}{
		"as it is":                   {func(*token.Expectation) {}, nil},
		"another issuer":             {func(e *token.Expectation) { e.Issuer = issuer + "/" }, token.ErrIssuer},
		"no issuer":                  {func(e *token.Expectation) { e.Issuer = "" }, token.ErrIssuer},
		"another audience":           {func(e *token.Expectation) { e.Audience = "other" }, token.ErrAudience},
		"no audience":                {func(e *token.Expectation) { e.Audience = "" }, token.ErrAudience},
		"ten seconds early":          {func(e *token.Expectation) { e.Now = noon.Add(-10 * time.Second) }, nil},
		"eleven seconds early":       {func(e *token.Expectation) { e.Now = noon.Add(-11 * time.Second) }, token.ErrNotYetValid},
		"early within the leeway":    {func(e *token.Expectation) { e.Now, e.Leeway = noon.Add(-40*time.Second), 30*time.Second }, nil},
		"early beyond the leeway":    {func(e *token.Expectation) { e.Now, e.Leeway = noon.Add(-41*time.Second), 30*time.Second }, token.ErrNotYetValid},
		"a moment before the expiry": {func(e *token.Expectation) { e.Now = expiry.Add(-time.Nanosecond) }, nil},
		"at the expiry":              {func(e *token.Expectation) { e.Now = expiry }, token.ErrExpired},
		"late within the leeway":     {func(e *token.Expectation) { e.Now, e.Leeway = expiry.Add(29*time.Second), 30*time.Second }, nil},
		"late beyond the leeway":     {func(e *token.Expectation) { e.Now, e.Leeway = expiry.Add(30*time.Second), 30*time.Second }, token.ErrExpired},
		"no time":                    {func(e *token.Expectation) { e.Now = time.Time{} }, token.ErrNotYetValid},
	} {
		t.Run(name, func(t *testing.T) {
			want := gateway()
			test.change(&want)
			claims, err := token.Verify(signed, ring, want)
			if !errors.Is(err, test.want) {
				t.Errorf("got %v, want %v", err, test.want)
			}
			if (claims == nil) == (err == nil) {
				t.Error("claims and error, or neither")
			}
		})
	}
}

func TestVerifySignatureTakesAnyTime(t *testing.T) {
	ring := rfcRing(t)
	claims := supportBot(t)
	claims.SetTimes(noon.AddDate(-10, 0, 0), noon.AddDate(-10, 0, 0), noon.AddDate(-10, 0, 0).Add(time.Minute))
	if _, err := token.VerifySignature(sign(t, ring, claims), ring); err != nil {
		t.Error(err)
	}
}

// TestVerifyRefusesForgeries signs what Sign never would, with the right key.
func TestVerifyRefusesForgeries(t *testing.T) {
	const goodHeader = `{"alg":"EdDSA","kid":"` + rfcThumbprint + `","typ":"passport+jwt"}`
	header := func(more string) string { return goodHeader[:len(goodHeader)-1] + "," + more + "}" }
	goodClaims := string(golden(t, "claims.json"))
	claims := func(old, replacement string) string {
		t.Helper()
		if !strings.Contains(goodClaims, old) {
			t.Fatalf("no %s in the claims", old)
		}
		return strings.Replace(goodClaims, old, replacement, 1)
	}
	for name, test := range map[string]struct {
		header, claims string
		want           error
	}{
		"nothing wrong":     {goodHeader, goodClaims, nil},
		"no type":           {`{"alg":"EdDSA","kid":"` + rfcThumbprint + `"}`, goodClaims, token.ErrType},
		"a service account": {`{"alg":"EdDSA","kid":"` + rfcThumbprint + `","typ":"JWT"}`, goodClaims, token.ErrType},
		"a status list":     {`{"alg":"EdDSA","kid":"` + rfcThumbprint + `","typ":"statuslist+jwt"}`, goodClaims, token.ErrType},
		"type is a list":    {`{"alg":"EdDSA","kid":"` + rfcThumbprint + `","typ":["passport+jwt"]}`, goodClaims, token.ErrType},
		"none":              {strings.Replace(goodHeader, "EdDSA", "none", 1), goodClaims, token.ErrAlgorithm},
		"RS256":             {strings.Replace(goodHeader, "EdDSA", "RS256", 1), goodClaims, token.ErrAlgorithm},
		"Ed25519":           {strings.Replace(goodHeader, "EdDSA", "Ed25519", 1), goodClaims, token.ErrAlgorithm},
		"no algorithm":      {`{"kid":"` + rfcThumbprint + `","typ":"passport+jwt"}`, goodClaims, token.ErrAlgorithm},
		"no kid":            {`{"alg":"EdDSA","typ":"passport+jwt"}`, goodClaims, token.ErrMalformed},
		"empty kid":         {`{"alg":"EdDSA","kid":"","typ":"passport+jwt"}`, goodClaims, token.ErrUnknownKey},
		"unknown kid":       {`{"alg":"EdDSA","kid":"x","typ":"passport+jwt"}`, goodClaims, token.ErrUnknownKey},
		"kid twice":         {header(`"kid":"` + rfcThumbprint + `"`), goodClaims, token.ErrMalformed},
		"crit unknown":      {header(`"crit":["exp"],"exp":1`), goodClaims, token.ErrMalformed},
		"crit b64":          {header(`"b64":true,"crit":["b64"]`), goodClaims, token.ErrMalformed},
		"b64":               {header(`"b64":false`), goodClaims, token.ErrMalformed},
		"jku":               {header(`"jku":"https://evil.example"`), goodClaims, token.ErrMalformed},
		"jwk":               {header(`"jwk":{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}`), goodClaims, token.ErrMalformed},
		"x5c":               {header(`"x5c":[]`), goodClaims, token.ErrMalformed},
		"x5u":               {header(`"x5u":"https://evil.example"`), goodClaims, token.ErrMalformed},
		"a space":           {strings.Replace(goodHeader, `":"`, `": "`, 1), goodClaims, token.ErrMalformed},
		"header no object":  {`[]`, goodClaims, token.ErrMalformed},
		"claims no object":  {goodHeader, `[]`, token.ErrMalformed},
		"claims no JSON":    {goodHeader, goodClaims[1:], token.ErrMalformed},
		"claims and more":   {goodHeader, goodClaims + "{}", token.ErrMalformed},
		"no claims":         {goodHeader, `{}`, token.ErrMalformed},
		"iss twice":         {goodHeader, claims(`{"iss"`, `{"iss":"`+issuer+`","iss"`), token.ErrMalformed},
		"scopes twice":      {goodHeader, claims(`"scopes"`, `"scopes":["admin"],"scopes"`), token.ErrMalformed},
		"EXP for exp":       {goodHeader, claims(`"exp"`, `"EXP"`), token.ErrMalformed},
		"exp is a string":   {goodHeader, claims(`"exp":`, `"exp":"1","x":`), token.ErrMalformed},
		"exp is a fraction": {goodHeader, claims(`"exp":`, `"exp":1.5,"x":`), token.ErrMalformed},
		"exp is too large":  {goodHeader, claims(`"exp":`, `"exp":9223372036854775808,"x":`), token.ErrMalformed},
		"exp is negative":   {goodHeader, claims(`"exp":`, `"exp":-1,"x":`), token.ErrMalformed},
		"exp is far off":    {goodHeader, claims(`"exp":`, `"exp":9223372036854775807,"x":`), token.ErrLifetime},
		"aud is a string":   {goodHeader, claims(`["`+audience+`"]`, `"`+audience+`"`), token.ErrMalformed},
		"aud is empty":      {goodHeader, claims(`["`+audience+`"]`, `[]`), token.ErrMalformed},
		"aud is null":       {goodHeader, claims(`["`+audience+`"]`, `null`), token.ErrMalformed},
		"value is a number": {goodHeader, claims(`"value":"/api/v2/"`, `"value":7`), token.ErrMalformed},
		"an unknown claim":  {goodHeader, claims(`{"iss"`, `{"cnf":{"jkt":"x"},"iss"`), nil},
		"status is nowhere": {goodHeader, claims(`{"iss"`, `{"status":{"status_list":{"idx":1}},"iss"`), token.ErrMalformed},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := token.Verify(forge(t, test.header, test.claims), rfcRing(t), gateway())
			if !errors.Is(err, test.want) {
				t.Errorf("got %v, want %v", err, test.want)
			}
		})
	}
}

func TestVerifyRefusesWhatIsNoToken(t *testing.T) {
	ring := rfcRing(t)
	good := sign(t, ring, supportBot(t))
	parts := strings.Split(good, ".")
	unsigned := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none"}`)) + "." + parts[1] + "."
	for name, test := range map[string]struct {
		token string
		want  error
	}{
		"empty":               {"", token.ErrMalformed},
		"dots":                {"..", token.ErrAlgorithm},
		"many dots":           {strings.Repeat(".", token.MaxTokenBytes), token.ErrMalformed},
		"too large":           {strings.Repeat(".", token.MaxTokenBytes+1), token.ErrTooLarge},
		"large and authentic": {good + strings.Repeat("A", token.MaxTokenBytes), token.ErrTooLarge},
		"JSON serialisation":  {`{"payload":"` + parts[1] + `","protected":"` + parts[0] + `","signature":"` + parts[2] + `"}`, token.ErrMalformed},
		"a space before":      {" " + good, token.ErrMalformed},
		"a newline after":     {good + "\n", token.ErrMalformed},
		"a newline within":    {good[:len(good)-4] + "\r\n" + good[len(good)-4:], token.ErrMalformed},
		"padded":              {good + "==", token.ErrMalformed},
		"four parts":          {good + ".x", token.ErrMalformed},
		"unsigned":            {unsigned, token.ErrAlgorithm},
		"no signature":        {parts[0] + "." + parts[1] + ".", token.ErrSignature},
		"another signature":   {parts[0] + "." + parts[1] + "." + strings.Repeat("A", 86), token.ErrSignature},
		"HMAC of the key":     {hmacToken(t, parts[1]), token.ErrAlgorithm},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := token.Verify(test.token, ring, gateway()); !errors.Is(err, test.want) {
				t.Errorf("got %v, want %v", err, test.want)
			}
		})
	}
}

func TestVerifyRefusesAForeignKey(t *testing.T) {
	foreign, err := token.NewRing(seeded(1), noon)
	if err != nil {
		t.Fatal(err)
	}
	signed := sign(t, foreign, supportBot(t))
	if _, err := token.Verify(signed, rfcRing(t), gateway()); !errors.Is(err, token.ErrUnknownKey) {
		t.Errorf("got %v", err)
	}
	// Another key under the same kid, as an attacker would have it.
	keys := token.PublicKeys{foreign.Current.ID: rfcRing(t).Current.Public()}
	if _, err := token.Verify(signed, keys, gateway()); !errors.Is(err, token.ErrSignature) {
		t.Errorf("got %v", err)
	}
}

func TestRoundTrip(t *testing.T) {
	ring := rfcRing(t)
	keys, err := token.ParseJWKS(token.JWKS(ring))
	if err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(t *rapid.T) {
		want := drawClaims(t)
		signed, err := token.Sign(ring.Signing(), want)
		if err != nil {
			t.Fatal(err)
		}
		got, err := token.Verify(signed, keys, token.Expectation{
			Issuer: issuer, Audience: audience, Now: time.Unix(want.IssuedAt, 0),
		})
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
			t.Fatal(diff)
		}
	})
}

func TestAnyOtherByteIsRefused(t *testing.T) {
	ring := rfcRing(t)
	good := sign(t, ring, supportBot(t))
	rapid.Check(t, func(t *rapid.T) {
		changed := []byte(good)
		changed[rapid.IntRange(0, len(good)-1).Draw(t, "at")] ^= rapid.ByteMin(1).Draw(t, "flip")
		if _, err := token.VerifySignature(string(changed), ring); err == nil {
			t.Fatal("accepted")
		}
	})
	// The last character has four bits that no byte needs: there flips are easiest to miss.
	for flip := 1; flip < 256; flip++ {
		changed := good[:len(good)-1] + string([]byte{good[len(good)-1] ^ byte(flip)})
		if _, err := token.VerifySignature(changed, ring); err == nil {
			t.Errorf("accepted with the last byte changed by %#x", flip)
		}
	}
}

func TestErrorsHoldNothingOfTheToken(t *testing.T) {
	ring := rfcRing(t)
	good := sign(t, ring, supportBot(t))
	rapid.Check(t, func(t *rapid.T) {
		changed := []byte(good)
		changed[rapid.IntRange(0, len(good)-1).Draw(t, "at")] ^= rapid.ByteMin(1).Draw(t, "flip")
		_, err := token.Verify(string(changed), ring, gateway())
		if err == nil {
			t.Fatal("accepted")
		}
		for i := 0; i+12 <= len(changed); i++ {
			if strings.Contains(err.Error(), string(changed[i:i+12])) {
				t.Fatalf("%v quotes the token", err)
			}
		}
	})
}

// forge signs any header and claims with the key of RFC 8037.
func forge(t *testing.T, header, claims string) string {
	t.Helper()
	seed, err := hex.DecodeString(rfcSeed)
	if err != nil {
		t.Fatal(err)
	}
	input := base64.RawURLEncoding.EncodeToString([]byte(header)) + "." +
		base64.RawURLEncoding.EncodeToString([]byte(claims))
	signature := ed25519.Sign(ed25519.NewKeyFromSeed(seed), []byte(input))
	return input + "." + base64.RawURLEncoding.EncodeToString(signature)
}

// hmacToken is the classic confusion: the public key used as the secret of an HMAC.
func hmacToken(t *testing.T, payload string) string {
	t.Helper()
	header, err := json.Marshal(map[string]string{"alg": "HS256", "kid": rfcThumbprint, "typ": token.Type})
	if err != nil {
		t.Fatal(err)
	}
	input := base64.RawURLEncoding.EncodeToString(header) + "." + payload
	mac := hmac.New(sha256.New, rfcRing(t).Current.Public())
	mac.Write([]byte(input))
	return input + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}
