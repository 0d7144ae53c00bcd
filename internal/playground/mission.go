package playground

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"agentpassport.dev/operator/api/v1alpha1"
)

const (
	agentNamespace = "agents"
	agentName      = "support-bot"
	// samplePassport is the name in config/samples/passport.yaml.
	samplePassport = "answer-ticket-4711"
	// interval of the played mission: the shortest that the API takes.
	interval = 60 * time.Second
	// workTime is what the agent works for before it checkpoints.
	workTime = 5 * time.Second
	// patience is how long any one thing may take that the operator does at once.
	patience = 30 * time.Second
	// silenceMargin is how long after its expiry a passport may still say Active: the operator
	// looks once more, five seconds after, for a checkpoint made in time.
	silenceMargin = time.Minute
)

// mission is one mission of the support bot, played by its own ServiceAccount.
type mission struct {
	clock  clock.PassiveClock
	screen *Screen
	// agent has the rights of config/samples/rbac-agent.yaml and no other.
	agent client.Client
	// kubelet stands for what mounts the token into the agent's Pod.
	kubelet client.Client
	jwks    string
	// stamped says that the cluster records who writes what.
	stamped bool
	// spoken says that the claims are shown once the token is verified.
	spoken   bool
	passport v1alpha1.Passport
}

// step is one thing that happens in a mission. It returns what to say of it.
type step struct {
	name string
	do   func(context.Context) (string, error)
}

// life is the mission up to the moment when the agent falls silent.
func (m *mission) life() []step {
	return []step{
		{"ask for a passport", m.ask},
		{"issue", m.awaitIssue},
		{"verify the token", m.verifyToken},
		{"checkpoint", m.checkpoint},
		{"verify the renewed token", m.verifyToken},
	}
}

// death is what silence does.
func (m *mission) death() []step {
	return []step{
		{"die of silence", m.awaitSilence},
		{"take the token away", m.awaitNoSecret},
	}
}

// newMission lets the support bot's ServiceAccount into the cluster of cfg.
func newMission(
	ctx context.Context, cfg *rest.Config, admin client.Client, screen *Screen, clk clock.PassiveClock,
) (*mission, error) {
	token, _, err := requestToken(ctx, admin, agentNamespace, agentName, time.Hour)
	if err != nil {
		return nil, fmt.Errorf("a token for ServiceAccount %s/%s: %w", agentNamespace, agentName, err)
	}
	own := rest.AnonymousClientConfig(cfg)
	own.BearerToken = token
	own.WarningHandler = warnings{screen}
	agent, err := client.New(own, client.Options{Scheme: admin.Scheme()})
	if err != nil {
		return nil, err
	}
	return &mission{clock: clk, screen: screen, agent: agent, kubelet: admin}, nil
}

// warnings shows what the API server warns of.
type warnings struct{ screen *Screen }

// HandleWarningHeader implements rest.WarningHandler.
func (w warnings) HandleWarningHeader(code int, _, text string) {
	if code != 299 || text == "" {
		return
	}
	// Which policy speaks is less than what it says.
	if _, said, ok := strings.Cut(text, "' with binding '"); ok {
		_, text, _ = strings.Cut(said, ": ")
	}
	w.screen.Line("", "(the API server warns: %s)", text)
}

func (m *mission) ask(ctx context.Context) (string, error) {
	m.passport = v1alpha1.Passport{
		ObjectMeta: metav1.ObjectMeta{GenerateName: "answer-ticket-", Namespace: agentNamespace},
		Spec: v1alpha1.PassportSpec{
			AgentRef: v1alpha1.AgentReference{Name: agentName},
			Intent: &v1alpha1.Intent{
				Summary:                  "Answer one customer ticket and post a resolution",
				Services:                 []v1alpha1.ServiceName{"slack", "github"},
				EstimatedDurationSeconds: int32(interval.Seconds()),
			},
			TTLSeconds:                int32(interval.Seconds()),
			CheckpointIntervalSeconds: int32(interval.Seconds()),
		},
	}
	if err := m.agent.Create(ctx, &m.passport); err != nil {
		return "", err
	}
	account := "system:serviceaccount:" + agentNamespace + ":" + agentName
	if by := m.passport.Spec.RequestedBy; m.stamped && (by == nil || by.Username != account) {
		return "", fmt.Errorf("admission did not record that %s asks", account)
	}
	return fmt.Sprintf("%s asks for passport %s: %q", agentName, m.passport.Name, m.passport.Spec.Intent.Summary), nil
}

func (m *mission) awaitIssue(ctx context.Context) (string, error) {
	err := eventually(ctx, patience, "passport "+m.passport.Name+" to be Active", func(ctx context.Context) (string, error) {
		if err := m.refresh(ctx); err != nil {
			return "", err
		}
		if m.passport.Status.Phase != v1alpha1.PhaseActive || !m.ready() {
			return m.story(), nil
		}
		return "", nil
	})
	if err != nil {
		return "", err
	}
	status := m.passport.Status
	if status.ExpirationTime == nil || !strings.HasPrefix(status.JTI, "pp_") {
		return "", errors.New("the passport is Active without jti or expirationTime")
	}
	return fmt.Sprintf("issued as %s; it dies at %s unless the agent checkpoints", status.JTI, at(status.ExpirationTime)), nil
}

// verifyToken reads the Secret, and checks that its token is authentic by the published keys alone
// and says what the status says.
func (m *mission) verifyToken(ctx context.Context) (string, error) {
	var header, claims string
	err := eventually(ctx, patience, "the Secret to hold the current token", func(ctx context.Context) (string, error) {
		secret := &corev1.Secret{}
		if err := m.kubelet.Get(ctx, m.secretKey(), secret); err != nil {
			return "", err
		}
		if secret.Type != v1alpha1.SecretTypePassportToken {
			return fmt.Sprintf("the Secret is of type %q", secret.Type), nil
		}
		var err error
		header, claims, err = Verify(ctx, string(secret.Data[v1alpha1.SecretKeyToken]), m.jwks, m.clock.Now())
		if err != nil {
			return "", err
		}
		var said struct {
			JTI string `json:"jti"`
			Exp int64  `json:"exp"`
		}
		if err := json.Unmarshal([]byte(claims), &said); err != nil {
			return "", err
		}
		if said.JTI != m.passport.Status.JTI || said.Exp != m.passport.Status.ExpirationTime.Unix() {
			return "jti or exp of the token is not the passport's", nil
		}
		return "", nil
	})
	if err != nil {
		return "", err
	}
	// The token itself is never shown: whoever has it, is the agent.
	if m.spoken {
		m.spoken = false
		m.screen.Text(indent(header+"\n"+claims, strings.Repeat(" ", 17)) + "\n")
	}
	return fmt.Sprintf("its token verifies with the published keys alone; exp is %s", at(m.passport.Status.ExpirationTime)), nil
}

// checkpoint reports progress after a while of work, and sees the expiry move to one interval
// after the report.
func (m *mission) checkpoint(ctx context.Context) (string, error) {
	if err := m.pause(ctx, workTime); err != nil {
		return "", err
	}
	before := m.passport.Status.ExpirationTime
	actions := int32(3)
	report := &v1alpha1.Checkpoint{
		ObjectMeta: metav1.ObjectMeta{GenerateName: m.passport.Name + "-", Namespace: agentNamespace},
		Spec: v1alpha1.CheckpointSpec{
			PassportRef:  v1alpha1.PassportReference{Name: m.passport.Name},
			AgentRef:     v1alpha1.AgentReference{Name: agentName},
			ServicesUsed: []v1alpha1.ServiceName{"slack", "github"},
			ActionsCount: actions,
			Summary:      "Pulled ticket context; drafting reply",
		},
	}
	if err := m.agent.Create(ctx, report); err != nil {
		return "", err
	}
	expected := metav1.NewTime(report.CreationTimestamp.Add(interval))
	err := eventually(ctx, patience, "the checkpoint to move the expiry", func(ctx context.Context) (string, error) {
		if err := m.agent.Get(ctx, client.ObjectKeyFromObject(report), report); err != nil {
			return "", err
		}
		if ready := meta.FindStatusCondition(report.Status.Conditions, string(v1alpha1.ConditionReady)); ready == nil {
			return "the checkpoint is not judged yet", nil
		} else if ready.Status != metav1.ConditionTrue {
			return fmt.Sprintf("the checkpoint is refused: %s: %s", ready.Reason, ready.Message), nil
		}
		if err := m.refresh(ctx); err != nil {
			return "", err
		}
		if !m.passport.Status.ExpirationTime.Equal(&expected) {
			return fmt.Sprintf("expirationTime is %s, not %s", at(m.passport.Status.ExpirationTime), at(&expected)), nil
		}
		return "", nil
	})
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%s checkpoints (%q); its expiry moves from %s to %s",
		agentName, report.Spec.Summary, at(before), at(m.passport.Status.ExpirationTime)), nil
}

// awaitSilence waits for the passport to expire because the agent said nothing more.
func (m *mission) awaitSilence(ctx context.Context) (string, error) {
	expiry := m.passport.Status.ExpirationTime
	limit := expiry.Sub(m.clock.Now()) + silenceMargin
	m.screen.Line("", "(the agent falls silent: its passport has %d seconds to live)", int(expiry.Sub(m.clock.Now()).Seconds()))
	err := eventually(ctx, limit, "passport "+m.passport.Name+" to expire", func(ctx context.Context) (string, error) {
		if err := m.refresh(ctx); err != nil {
			return "", err
		}
		if !m.passport.Status.Phase.Finished() {
			return m.story(), nil
		}
		return "", nil
	})
	if err != nil {
		return "", err
	}
	ended := m.clock.Now()
	ready := meta.FindStatusCondition(m.passport.Status.Conditions, string(v1alpha1.ConditionReady))
	switch {
	case m.passport.Status.Phase != v1alpha1.PhaseExpired || ready == nil ||
		ready.Reason != string(v1alpha1.ReasonCheckpointSilence):
		return "", fmt.Errorf("it ended otherwise: %s", m.story())
	case ended.Before(expiry.Time):
		return "", fmt.Errorf("it expired before %s", at(expiry))
	case !m.hasSignal("checkpoint_silence"):
		return "", errors.New("the signal checkpoint_silence was not raised")
	}
	return "no checkpoint came: the passport is Expired, reason CheckpointSilence", nil
}

// awaitEnd waits until the passport has ended, in whatever way: somebody may keep it alive, revoke
// it or delete it.
func (m *mission) awaitEnd(ctx context.Context) (string, error) {
	for {
		switch err := m.refresh(ctx); {
		case apierrors.IsNotFound(err):
			return "passport " + m.passport.Name + " was deleted", nil
		case err == nil && m.passport.Status.Phase.Finished():
			return fmt.Sprintf("passport %s: %s", m.passport.Name, m.story()), nil
		}
		// Any other error is a hiccup of the cluster: the next look tells.
		if err := m.pause(ctx, time.Second); err != nil {
			return "", err
		}
	}
}

func (m *mission) awaitNoSecret(ctx context.Context) (string, error) {
	err := eventually(ctx, patience, "the token Secret to be gone", func(ctx context.Context) (string, error) {
		err := m.kubelet.Get(ctx, m.secretKey(), &corev1.Secret{})
		if err == nil {
			return "it is still there", nil
		}
		return "", client.IgnoreNotFound(err)
	})
	if err != nil {
		return "", err
	}
	return "its token Secret is gone", nil
}

// refresh reads the passport as the agent.
func (m *mission) refresh(ctx context.Context) error {
	return m.agent.Get(ctx, client.ObjectKeyFromObject(&m.passport), &m.passport)
}

func (m *mission) ready() bool {
	return meta.IsStatusConditionTrue(m.passport.Status.Conditions, string(v1alpha1.ConditionReady))
}

func (m *mission) hasSignal(signal string) bool {
	for i := range m.passport.Status.Signals {
		if m.passport.Status.Signals[i].Type == signal {
			return true
		}
	}
	return false
}

func (m *mission) secretKey() client.ObjectKey {
	name := m.passport.Name + "-token"
	if issued := m.passport.Status.Issued; issued != nil && issued.SecretName != "" {
		name = issued.SecretName
	}
	return client.ObjectKey{Namespace: agentNamespace, Name: name}
}

// story is what the passport says of itself.
func (m *mission) story() string {
	ready := meta.FindStatusCondition(m.passport.Status.Conditions, string(v1alpha1.ConditionReady))
	if ready == nil {
		return fmt.Sprintf("phase %q, no Ready condition", m.passport.Status.Phase)
	}
	return fmt.Sprintf("phase %s, %s: %s", m.passport.Status.Phase, ready.Reason, ready.Message)
}

// pause lets real time pass, as work does.
func (m *mission) pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(d):
		return nil
	}
}

// liftBlocks lifts what an earlier visitor blocked, so that a mission can be played.
func liftBlocks(ctx context.Context, admin client.Client) (int, error) {
	var blocks v1alpha1.AgentBlockList
	if err := admin.List(ctx, &blocks, client.InNamespace(agentNamespace)); err != nil {
		return 0, err
	}
	lifted := 0
	for i := range blocks.Items {
		block := &blocks.Items[i]
		if block.Spec.Lifted != nil || (block.Spec.AgentRef != nil && block.Spec.AgentRef.Name != agentName) {
			continue
		}
		patch := client.MergeFrom(block.DeepCopy())
		block.Spec.Lifted = &v1alpha1.BlockLift{Reason: "The playground was started again."}
		if err := admin.Patch(ctx, block, patch); err != nil && !apierrors.IsNotFound(err) {
			return lifted, err
		}
		lifted++
	}
	return lifted, nil
}

// at is a time of day, as a clock on the wall shows it.
func at(t *metav1.Time) string {
	if t == nil {
		return "never"
	}
	return t.Local().Format(time.TimeOnly)
}

func indent(text, prefix string) string {
	return prefix + strings.ReplaceAll(strings.TrimSpace(text), "\n", "\n"+prefix)
}
