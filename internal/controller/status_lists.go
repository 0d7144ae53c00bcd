package controller

import (
	"bytes"
	"context"
	"fmt"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"agentpassport.dev/operator/api/v1alpha1"
	"agentpassport.dev/operator/internal/lifecycle"
	"agentpassport.dev/operator/internal/token"
)

const (
	// lookEvery is how old what the lists say may be, beside what the cache lags behind.
	lookEvery = time.Second
	// lookTimeout is how long a look at what is stored may take.
	lookTimeout = 5 * time.Second
)

// StatusLists makes the status lists from what is stored: from the passports that there are, and from the
// tombstones of those that are gone. Every replica makes the same ones, and none of them remembers anything.
// It implements token.StatusLists.
type StatusLists struct {
	cached client.Reader
	ended  *endedPassports
	clock  clock.PassiveClock
	keys   *Keyring
	issuer string
	fresh  *Freshness

	mu sync.Mutex
	// lookedAt is when the last look began, and looked or failed is what it gave.
	lookedAt time.Time
	looked   map[listID]token.StatusList
	failed   error
	// signed are the lists as they were last handed out.
	signed map[listID]signedList
}

// signedList is a list as it was last handed out.
type signedList struct {
	bits  token.StatusList
	keyID string
	at    time.Time
	jwt   string
}

// NewStatusLists gives the status lists of all passports that a cache shows. The client reads ConfigMaps live.
func NewStatusLists(cached client.Reader, c client.Client, o Options) *StatusLists {
	return &StatusLists{
		cached: cached, ended: newEndedPassports(c, o), clock: o.Clock, keys: o.Keys, issuer: o.Issuer, fresh: o.Fresh,
		signed: map[listID]signedList{},
	}
}

// List gives the signed list of an epoch by its number, at most a second old in what it says. The error is
// token.ErrNoStatusList where no passport is in it. It fails where the API server does not answer, and where a watch has
// fallen silent: a replica that is cut off must not vouch for what it knew last.
func (s *StatusLists) List(ctx context.Context, epoch, list int64) (string, error) {
	ring, ok := s.keys.Ring()
	if !ok {
		return "", fmt.Errorf("the signing keys are not loaded yet")
	}
	if err := s.fresh.Stale(); err != nil {
		return "", err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.clock.Now()
	if age := now.Sub(s.lookedAt); age < 0 || age >= lookEvery {
		s.look(ctx, now)
	}
	if s.failed != nil {
		return "", s.failed
	}
	id := listID{epoch: epoch, list: list}
	bits, there := s.looked[id]
	if !there {
		return "", fmt.Errorf("list %d of epoch %d: %w", list, epoch, token.ErrNoStatusList)
	}
	return s.sign(id, bits, ring.Signing(), now)
}

// sign gives the token of a list. While nothing changes it is the same one for as long as a verifier keeps it,
// so that caches on the way can say so.
func (s *StatusLists) sign(id listID, bits token.StatusList, key token.Key, now time.Time) (string, error) {
	last, known := s.signed[id]
	age := now.Sub(last.at)
	if known && last.keyID == key.ID && age >= 0 && age < token.StatusListTTL && bytes.Equal(last.bits, bits) {
		return last.jwt, nil
	}
	jwt, err := token.SignStatusList(key, token.StatusListURI(s.issuer, id.epoch, id.list), bits, now)
	if err != nil {
		return "", err
	}
	s.signed[id] = signedList{bits: bits, keyID: key.ID, at: now, jwt: jwt}
	return jwt, nil
}

// look makes all lists anew. The passports come before the tombstones: one that goes meanwhile has left its
// tombstone by then.
func (s *StatusLists) look(ctx context.Context, now time.Time) {
	// What one caller gives up, others wait for.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lookTimeout)
	defer cancel()
	lists := map[listID]token.StatusList{}
	in := func(id listID) token.StatusList {
		if lists[id] == nil {
			lists[id] = token.NewStatusList()
		}
		return lists[id]
	}
	err := s.passports(ctx, now, func(id listID, index int64, invalid bool) {
		if bits := in(id); invalid {
			bits.Invalidate(index)
		}
	})
	if err == nil {
		err = s.ended.each(ctx, func(id listID, bits token.StatusList) { in(id).Merge(bits) })
	}
	s.lookedAt, s.looked, s.failed = now, lists, err
	if err != nil {
		s.looked = nil
		return
	}
	for id := range s.signed {
		if lists[id] == nil {
			delete(s.signed, id)
		}
	}
}

// passports tells of every passport that is in a list whether it is invalid.
func (s *StatusLists) passports(ctx context.Context, now time.Time, tell func(id listID, index int64, invalid bool)) error {
	stopped, err := s.stoppedAgents(ctx)
	if err != nil {
		return err
	}
	var passports v1alpha1.PassportList
	if err := s.cached.List(ctx, &passports, client.UnsafeDisableDeepCopy); err != nil {
		return err
	}
	for i := range passports.Items {
		passport := &passports.Items[i]
		if id, listed := listOf(passport.Status.Issued); listed {
			tell(id, *passport.Status.Issued.StatusList.Index, over(passport, now) || stopped(passport))
		}
	}
	return nil
}

// over says whether a passport has ended, or is to end, whatever its phase says yet. Right after its expiry a
// checkpoint that was made in time may still extend it; until that is settled its exp alone decides.
func over(passport *v1alpha1.Passport, now time.Time) bool {
	return passport.Status.Phase != v1alpha1.PhaseActive || passport.DeletionTimestamp != nil || passport.Spec.Revocation != nil ||
		!now.Before(passport.Status.ExpirationTime.Add(lifecycle.ExpiryGrace))
}

// stoppedAgents gives a function that says whether a passport's agent is blocked or suspended.
func (s *StatusLists) stoppedAgents(ctx context.Context) (func(*v1alpha1.Passport) bool, error) {
	var agents v1alpha1.AgentPassportList
	if err := s.cached.List(ctx, &agents, client.UnsafeDisableDeepCopy); err != nil {
		return nil, err
	}
	suspended := map[types.UID]bool{}
	for i := range agents.Items {
		suspended[agents.Items[i].UID] = agents.Items[i].Spec.Suspend
	}
	var blocking v1alpha1.AgentBlockList
	if err := s.cached.List(ctx, &blocking, client.UnsafeDisableDeepCopy); err != nil {
		return nil, err
	}
	// A block without an agent is for its whole namespace.
	blocked := map[types.NamespacedName]bool{}
	for i := range blocking.Items {
		block := &blocking.Items[i]
		if block.Spec.Lifted != nil {
			continue
		}
		name := ""
		if block.Spec.AgentRef != nil {
			name = block.Spec.AgentRef.Name
		}
		blocked[types.NamespacedName{Namespace: block.Namespace, Name: name}] = true
	}
	return func(passport *v1alpha1.Passport) bool {
		return suspended[passport.Status.Issued.AgentUID] ||
			blocked[types.NamespacedName{Namespace: passport.Namespace}] ||
			blocked[types.NamespacedName{Namespace: passport.Namespace, Name: passport.Spec.AgentRef.Name}]
	}, nil
}
