package lifecycle

import (
	"fmt"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"agentpassport.dev/operator/api/v1alpha1"
)

func TestFirstExpiry(t *testing.T) {
	for _, tc := range []struct {
		mode          v1alpha1.AccountabilityMode
		ttl, interval int32
		limit, want   int
	}{
		{v1alpha1.ModeEnforced, 900, 300, 86400, 300},
		{v1alpha1.ModeEnforced, 60, 300, 86400, 60},
		{v1alpha1.ModeEnforced, 300, 300, 86400, 300},
		{v1alpha1.ModeEnforced, 900, 300, 300, 300},
		{v1alpha1.ModeEnforced, 900, 300, 299, 299},
		{v1alpha1.ModeEnforced, 3600, 3600, 60, 60},
		{v1alpha1.ModeLogged, 900, 300, 86400, 900},
		{v1alpha1.ModeLogged, 900, 300, 400, 400},
		{v1alpha1.ModeLogged, 60, 300, 86400, 60},
		{v1alpha1.ModeStandard, 900, 0, 86400, 900},
		{v1alpha1.ModeStandard, 900, 0, 60, 60},
	} {
		t.Run(fmt.Sprintf("%s ttl %d interval %d limit %d", tc.mode, tc.ttl, tc.interval, tc.limit), func(t *testing.T) {
			if got := firstExpiry(leash(tc.mode, tc.ttl, tc.interval, tc.limit), noon); !got.Equal(after(tc.want)) {
				t.Errorf("%v, want %v", got, after(tc.want))
			}
		})
	}
}

func TestExtended(t *testing.T) {
	for name, tc := range map[string]struct {
		mode                    v1alpha1.AccountabilityMode
		limit, expiry, at, want int
	}{
		"one interval after the checkpoint":          {v1alpha1.ModeEnforced, 86400, 300, 200, 500},
		"at the very expiry":                         {v1alpha1.ModeEnforced, 86400, 300, 300, 600},
		"in the second of the issue":                 {v1alpha1.ModeEnforced, 86400, 300, 0, 300},
		"an earlier one that is seen later, no move": {v1alpha1.ModeEnforced, 86400, 500, 100, 500},
		"a second before the limit":                  {v1alpha1.ModeEnforced, 501, 300, 200, 500},
		"just to the limit":                          {v1alpha1.ModeEnforced, 500, 300, 200, 500},
		"cut at the limit":                           {v1alpha1.ModeEnforced, 400, 300, 200, 400},
		"at the limit already":                       {v1alpha1.ModeEnforced, 400, 400, 399, 400},
		"not in mode Logged":                         {v1alpha1.ModeLogged, 86400, 900, 800, 900},
		"not in mode Standard":                       {v1alpha1.ModeStandard, 86400, 900, 800, 900},
	} {
		t.Run(name, func(t *testing.T) {
			if got := extended(leash(tc.mode, 900, 300, tc.limit), after(tc.expiry), after(tc.at)); !got.Equal(after(tc.want)) {
				t.Errorf("%v, want %v", got, after(tc.want))
			}
		})
	}
}

func TestCheckpointDue(t *testing.T) {
	for name, tc := range map[string]struct {
		mode                v1alpha1.AccountabilityMode
		limit, expiry, sign int
		due                 int
		ok                  bool
	}{
		"Enforced: the expiry":                        {v1alpha1.ModeEnforced, 86400, 300, 0, 300, true},
		"Enforced: a second before the limit":         {v1alpha1.ModeEnforced, 301, 300, 0, 300, true},
		"Enforced: none where the limit ends it":      {v1alpha1.ModeEnforced, 300, 300, 0, 0, false},
		"Logged: one interval after the last":         {v1alpha1.ModeLogged, 86400, 900, 200, 500, true},
		"Logged: a second before the expiry":          {v1alpha1.ModeLogged, 86400, 900, 599, 899, true},
		"Logged: none where the expiry comes with it": {v1alpha1.ModeLogged, 86400, 900, 600, 0, false},
		"Logged: none where the expiry comes first":   {v1alpha1.ModeLogged, 86400, 900, 700, 0, false},
		"Standard: none":                              {v1alpha1.ModeStandard, 86400, 900, 0, 0, false},
	} {
		t.Run(name, func(t *testing.T) {
			due, ok := checkpointDue(leash(tc.mode, 900, 300, tc.limit), after(tc.expiry), after(tc.sign))
			if ok != tc.ok || (ok && !due.Equal(after(tc.due))) {
				t.Errorf("%v, %v", due, ok)
			}
		})
	}
}

func TestCheckpointBy(t *testing.T) {
	for _, tc := range []struct{ sign, due, want int }{
		{0, 3600, 1800},
		{0, 300, 150},
		{0, 201, 100}, // half of it is 100.5 s; the rest is cut to the second
		{0, 200, 100},
		{0, 199, 99}, // here the 100 s begin
		{0, 150, 50},
		{0, 101, 1},
		{0, 100, 50}, // here they no longer fit
		{0, 99, 49},
		{0, 60, 30},
		{0, 1, 0},
		{0, 0, 0},
		{250, 550, 400},
	} {
		t.Run(fmt.Sprintf("%d to %d", tc.sign, tc.due), func(t *testing.T) {
			got := checkpointBy(after(tc.sign), after(tc.due))
			if !got.Equal(after(tc.want)) {
				t.Errorf("%v, want %v", got, after(tc.want))
			}
			if got.Nanosecond() != 0 {
				t.Errorf("%v is no whole second", got)
			}
		})
	}
}

func TestCheckpointByOfAPassport(t *testing.T) {
	for name, tc := range map[string]struct {
		terms   v1alpha1.IssuedTerms
		reports []v1alpha1.Checkpoint
		want    int // -1: none
	}{
		"Enforced, half an interval before the expiry":      {leash(v1alpha1.ModeEnforced, 900, 300, 86400), nil, 150},
		"Enforced, from its last checkpoint on":             {leash(v1alpha1.ModeEnforced, 900, 300, 86400), reports(1, 200, 0), 350},
		"Enforced, a short interval":                        {leash(v1alpha1.ModeEnforced, 900, 60, 86400), nil, 30},
		"Enforced, none within an interval of its limit":    {leash(v1alpha1.ModeEnforced, 900, 300, 500), reports(1, 200, 0), -1},
		"Logged, half an interval before one is due":        {leash(v1alpha1.ModeLogged, 900, 300, 86400), nil, 150},
		"Logged, from its last checkpoint on":               {leash(v1alpha1.ModeLogged, 900, 300, 86400), reports(1, 100, 0), 250},
		"Logged, none once its time ends before one is due": {leash(v1alpha1.ModeLogged, 900, 300, 86400), reports(3, 200, 200), -1},
		"Standard, none": {leash(v1alpha1.ModeStandard, 900, 0, 86400), nil, -1},
		"Enforced, a checkpoint before the issue changes nothing": {leash(v1alpha1.ModeEnforced, 900, 300, 86400), reports(1, -50, 0), 150},
		"Logged, a checkpoint before the issue changes nothing":   {leash(v1alpha1.ModeLogged, 900, 300, 86400), reports(1, -50, 0), 150},
	} {
		t.Run(name, func(t *testing.T) {
			outcome := Advance(Situation{Passport: active(tc.terms), Agent: agent(), Checkpoints: tc.reports, Now: after(0)})
			got := outcome.Status.CheckpointBy
			if (got == nil) != (tc.want < 0) || (got != nil && !got.Time.Equal(after(tc.want))) {
				t.Errorf("%v, want %v", got, after(tc.want))
			}
		})
	}
}

// One who checkpoints by checkpointBy has a margin of 100 s wherever that fits, for every interval
// that the API takes.
func TestCheckpointByLeavesTimeForAMountedSecret(t *testing.T) {
	for interval := 60; interval <= 3600; interval++ {
		margin := after(interval).Sub(checkpointBy(noon, after(interval)))
		want := time.Duration(interval) * time.Second / 2
		if interval > 100 {
			want = max(want, 100*time.Second)
		}
		if margin < want || margin >= want+time.Second || margin >= time.Duration(interval)*time.Second {
			t.Errorf("interval %d s: margin %v, want %v", interval, margin, want)
		}
	}
}

// A first leash of which a quarter is gone before there was a token is begun anew.
func TestFresh(t *testing.T) {
	enforced := v1alpha1.IssuedTerms{
		Mode: v1alpha1.ModeEnforced, TTLSeconds: 900, CheckpointIntervalSeconds: 300, Deadline: metav1.NewTime(noon.Add(time.Hour)),
	}
	logged, short := enforced, enforced
	logged.Mode, short.Deadline = v1alpha1.ModeLogged, metav1.NewTime(noon.Add(100*time.Second))
	for name, tc := range map[string]struct {
		terms v1alpha1.IssuedTerms
		limit time.Duration
	}{
		"the interval, where the mode is Enforced": {enforced, 75 * time.Second},
		"the ttl, where it is Logged":              {logged, 225 * time.Second},
		"the mission's limit":                      {short, 25 * time.Second},
	} {
		for age, want := range map[time.Duration]bool{0: true, tc.limit - time.Second: true, tc.limit: false, time.Hour: false} {
			if got := Fresh(tc.terms, noon, noon.Add(age)); got != want {
				t.Errorf("%s: after %s %t, want %t", name, age, got, want)
			}
		}
	}
}
