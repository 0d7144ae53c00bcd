package token_test

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"agentpassport.dev/operator/internal/token"
)

func TestNewRing(t *testing.T) {
	ring, err := token.NewRing(seeded(1), noon)
	if err != nil {
		t.Fatal(err)
	}
	if ring.Current.ID == ring.Next.ID {
		t.Error("current and next are one key")
	}
	if !ring.Current.ActivatedAt.Equal(noon) || !ring.Next.ActivatedAt.IsZero() {
		t.Error("the current key is active, and no other")
	}
	if ring.Signing().ID != ring.Current.ID {
		t.Error("the current key signs")
	}
	for _, key := range []token.Key{ring.Current, ring.Next} {
		if public, ok := ring.Key(key.ID); !ok || !public.Equal(key.Public()) {
			t.Errorf("%s is not found", key)
		}
	}
	if _, ok := ring.Key(""); ok {
		t.Error("found a key without a kid")
	}
}

func TestNoRandomnessNoRing(t *testing.T) {
	if _, err := token.NewRing(iotest.ErrReader(io.ErrClosedPipe), noon); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("got %v", err)
	}
	if _, err := token.NewRing(strings.NewReader("too short to be a key"), noon); err == nil {
		t.Error("made a key of too few bytes")
	}
}

// TestPrivateKeysAreNotPrinted prints a ring in every way that a careless log line could.
func TestPrivateKeysAreNotPrinted(t *testing.T) {
	ring := rfcRing(t)
	seed, err := hex.DecodeString(rfcSeed)
	if err != nil {
		t.Fatal(err)
	}
	var printed strings.Builder
	for _, value := range []any{ring, &ring, ring.Current, &ring.Current, []token.Key{ring.Next}} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d"} {
			_, _ = fmt.Fprintf(&printed, verb+"\n", value)
		}
		marshalled, err := json.Marshal(value)
		if err != nil {
			t.Fatal(err)
		}
		printed.Write(marshalled)
	}
	for _, secret := range []string{
		rfcSeed, strings.ToUpper(rfcSeed),
		base64.StdEncoding.EncodeToString(seed)[:40], base64.RawURLEncoding.EncodeToString(seed),
		strings.Trim(fmt.Sprintf("%d", seed[:8]), "[]"), "0x9d, 0x61",
	} {
		if strings.Contains(printed.String(), secret) {
			t.Errorf("%s is printed", secret)
		}
	}
	if !strings.Contains(printed.String(), rfcThumbprint) {
		t.Error("the kid is not printed")
	}
}

func TestZeroRingHasNoKeys(t *testing.T) {
	if public := (token.Key{}).Public(); public != nil {
		t.Errorf("the zero key has the public half %x", public)
	}
}
