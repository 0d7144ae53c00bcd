package judge

import (
	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/time/rate"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"

	"agentpassport.dev/operator/internal/gateway/decision"
)

// LimitOptions bound how often one may ask. A rate of 0 is no limit.
type LimitOptions struct {
	// PassportRate is how many calls a second one passport may make, PassportBurst how many at once.
	PassportRate  float64
	PassportBurst int
	// ClientRate is how many calls a second may come from one address, ClientBurst how many at once.
	ClientRate  float64
	ClientBurst int
}

// maxLimited is how many passports, and how many addresses, are remembered: those that were seen last.
const maxLimited = 1 << 16

// RateLimits are token buckets, one for each passport and one for each address.
type RateLimits struct {
	options   LimitOptions
	clock     clock.PassiveClock
	passports *lru.Cache[types.UID, *rate.Limiter]
	clients   *lru.Cache[string, *rate.Limiter]
}

// NewRateLimits makes them.
func NewRateLimits(options LimitOptions, now clock.PassiveClock) (*RateLimits, error) {
	passports, err := lru.New[types.UID, *rate.Limiter](maxLimited)
	if err != nil {
		return nil, err
	}
	clients, err := lru.New[string, *rate.Limiter](maxLimited)
	if err != nil {
		return nil, err
	}
	return &RateLimits{options: options, clock: now, passports: passports, clients: clients}, nil
}

// Client implements Limits.
func (l *RateLimits) Client(source string) bool {
	return l.options.ClientRate == 0 ||
		bucket(l.clients, source, l.options.ClientRate, l.options.ClientBurst).AllowN(l.clock.Now(), 1)
}

// Passport implements Limits.
func (l *RateLimits) Passport(standing *decision.Standing) bool {
	return l.options.PassportRate == 0 ||
		bucket(l.passports, standing.UID, l.options.PassportRate, l.options.PassportBurst).AllowN(l.clock.Now(), 1)
}

func bucket[K comparable](of *lru.Cache[K, *rate.Limiter], key K, perSecond float64, burst int) *rate.Limiter {
	if found, ok := of.Get(key); ok {
		return found
	}
	made := rate.NewLimiter(rate.Limit(perSecond), max(burst, 1))
	if found, ok, _ := of.PeekOrAdd(key, made); ok {
		return found
	}
	return made
}
