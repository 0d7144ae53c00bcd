package controller

import (
	"context"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"agentpassport.dev/operator/api/v1alpha1"
	"agentpassport.dev/operator/internal/channel/wire"
	"agentpassport.dev/operator/internal/token"
)

// TokenService signs the tokens of passports for gateways, on every replica. Claims come wholly from stored
// state: every replica gives the bytes that the token Secret holds, while the same key signs.
type TokenService struct {
	// Cached and Live read Passports.
	Cached, Live client.Reader
	// Clock is the API server's.
	Clock clock.PassiveClock
	// Keys of this replica.
	Keys *Keyring
}

// Token gives the token of an Active passport. What the cache shows is believed where it is the passport
// that is meant, alive, and as new as the asker's own view; everything else is read live.
func (s *TokenService) Token(ctx context.Context, request wire.TokenRequest) (wire.TokenAnswer, error) {
	ring, loaded := s.Keys.Ring()
	if !loaded {
		return wire.TokenAnswer{}, &wire.Error{Code: wire.Unavailable, Message: "this manager has no signing keys yet"}
	}
	passport, err := s.passport(ctx, request)
	if err != nil {
		return wire.TokenAnswer{}, err
	}
	claims, err := claimsOf(passport)
	if err != nil {
		return wire.TokenAnswer{}, err
	}
	signed, err := token.Sign(ring.Signing(), claims)
	return wire.TokenAnswer{Token: signed, ExpiresAt: passport.Status.ExpirationTime.UTC()}, err
}

func (s *TokenService) passport(ctx context.Context, request wire.TokenRequest) (*v1alpha1.Passport, error) {
	now := s.Clock.Now()
	cached, err := find[v1alpha1.Passport](ctx, s.Cached, request.Namespace, request.Name)
	if err == nil && cached != nil && cached.UID == types.UID(request.UID) && hasToken(cached, now) &&
		!cached.Status.ExpirationTime.Time.Before(request.ExpiresAt) {
		return cached, nil
	}
	stored, err := find[v1alpha1.Passport](ctx, s.Live, request.Namespace, request.Name)
	switch {
	case err != nil:
		return nil, err
	case stored == nil || stored.UID != types.UID(request.UID):
		return nil, &wire.Error{Code: wire.NotFound, Message: "there is no Passport of this name and UID"}
	case !hasToken(stored, now):
		return nil, &wire.Error{Code: wire.NotActive, Message: "the Passport has no token: its phase is " + phaseOf(stored, now)}
	}
	return stored, nil
}

// hasToken says whether a passport gets a token: it is Active, within its expiry, and nobody has asked for
// its end.
func hasToken(passport *v1alpha1.Passport, now time.Time) bool {
	return passport.Status.Phase == v1alpha1.PhaseActive && passport.Status.Issued != nil &&
		passport.DeletionTimestamp == nil && passport.Spec.Revocation == nil && now.Before(passport.Status.ExpirationTime.Time)
}

func phaseOf(passport *v1alpha1.Passport, now time.Time) string {
	switch phase := passport.Status.Phase; {
	case phase == "":
		return string(v1alpha1.PhasePending)
	case phase != v1alpha1.PhaseActive:
		return string(phase)
	case !now.Before(passport.Status.ExpirationTime.Time):
		return "Active, and its expiry is past"
	default:
		return "Active, and its end is asked for"
	}
}
