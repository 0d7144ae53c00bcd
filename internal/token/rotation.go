package token

import (
	"io"
	"slices"
	"time"
)

// Policy is when keys change.
type Policy struct {
	// RotationInterval is how long a key signs.
	RotationInterval time.Duration
	// PublishLead is how long a key is published before it signs: longer than verifiers cache the
	// JWKS (see CacheSeconds).
	PublishLead time.Duration
	// MaxTokenLifetime is how long a token lives at most after it was signed.
	MaxTokenLifetime time.Duration
	// Leeway is what the clocks of verifiers may lag behind, and for how long a replica may go on
	// signing with a key after another has retired it.
	Leeway time.Duration
}

// DefaultPolicy rotates at the given interval and is otherwise what the operator runs with.
func DefaultPolicy(rotationInterval time.Duration) Policy {
	return Policy{
		RotationInterval: rotationInterval,
		PublishLead:      10 * time.Minute,
		MaxTokenLifetime: MaxLifetime,
		Leeway:           2 * time.Minute,
	}
}

// Change is one thing that happened to one key.
type Change struct {
	// Event is what happened.
	Event Event
	// KeyID is the kid of the key.
	KeyID string
}

// Event is what can happen to a key.
type Event string

// A key is created, published, activated, retired and removed, in this order; in an emergency it
// is dropped instead of retired and removed.
const (
	KeyCreated   Event = "Created"
	KeyPublished Event = "Published"
	KeyActivated Event = "Activated"
	KeyRetired   Event = "Retired"
	KeyRemoved   Event = "Removed"
	KeyDropped   Event = "Dropped"
)

// MarkPublished notes that the JWKS of this ring is where verifiers find it. Until a key is so
// marked, no rotation will use it, however long it has been stored.
func MarkPublished(ring Ring, now time.Time) (Ring, []Change) {
	var changes []Change
	for _, key := range []*Key{&ring.Current, &ring.Next} {
		if key.PublishedAt.IsZero() {
			key.PublishedAt = timestamp(now)
			changes = append(changes, Change{KeyPublished, key.ID})
		}
	}
	return ring, changes
}

// RequestRotation makes the next key sign as soon as it has been published for PublishLead: then
// Advance does the rest. No token is cut short by it.
func RequestRotation(ring Ring) Ring {
	ring.RotationRequested = true
	return ring
}

// RotateEmergency drops the current key at once: every token that it signed is refused as soon as
// verifiers fetch the JWKS, and those that are to live must be signed again. The next key signs
// from now on, published long enough or not. Where the stored ring itself may have leaked, the
// next key has leaked with it: rotate twice. It fails only when random does.
func RotateEmergency(ring Ring, random io.Reader, now time.Time) (Ring, []Change, error) {
	return succeed(ring, random, now, KeyDropped)
}

// Advance does what is due: it removes retired keys that have expired, and it rotates when the
// interval is over or a rotation was requested, but not before the next key has been published
// for PublishLead, nor while the ring is full. Doing it twice at the same time changes nothing
// more. Without changes the ring is returned as it was. It fails only when random does.
func Advance(ring Ring, random io.Reader, now time.Time, policy Policy) (Ring, []Change, error) {
	pruned, changes := prune(ring, now)
	due, ok := rotationDue(pruned, policy)
	if !ok || now.Before(due) {
		return pruned, changes, nil
	}
	rotated, rotation, err := succeed(pruned, random, now, KeyRetired)
	if err != nil {
		return ring, nil, err
	}
	retired := RetiredKey{
		ID:        pruned.Current.ID,
		Public:    pruned.Current.Public(),
		RetiredAt: timestamp(now),
		ExpiresAt: timestamp(now.Add(policy.MaxTokenLifetime + policy.Leeway)),
	}
	rotated.Retired = append([]RetiredKey{retired}, pruned.Retired...)
	return rotated, append(changes, rotation...), nil
}

// NextChange is the next time at which Advance has something to do, or now where a key is still
// to be published. It is never before now.
func NextChange(ring Ring, now time.Time, policy Policy) time.Time {
	next, ok := rotationDue(ring, policy)
	if !ok {
		return now
	}
	for _, retired := range ring.Retired {
		next = earlier(next, retired.ExpiresAt)
	}
	return later(next, now)
}

// rotationDue is when the next key is to sign; it is not known until that key is published.
func rotationDue(ring Ring, policy Policy) (time.Time, bool) {
	if ring.Next.PublishedAt.IsZero() {
		return time.Time{}, false
	}
	due := ring.Next.PublishedAt.Add(policy.PublishLead)
	if !ring.RotationRequested {
		due = later(due, ring.Current.ActivatedAt.Add(policy.RotationInterval))
	}
	if len(ring.Retired) >= maxRetired {
		due = later(due, firstExpiry(ring.Retired))
	}
	return due, true
}

// succeed puts the next key in the place of the current one, and a new one in its place.
func succeed(ring Ring, random io.Reader, now time.Time, fate Event) (Ring, []Change, error) {
	fresh, err := newKey(random, now)
	if err != nil {
		return ring, nil, err
	}
	changes := []Change{{fate, ring.Current.ID}, {KeyActivated, ring.Next.ID}, {KeyCreated, fresh.ID}}
	ring.Current, ring.Next, ring.RotationRequested = ring.Next, fresh, false
	ring.Current.ActivatedAt = timestamp(now)
	return ring, changes, nil
}

func prune(ring Ring, now time.Time) (Ring, []Change) {
	var kept []RetiredKey
	var changes []Change
	for _, retired := range ring.Retired {
		if now.Before(retired.ExpiresAt) {
			kept = append(kept, retired)
		} else {
			changes = append(changes, Change{KeyRemoved, retired.ID})
		}
	}
	ring.Retired = kept
	return ring, changes
}

func firstExpiry(keys []RetiredKey) time.Time {
	return slices.MinFunc(keys, func(a, b RetiredKey) int { return a.ExpiresAt.Compare(b.ExpiresAt) }).ExpiresAt
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
