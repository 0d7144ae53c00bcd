package e2e

import (
	"context"
	"fmt"
	"runtime/debug"
	"time"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"
)

// story is what goes on while specs run.
type story struct {
	ended   chan struct{}
	failure string
	// found is what it has to report.
	found string
}

// atTheEnd has the specs that wait for a story run after the others.
var atTheEnd = SpecPriority(-1)

// begin has a story play in a place of its own.
func begin(ctx context.Context, c *cluster, play func(*place) (found string)) *story {
	s := &story{ended: make(chan struct{})}
	g := NewGomega(func(message string, _ ...int) { panic(message) })
	g.EnforceDefaultTimeoutsWhenUsingContexts()
	g.SetDefaultEventuallyTimeout(soon)
	g.SetDefaultEventuallyPollingInterval(100 * time.Millisecond)
	go func() {
		defer close(s.ended)
		defer func() {
			if reason := recover(); reason != nil {
				s.failure = fmt.Sprintf("%v\n\n%s", reason, debug.Stack())
			}
		}()
		s.found = play(newPlace(ctx, g, c))
	}()
	return s
}

// end waits for the story's end, and fails the spec where it did not end well.
func (s *story) end(ctx SpecContext) {
	GinkgoHelper()
	Eventually(ctx, s.ended).WithTimeout(4 * time.Minute).Should(BeClosed())
	Expect(s.failure).To(BeEmpty())
	AddReportEntry("found", s.found, ReportEntryVisibilityFailureOrVerbose)
}

// pass lets real time pass until a moment of the API server's, which runs on this machine.
func (p *place) pass(until time.Time) {
	p.g.Eventually(p.ctx, time.Now).WithTimeout(2 * time.Minute).Should(BeTemporally(">=", until))
}
