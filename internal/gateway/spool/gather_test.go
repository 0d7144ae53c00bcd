package spool

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/onsi/gomega"
	clocktesting "k8s.io/utils/clock/testing"

	"agentpassport.dev/operator/internal/audit"
)

// held is a clock that the writer waits at, when it asks for the time of a write.
type held struct {
	*clocktesting.FakeClock
	pass chan struct{}
}

func (h held) Now() time.Time {
	<-h.pass
	return h.FakeClock.Now()
}

type everything struct{}

func (everything) AppendRaw(context.Context, []json.RawMessage) error { return nil }

// A write of few records waits for more where many append at once, and for nobody where few do.
func TestWhoAppendsInACrowdWaitsForOthers(t *testing.T) {
	clk := held{clocktesting.NewFakeClock(time.Unix(0, 0)), make(chan struct{})}
	s, err := Open(Options{Dir: t.TempDir(), Log: everything{}, Clock: clk})
	if err != nil {
		t.Fatal(err)
	}
	number, done := 0, make(chan error, 100)
	appends := func(count int) {
		for range count {
			number++
			record := audit.Record{ID: fmt.Sprint("record-", number)}
			go func() { done <- s.Append(context.Background(), record) }()
		}
	}
	stored := func(count int) {
		t.Helper()
		for range count {
			if err := <-done; err != nil {
				t.Fatal(err)
			}
		}
	}
	eventually := gomega.NewWithT(t).Eventually
	waiting := func(records int64) {
		t.Helper()
		eventually(func() int64 {
			s.mu.Lock()
			defer s.mu.Unlock()
			return s.next.records
		}).Should(gomega.Equal(records))
	}
	appends(1)
	eventually(func() int64 {
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.writing
	}).Should(gomega.BeNumerically(">", 0))
	appends(crowd)
	waiting(crowd)
	close(clk.pass) // the writer goes on, and finds a crowd
	stored(1 + crowd)

	appends(1)
	eventually(clk.HasWaiters).Should(gomega.BeTrue())
	appends(1)
	waiting(2)
	clk.Step(moment)
	stored(2)

	appends(1) // two are no crowd any more
	stored(1)
	if clk.HasWaiters() {
		t.Error("who appends alone waits")
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}
