package controller

import (
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"agentpassport.dev/operator/api/v1alpha1"
	"agentpassport.dev/operator/internal/token"
)

var accountability = map[v1alpha1.AccountabilityMode]token.Accountability{
	v1alpha1.ModeEnforced: token.Enforced,
	v1alpha1.ModeLogged:   token.Logged,
	v1alpha1.ModeStandard: token.Standard,
}

// claimsOf gives the claims of an issued passport. They come wholly from stored state, so that
// every replica, and every repeat, makes the same ones.
func claimsOf(passport *v1alpha1.Passport) (*token.Claims, error) {
	status, terms := passport.Status, passport.Status.Issued
	intent := intentOf(passport.Spec.Intent)
	digest, err := token.IntentDigest(intent)
	if err != nil {
		return nil, err
	}
	claims := &token.Claims{
		Issuer:   terms.Issuer,
		Subject:  terms.Subject,
		Audience: terms.Audience,
		ID:       status.JTI,
		Status:   statusOf(terms),
		Mission:  token.Mission{ID: string(passport.UID), S256: digest, Deadline: terms.Deadline.Unix()},
		Passport: token.Passport{
			Agent: token.Agent{
				Namespace:  passport.Namespace,
				Name:       passport.Spec.AgentRef.Name,
				UID:        string(terms.AgentUID),
				Generation: terms.AgentGeneration,
			},
			DocumentSHA256:     terms.DocumentDigest,
			Accountability:     accountability[terms.Mode],
			Intent:             intent,
			Services:           servicesOf(terms.Services),
			TTL:                int64(terms.TTLSeconds),
			CheckpointInterval: int64(terms.CheckpointIntervalSeconds),
			SessionID:          status.SessionID,
		},
	}
	claims.SetTimes(status.IssueTime.Time, renewal(status), status.ExpirationTime.Time)
	return claims, nil
}

// renewal is when the leash was last renewed, by the expiry alone: an expiry has one set of claims,
// and a checkpoint that does not move it needs no new token.
func renewal(status v1alpha1.PassportStatus) time.Time {
	issue := status.IssueTime.Time
	if status.Issued.Mode != v1alpha1.ModeEnforced {
		return issue
	}
	interval := time.Duration(status.Issued.CheckpointIntervalSeconds) * time.Second
	if renewed := status.ExpirationTime.Add(-interval); renewed.After(issue) {
		return renewed
	}
	return issue
}

func intentOf(intent *v1alpha1.Intent) *token.Intent {
	if intent == nil {
		return nil
	}
	return &token.Intent{
		Summary:                  intent.Summary,
		Services:                 convert[string](intent.Services),
		EstimatedDurationSeconds: int64(intent.EstimatedDurationSeconds),
		WillDelegate:             intent.WillDelegate,
	}
}

func servicesOf(issued []v1alpha1.IssuedService) []token.Service {
	services := make([]token.Service, 0, len(issued))
	for _, service := range issued {
		constraints := make([]token.Constraint, 0, len(service.Constraints))
		for _, c := range service.Constraints {
			value := token.Value{List: c.Values}
			if c.Value != nil {
				value = token.Value{String: *c.Value}
			}
			constraints = append(constraints, token.Constraint{Path: c.Path, Op: string(c.Op), Value: value})
		}
		services = append(services, token.Service{
			Name: string(service.Service), Scopes: convert[string](service.Scopes), Constraints: constraints,
		})
	}
	return services
}

// termsOf reads back what a passport was issued with, and when, from the claims of a token that was
// signed before a crash. It is the inverse of claimsOf.
func termsOf(claims *token.Claims, secretName string) (v1alpha1.IssuedTerms, time.Time) {
	terms := v1alpha1.IssuedTerms{
		AgentUID:                  types.UID(claims.Passport.Agent.UID),
		AgentGeneration:           claims.Passport.Agent.Generation,
		DocumentDigest:            claims.Passport.DocumentSHA256,
		Issuer:                    claims.Issuer,
		Subject:                   claims.Subject,
		Audience:                  claims.Audience,
		TTLSeconds:                int32(claims.Passport.TTL),                //nolint:gosec // signed by ourselves, from an int32
		CheckpointIntervalSeconds: int32(claims.Passport.CheckpointInterval), //nolint:gosec // as above
		Deadline:                  metav1.Unix(claims.Mission.Deadline, 0),
		SecretName:                secretName,
	}
	if claims.Status != nil {
		terms.StatusList = placeIn(claims.Issuer, claims.Status.StatusList)
	}
	for mode, claimed := range accountability {
		if claimed == claims.Passport.Accountability {
			terms.Mode = mode
		}
	}
	for _, service := range claims.Passport.Services {
		issued := v1alpha1.IssuedService{
			Service: v1alpha1.ServiceName(service.Name), Scopes: convert[v1alpha1.Scope](service.Scopes),
		}
		for _, c := range service.Constraints {
			constraint := v1alpha1.Constraint{Path: c.Path, Op: v1alpha1.ConstraintOp(c.Op), Values: c.Value.List}
			if c.Value.List == nil {
				constraint.Value = &c.Value.String
			}
			issued.Constraints = append(issued.Constraints, constraint)
		}
		terms.Services = append(terms.Services, issued)
	}
	return terms, time.Unix(claims.NotBefore, 0).Add(token.NotBeforeCushion).UTC()
}

// convert turns a list of one kind of string into another's; nothing stays nothing.
func convert[To, From ~string](from []From) []To {
	if len(from) == 0 {
		return nil
	}
	to := make([]To, len(from))
	for i := range from {
		to[i] = To(from[i])
	}
	return to
}
