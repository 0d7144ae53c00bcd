package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"agentpassport.dev/operator/pkg/passport"
)

// settings are what the flags say.
type settings struct {
	gateway, caFile, bearerFile, bearerEnv string
	agent, intent                          string
	services                               []string
	ttl, interval, estimated, grace        time.Duration
	command                                []string
}

func newRun(p process) *cobra.Command {
	var s settings
	command := &cobra.Command{
		Use:   "run --agent NAME --service NAME [flags] -- COMMAND [ARGS]",
		Short: "Runs a command as one mission",
		Long: `Runs a command as one mission: asks the gateway for a passport, keeps its token fresh in a file, checkpoints
at half of the interval with what the gateway saw, and checks out when the command ends. When the passport dies,
the command gets SIGTERM, and SIGKILL after --grace.

The command finds in its environment:
  PASSPORT_TOKEN_FILE   the file with the token; read it again for every call
  PASSPORT_TOKEN        the token as it was at the start
  PASSPORT_JTI          the name of the passport
  PASSPORT_GATEWAY_URL  the gateway

The exit code is the command's, 128 and its number for a signal; 125 where mission itself failed: no passport was
issued, the command could not be started, or it succeeded and the checkout could not be delivered.`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(command *cobra.Command, args []string) error {
			s.command = args
			return s.run(command.Context(), p)
		},
	}
	flags := command.Flags()
	flags.SetInterspersed(false)
	flags.StringVar(&s.gateway, "gateway", os.Getenv("PASSPORT_GATEWAY_URL"), "The gateway's URL; $PASSPORT_GATEWAY_URL without it.")
	flags.StringVar(&s.caFile, "ca-file", "", "The authorities that may sign the gateway's certificate, PEM; empty: the system's.")
	flags.StringVar(&s.bearerFile, "bearer-file", "", "The caller's token for the gateway, read for every request: a projected ServiceAccount token.")
	flags.StringVar(&s.bearerEnv, "bearer-env", "", "The environment variable that holds it instead. The command does not get it.")
	flags.StringVar(&s.agent, "agent", "", "The agent, in the caller's namespace, or namespace/name.")
	flags.StringVar(&s.intent, "intent", "", "What the mission is for, in a sentence; empty: the command's name.")
	flags.StringSliceVar(&s.services, "service", nil, "A service that the mission is going to use; once for each.")
	flags.DurationVar(&s.ttl, "ttl", 0, "How long the token lives, 1m to 1h; 0: the gateway's default.")
	flags.DurationVar(&s.interval, "interval", defaultInterval, "The longest silence, 1m to 1h. A checkpoint is made at half of it.")
	flags.DurationVar(&s.estimated, "estimated-duration", 0, "How long the mission is expected to take; 0: it is not said.")
	flags.DurationVar(&s.grace, "grace", 10*time.Second, "How long the command has to end after SIGTERM, once the passport is dead.")
	return command
}

const defaultInterval = 5 * time.Minute

func (s *settings) check() error {
	switch {
	case s.agent == "":
		return errors.New("--agent is empty: name the agent that the mission is for")
	case s.gateway == "":
		return errors.New("--gateway is empty: give the gateway's URL")
	case s.bearerFile != "" && s.bearerEnv != "":
		return errors.New("--bearer-file and --bearer-env: give one of them")
	case s.bearerEnv != "" && os.Getenv(s.bearerEnv) == "":
		return fmt.Errorf("--bearer-env %s: it is not set", s.bearerEnv)
	case s.interval < time.Minute || s.interval > time.Hour:
		return fmt.Errorf("--interval %s: 1m to 1h", s.interval)
	case s.ttl != 0 && (s.ttl < time.Minute || s.ttl > time.Hour):
		return fmt.Errorf("--ttl %s: 1m to 1h", s.ttl)
	case s.estimated < 0 || s.grace < 0:
		return errors.New("--estimated-duration and --grace are no less than 0")
	}
	return nil
}

func (s *settings) client() (*passport.Client, error) {
	options := passport.ClientOptions{CAFile: s.caFile, BearerFile: s.bearerFile}
	if s.bearerEnv != "" {
		bearer := os.Getenv(s.bearerEnv)
		options.Bearer = func(context.Context) (string, error) { return bearer, nil }
	}
	return passport.NewClient(s.gateway, options)
}

// run leads the mission. Its error is a commandExit where the command ended with anything but 0.
func (s *settings) run(ctx context.Context, p process) error {
	if err := s.check(); err != nil {
		return err
	}
	// No passport is asked for where there is nothing to run.
	if _, err := exec.LookPath(s.command[0]); err != nil {
		return fmt.Errorf("the command: %w", err)
	}
	client, err := s.client()
	if err != nil {
		return err
	}
	issued, err := s.issue(ctx, client, p.signals)
	if err != nil {
		return fmt.Errorf("no passport was issued to agent %s: %w", s.agent, err)
	}
	m := &mission{settings: s, process: p, client: client, issued: issued}
	return m.run(ctx)
}

// issue asks for the passport. A signal that comes meanwhile ends all: there is no command yet to get it.
func (s *settings) issue(ctx context.Context, client *passport.Client, signals <-chan os.Signal) (*passport.Issued, error) {
	ctx, giveUp := context.WithCancelCause(ctx)
	issued, watched := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(watched)
		select {
		case received := <-signals:
			giveUp(fmt.Errorf("it was interrupted: %s", received))
		case <-issued:
		}
	}()
	answer, err := client.Issue(ctx, s.request())
	close(issued)
	<-watched
	if cause := context.Cause(ctx); cause != nil {
		err = cause
	}
	giveUp(nil)
	return answer, err
}

func (s *settings) request() passport.IssueRequest {
	summary := s.intent
	if summary == "" {
		summary = "run " + filepath.Base(s.command[0])
	}
	return passport.IssueRequest{
		AgentID: s.agent, TTLSeconds: int(s.ttl / time.Second), CheckpointIntervalSeconds: int(s.interval / time.Second),
		Intent: &passport.MissionIntent{Summary: summary, Services: s.services, EstimatedDurationSeconds: int(s.estimated / time.Second)},
	}
}
