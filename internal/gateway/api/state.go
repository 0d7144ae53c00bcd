package api

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"

	"agentpassport.dev/operator/api/v1alpha1"
	"agentpassport.dev/operator/internal/audit/wire"
	"agentpassport.dev/operator/internal/gateway/decision"
	"agentpassport.dev/operator/internal/review"
	"agentpassport.dev/operator/internal/token"
)

// calls are asked for no longer than this: a state is of use without them.
const callsWait = 2 * time.Second

// stateAnswer is how a mission stands.
type stateAnswer struct {
	JTI              string        `json:"jti"`
	Namespace        string        `json:"namespace"`
	Name             string        `json:"name"`
	AgentID          string        `json:"agent_id"`
	SessionID        string        `json:"session_id,omitempty"`
	Phase            string        `json:"phase"`
	Reason           string        `json:"reason"`
	Message          string        `json:"message"`
	Accountability   string        `json:"accountability_mode,omitempty"`
	IssuedAt         *time.Time    `json:"issued_at,omitempty"`
	ExpiresAt        *time.Time    `json:"expires_at,omitempty"`
	EndsAt           *time.Time    `json:"ends_at,omitempty"`
	CheckpointBy     *time.Time    `json:"checkpoint_by,omitempty"`
	LastCheckpointAt *time.Time    `json:"last_checkpoint_at,omitempty"`
	EndedAt          *time.Time    `json:"ended_at,omitempty"`
	Intent           *intentBody   `json:"intent,omitempty"`
	Services         []serviceBody `json:"services"`
	Checkpoints      int32         `json:"checkpoints"`
	Actions          int64         `json:"actions"`
	ServicesUsed     []string      `json:"services_used"`
	Signals          []signalBody  `json:"signals"`
	RequestedBy      string        `json:"requested_by,omitempty"`
	Checkout         *checkoutBody `json:"checkout,omitempty"`
	Observed         *observedBody `json:"observed,omitempty"`
}

// signalBody is something that a detector saw while the mission ran.
type signalBody struct {
	Type     string     `json:"type"`
	Severity string     `json:"severity"`
	Message  string     `json:"message"`
	Count    int32      `json:"count"`
	FirstAt  *time.Time `json:"first_at"`
	LastAt   *time.Time `json:"last_at"`
}

// checkoutBody is the end of the mission.
type checkoutBody struct {
	ReviewID       string `json:"review_id"`
	Name           string `json:"name"`
	CheckoutStatus string `json:"checkout_status,omitempty"`
}

// observedBody is what the gateways saw.
type observedBody struct {
	Calls    int64             `json:"calls"`
	Denied   int64             `json:"denied"`
	Services []observedService `json:"services"`
}

// observedService counts the calls to one service.
type observedService struct {
	Service string `json:"service"`
	Calls   int64  `json:"calls"`
	Denied  int64  `json:"denied"`
}

// state tells how one mission stands.
func (s *service) state(c *call) error {
	passport, err := s.passport(c)
	if err != nil {
		return err
	}
	answer := stateOf(passport)
	answer.Observed = s.observed(c.r.Context(), passport.Namespace, answer.JTI)
	if reference := passport.Status.Checkout; reference != nil {
		if answer.Checkout, err = s.checkoutOf(c, passport, reference); err != nil {
			return err
		}
	}
	return c.give(answer)
}

func stateOf(passport *v1alpha1.Passport) stateAnswer {
	status := passport.Status
	answer := stateAnswer{
		JTI: token.JTI(string(passport.UID)), Namespace: passport.Namespace, Name: passport.Name,
		AgentID: passport.Spec.AgentRef.Name, SessionID: status.SessionID, Phase: phaseName(status.Phase),
		IssuedAt: moment(status.IssueTime), ExpiresAt: moment(status.ExpirationTime), CheckpointBy: moment(status.CheckpointBy),
		LastCheckpointAt: moment(status.LastCheckpointTime), EndedAt: moment(status.EndTime),
		Services: []serviceBody{}, Actions: status.Actions, ServicesUsed: strung(status.ServicesUsed), Signals: signalsOf(status.Signals),
	}
	if status.Checkpoints != nil {
		answer.Checkpoints = *status.Checkpoints
	}
	if why := status.Explanation(); why != nil {
		answer.Reason, answer.Message = why.Reason, why.Message
	}
	if by := passport.Spec.RequestedBy; by != nil {
		answer.RequestedBy = by.Username
	}
	answer.Intent = intentOf(passport.Spec.Intent)
	if issued := status.Issued; issued != nil {
		answer.Accountability = strings.ToLower(string(issued.Mode))
		answer.EndsAt = moment(&issued.Deadline)
		for _, one := range issued.Services {
			answer.Services = append(answer.Services, serviceOf(one.Service, one.Scopes, one.Constraints))
		}
	}
	return answer
}

// phases are written as checkout_status is.
var phases = map[v1alpha1.Phase]string{
	"": "pending", v1alpha1.PhasePending: "pending", v1alpha1.PhaseActive: "active", v1alpha1.PhaseCheckedOut: "checked_out",
	v1alpha1.PhaseExpired: "expired", v1alpha1.PhaseRevoked: "revoked", v1alpha1.PhaseRejected: "rejected",
}

func phaseName(phase v1alpha1.Phase) string { return phases[phase] }

func intentOf(intent *v1alpha1.Intent) *intentBody {
	if intent == nil {
		return nil
	}
	body := &intentBody{Summary: intent.Summary, Services: strung(intent.Services), WillDelegate: intent.WillDelegate}
	if intent.EstimatedDurationSeconds > 0 {
		body.EstimatedDurationSeconds = &intent.EstimatedDurationSeconds
	}
	return body
}

func signalsOf(signals []v1alpha1.Signal) []signalBody {
	told := make([]signalBody, len(signals))
	for i := range signals {
		signal := &signals[i]
		told[i] = signalBody{
			Type: signal.Type, Severity: string(signal.Severity), Message: signal.Message, Count: signal.Count,
			FirstAt: moment(&signal.FirstTime), LastAt: moment(&signal.LastTime),
		}
	}
	return told
}

// observed is what the gateways saw; nil where the audit log does not say it at once.
func (s *service) observed(ctx context.Context, namespace, jti string) *observedBody {
	ctx, cancel := context.WithTimeout(ctx, callsWait)
	defer cancel()
	if s.Recorded != nil {
		// An agent that asks what was seen of it means its last call too.
		hurried, done := context.WithTimeout(ctx, callsWait/2)
		err := s.Recorded(hurried)
		done()
		if err != nil {
			s.Log.V(1).Info("not all calls are in the audit log yet", "why", err.Error())
		}
	}
	calls, err := s.AuditLog.Calls(ctx, namespace, jti)
	if err != nil {
		s.Log.V(1).Info("the calls of a passport are not known", "jti", jti, "why", err.Error())
		return nil
	}
	return observedOf(calls)
}

func observedOf(calls wire.Calls) *observedBody {
	told := &observedBody{Services: []observedService{}}
	for _, name := range slices.Sorted(maps.Keys(calls.Services)) {
		one := observedService{Service: name, Calls: calls.Services[name].Sent}
		for code, count := range calls.Services[name].Refused {
			if review.Denied(decision.Code(code)) {
				one.Denied += count
			}
		}
		if one.Calls > 0 || one.Denied > 0 {
			told.Services = append(told.Services, one)
		}
		told.Calls += one.Calls
		told.Denied += one.Denied
	}
	return told
}

// checkoutOf tells of a mission's Checkout as it is referred to, and of its verdict where it is there.
func (s *service) checkoutOf(c *call, passport *v1alpha1.Passport, reference *v1alpha1.CheckoutReference) (*checkoutBody, error) {
	told := &checkoutBody{ReviewID: ReviewID(reference.UID), Name: reference.Name}
	key := types.NamespacedName{Namespace: passport.Namespace, Name: reference.Name}
	hidden := fail(CodeNotFound, "the checkout is not for this caller")
	err := s.visible(c, "checkouts", key, hidden)
	checkout := &v1alpha1.Checkout{}
	if err == nil {
		err = s.Client.Get(c.r.Context(), key, checkout)
	}
	if errors.Is(err, hidden) || apierrors.IsNotFound(err) {
		return told, nil
	}
	told.CheckoutStatus = "pending"
	if verdict := checkout.Status.Verdict; verdict != "" {
		told.CheckoutStatus = strings.ToLower(string(verdict))
	}
	return told, err
}
