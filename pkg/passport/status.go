package passport

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"agentpassport.dev/operator/internal/token"
)

const (
	// maxLists is how many status lists are kept. Live passports are in a few.
	maxLists = 64
	// listRetry is how long it is between two fetches of one list at least.
	listRetry = time.Second
)

// lists keeps the status lists of an issuer.
type lists struct {
	v *Verifier

	mu   sync.Mutex
	kept map[string]*cached[token.StatusList]
}

// over says whether the entry of a passport is set.
func (l *lists) over(ctx context.Context, entry StatusEntry) (bool, error) {
	// The token is authentic; still, nothing but the issuer's own lists is fetched.
	if !strings.HasPrefix(entry.URI, l.v.issuerBase()+"/") {
		return false, fmt.Errorf("%w: the status list is none of the issuer's", ErrUnavailable)
	}
	list, err := l.of(entry.URI).get(ctx)
	if err != nil {
		return false, err
	}
	return list.Invalid(entry.Index), nil
}

// of gives the cache of one list. Where there are too many, all begin anew.
func (l *lists) of(uri string) *cached[token.StatusList] {
	l.mu.Lock()
	defer l.mu.Unlock()
	if list, known := l.kept[uri]; known {
		return list
	}
	if l.kept == nil || len(l.kept) >= maxLists {
		l.kept = map[string]*cached[token.StatusList]{}
	}
	list := newCached(l.v.now, listRetry, func(ctx context.Context) (held[token.StatusList], error) { return l.fetch(ctx, uri) })
	l.kept[uri] = list
	return list
}

// fetch gets a list and verifies it. It is fresh for its ttl, and serves until its exp.
func (l *lists) fetch(ctx context.Context, uri string) (held[token.StatusList], error) {
	at := l.v.now()
	document, err := get(ctx, l.v.http, l.v.located(uri), token.StatusListMediaType, token.MaxStatusListTokenBytes)
	if err != nil {
		return held[token.StatusList]{}, fmt.Errorf("%w: the status list: %w", ErrUnavailable, err)
	}
	keys, err := l.v.keys.get(ctx)
	if err != nil {
		return held[token.StatusList]{}, err
	}
	signed := string(document.body)
	list, claims, err := token.VerifyStatusList(signed, keys, uri, at, l.v.leeway)
	if errors.Is(err, token.ErrUnknownKey) {
		if keys, err = l.v.keys.newer(ctx); err != nil {
			return held[token.StatusList]{}, err
		}
		list, claims, err = token.VerifyStatusList(signed, keys, uri, at, l.v.leeway)
	}
	if err != nil {
		return held[token.StatusList]{}, fmt.Errorf("%w: the status list: %w", ErrUnavailable, err)
	}
	usable := unix(claims.Expiry)
	fresh := at.Add(seconds(min(claims.TTL, int64(token.StatusListLifetime/time.Second))))
	if usable.Before(fresh) {
		fresh = usable
	}
	return held[token.StatusList]{value: list, fetched: at, fresh: fresh, usable: usable}, nil
}
