package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"k8s.io/utils/clock"

	"agentpassport.dev/operator/pkg/passport"
)

const (
	// beat is how often the gateway is asked how the passport stands.
	beat = 5 * time.Second
	// lastGrace is how long after its expiry a passport may still turn out to have been extended.
	lastGrace = 5 * time.Second
	// noCheckpoints is the error of a passport that has neither checkpoints nor a checkout.
	noCheckpoints = "CHECKPOINT_NOT_AVAILABLE"
)

// leash keeps a passport alive while its command runs.
type leash struct {
	client   *passport.Client
	clock    clock.WithTicker
	jti      string
	interval time.Duration
	file     tokenFile
	stderr   io.Writer

	// expires is when the passport dies, as last heard, and checkpointed the last sign of life.
	expires, checkpointed time.Time
	// standard says that the passport has no checkpoints.
	standard bool
	// seen is what the gateway saw so far, reported what of it the last checkpoint covered.
	seen, reported *passport.Observed
	// troubled says that the last request failed, which is told once.
	troubled bool
}

// keep looks after the passport until the context ends, and gives "", or until it is dead, and says why.
func (l *leash) keep(ctx context.Context) string {
	ticker := l.clock.NewTicker(beat)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return ""
		case <-ticker.C():
			if reason := l.look(ctx); reason != "" && ctx.Err() == nil {
				return reason
			}
		}
	}
}

// look asks how the passport stands, and checkpoints where it is time. It gives why the passport is dead, if it
// is.
func (l *leash) look(ctx context.Context) string {
	if reason := l.heard(l.ask(ctx)); reason != "" {
		return reason
	}
	if !l.standard && !l.clock.Now().Before(l.checkpointed.Add(l.interval/2)) {
		if reason := l.heard(l.checkpoint(ctx)); reason != "" {
			return reason
		}
	}
	if !l.clock.Now().Before(l.expires.Add(lastGrace)) {
		return "it expired at " + l.expires.UTC().Format(time.RFC3339)
	}
	return ""
}

// errOver is a passport that has ended, as its state says.
type errOver struct{ phase string }

func (e errOver) Error() string { return "it is " + e.phase }

func (l *leash) ask(ctx context.Context) error {
	state, err := l.client.Get(ctx, l.jti)
	if err != nil {
		return err
	}
	if state.Observed != nil {
		l.seen = state.Observed
	}
	if state.Over() {
		return errOver{state.Phase}
	}
	if state.ExpiresAt.After(l.expires) {
		l.expires = state.ExpiresAt
	}
	return nil
}

func (l *leash) checkpoint(ctx context.Context) error {
	at, covered := l.clock.Now(), l.seen
	done, err := l.client.Checkpoint(ctx, l.jti, since(l.reported, covered))
	var failed *passport.Error
	if errors.As(err, &failed) && failed.Code == noCheckpoints {
		l.standard = true
		return nil
	}
	if err != nil {
		return err
	}
	l.checkpointed, l.reported = at, covered
	if done.ExpiresAt.After(l.expires) {
		l.expires = done.ExpiresAt
	}
	if done.Token == "" {
		return nil
	}
	if err := l.file.write(done.Token); err != nil {
		return fmt.Errorf("the token file: %w", err)
	}
	return nil
}

// heard gives why the passport is dead, where an error says so. Of any other trouble it tells once.
func (l *leash) heard(err error) string {
	var over errOver
	var failed *passport.Error
	switch {
	case err == nil:
		l.troubled = false
		return ""
	case errors.As(err, &over):
		return over.Error()
	case errors.As(err, &failed) && failed.Ended():
		return failed.Error()
	case !l.troubled:
		l.troubled = true
		_, _ = fmt.Fprintf(l.stderr, "mission: %v; trying again every %s, until the passport expires at %s\n", err, beat, l.expires.UTC().Format(time.RFC3339))
	}
	return ""
}

// since is the report of what was seen after an earlier look.
func since(earlier, now *passport.Observed) passport.Report {
	report := passport.Report{ServicesUsed: []string{}}
	if now == nil {
		return report
	}
	before := map[string]int64{}
	if earlier != nil {
		for _, service := range earlier.Services {
			before[service.Service] = service.Calls
		}
	}
	for _, service := range now.Services {
		if more := service.Calls - before[service.Service]; more > 0 {
			report.ServicesUsed = append(report.ServicesUsed, service.Service)
			report.ActionsCount += more
		}
	}
	return report
}
