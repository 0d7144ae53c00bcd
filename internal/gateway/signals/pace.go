package signals

import "time"

// burstWindow is the time in which uses of credentials are counted.
const burstWindow = 30 * time.Second

// burst tells of more uses of credentials within 30 seconds than the limit.
type burst struct {
	// uses are the times of the last ones, in nanoseconds, as a ring.
	uses []int64
	next int
}

// add counts one use. Once it tells, it begins anew.
func (b *burst) add(at time.Time, limit int) bool {
	if b.uses == nil {
		b.uses = make([]int64, 0, limit+1)
	}
	if len(b.uses) < limit {
		b.uses = append(b.uses, at.UnixNano())
		return false
	}
	oldest := b.uses[b.next]
	if at.UnixNano()-oldest > int64(burstWindow) {
		b.uses[b.next] = at.UnixNano()
		b.next = (b.next + 1) % limit
		return false
	}
	b.uses, b.next = b.uses[:0], 0
	return true
}

// pace counts the calls of each minute.
type pace struct {
	begun time.Time
	calls int
	// limit of calls a minute that is usual; zero: it is not known.
	limit float64
	told  bool
}

// add counts one call. With the first of each minute it asks what is usual. It tells once a minute.
func (p *pace) add(at time.Time, usual func() float64) bool {
	if p.begun.IsZero() || at.Sub(p.begun) >= time.Minute {
		*p = pace{begun: at, limit: usual()}
	}
	p.calls++
	if p.told || p.limit <= 0 || float64(p.calls) <= p.limit {
		return false
	}
	p.told = true
	return true
}
