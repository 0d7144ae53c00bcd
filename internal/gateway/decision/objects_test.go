package decision_test

import (
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"agentpassport.dev/operator/api/v1alpha1"
	"agentpassport.dev/operator/internal/gateway/decision"
)

func TestStandingOf(t *testing.T) {
	deleted := metav1.NewTime(expiry)
	p := &v1alpha1.Passport{
		ObjectMeta: metav1.ObjectMeta{Namespace: "agents", Name: "p", UID: "uid-p"},
		Spec: v1alpha1.PassportSpec{
			AgentRef: v1alpha1.AgentReference{Name: "support-bot"},
			Intent:   &v1alpha1.Intent{Services: []v1alpha1.ServiceName{"github"}},
		},
		Status: v1alpha1.PassportStatus{
			Phase: v1alpha1.PhaseActive, JTI: "pp_p", SessionID: "s_p", ExpirationTime: &deleted,
			Issued: &v1alpha1.IssuedTerms{
				AgentUID: "uid-a", Mode: v1alpha1.ModeLogged,
				Services: []v1alpha1.IssuedService{{Service: "github", Scopes: []v1alpha1.Scope{"repo"}}, {Service: "slack"}},
			},
		},
	}
	s := decision.StandingOf(p)
	if s.UID != "uid-p" || s.Agent != "support-bot" || s.AgentUID != "uid-a" || s.JTI != "pp_p" || s.Mode != v1alpha1.ModeLogged ||
		!s.Expiry.Equal(expiry) || s.Revoking || !s.HasIntent || s.End != "" || !s.EndTime.IsZero() {
		t.Errorf("%+v", s)
	}
	if !s.Services["github"].Declared || s.Services["slack"].Declared || s.Services["github"].Scopes[0] != "repo" {
		t.Errorf("%+v", s.Services)
	}
	p.Status.Issued.Services[0].Scopes[0] = "other"
	if s.Services["github"].Scopes[0] != "repo" {
		t.Error("it shares memory with the object")
	}

	p.DeletionTimestamp = &deleted
	if !decision.StandingOf(p).Revoking {
		t.Error("a deletion is not seen")
	}
	p.DeletionTimestamp, p.Spec.Revocation = nil, &v1alpha1.Revocation{Reason: "x"}
	if !decision.StandingOf(p).Revoking {
		t.Error("a revocation is not seen")
	}
	p.Status.Phase, p.Status.EndTime = v1alpha1.PhaseRevoked, &deleted
	p.Status.Conditions = []metav1.Condition{{
		Type: string(v1alpha1.ConditionReady), Status: metav1.ConditionFalse, Reason: string(v1alpha1.ReasonRevokedByRequest),
	}}
	if s := decision.StandingOf(p); s.Revoking || s.End != v1alpha1.ReasonRevokedByRequest || !s.EndTime.Equal(expiry) {
		t.Errorf("%+v", s)
	}
	if s := decision.StandingOf(&v1alpha1.Passport{}); s.Services != nil || s.HasIntent || !s.Expiry.IsZero() {
		t.Errorf("%+v", s)
	}
}

func TestConnectionOf(t *testing.T) {
	object := &v1alpha1.ServiceConnection{
		ObjectMeta: metav1.ObjectMeta{Namespace: "agents", Name: "github", UID: "uid-c", Generation: 3},
		Spec: v1alpha1.ServiceConnectionSpec{
			BaseURL: "https://API.github.com/v3", Hosts: []string{"uploads.github.com", "api.github.com:443", "[2606:4700:4700::1111]:8443"},
			Methods: []v1alpha1.HTTPMethod{"GET"}, TimeoutSeconds: 5, Credential: &v1alpha1.ServiceCredential{SecretName: "github"},
			AllowedAddresses: []v1alpha1.AddressRange{v1alpha1.RangePrivate}, Callers: v1alpha1.CallersAnyBearer,
		},
	}
	c, err := decision.ConnectionOf(object)
	if err != nil {
		t.Fatal(err)
	}
	hosts := make([]string, 0, len(c.Hosts))
	for _, h := range c.Hosts {
		hosts = append(hosts, h.String())
	}
	if got := strings.Join(hosts, " "); got != "api.github.com:443 uploads.github.com:443 [2606:4700:4700::1111]:8443" {
		t.Error(got)
	}
	if c.Base.String() != "https://api.github.com/v3" || c.Timeout != 5*time.Second || c.Methods[0] != "GET" || c.Generation != 3 ||
		c.Credential == object.Spec.Credential || c.Credential.SecretName != "github" || c.Callers != v1alpha1.CallersAnyBearer {
		t.Errorf("%+v", c)
	}
	if c, err := decision.ConnectionOf(&v1alpha1.ServiceConnection{Spec: v1alpha1.ServiceConnectionSpec{BaseURL: "http://h"}}); err != nil ||
		c.Timeout != 30*time.Second || c.Methods != nil || c.Credential != nil {
		t.Errorf("%+v, %v", c, err)
	}
	for field, spec := range map[string]v1alpha1.ServiceConnectionSpec{
		"spec.baseURL":  {BaseURL: "https://h//a"},
		"has a query":   {BaseURL: "https://h/?"},
		"spec.hosts[1]": {BaseURL: "https://h", Hosts: []string{"g", "0x7f.1"}},
	} {
		if _, err := decision.ConnectionOf(&v1alpha1.ServiceConnection{Spec: spec}); err == nil || !strings.Contains(err.Error(), field) {
			t.Errorf("%s: %v", field, err)
		}
	}
}
