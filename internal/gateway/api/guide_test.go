package api_test

import (
	"encoding/json"
	"net/url"
	"os/exec"
	"strings"
	"testing"
	"time"

	"agentpassport.dev/operator/api/v1alpha1"
	"agentpassport.dev/operator/internal/gateway/api"
)

// TestGuide goes through the lifecycle guide step by step, with its own request bodies.
func TestGuide(t *testing.T) {
	p := newPlace(t)
	begun := time.Now().Add(-time.Minute)

	issued := p.issue()
	jti := issued.text("jti")
	if issued.text("token") == "" || !strings.HasPrefix(jti, "pp_") || issued.text("expires_at") == "" {
		t.Fatalf("issue: %s", issued.raw)
	}
	if verified := p.post("", "/v1/passports/verify", `{"token": "`+issued.text("token")+`"}`).ok(); verified.at("valid") != true || verified.text("claims", "jti") != jti {
		t.Errorf("verify: %s", verified.raw)
	}

	checkpoint := p.post("runner", "/v1/passports/"+jti+"/checkpoint", guide(t, "checkpoint")).ok()
	if checkpoint.at("accepted") != true || checkpoint.text("jti") != jti || checkpoint.text("token") == "" || checkpoint.text("expires_at") == "" {
		t.Errorf("checkpoint: %s", checkpoint.raw)
	}
	if state := p.get("runner", "/v1/passports/"+jti).ok(); state.text("phase") != "active" || state.at("checkpoints") != 1.0 || state.at("actions") != 3.0 ||
		state.text("requested_by") != p.user("runner") || state.at("observed", "calls") != 0.0 {
		t.Errorf("state: %s", state.raw)
	}

	checkout := p.post("runner", "/v1/passports/"+jti+"/checkout", guide(t, "checkout")).ok()
	if checkout.text("jti") != jti || checkout.text("checkout_status") == "" || checkout.at("flags") == nil {
		t.Errorf("checkout: %s", checkout.raw)
	}
	if verified := p.post("", "/v1/passports/verify", `{"token": "`+issued.text("token")+`"}`).ok(); verified.text("reason") != "passport_checked_out" {
		t.Errorf("verify after the checkout: %s", verified.raw)
	}

	// The guide's sample answer is of a mission that used notion too.
	flagged := p.issue().text("jti")
	report := strings.Replace(guide(t, "checkout"), `"github"`, `"github", "notion"`, 1)
	verdict := p.post("runner", "/v1/passports/"+flagged+"/checkout", report).ok()
	if verdict.text("checkout_status") != "flagged" || !strings.Contains(verdict.raw, `"type":"undeclared_service","severity":"warning"`) {
		t.Fatalf("the verdict: %s", verdict.raw)
	}
	reviews := p.get("reviewer", "/v1/passports/reviews?status=flagged").ok()
	var id string
	for i := range reviews.list("reviews") {
		if reviews.text("reviews", i, "jti") == flagged {
			id = reviews.text("reviews", i, "id")
		}
	}
	if id == "" || id != verdict.text("review_id") {
		t.Fatalf("the mission is not in the queue as %s: %s", verdict.text("review_id"), reviews.raw)
	}
	decided := p.post("reviewer", "/v1/passports/reviews/"+id+"/decide", guide(t, "decide")).ok()
	if decided.text("decision") != "approved" || decided.text("reviewer") != p.user("reviewer") {
		t.Errorf("decide: %s", decided.raw)
	}

	export := "/v1/audit/export?" + url.Values{
		"from": {begun.UTC().Format(time.RFC3339)}, "to": {time.Now().Add(time.Hour).UTC().Format(time.RFC3339)},
	}.Encode()
	steps := func() string { return selected(t, p.get("auditor", export).ok().raw, flagged) }
	eventually(t, "the whole trail", func() bool {
		told := steps()
		for _, action := range []string{"passport.issue", "passport.checkout", "passport.review_decide"} {
			if !strings.Contains(told, action) {
				return false
			}
		}
		return true
	})
}

// selected does what the guide's jq line does: the rows of one passport.
func selected(t *testing.T, raw, jti string) string {
	t.Helper()
	if path, err := exec.LookPath("jq"); err == nil {
		jq := exec.CommandContext(t.Context(), path, `.rows[] | select(.passport_jti == "`+jti+`")`)
		jq.Stdin = strings.NewReader(raw)
		out, err := jq.CombinedOutput()
		if err != nil {
			t.Fatalf("jq: %v: %s", err, out)
		}
		return string(out)
	}
	var rows struct {
		Rows []map[string]any `json:"rows"`
	}
	if err := json.Unmarshal([]byte(raw), &rows); err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, row := range rows.Rows {
		if row["passport_jti"] == jti {
			text, err := json.Marshal(row)
			if err != nil {
				t.Fatal(err)
			}
			found = append(found, string(text))
		}
	}
	return strings.Join(found, "\n")
}

// TestBlock is the other end of the guide: a reviewer blocks the agent, and a responder lifts it.
func TestBlock(t *testing.T) {
	p := newPlace(t)
	jti := p.issue().text("jti")
	report := strings.Replace(guide(t, "checkout"), `"github"`, `"github", "notion"`, 1)
	id := p.post("runner", "/v1/passports/"+jti+"/checkout", report).ok().text("review_id")
	decide := "/v1/passports/reviews/" + id + "/decide"
	p.post("runner", decide, guide(t, "decide")).refused(api.CodeForbidden)
	p.post("nobody", decide, guide(t, "decide")).refused(api.CodeNotFound)
	blocked := `{"decision": "blocked", "notes": "it has no business in notion"}`
	first := p.post("reviewer", decide, blocked).ok()
	if again := p.post("reviewer", decide, blocked).ok(); again.text("decision") != first.text("decision") {
		t.Errorf("the same decision again: %s", again.raw)
	}
	p.post("reviewer", decide, guide(t, "decide")).refused(api.CodeAlreadyDecided)
	if decided := p.get("reviewer", "/v1/passports/reviews?status=decided&agent=support-bot").ok(); decided.text("reviews", 0, "id") != id {
		t.Errorf("decided: %s", decided.raw)
	}
	eventually(t, "the block", func() bool { return p.get("runner", "/v1/agents/agt_support_bot").ok().at("passport_blocked") == true })
	p.post("runner", "/v1/passports/issue", guide(t, "issue")).refused(api.CodePassportBlocked)

	p.post("reviewer", "/v1/agents/support-bot/unblock", `{"reason": "mended"}`).refused(api.CodeForbidden)
	lifted := p.post("responder", "/v1/agents/support-bot/unblock", `{"reason": "mended"}`).ok()
	if len(lifted.list("lifted")) != 1 || lifted.at("passport_blocked") != false {
		t.Errorf("unblock: %s", lifted.raw)
	}
	p.issue()
	var blocks v1alpha1.AgentBlockList
	if err := server.Admin().List(t.Context(), &blocks, inNamespace(p)); err != nil {
		t.Fatal(err)
	}
	by := blocks.Items[0].Spec.Lifted.By
	if by.Username != p.user("responder") || by.Via != gateway {
		t.Errorf("lifted by %+v", by)
	}
}
