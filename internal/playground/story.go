package playground

import (
	"context"
	"fmt"
	"time"
)

// step is one thing that happens. It returns what to say of it.
type step struct {
	name string
	do   func(context.Context) (string, error)
}

// chapter is what happens to one mission.
type chapter struct {
	title string
	steps []step
}

// approved is a whole mission: issued, kept alive, checked out, flagged, and approved by a person.
func (m *mission) approved() chapter {
	return chapter{"A mission that a reviewer approves", []step{
		{"ask for a passport", m.ask},
		{"issue", m.awaitIssue},
		{"verify the token", m.verifyToken},
		{"checkpoint", m.checkpoint},
		{"verify the renewed token", m.verifyToken},
		{"check out", m.checkOut},
		{"take the token away", m.awaitNoSecret},
		{"judge", m.awaitVerdict},
		{"refuse the agent's own review", m.reviewByAgent},
		{"approve", m.approve},
	}}
}

// blocked is a mission for which its agent is blocked, until the block is lifted.
func (m *mission) blocked() chapter {
	return chapter{"A mission that a reviewer blocks its agent for", append(m.flagged(), []step{
		{"block by review", m.blockAgent},
		{"refuse a passport to the blocked agent", m.askInVain},
		{"lift the block", m.liftBlock},
	}...)}
}

// undecided is a mission that waits for a review.
func (m *mission) undecided() chapter {
	return chapter{"A mission that is left for you to review", m.flagged()}
}

func (m *mission) flagged() []step {
	return []step{
		{"ask for a passport", m.ask},
		{"issue", m.awaitIssue},
		{"check out", m.checkOut},
		{"judge", m.awaitVerdict},
	}
}

// lived is a mission on the shortest leash, up to the moment when its agent falls silent.
func (m *mission) lived() chapter {
	m.interval = shortestInterval
	return chapter{"A mission whose agent falls silent", []step{
		{"ask for a passport", m.ask},
		{"issue", m.awaitIssue},
		{"verify the token", m.verifyToken},
	}}
}

// died is the same mission with what silence does.
func (m *mission) died() chapter {
	c := m.lived()
	c.steps = append(c.steps, []step{
		{"die of silence", m.awaitSilence},
		{"take the token away", m.awaitNoSecret},
	}...)
	return c
}

// play takes one step after the other and says how each went.
func (s *stage) play(ctx context.Context, chapters ...chapter) error {
	for _, c := range chapters {
		s.screen.Title("%s", c.title)
		for _, step := range c.steps {
			said, err := step.do(ctx)
			if err != nil {
				return fmt.Errorf("%s: %w", step.name, err)
			}
			s.screen.Line(s.clock.Now().Format(time.TimeOnly), "%s", said)
		}
	}
	return nil
}
