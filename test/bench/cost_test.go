package bench

import (
	"context"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/procfs"
)

// cost is CPU time in seconds, by program. Unlike a rate, it hardly depends on what else a machine does.
type cost map[string]float64

// spent gives what this process and those that it started have cost so far. It is empty where there is
// no /proc.
func spent() cost {
	all, err := procfs.AllProcs()
	if err != nil {
		return nil
	}
	programs := cost{}
	for _, process := range all {
		stat, err := process.Stat()
		switch {
		case err != nil: // gone
		case stat.PID == os.Getpid():
			programs["client"] += stat.CPUTime()
		case stat.PPID == os.Getpid():
			programs[stat.Comm] += stat.CPUTime()
		}
	}
	return programs
}

// quiet waits until programs that this process started have hardly cost anything for a second.
func quiet(ctx context.Context, programs ...string) error {
	const most = 0.05 // seconds of CPU
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for before := spent(); ; {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("wait until %v are quiet: %w", programs, ctx.Err())
		}
		now, busy := spent(), 0.0
		for _, program := range programs {
			busy += now[program] - before[program]
		}
		if busy < most {
			return nil
		}
		before = now
	}
}

// each is the cost of one of n passports since an earlier count.
func (c cost) each(n int, before cost) cost {
	each := cost{}
	for program, seconds := range c {
		each[program] = (seconds - before[program]) / float64(n)
	}
	return each
}

func (c cost) total() (seconds float64) {
	for _, program := range c {
		seconds += program
	}
	return seconds
}

// String implements fmt.Stringer.
func (c cost) String() string {
	var parts []string
	for _, program := range slices.Sorted(maps.Keys(c)) {
		parts = append(parts, fmt.Sprintf("%s %.1f", program, c[program]*1000))
	}
	return strings.Join(parts, ", ")
}
