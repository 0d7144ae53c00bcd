package tokens_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"agentpassport.dev/operator/internal/channel/wire"
	"agentpassport.dev/operator/internal/gateway/tokens"
)

// signer signs a new token whenever it is asked.
type signer struct{ asked int }

func (s *signer) Token(_ context.Context, request wire.TokenRequest) (wire.TokenAnswer, error) {
	s.asked++
	return wire.TokenAnswer{Token: fmt.Sprintf("token-%d", s.asked), ExpiresAt: request.ExpiresAt}, nil
}

func TestTokensAreKeptWhileTheyAreOfUse(t *testing.T) {
	dropped := map[string]bool{}
	signs := &signer{}
	cache, err := tokens.New(signs, func(token string) bool { return !dropped[token] })
	if err != nil {
		t.Fatal(err)
	}
	expiry := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	expect := func(what, want string) {
		t.Helper()
		if got, err := cache.Token(t.Context(), "agents", "p", "uid", expiry); err != nil || got.Token != want {
			t.Errorf("%s: got %s, %v; want %s", what, got.Token, err, want)
		}
	}
	expect("at first", "token-1")
	expect("again", "token-1")
	dropped["token-1"] = true
	expect("after its key was dropped", "token-2")
	expect("again", "token-2")
	expiry = expiry.Add(time.Minute)
	expect("after a checkpoint", "token-3")
	cache.Forget("uid")
	expect("after its end", "token-4")
}
