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
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"agentpassport.dev/operator/api/v1alpha1"
)

const (
	// usualInterval is the leash of the played missions: time enough on any machine.
	usualInterval = 300 * time.Second
	// shortestInterval is that of the one whose death is waited for.
	shortestInterval = 60 * time.Second
	// estimate is how long the agent says that it will take.
	estimate = 900 * time.Second
	// workTime is what the agent works for before it checkpoints.
	workTime = 3 * time.Second
	// patience is how long any one thing may take that the operator does at once.
	patience = 30 * time.Second
	// silenceMargin is how long after its expiry a passport may still say Active: the operator
	// looks once more, five seconds after, for a checkpoint made in time.
	silenceMargin = time.Minute
)

// intended are the services that every mission declares.
var intended = []v1alpha1.ServiceName{"slack", "github"}

// stage is where missions are played, and by whom.
type stage struct {
	*actors
	clock  clock.PassiveClock
	screen *Screen
	// jwks is the URL of the published keys.
	jwks string
	// stamped says that the cluster records who writes what.
	stamped bool
}

// mission is one mission of the support bot.
type mission struct {
	*stage
	interval time.Duration
	// spoken says that the claims are shown once the token is verified.
	spoken   bool
	passport v1alpha1.Passport
	checkout v1alpha1.Checkout
	// block is what a review made; empty where none did.
	block v1alpha1.AgentBlock
}

// newMission is one that has not begun.
func (s *stage) newMission() *mission { return &mission{stage: s, interval: usualInterval} }

func (m *mission) ask(ctx context.Context) (string, error) {
	m.passport = v1alpha1.Passport{
		ObjectMeta: metav1.ObjectMeta{GenerateName: "answer-ticket-", Namespace: agentNamespace},
		Spec: v1alpha1.PassportSpec{
			AgentRef: v1alpha1.AgentReference{Name: agentName},
			Intent: &v1alpha1.Intent{
				Summary:                  "Answer one customer ticket and post a resolution",
				Services:                 intended,
				EstimatedDurationSeconds: int32(estimate.Seconds()),
			},
			TTLSeconds:                int32(estimate.Seconds()),
			CheckpointIntervalSeconds: int32(m.interval.Seconds()),
		},
	}
	if err := m.agent.Create(ctx, &m.passport); err != nil {
		return "", err
	}
	if err := m.signed(m.passport.Spec.RequestedBy, agentName); err != nil {
		return "", err
	}
	return fmt.Sprintf("%s asks for passport %s: %q", agentName, m.passport.Name, m.passport.Spec.Intent.Summary), nil
}

func (m *mission) awaitIssue(ctx context.Context) (string, error) {
	err := eventually(ctx, patience, "passport "+m.passport.Name+" to be Active", func(ctx context.Context) (string, error) {
		if err := m.refresh(ctx); err != nil {
			return "", err
		}
		if m.passport.Status.Phase != v1alpha1.PhaseActive || !m.ready() {
			return m.state(), nil
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
	report := &v1alpha1.Checkpoint{
		ObjectMeta: metav1.ObjectMeta{GenerateName: m.passport.Name + "-", Namespace: agentNamespace},
		Spec: v1alpha1.CheckpointSpec{
			PassportRef:  v1alpha1.PassportReference{Name: m.passport.Name},
			AgentRef:     v1alpha1.AgentReference{Name: agentName},
			ServicesUsed: intended,
			ActionsCount: 3,
			Summary:      "Pulled ticket context; drafting reply",
		},
	}
	if err := m.agent.Create(ctx, report); err != nil {
		return "", err
	}
	expected := metav1.NewTime(report.CreationTimestamp.Add(m.interval))
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
	left := expiry.Sub(m.clock.Now())
	m.screen.Line("", "(the agent falls silent: its passport has %d seconds to live)", int(left.Seconds()))
	if err := m.awaitPhase(ctx, left+silenceMargin, v1alpha1.PhaseExpired, v1alpha1.ReasonCheckpointSilence); err != nil {
		return "", err
	}
	switch {
	case m.clock.Now().Before(expiry.Time):
		return "", fmt.Errorf("it expired before %s", at(expiry))
	case !m.hasSignal("checkpoint_silence"):
		return "", errors.New("the signal checkpoint_silence was not raised")
	}
	return "no checkpoint came: the passport is Expired, reason CheckpointSilence", nil
}

// awaitPhase waits until the passport has ended, and checks that it did so in this phase and for this
// reason.
func (m *mission) awaitPhase(ctx context.Context, limit time.Duration, phase v1alpha1.Phase, reason v1alpha1.Reason) error {
	what := fmt.Sprintf("passport %s to be %s", m.passport.Name, phase)
	err := eventually(ctx, limit, what, func(ctx context.Context) (string, error) {
		if err := m.refresh(ctx); err != nil {
			return "", err
		}
		if !m.passport.Status.Phase.Finished() {
			return m.state(), nil
		}
		return "", nil
	})
	if err != nil {
		return err
	}
	why := m.passport.Status.Explanation()
	if m.passport.Status.Phase != phase || why == nil || why.Reason != string(reason) {
		return fmt.Errorf("passport %s is not %s for %s: %s", m.passport.Name, phase, reason, m.state())
	}
	return nil
}

// awaitEnd waits until the passport has ended, in whatever way: somebody may keep it alive, revoke
// it or delete it.
func (m *mission) awaitEnd(ctx context.Context) (string, error) {
	for {
		switch err := m.refresh(ctx); {
		case apierrors.IsNotFound(err):
			return "passport " + m.passport.Name + " was deleted", nil
		case err == nil && m.passport.Status.Phase.Finished():
			return fmt.Sprintf("passport %s: %s", m.passport.Name, m.state()), nil
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

// state is what the passport says of itself.
func (m *mission) state() string {
	why := m.passport.Status.Explanation()
	if why == nil {
		return fmt.Sprintf("phase %q, no condition that says why", m.passport.Status.Phase)
	}
	return fmt.Sprintf("phase %s, %s: %s", m.passport.Status.Phase, why.Reason, why.Message)
}

// signed checks that admission has recorded the actor who wrote something, where the cluster does so.
func (s *stage) signed(by *v1alpha1.Actor, name string) error {
	if s.stamped && (by == nil || by.Username != account(name)) {
		return fmt.Errorf("admission did not record that it was %s", account(name))
	}
	return nil
}

// pause lets real time pass, as work does.
func (s *stage) pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(d):
		return nil
	}
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
