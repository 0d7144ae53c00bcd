package token

import (
	"encoding/json"
	"fmt"
	"time"

	exactjson "github.com/go-jose/go-jose/v4/json" // unlike encoding/json: exact names, no member twice
)

const (
	// StatusListType is the typ of a signed status list: the media type application/statuslist+jwt.
	StatusListType = "statuslist+jwt"
	// StatusListMediaType is what one is served as.
	StatusListMediaType = "application/" + StatusListType
	// MaxStatusListTokenBytes is the longest signed list that is made or read: one that does not compress
	// at all is shorter.
	MaxStatusListTokenBytes = 256 << 10
	// StatusListTTL is how long a verifier may keep a list before it asks again.
	StatusListTTL = time.Minute
	// StatusListLifetime is how long a list is good at most.
	StatusListLifetime = 5 * time.Minute
)

// Status is the `status` claim of a passport.
type Status struct {
	// StatusList is the passport's entry in a status list.
	StatusList StatusListEntry `json:"status_list"`
}

// StatusListEntry finds the entry of one passport.
type StatusListEntry struct {
	// Index of the entry, from 0.
	Index int64 `json:"idx"`
	// URI of the list, which is its `sub` too.
	URI string `json:"uri"`
}

// StatusListClaims is the claim set of a signed status list. Times are whole Unix seconds.
type StatusListClaims struct {
	// Subject is the URI of the list.
	Subject string `json:"sub"`
	// IssuedAt is when it was signed, Expiry until when it is good.
	IssuedAt int64 `json:"iat"`
	Expiry   int64 `json:"exp"`
	// TTL is for how many seconds it may be kept before it is fetched again.
	TTL int64 `json:"ttl"`
	// StatusList holds the entries.
	StatusList EncodedStatusList `json:"status_list"`
}

// EncodedStatusList is a list as it stands in its token.
type EncodedStatusList struct {
	// Bits of one entry: 1.
	Bits int64 `json:"bits"`
	// List is the compressed list, see StatusList.Encode.
	List string `json:"lst"`
}

// SignStatusList makes the token of a list at its URI, good for StatusListLifetime. The same key, list
// and second give the same token.
func SignStatusList(key Key, uri string, list StatusList, now time.Time) (string, error) {
	if uri == "" || len(list) == 0 || len(list) > statusListBytes {
		return "", fmt.Errorf("%w: it needs a URI, and 1 to %d entries", ErrStatusList, StatusListSize)
	}
	payload, err := json.Marshal(StatusListClaims{
		Subject: uri, IssuedAt: now.Unix(), Expiry: now.Add(StatusListLifetime).Unix(), TTL: int64(StatusListTTL / time.Second),
		StatusList: EncodedStatusList{Bits: 1, List: list.Encode()},
	})
	if err != nil {
		return "", fmt.Errorf("encode the status list: %w", err)
	}
	return seal(key, StatusListType, payload)
}

// VerifyStatusList returns the list that a token holds, and its claims, where it is authentic, good at
// the time now, and that of the URI. A leeway of a minute is plenty. The error is one of this package's:
// ErrMalformed, ErrAlgorithm, ErrType, ErrUnknownKey, ErrSignature, ErrExpired or
// ErrStatusList.
func VerifyStatusList(token string, keys KeySet, uri string, now time.Time, leeway time.Duration) (StatusList, *StatusListClaims, error) {
	if len(token) > MaxStatusListTokenBytes {
		return nil, nil, fmt.Errorf("%w: it is larger than %d bytes", ErrStatusList, MaxStatusListTokenBytes)
	}
	payload, err := open(token, StatusListType, keys)
	if err != nil {
		return nil, nil, err
	}
	claims := &StatusListClaims{}
	if err = exactjson.Unmarshal(payload, claims); err != nil {
		return nil, nil, fmt.Errorf("%w: the claims are not those of one", ErrStatusList)
	}
	if err = claims.check(uri, now, leeway); err != nil {
		return nil, nil, err
	}
	list, err := DecodeStatusList(claims.StatusList.List)
	if err != nil {
		return nil, nil, err
	}
	return list, claims, nil
}

func (c *StatusListClaims) check(uri string, now time.Time, leeway time.Duration) error {
	switch {
	case c.Subject == "" || c.Subject != uri:
		return fmt.Errorf("%w: it is another list than the one asked for", ErrStatusList)
	case c.IssuedAt <= 0 || c.Expiry <= c.IssuedAt || c.TTL < 0:
		return fmt.Errorf("%w: iat and exp are required, and ttl is no negative number", ErrStatusList)
	case c.StatusList.Bits != 1:
		return fmt.Errorf("%w: bits is not 1", ErrStatusList)
	case now.Add(leeway).Unix() < c.IssuedAt:
		return fmt.Errorf("%w: it is from the future: are the clocks right?", ErrStatusList)
	case now.Add(-leeway).Unix() >= c.Expiry:
		return ErrExpired
	}
	return nil
}
