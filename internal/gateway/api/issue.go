package api

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"agentpassport.dev/operator/api/v1alpha1"
	"agentpassport.dev/operator/internal/channel/wire"
	"agentpassport.dev/operator/internal/token"
)

// What a passport has where the request does not say. They are written out, so that a request that is
// repeated can be compared with what it made.
const (
	defaultTTLSeconds              = 900
	defaultIntervalSeconds         = 300
	defaultIssueDeadlineSeconds    = 600
	defaultTTLSecondsAfterFinished = 86400
)

// intervals are the presets of the lifecycle guide, in seconds.
var intervals = map[string]int32{"frequent": 120, "standard": 300, "relaxed": 900, "marathon": 3600}

// issueRequest asks for a passport.
type issueRequest struct {
	AgentID            string          `json:"agent_id"`
	Intent             *intentBody     `json:"intent"`
	TTLSeconds         *int32          `json:"ttl_seconds"`
	CheckpointInterval json.RawMessage `json:"checkpoint_interval_seconds"`
	MaxDurationSeconds *int32          `json:"max_duration_seconds"`
	Services           []serviceBody   `json:"services"`
	Scopes             []serviceBody   `json:"scopes"`
	Audience           []string        `json:"audience"`
	TokenDelivery      string          `json:"token_delivery"`
	SecretName         string          `json:"secret_name"`
}

// intentBody is what a mission is for.
type intentBody struct {
	Summary                  string   `json:"summary,omitempty"`
	Services                 []string `json:"services,omitempty"`
	EstimatedDurationSeconds *int32   `json:"estimated_duration_seconds,omitempty"`
	WillDelegate             bool     `json:"will_delegate"`
}

// serviceBody is a service with what a passport may do in it.
type serviceBody struct {
	Service     string           `json:"service"`
	Scopes      []string         `json:"scopes"`
	Constraints []constraintBody `json:"constraints,omitempty"`
}

// constraintBody is a condition on every call. Value is a string, or a list for in and not_in.
type constraintBody struct {
	Path  string          `json:"path"`
	Op    string          `json:"op"`
	Value json.RawMessage `json:"value"`
}

// issueAnswer is a passport that was issued.
type issueAnswer struct {
	Token        string     `json:"token"`
	JTI          string     `json:"jti"`
	ExpiresAt    time.Time  `json:"expires_at"`
	CheckpointBy *time.Time `json:"checkpoint_by,omitempty"`
	SessionID    string     `json:"session_id"`
	Namespace    string     `json:"namespace"`
	Name         string     `json:"name"`
}

// issue makes a Passport and waits for the operator to issue or reject it.
func (s *service) issue(c *call) error {
	var body issueRequest
	if err := c.read(&body); err != nil {
		return err
	}
	passport, err := body.passport(ownNamespace(c.who))
	if err != nil {
		return err
	}
	if err := s.may(c, toAct("passports", passport.Namespace, passport.Spec.AgentRef.Name)...); err != nil {
		return err
	}
	if err := s.agentIsThere(c.r.Context(), passport); err != nil {
		return err
	}
	passport.Spec.RequestedBy = c.caller()
	key, err := c.idempotencyKey()
	if err != nil {
		return err
	}
	passport.Name, passport.GenerateName = key.name(c, passport.Spec.AgentRef.Name), ""
	if passport.Name == "" {
		passport.GenerateName = passport.Spec.AgentRef.Name + "-"
	}
	wanted := passport.Spec.DeepCopy()
	if err := s.createOnce(c.r.Context(), passport, func() bool { return sameMission(wanted, &passport.Spec) }); err != nil {
		return err
	}
	return s.issued(c, passport)
}

// issued answers with a passport once it is decided.
func (s *service) issued(c *call, passport *v1alpha1.Passport) error {
	ctx, cancel := context.WithTimeout(c.r.Context(), s.IssueTimeout)
	defer cancel()
	uid := passport.UID
	decided, err := s.View.Await(ctx, uid, func(p *v1alpha1.Passport) bool {
		return p.Status.Phase != "" && p.Status.Phase != v1alpha1.PhasePending
	})
	if err == nil {
		return s.giveToken(c, decided)
	}
	if c.r.Context().Err() != nil {
		return err
	}
	// What it waits for, or that it is gone: as it is stored now.
	latest := &v1alpha1.Passport{}
	if err := s.Client.Get(c.r.Context(), client.ObjectKeyFromObject(passport), latest); err != nil {
		return err
	}
	switch latest.Status.Phase {
	case "", v1alpha1.PhasePending:
		return stillPending(latest)
	default:
		return s.giveToken(c, latest)
	}
}

// giveToken answers with the token of a passport that is decided.
func (s *service) giveToken(c *call, passport *v1alpha1.Passport) error {
	if err := ended(passport); err != nil {
		return err
	}
	signed, err := s.token(c.r.Context(), passport)
	if err != nil {
		return err
	}
	return c.give(issueAnswer{
		Token: signed.Token, JTI: passport.Status.JTI, ExpiresAt: signed.ExpiresAt.UTC(),
		CheckpointBy: moment(passport.Status.CheckpointBy), SessionID: passport.Status.SessionID,
		Namespace: passport.Namespace, Name: passport.Name,
	})
}

// token asks the manager for the token of an Active passport.
func (s *service) token(ctx context.Context, passport *v1alpha1.Passport) (wire.TokenAnswer, error) {
	var expiry time.Time
	if at := passport.Status.ExpirationTime; at != nil {
		expiry = at.Time
	}
	signed, err := s.Tokens.Token(ctx, passport.Namespace, passport.Name, string(passport.UID), expiry)
	if err == nil {
		return signed, nil
	}
	// It may have ended meanwhile.
	latest := &v1alpha1.Passport{}
	if getErr := s.Client.Get(ctx, client.ObjectKeyFromObject(passport), latest); getErr == nil && latest.UID == passport.UID {
		if over := ended(latest); over != nil {
			return wire.TokenAnswer{}, over
		}
	}
	s.Log.Error(err, "no token from the manager", "jti", passport.Status.JTI)
	return wire.TokenAnswer{}, fail(CodeUnavailable, "passport %s is Active, and the manager does not give its token now: POST /v1/passports/%s/refresh in a moment",
		passport.Status.JTI, passport.Status.JTI).with(details{"jti": passport.Status.JTI, retryAfter: 1})
}

// agentIsThere spares a caller the wait for an agent that nobody registered.
func (s *service) agentIsThere(ctx context.Context, passport *v1alpha1.Passport) error {
	key := types.NamespacedName{Namespace: passport.Namespace, Name: passport.Spec.AgentRef.Name}
	err := s.Client.Get(ctx, key, &v1alpha1.AgentPassport{})
	if apierrors.IsNotFound(err) {
		return fail(CodeNotFound, "there is no agent %s in namespace %s: its AgentPassport has to be applied first", key.Name, key.Namespace)
	}
	return err
}

// stillPending tells of a passport that waits for something.
func stillPending(passport *v1alpha1.Passport) error {
	reason, message := "", "the operator has not looked at it"
	if ready := meta.FindStatusCondition(passport.Status.Conditions, string(v1alpha1.ConditionReady)); ready != nil {
		reason, message = ready.Reason, ready.Message
	}
	jti := token.JTI(string(passport.UID))
	return fail(CodeIssuePending, "passport %s was asked for and is not issued yet: %s. Ask for its state, or for its token by POST /v1/passports/%s/refresh, later",
		jti, message, jti).with(details{"jti": jti, "reason": reason, "namespace": passport.Namespace, "name": passport.Name})
}

// ended says why a passport has no token; nil for one that is Active.
func ended(passport *v1alpha1.Passport) error {
	status := passport.Status
	reason, message := "", ""
	if why := status.Explanation(); why != nil {
		reason, message = why.Reason, why.Message
	}
	told := details{"jti": token.JTI(string(passport.UID)), "phase": string(status.Phase), "reason": reason}
	switch status.Phase {
	case v1alpha1.PhaseActive:
		return nil
	case v1alpha1.PhaseRejected:
		code, known := rejections[v1alpha1.Reason(reason)]
		if !known {
			code = CodePassportRejected
		}
		return fail(code, "%s", message).with(told)
	case v1alpha1.PhaseExpired:
		return fail(CodePassportExpired, "the passport has expired: %s", message).with(told)
	case v1alpha1.PhaseRevoked, v1alpha1.PhaseCheckedOut:
		return fail(CodePassportRevoked, "the passport is %s: %s", status.Phase, message).with(told)
	default:
		return fail(CodePassportNotActive, "the passport is not issued yet: %s", message).with(told)
	}
}

// passport is the object that a request asks for, or every problem with the request.
func (b *issueRequest) passport(ownNamespace string) (*v1alpha1.Passport, error) {
	var problems []fault
	note := func(field, message string) {
		if message != "" {
			problems = append(problems, fault{Field: field, Message: message})
		}
	}
	agent, wrong := agentID(b.AgentID, ownNamespace)
	note("agent_id", wrong)
	interval, wrong := intervalOf(b.CheckpointInterval)
	note("checkpoint_interval_seconds", wrong)
	delivery, wrong := deliveryOf(b.TokenDelivery)
	note("token_delivery", wrong)
	ttl := positive("ttl_seconds", b.TTLSeconds, defaultTTLSeconds, note)
	deadline := positive("max_duration_seconds", b.MaxDurationSeconds, 0, note)
	if b.Services != nil && b.Scopes != nil {
		note("scopes", "says the same as services: write one of them")
	}
	field, narrowing := "services", b.Services
	if b.Scopes != nil {
		field, narrowing = "scopes", b.Scopes
	}
	if narrowing != nil && len(narrowing) == 0 {
		note(field, "is empty: leave it out for all that the agent is granted, or name a service")
	}
	services := grantsOf(field, narrowing, note)
	intent := b.Intent.intent(note)
	if len(problems) > 0 {
		return nil, invalid(problems...)
	}
	kept := int32(defaultTTLSecondsAfterFinished)
	return &v1alpha1.Passport{
		ObjectMeta: metav1.ObjectMeta{Namespace: agent.Namespace},
		Spec: v1alpha1.PassportSpec{
			AgentRef: v1alpha1.AgentReference{Name: agent.Name}, Intent: intent,
			TTLSeconds: ttl, CheckpointIntervalSeconds: interval, ActiveDeadlineSeconds: deadline,
			IssueDeadlineSeconds: defaultIssueDeadlineSeconds, Audience: b.Audience, Services: services,
			SecretName: b.SecretName, TokenDelivery: delivery, TTLSecondsAfterFinished: &kept,
		},
	}, nil
}

// positive is a number that is given, or one that stands for none. Zero would be taken for none, and is
// refused here; all other limits are the schema's.
func positive(field string, given *int32, absent int32, note func(string, string)) int32 {
	if given == nil {
		return absent
	}
	if *given == 0 {
		note(field, "has to be more than 0")
	}
	return *given
}

func (b *intentBody) intent(note func(string, string)) *v1alpha1.Intent {
	if b == nil {
		return nil
	}
	return &v1alpha1.Intent{
		Summary: b.Summary, Services: named[v1alpha1.ServiceName](b.Services), WillDelegate: b.WillDelegate,
		EstimatedDurationSeconds: positive("intent.estimated_duration_seconds", b.EstimatedDurationSeconds, 0, note),
	}
}

func intervalOf(raw json.RawMessage) (int32, string) {
	if len(raw) == 0 || string(raw) == "null" {
		return defaultIntervalSeconds, ""
	}
	var seconds int32
	if err := json.Unmarshal(raw, &seconds); err == nil {
		if seconds == 0 {
			return 0, "has to be more than 0"
		}
		return seconds, ""
	}
	var preset string
	if err := json.Unmarshal(raw, &preset); err == nil {
		if seconds, known := intervals[preset]; known {
			return seconds, ""
		}
	}
	return 0, "has to be a whole number of seconds, or frequent (120), standard (300), relaxed (900) or marathon (3600)"
}

func deliveryOf(given string) (v1alpha1.TokenDelivery, string) {
	switch {
	case given == "", strings.EqualFold(given, string(v1alpha1.DeliveryNone)):
		return v1alpha1.DeliveryNone, ""
	case strings.EqualFold(given, string(v1alpha1.DeliverySecret)):
		return v1alpha1.DeliverySecret, ""
	default:
		return "", "has to be None (the token is in the answer alone) or Secret (it is kept fresh in a Secret too)"
	}
}

func grantsOf(field string, given []serviceBody, note func(string, string)) []v1alpha1.ServiceGrant {
	if given == nil {
		return nil
	}
	grants := make([]v1alpha1.ServiceGrant, 0, len(given))
	for i, one := range given {
		grant := v1alpha1.ServiceGrant{Service: v1alpha1.ServiceName(one.Service), Scopes: named[v1alpha1.Scope](one.Scopes)}
		for j, condition := range one.Constraints {
			constraint := v1alpha1.Constraint{Path: condition.Path, Op: v1alpha1.ConstraintOp(condition.Op)}
			if json.Unmarshal(condition.Value, &constraint.Value) != nil && json.Unmarshal(condition.Value, &constraint.Values) != nil {
				note(fmt.Sprintf("%s[%d].constraints[%d].value", field, i, j), "has to be a string, or an array of strings for in and not_in")
			}
			grant.Constraints = append(grant.Constraints, constraint)
		}
		grants = append(grants, grant)
	}
	return grants
}

// refresh gives a fresh token of a live passport, with the same expiry.
func (s *service) refresh(c *call) error {
	if err := c.readNothing(); err != nil {
		return err
	}
	passport, err := s.passport(c)
	if err != nil {
		return err
	}
	if err := s.may(c, toAct("passports", passport.Namespace, passport.Spec.AgentRef.Name)...); err != nil {
		return err
	}
	return s.giveToken(c, passport)
}

// readNothing takes a body that is absent or an empty object.
func (c *call) readNothing() error {
	raw, err := c.body()
	if err != nil || len(raw) == 0 {
		return err
	}
	return decode(raw, &struct{}{})
}
