package controller

import (
	"slices"
	"sync"

	"agentpassport.dev/operator/internal/token"
)

// Keyring holds the signing keys of this replica, as last read from their Secret. The zero value
// holds none.
type Keyring struct {
	mu        sync.RWMutex
	ring      token.Ring
	loaded    bool
	listeners []func(keysDropped bool)
}

// Ring gives the keys, and whether there are any yet.
func (k *Keyring) Ring() (token.Ring, bool) {
	k.mu.RLock()
	defer k.mu.RUnlock()
	return k.ring, k.loaded
}

// Set takes in the keys as they are stored, and tells listeners where they are the first, or where
// one that verified before does no longer.
func (k *Keyring) Set(ring token.Ring) {
	k.mu.Lock()
	first, before := !k.loaded, k.ring
	k.ring, k.loaded = ring, true
	listeners := k.listeners
	k.mu.Unlock()
	dropped := !first && lost(before, ring)
	if !first && !dropped {
		return
	}
	for _, listener := range listeners {
		listener(dropped)
	}
}

// OnChange adds a listener. It must not block.
func (k *Keyring) OnChange(listener func(keysDropped bool)) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.listeners = append(k.listeners, listener)
}

// lost says whether a key that stood before stands no longer.
func lost(before, after token.Ring) bool {
	stands := func(id string) bool {
		_, ok := after.Key(id)
		return ok
	}
	return !stands(before.Current.ID) || !stands(before.Next.ID) ||
		slices.ContainsFunc(before.Retired, func(key token.RetiredKey) bool { return !stands(key.ID) })
}
