package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"agentpassport.dev/operator/pkg/passport"
)

const (
	// checkoutTimeout is how long a checkout may take, all attempts together.
	checkoutTimeout = 2 * time.Minute
	// checkoutAttempts is how often one is made where the gateway does not answer. The first that arrives counts.
	checkoutAttempts = 4
	checkoutPause    = 5 * time.Second
)

// mission is one command under one passport.
type mission struct {
	*settings
	process
	client *passport.Client
	issued *passport.Issued
}

// ending is how the command ended.
type ending struct {
	code int
	// signal that ended it; 0 for none.
	signal syscall.Signal
	// died is why the passport was dead before; empty where it was not.
	died string
	// passedOn are the signals that we gave the command.
	passedOn []os.Signal
}

func (m *mission) run(ctx context.Context) error {
	file, err := newTokenFile(m.issued.Token)
	if err != nil {
		return errors.Join(fmt.Errorf("the token file: %w", err), m.giveUp(ctx))
	}
	defer file.remove()
	command := m.prepared(file)
	if err := command.Start(); err != nil {
		return errors.Join(fmt.Errorf("the command: %w", err), m.giveUp(ctx))
	}
	l := &leash{
		client: m.client, clock: m.clock, jti: m.issued.JTI, interval: m.interval, file: file, stderr: m.stderr,
		expires: m.issued.ExpiresAt, checkpointed: m.clock.Now(),
	}
	end := m.wait(ctx, command, l)
	return m.conclude(ctx, l, end)
}

// prepared is the command with its environment.
func (m *mission) prepared(file tokenFile) *exec.Cmd {
	command := exec.Command(m.command[0], m.command[1:]...) //nolint:gosec,noctx // running it is what mission is for, and signals end it
	command.Stdin, command.Stdout, command.Stderr = m.stdin, m.stdout, m.stderr
	environment := slices.DeleteFunc(os.Environ(), func(variable string) bool {
		return m.bearerEnv != "" && strings.HasPrefix(variable, m.bearerEnv+"=")
	})
	command.Env = slices.Concat(environment, []string{
		"PASSPORT_TOKEN_FILE=" + file.path, "PASSPORT_TOKEN=" + m.issued.Token, "PASSPORT_JTI=" + m.issued.JTI, "PASSPORT_GATEWAY_URL=" + m.gateway,
	})
	return command
}

// wait passes signals on to the command, keeps the leash, and ends the command once the passport is dead.
func (m *mission) wait(ctx context.Context, command *exec.Cmd, l *leash) ending {
	var end ending
	exited := make(chan struct{})
	go func() {
		_ = command.Wait() // the state of the process says more
		close(exited)
	}()
	leashed, letGo := context.WithCancel(ctx)
	died := make(chan string, 1)
	go func() { died <- l.keep(leashed) }()
	var kill <-chan time.Time
	looking := died
	for {
		select {
		case <-exited:
			letGo()
			if looking != nil {
				<-died
			}
			end.code, end.signal = exitOf(command.ProcessState)
			return end
		case s := <-m.signals:
			end.passedOn = append(end.passedOn, s)
			_ = command.Process.Signal(s)
		case end.died = <-looking:
			looking = nil
			_, _ = fmt.Fprintf(m.stderr, "mission: passport %s is dead: %s; ending the command\n", m.issued.JTI, end.died)
			_ = command.Process.Signal(syscall.SIGTERM)
			kill = m.clock.After(m.grace)
		case <-kill:
			_ = command.Process.Kill()
		}
	}
}

// exitOf is the exit code of a process, 128 and its number for a signal.
func exitOf(state *os.ProcessState) (int, syscall.Signal) {
	if status, ok := state.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return 128 + int(status.Signal()), status.Signal()
	}
	return state.ExitCode(), 0
}

// conclude checks out, and gives how the command ended.
func (m *mission) conclude(ctx context.Context, l *leash, end ending) error {
	exit := error(nil)
	if end.code != 0 {
		exit = commandExit(end.code)
	}
	if l.standard {
		return exit
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), checkoutTimeout)
	defer cancel()
	_ = l.ask(ctx) // what was seen last; that it is over is no news
	report := passport.CheckoutReport{Report: since(nil, l.seen), Outcome: end.outcome()}
	report.Summary = end.summary(filepath.Base(m.command[0]))
	if err := m.checkOut(ctx, report); err != nil {
		_, _ = fmt.Fprintf(m.stderr, "mission: the checkout of %s was not delivered: %v\n", m.issued.JTI, err)
		if exit == nil && end.died == "" {
			return commandExit(exitOwn)
		}
	}
	return exit
}

// giveUp checks out of a mission that never began.
func (m *mission) giveUp(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), checkoutTimeout)
	defer cancel()
	return m.checkOut(ctx, passport.CheckoutReport{Report: passport.Report{Summary: "the command could not be started"}, Outcome: passport.Aborted})
}

func (m *mission) checkOut(ctx context.Context, report passport.CheckoutReport) error {
	for attempt := 1; ; attempt++ {
		verdict, err := m.client.Checkout(ctx, m.issued.JTI, report)
		var failed *passport.Error
		answered := errors.As(err, &failed)
		switch {
		case err == nil:
			_, _ = fmt.Fprintf(m.stderr, "mission: %s checked out: %s\n", m.issued.JTI, verdict.Status)
			return nil
		case answered && failed.Code == noCheckpoints:
			return nil
		case answered && failed.Status < 500, attempt == checkoutAttempts:
			return err
		}
		select {
		case <-m.clock.After(checkoutPause):
		case <-ctx.Done():
			return err
		}
	}
}

// outcome of the mission: aborted where a signal of ours ended the command.
func (e ending) outcome() passport.Outcome {
	switch {
	case e.died != "" || (e.signal != 0 && slices.Contains(e.passedOn, os.Signal(e.signal))):
		return passport.Aborted
	case e.code == 0:
		return passport.Succeeded
	default:
		return passport.Failed
	}
}

// summary says how a command ended. Its arguments may hold what is nobody's business.
func (e ending) summary(command string) string {
	how := fmt.Sprintf("%s exited with status %d", command, e.code)
	if e.signal != 0 {
		how = fmt.Sprintf("%s was ended by signal %d (%s)", command, e.signal, e.signal)
	}
	if e.died != "" {
		how += ", after the passport was dead: " + e.died
	}
	return how
}
