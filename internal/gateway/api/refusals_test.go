package api_test

import (
	"net/http"
	"strings"
	"sync"
	"testing"

	"agentpassport.dev/operator/api/v1alpha1"
	"agentpassport.dev/operator/internal/gateway/api"
)

func TestIssueRefuses(t *testing.T) {
	p := newPlace(t)
	p.agent("plain", in(v1alpha1.ModeStandard))
	for name, test := range map[string]struct {
		person, body string
		code         api.Code
		says         string
	}{
		"nobody at all":       {"", guide(t, "issue"), api.CodeUnauthorized, "audience"},
		"who may not use":     {"other", guide(t, "issue"), api.CodeForbidden, "use agentpassports.agentpassport.dev support-bot"},
		"no such agent":       {"runner", `{"agent_id": "ghost"}`, api.CodeNotFound, "ghost"},
		"no agent":            {"runner", `{}`, api.CodeInvalidRequest, "agent_id"},
		"no intent":           {"runner", `{"agent_id": "support-bot"}`, api.CodeAccountabilityRequired, "intent"},
		"not granted":         {"runner", `{"agent_id": "support-bot", "intent": {"summary": "s", "services": ["jira"]}}`, api.CodeServiceNotGranted, "jira"},
		"a scope too many":    {"runner", `{"agent_id": "plain", "services": [{"service": "slack", "scopes": ["admin"]}]}`, api.CodeScopeEscalation, "admin"},
		"too long a life":     {"runner", `{"agent_id": "plain", "max_duration_seconds": 2592000}`, api.CodeLifetimeExceeded, "2592000"},
		"a short life":        {"runner", `{"agent_id": "plain", "ttl_seconds": 59}`, api.CodeSchema, "ttl_seconds"},
		"no life":             {"runner", `{"agent_id": "plain", "ttl_seconds": 0}`, api.CodeInvalidRequest, "ttl_seconds"},
		"a preset of no name": {"runner", `{"agent_id": "plain", "checkpoint_interval_seconds": "often"}`, api.CodeInvalidRequest, "frequent"},
		"identity claims":     {"runner", `{"agent_id": "plain", "identity_claim_ids": []}`, api.CodeInvalidRequest, "identity claims"},
		"an unknown field":    {"runner", `{"agent_id": "plain", "intent": {"aim": "s"}}`, api.CodeInvalidRequest, "intent.aim"},
		"a field twice":       {"runner", `{"agent_id": "plain", "agent_id": "plain"}`, api.CodeInvalidRequest, "twice"},
		"another type":        {"runner", `{"agent_id": 7}`, api.CodeInvalidRequest, "agent_id"},
		"an array":            {"runner", `[]`, api.CodeInvalidRequest, "object"},
		"no JSON":             {"runner", `{`, api.CodeInvalidRequest, "JSON"},
		"too much":            {"runner", `{"agent_id": "` + strings.Repeat("a", 1<<20) + `"}`, api.CodeTooLarge, "bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			got := (&place{t: t, namespace: p.namespace, url: p.url}).post(test.person, "/v1/passports/issue", test.body).refused(test.code)
			if !strings.Contains(got.text("error", "message"), test.says) {
				t.Errorf("%q is not said: %s", test.says, got.raw)
			}
		})
	}
	got := p.post("runner", "/v1/passports/issue", `{"agent_id": "plain", "ttl_seconds": 0, "token_delivery": "mail", "services": []}`)
	if len(got.refused(api.CodeInvalidRequest).list("error", "details", "problems")) != 3 {
		t.Errorf("not every problem is listed: %s", got.raw)
	}
}

func TestPassportRefuses(t *testing.T) {
	p := newPlace(t)
	p.agent("plain", in(v1alpha1.ModeStandard))
	standard := "/v1/passports/" + p.post("runner", "/v1/passports/issue", `{"agent_id": "plain"}`).ok().text("jti")
	p.post("runner", standard+"/checkpoint", `{}`).refused(api.CodeCheckpointNotAvailable)
	p.post("runner", standard+"/checkout", `{}`).refused(api.CodeCheckpointNotAvailable)

	path := "/v1/passports/" + p.issue().text("jti")
	p.post("other", path+"/checkpoint", `{}`).refused(api.CodeForbidden)
	p.post("nobody", path+"/checkpoint", `{}`).refused(api.CodeNotFound)
	p.get("nobody", path).refused(api.CodeNotFound)
	p.get("runner", "/v1/passports/pp_"+strings.Repeat("0", 32)).refused(api.CodeNotFound)
	p.post("runner", path+"/checkpoint", `{"actions_count": -1}`).refused(api.CodeSchema)
	p.post("runner", path+"/checkout", `{"outcome": "won"}`).refused(api.CodeInvalidRequest)
	p.post("runner", path+"/revoke", `{"reason": "mine"}`).refused(api.CodeForbidden)
	p.post("responder", path+"/revoke", `{}`).refused(api.CodeInvalidRequest)
	fresh := p.post("runner", path+"/refresh", "").ok().text("token")
	if revoked := p.post("responder", path+"/revoke", `{"reason": "stop"}`).ok(); len(revoked.list("revoked")) != 1 {
		t.Errorf("revoke: %s", revoked.raw)
	}
	p.post("responder", path+"/revoke", `{"reason": "again"}`).ok()
	if verified := p.post("", "/v1/passports/verify", `{"token": "`+fresh+`"}`).ok(); verified.text("reason") != "passport_revoked" {
		t.Errorf("verify: %s", verified.raw)
	}
	eventually(t, "the end", func() bool { return p.get("runner", path).ok().text("phase") == "revoked" })
	p.post("runner", path+"/checkpoint", `{}`).refused(api.CodePassportEnded)
	p.post("runner", path+"/refresh", "").refused(api.CodePassportRevoked)
	p.get("runner", "/v1/nothing").refused(api.CodeNotFound)
	p.ask("runner", http.MethodDelete, path, "").refused(api.CodeMethodNotAllowed)
	p.post("", "/v1/passports/verify", `{"token": "x.y.z"}`).ok()
	p.get("runner", "/v1/audit/export").refused(api.CodeForbidden)
	p.get("auditor", "/v1/audit/export?since=1").refused(api.CodeInvalidRequest)
	p.get("auditor", "/v1/audit/verify-chain").refused(api.CodeForbidden)
}

func TestARepeatDoesNothingTwice(t *testing.T) {
	p := newPlace(t)
	issue := func() *answer {
		return p.post("runner", "/v1/passports/issue", guide(t, "issue"), "Idempotency-Key", "one")
	}
	first, again := issue().ok(), issue().ok()
	if first.text("jti") != again.text("jti") || again.text("token") == "" {
		t.Errorf("%s and %s", first.raw, again.raw)
	}
	p.post("runner", "/v1/passports/issue", strings.Replace(guide(t, "issue"), "900", "600", 1), "Idempotency-Key", "one").refused(api.CodeKeyReused)
	path := "/v1/passports/" + first.text("jti")
	for range 2 {
		p.post("runner", path+"/checkpoint", guide(t, "checkpoint"), "Idempotency-Key", "one").ok()
	}
	p.post("runner", path+"/checkpoint", `{}`, "Idempotency-Key", "one").refused(api.CodeKeyReused)
	if state := p.get("runner", path).ok(); state.at("checkpoints") != 1.0 {
		t.Errorf("a checkpoint counts twice: %s", state.raw)
	}

	// Ten at once end the mission once, with one verdict.
	var wg sync.WaitGroup
	verdicts := make([]string, 10)
	for i := range verdicts {
		wg.Go(func() { verdicts[i] = p.post("runner", path+"/checkout", guide(t, "checkout")).raw })
	}
	wg.Wait()
	for _, one := range verdicts {
		if one != verdicts[0] {
			t.Errorf("%s and %s", one, verdicts[0])
		}
	}
	var checkouts v1alpha1.CheckoutList
	if err := server.Admin().List(t.Context(), &checkouts, inNamespace(p)); err != nil || len(checkouts.Items) != 1 {
		t.Errorf("%d checkouts, %v", len(checkouts.Items), err)
	}
}

func TestRevokeMany(t *testing.T) {
	p := newPlace(t)
	p.issue()
	session := p.issue().text("session_id")
	for name, body := range map[string]string{
		"none":            `{"reason": "x"}`,
		"two":             `{"reason": "x", "agent_id": "support-bot", "session_id": "ses_1"}`,
		"all, no confirm": `{"reason": "x", "all": true}`,
	} {
		p.post("responder", "/v1/passports/revoke", body).refused(api.CodeInvalidRequest)
		t.Log(name)
	}
	p.post("nobody", "/v1/passports/revoke", `{"reason": "x", "agent_id": "support-bot"}`).refused(api.CodeForbidden)
	if got := p.post("runner", "/v1/passports/revoke", `{"reason": "x", "agent_id": "support-bot"}`).ok(); len(got.list("failed")) != 2 {
		t.Errorf("who may list and not revoke: %s", got.raw)
	}
	if got := p.post("responder", "/v1/passports/revoke", `{"reason": "x", "session_id": "`+session+`"}`).ok(); len(got.list("revoked")) != 1 {
		t.Errorf("a session: %s", got.raw)
	}
	if got := p.post("responder", "/v1/passports/revoke", `{"reason": "x", "all": true, "confirm": true}`).ok(); len(got.list("revoked")) == 0 {
		t.Errorf("all: %s", got.raw)
	}
}

func TestPublished(t *testing.T) {
	p := newPlace(t)
	for path, holds := range map[string]string{
		"/.well-known/jwks.json":            `"kid"`,
		"/v1/.well-known/jwks.json":         `"kid"`,
		"/.well-known/openid-configuration": issuer,
		"/statuslists/1/0":                  "signed.status.list",
		"/openapi.json":                     `"openapi":"3.1.0"`,
	} {
		got := p.get("", path).ok()
		if !strings.Contains(got.raw, holds) || !strings.HasPrefix(got.header.Get("Cache-Control"), "public") {
			t.Errorf("%s: %q, %s", path, got.header.Get("Cache-Control"), got.raw)
		}
	}
	p.get("", "/statuslists/9/9").refused(api.CodeNotFound)
	if events := p.get("reviewer", "/v1/security-events").ok(); events.at("page") != 1.0 {
		t.Errorf("events: %s", events.raw)
	}
	if csv := p.get("auditor", "/v1/audit/export?format=csv").ok(); !strings.HasPrefix(csv.raw, "epoch,") {
		t.Errorf("CSV: %s", csv.raw)
	}
}
