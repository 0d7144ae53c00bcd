package apiclock_test

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"k8s.io/utils/clock"
	clocktesting "k8s.io/utils/clock/testing"
	"pgregory.net/rapid"

	"agentpassport.dev/operator/internal/apiclock"
)

var noon = time.Date(2026, 4, 23, 12, 0, 0, 0, time.UTC)

func TestBeforeTheFirstAnswerItIsTheLocalClock(t *testing.T) {
	c := apiclock.New(clocktesting.NewFakePassiveClock(noon))
	if got := c.Now(); !got.Equal(noon) {
		t.Errorf("Now() = %v, want %v", got, noon)
	}
}

// However far the local clock is off, and however its answers are delayed, the estimate stays within
// a second and the fastest round trip of the server's time.
func TestFollowsTheServer(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		skew := time.Duration(rapid.Int64Range(-3600_000, 3600_000).Draw(t, "skewMillis")) * time.Millisecond
		local := clocktesting.NewFakePassiveClock(noon)
		server := func() time.Time { return local.Now().Add(skew) }
		c := apiclock.New(local)
		fastest := time.Hour
		for range rapid.IntRange(1, 30).Draw(t, "answers") {
			local.SetTime(local.Now().Add(time.Duration(rapid.IntRange(0, 20_000).Draw(t, "idleMillis")) * time.Millisecond))
			sent := local.Now()
			there := time.Duration(rapid.IntRange(0, 2000).Draw(t, "thereMillis")) * time.Millisecond
			back := time.Duration(rapid.IntRange(0, 2000).Draw(t, "backMillis")) * time.Millisecond
			local.SetTime(sent.Add(there))
			date := server().Truncate(time.Second)
			local.SetTime(local.Now().Add(back))
			c.Observe(sent, local.Now(), date)
			fastest = min(fastest, there+back)
		}
		if off := c.Now().Sub(server()).Abs(); off > (time.Second+fastest)/2 {
			t.Errorf("off by %v after a fastest round trip of %v", off, fastest)
		}
	})
}

func TestForgetsWhatASteppedClockContradicts(t *testing.T) {
	local := clocktesting.NewFakePassiveClock(noon)
	c := apiclock.New(local)
	c.Observe(noon, noon, noon.Add(30*time.Second))
	c.Observe(noon, noon, noon.Add(-30*time.Second))
	if off := c.Offset() + 30*time.Second; off.Abs() > time.Second {
		t.Errorf("Offset() = %v, want about -30s", c.Offset())
	}
}

func TestWrapReadsTheDateHeader(t *testing.T) {
	ahead := time.Now().Add(time.Hour)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Date", ahead.UTC().Format(http.TimeFormat))
	}))
	defer server.Close()
	c := apiclock.New(clock.RealClock{})
	response, err := (&http.Client{Transport: c.Wrap(http.DefaultTransport)}).Get(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	if off := (c.Offset() - time.Hour).Abs(); off > 2*time.Second {
		t.Errorf("Offset() = %v, want about 1h", c.Offset())
	}
}
