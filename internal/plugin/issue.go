package plugin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"agentpassport.dev/operator/api/v1alpha1"
)

type issueCommand struct {
	*session
	output output

	agent, summary                             string
	services, only, audience                   []string
	ttl, interval, deadline, estimate, timeout time.Duration
	delegate                                   bool
	noSecret                                   bool
	secret                                     string
	wait, printToken                           bool
}

func (s *session) newIssue() *cobra.Command {
	i := &issueCommand{session: s}
	cmd := &cobra.Command{
		Use:   "issue [NAME] --agent AGENT --summary TEXT --services NAME,...",
		Short: "Ask for a passport, and wait until it is issued",
		Long: `Ask for a passport, and wait until it is issued. It says where the token is; --print-token prints it, and nothing
else, on standard output.

It exits with 0 once the passport is Active, with 2 where it was rejected, with 4 where it was not issued in time.`,
		Example: `  kubectl passport issue answer-ticket-4711 -n agents --agent=support-bot \
    --summary='Answer one customer ticket' --services=slack,github --ttl=15m --interval=5m`,
		GroupID:           groupMission,
		Args:              between(0, 1, "one name at most"),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE:              func(cmd *cobra.Command, args []string) error { return i.run(cmd.Context(), args) },
	}
	flags := cmd.Flags()
	flags.StringVar(&i.agent, "agent", "", "The AgentPassport that the mission is for.")
	flags.StringVar(&i.summary, "summary", "", "What the mission is for, in a sentence.")
	flags.StringSliceVar(&i.services, "services", nil, "The services that the mission is going to use.")
	flags.StringSliceVar(&i.only, "only", nil, "Carry these of the agent's services alone, with all their scopes. Without it, all that are granted.")
	flags.StringSliceVar(&i.audience, "audience", nil, "Who else the token is for, beside the gateway.")
	flags.DurationVar(&i.ttl, "ttl", 0, "How long the token lives, 1m to 1h (default 15m).")
	flags.DurationVar(&i.interval, "interval", 0, "How often the agent has to checkpoint, 1m to 1h (default 5m).")
	flags.DurationVar(&i.deadline, "deadline", 0, "How long the whole mission may take (default: what the agent's maxLifetimeSeconds says).")
	flags.DurationVar(&i.estimate, "estimate", 0, "How long the mission is expected to take.")
	flags.BoolVar(&i.delegate, "will-delegate", false, "The mission is going to hand work to other agents.")
	flags.StringVar(&i.secret, "secret-name", "", "The Secret that receives the token (default: the Passport's name and -token).")
	flags.BoolVar(&i.noSecret, "no-secret", false, "Write no Secret: the agent gets its token from the gateway.")
	flags.BoolVar(&i.wait, "wait", true, "Wait until it is issued.")
	flags.DurationVar(&i.timeout, "timeout", 2*time.Minute, "How long to wait at most.")
	flags.BoolVar(&i.printToken, "print-token", false, "Print the token alone. Whoever has it is the agent.")
	i.output.add(cmd)
	s.complete(cmd, "agent", s.completeAgents)
	return cmd
}

func (i *issueCommand) run(ctx context.Context, args []string) error {
	passport, err := i.passport(args)
	if err != nil {
		return err
	}
	c, err := i.connect()
	if err != nil {
		return err
	}
	passport.Namespace = c.namespace
	if err := c.Create(ctx, passport); err != nil {
		return err
	}
	if !i.wait {
		return i.created(passport)
	}
	_, _ = fmt.Fprintf(i.ErrOut, "passport %s created in namespace %s\n", passport.Name, passport.Namespace)
	came, err := i.await(ctx, c, waitTarget{passport: passport.Name, issued: true}, i.timeout)
	if err != nil {
		return err
	}
	if came.code != exitGood {
		return coded(came.code, "%s", came.text)
	}
	if err := c.Get(ctx, c.key(passport.Name), passport); err != nil {
		return err
	}
	switch {
	case i.printToken:
		return i.token(ctx, c, passport)
	case !i.output.human():
		return i.output.object(passport, i.Out)
	default:
		return i.told(passport)
	}
}

// passport is what is asked for. What the API server decides is left to it.
func (i *issueCommand) passport(args []string) (*v1alpha1.Passport, error) {
	switch {
	case i.agent == "":
		return nil, misuse("--agent is required: the AgentPassport that the mission is for")
	case i.noSecret && (i.secret != "" || i.printToken):
		return nil, misuse("--no-secret leaves no Secret to name, and no token to print")
	case i.printToken && !i.wait:
		return nil, misuse("--print-token needs --wait: there is no token before the passport is issued")
	case i.printToken && !i.output.human():
		return nil, misuse("--print-token prints the token alone: leave --output out")
	case i.timeout <= 0:
		return nil, misuse("--timeout=%s: want more than 0", i.timeout)
	}
	passport := &v1alpha1.Passport{ObjectMeta: metav1.ObjectMeta{GenerateName: i.agent + "-"}}
	if len(args) == 1 {
		passport.Name, passport.GenerateName = args[0], ""
	}
	spec := &passport.Spec
	spec.AgentRef.Name = i.agent
	spec.Audience, spec.SecretName = i.audience, i.secret
	if i.noSecret {
		spec.TokenDelivery = v1alpha1.DeliveryNone
	}
	for _, service := range i.only {
		spec.Services = append(spec.Services, v1alpha1.ServiceGrant{Service: v1alpha1.ServiceName(service)})
	}
	var err error
	set := func(field *int32, flag string, given time.Duration) {
		seconds, wrong := inSeconds(flag, given)
		*field, err = seconds, errors.Join(err, wrong)
	}
	set(&spec.TTLSeconds, "ttl", i.ttl)
	set(&spec.CheckpointIntervalSeconds, "interval", i.interval)
	set(&spec.ActiveDeadlineSeconds, "deadline", i.deadline)
	intent := v1alpha1.Intent{Summary: i.summary, Services: serviceNames(i.services), WillDelegate: i.delegate}
	set(&intent.EstimatedDurationSeconds, "estimate", i.estimate)
	if i.summary != "" || len(i.services) > 0 || i.estimate != 0 || i.delegate {
		spec.Intent = &intent
	}
	return passport, errors.Join(err, i.output.check())
}

// inSeconds is a time as the API has it, in whole seconds.
func inSeconds(flag string, given time.Duration) (int32, error) {
	if given < 0 || given%time.Second != 0 || given > 30*24*time.Hour {
		return 0, misuse("--%s=%s: want whole seconds, such as 15m, and 30 days at most", flag, given)
	}
	return int32(given / time.Second), nil
}

func serviceNames(given []string) []v1alpha1.ServiceName {
	names := make([]v1alpha1.ServiceName, len(given))
	for i, name := range given {
		names[i] = v1alpha1.ServiceName(name)
	}
	return names
}

// created says that a passport was asked for.
func (i *issueCommand) created(passport *v1alpha1.Passport) error {
	if !i.output.human() {
		return i.output.object(passport, i.Out)
	}
	p := page{out: i.Out}
	p.line("passport %[1]s created in namespace %[2]s. It is issued once: kubectl passport wait %[1]s -n %[2]s --for=issued", passport.Name, passport.Namespace)
	return p.err
}

// told says of a passport what whoever asked for it needs to know.
func (i *issueCommand) told(passport *v1alpha1.Passport) error {
	status := passport.Status
	p := page{out: i.Out}
	p.line("passport %s in namespace %s is %s", passport.Name, passport.Namespace, status.Phase)
	p.row("jti", "%s", status.JTI)
	expires := moment(status.ExpirationTime)
	if status.ExpirationTime != nil {
		expires += ", in " + span(status.ExpirationTime.Sub(i.clock.Now()))
	}
	if status.CheckpointBy != nil {
		expires += ", unless the agent checkpoints: best by " + moment(status.CheckpointBy)
	}
	p.row("expires", "%s", expires)
	if status.Issued != nil {
		p.row("at most until", "%s", stamp(status.Issued.Deadline.Time))
	}
	p.row("token", "%s", whereTheTokenIs(passport))
	return p.err
}

func whereTheTokenIs(passport *v1alpha1.Passport) string {
	if passport.Status.Issued == nil || passport.Status.Issued.SecretName == "" {
		return "in no Secret: the agent gets it from the gateway"
	}
	return fmt.Sprintf("in Secret %s, key %s: mount it into the agent's Pod", passport.Status.Issued.SecretName, v1alpha1.SecretKeyToken)
}

// token prints the token, for whoever may read its Secret.
func (i *issueCommand) token(ctx context.Context, c *cluster, passport *v1alpha1.Passport) error {
	name := passport.Status.Issued.SecretName
	secret := &corev1.Secret{}
	if err := c.Get(ctx, c.key(name), secret); err != nil {
		return fmt.Errorf("passport %s is Active, and its token cannot be read: %w", passport.Name, err)
	}
	_, err := io.WriteString(i.Out, string(secret.Data[v1alpha1.SecretKeyToken])+"\n")
	return err
}
