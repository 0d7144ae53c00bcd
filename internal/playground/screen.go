package playground

import (
	"fmt"
	"io"
	"os"
	"time"

	"k8s.io/utils/clock"
)

// Screen is what a person reads while things happen.
type Screen struct {
	out io.Writer
	// live says that out is a terminal, where a line can be drawn over.
	live bool
}

// NewScreen writes to out.
func NewScreen(out *os.File) *Screen {
	info, err := out.Stat()
	return &Screen{out: out, live: err == nil && info.Mode()&os.ModeCharDevice != 0}
}

// Title begins a part.
func (s *Screen) Title(format string, args ...any) {
	_, _ = fmt.Fprintf(s.out, "\n"+format+"\n\n", args...)
}

// Line says one thing under a short label.
func (s *Screen) Line(label, format string, args ...any) {
	_, _ = fmt.Fprintf(s.out, "  %-14s %s\n", label, fmt.Sprintf(format, args...))
}

// Text writes as it stands.
func (s *Screen) Text(text string) {
	_, _ = io.WriteString(s.out, text)
}

// Progress shows how far a long step is.
type Progress struct {
	screen   *Screen
	label    string
	what     string
	steps    int
	done     int
	shown    int
	estimate time.Duration
	clock    clock.PassiveClock
	start    time.Time
}

// Progress begins a step that is expected to take estimate, in so many smaller steps.
func (s *Screen) Progress(label, what string, steps int, estimate time.Duration, clk clock.PassiveClock) *Progress {
	p := &Progress{
		screen: s, label: label, what: what, steps: steps, estimate: estimate, clock: clk, start: clk.Now(),
	}
	p.show(roughly(estimate))
	return p
}

// Step counts one of the smaller steps.
func (p *Progress) Step() {
	p.done = min(p.done+1, p.steps)
	percent := 100 * p.done / max(p.steps, 1)
	// A terminal shows each percent; a log, each quarter.
	grain := 25
	if p.screen.live {
		grain = 1
	}
	if percent < p.shown+grain || percent >= 100 {
		return
	}
	p.shown = percent
	// The first steps say little of the rest: until a tenth is done, the measured time is the guess.
	left := p.estimate - p.clock.Since(p.start)
	if percent >= 10 {
		left = p.clock.Since(p.start) * time.Duration(p.steps-p.done) / time.Duration(p.done)
	}
	p.show(fmt.Sprintf("%3d %%, %s to go", percent, roughly(left)))
}

// Done ends the step.
func (p *Progress) Done() {
	p.show(fmt.Sprintf("done in %s", p.clock.Since(p.start).Round(time.Second)))
	if p.screen.live {
		p.screen.Text("\n")
	}
}

func (p *Progress) show(state string) {
	if p.screen.live {
		p.screen.Text(fmt.Sprintf("\r\x1b[2K  %-14s %s: %s", p.label, p.what, state))
		return
	}
	p.screen.Line(p.label, "%s: %s", p.what, state)
}

// roughly rounds a time to come as a person would say it.
func roughly(d time.Duration) string {
	switch {
	case d < 5*time.Second:
		return "a few seconds"
	case d < 90*time.Second:
		return fmt.Sprintf("about %d seconds", int(d.Round(5*time.Second).Seconds()))
	default:
		return fmt.Sprintf("about %d minutes", int((d+30*time.Second)/time.Minute))
	}
}
