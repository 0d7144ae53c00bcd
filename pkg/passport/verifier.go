package passport

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"agentpassport.dev/operator/internal/token"
)

// Why a token is refused. No error holds a part of the token.
var (
	// ErrMalformed means that it is no passport at all.
	ErrMalformed = token.ErrMalformed
	// ErrTooLarge means that it is longer than a token may be.
	ErrTooLarge = token.ErrTooLarge
	// ErrType means that it was signed for another purpose.
	ErrType = token.ErrType
	// ErrAlgorithm means that it is not signed with EdDSA.
	ErrAlgorithm = token.ErrAlgorithm
	// ErrUnknownKey means that none of the issuer's keys signed it, also after a fresh look.
	ErrUnknownKey = token.ErrUnknownKey
	// ErrSignature means that the signature does not fit.
	ErrSignature = token.ErrSignature
	// ErrLifetime means that it lives longer than any token may.
	ErrLifetime = token.ErrLifetime
	// ErrIssuer means that another issuer made it.
	ErrIssuer = token.ErrIssuer
	// ErrAudience means that it is meant for others.
	ErrAudience = token.ErrAudience
	// ErrNotYetValid means that its nbf lies ahead.
	ErrNotYetValid = token.ErrNotYetValid
	// ErrExpired means that its exp is reached.
	ErrExpired = token.ErrExpired
	// ErrRevoked means that the passport is over before its exp: revoked, checked out, blocked or deleted.
	ErrRevoked = errors.New("the passport is over: its status list says so")
	// ErrUnavailable means that the keys or the status list cannot be had now. The token may be good.
	ErrUnavailable = errors.New("the token cannot be verified now")
)

// StatusPolicy says what the status lists are to a Verifier.
type StatusPolicy int

const (
	// StatusClosed refuses a passport whose status list cannot be had. It is the default.
	StatusClosed StatusPolicy = iota
	// StatusOpen accepts it.
	StatusOpen
	// StatusOff fetches no list: a passport that is over is accepted until its exp.
	StatusOff
)

// defaultLeeway is how far clocks may differ where nobody says, maxLeeway at most.
const (
	defaultLeeway = 30 * time.Second
	maxLeeway     = time.Minute
)

// Verifier tells of tokens whether they are good passports. Its methods may be called by any goroutine.
type Verifier struct {
	issuer, audience string
	base             string
	leeway           time.Duration
	maxBytes         int
	status           StatusPolicy
	http             *http.Client
	now              func() time.Time

	source func(*Verifier) keySource
	keys   *cached[token.PublicKeys]
	lists  lists
}

// VerifierOption changes a Verifier.
type VerifierOption func(*Verifier)

// WithJWKSURL takes the keys from a URL, instead of asking the issuer where they are.
func WithJWKSURL(jwks string) VerifierOption {
	return func(v *Verifier) { v.source = func(v *Verifier) keySource { return v.fromURL(jwks) } }
}

// WithJWKSFile takes the keys from a file, which is read again every minute, and for a key that is not in it.
func WithJWKSFile(path string) VerifierOption {
	return func(v *Verifier) { v.source = func(*Verifier) keySource { return fromFile(path) } }
}

// WithJWKS takes the keys as they are given. A token of a later key is refused.
func WithJWKS(jwks []byte) VerifierOption {
	return func(v *Verifier) { v.source = func(*Verifier) keySource { return fromBytes(jwks) } }
}

// WithBaseURL fetches what the issuer publishes below another URL than its own, where the issuer's cannot be
// reached from here: a gateway's, or a forwarded port. What is fetched has to be the issuer's all the same.
func WithBaseURL(base string) VerifierOption {
	return func(v *Verifier) { v.base = strings.TrimSuffix(base, "/") }
}

// WithLeeway is how far the clocks of issuer and verifier may differ, a minute at most; 30 s without it.
func WithLeeway(leeway time.Duration) VerifierOption {
	return func(v *Verifier) { v.leeway = leeway }
}

// WithMaxTokenBytes refuses tokens that are longer; 8192 without it, and at most.
func WithMaxTokenBytes(n int) VerifierOption {
	return func(v *Verifier) { v.maxBytes = n }
}

// WithStatus sets what the status lists are to the Verifier; StatusClosed without it.
func WithStatus(policy StatusPolicy) VerifierOption {
	return func(v *Verifier) { v.status = policy }
}

// WithHTTPClient fetches with a client of the caller's, such as one with an authority of its own. Without it
// no redirect is followed. One fetch takes 5 s at most either way.
func WithHTTPClient(client *http.Client) VerifierOption {
	return func(v *Verifier) { v.http = client }
}

// WithClock tells the time by another clock than the system's.
func WithClock(now func() time.Time) VerifierOption {
	return func(v *Verifier) { v.now = now }
}

// NewVerifier gives a Verifier of the passports that an issuer makes for an audience. Both are compared byte
// for byte. It fetches nothing yet. The error says which setting cannot be.
func NewVerifier(issuer, audience string, options ...VerifierOption) (*Verifier, error) {
	v := &Verifier{
		issuer: issuer, audience: audience, leeway: defaultLeeway, maxBytes: token.MaxTokenBytes, http: plainClient(),
		now:    time.Now, //nolint:forbidigo // the default of WithClock: this package takes no clock of Kubernetes'
		source: func(v *Verifier) keySource { return v.fromDiscovery },
	}
	for _, option := range options {
		option(v)
	}
	v.lists.v = v
	v.keys = newKeys(v.now, v.source(v))
	if err := v.check(); err != nil {
		return nil, err
	}
	return v, nil
}

func (v *Verifier) check() error {
	switch {
	case !isURL(v.issuer):
		return fmt.Errorf("issuer %q: want a URL such as https://passports.example.com", v.issuer)
	case v.audience == "":
		return errors.New("the audience is empty: a verifier has a name that tokens are made for")
	case v.base != "" && !isURL(v.base):
		return fmt.Errorf("base URL %q: want one such as https://gateway.example.com", v.base)
	case v.leeway < 0 || v.leeway > maxLeeway:
		return fmt.Errorf("a leeway of %s: 0 to %s", v.leeway, maxLeeway)
	case v.maxBytes < 1 || v.maxBytes > token.MaxTokenBytes:
		return fmt.Errorf("tokens of %d bytes: 1 to %d", v.maxBytes, token.MaxTokenBytes)
	case v.status < StatusClosed || v.status > StatusOff:
		return fmt.Errorf("status policy %d: there is no such", v.status)
	}
	return nil
}

func isURL(text string) bool {
	parsed, err := url.Parse(text)
	return err == nil && parsed.Host != "" && (parsed.Scheme == "https" || parsed.Scheme == "http")
}

// Verify returns the claims of a token that is authentic, current, meant for this audience, and whose passport
// is not over. The error is one of this package's. After ErrUnavailable, and only then, the same token may be
// good a moment later.
func (v *Verifier) Verify(ctx context.Context, raw string) (*Claims, error) {
	if len(raw) > v.maxBytes {
		return nil, ErrTooLarge
	}
	keys, err := v.keys.get(ctx)
	if err != nil {
		return nil, unavailable(err)
	}
	verified, err := token.Verify(raw, keys, v.expectation())
	if errors.Is(err, token.ErrUnknownKey) {
		if keys, err = v.keys.newer(ctx); err != nil {
			return nil, unavailable(err)
		}
		verified, err = token.Verify(raw, keys, v.expectation())
	}
	if err != nil {
		return nil, err
	}
	claims := claimsOf(verified)
	if err := v.stillGood(ctx, claims); err != nil {
		return nil, err
	}
	return claims, nil
}

func (v *Verifier) expectation() token.Expectation {
	return token.Expectation{Issuer: v.issuer, Audience: v.audience, Now: v.now(), Leeway: v.leeway}
}

// stillGood asks the status list, which a passport from before there were any has none of.
func (v *Verifier) stillGood(ctx context.Context, claims *Claims) error {
	if v.status == StatusOff || claims.Status == nil {
		return nil
	}
	over, err := v.lists.over(ctx, *claims.Status)
	switch {
	case err != nil && v.status == StatusOpen && ctx.Err() == nil:
		return nil
	case err != nil:
		return unavailable(err)
	case over:
		return ErrRevoked
	}
	return nil
}

// unavailable has every failure to fetch be an ErrUnavailable.
func unavailable(err error) error {
	if errors.Is(err, ErrUnavailable) {
		return err
	}
	return fmt.Errorf("%w: %w", ErrUnavailable, err)
}

func (v *Verifier) issuerBase() string { return strings.TrimSuffix(v.issuer, "/") }

// located is where a URL of the issuer's is fetched from.
func (v *Verifier) located(uri string) string {
	if path, own := strings.CutPrefix(uri, v.issuerBase()+"/"); own && v.base != "" {
		return v.base + "/" + path
	}
	return uri
}
