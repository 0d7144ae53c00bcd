package main

import (
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	. "github.com/onsi/gomega"
)

// TestThePythonAgent plays the agent of the documentation.
func TestThePythonAgent(t *testing.T) {
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Skip("python3 is not here")
	}
	w, g := NewWithT(t), newGateway(t)
	bearer := filepath.Join(t.TempDir(), "token")
	w.Expect(os.WriteFile(bearer, []byte("tok\n"), 0o600)).To(Succeed())
	agent := exec.CommandContext(t.Context(), python, "../../docs/agent.py")
	agent.Env = append(os.Environ(), "GATEWAY_URL="+g.URL, "TOKEN_FILE="+bearer, "CA_FILE=", "AGENT=support-bot", "SERVICE=slack", "URL=https://slack.com/api/api.test")
	out, err := agent.CombinedOutput()
	w.Expect(err).NotTo(HaveOccurred(), string(out))
	w.Expect(string(out)).To(Equal("the service answered 200\nchecked out: clean\n"))
	w.Expect(g.issued).To(HaveKeyWithValue("agent_id", "support-bot"))
	w.Expect(g.calls).To(HaveKeyWithValue("slack", int64(1)))
	w.Expect(g.checkpoints).To(HaveLen(1))
	w.Expect(g.checkouts).To(HaveLen(1))
	w.Expect(g.bearers).To(Equal(map[string]bool{"Bearer tok": true}))
}

// call takes one outbound call, and makes none.
func (g *gateway) call(w http.ResponseWriter, r *http.Request) {
	var outbound struct{ Service, Method, URL string }
	_ = json.NewDecoder(r.Body).Decode(&outbound)
	if r.Header.Get("X-Passport-Token") != g.token() || outbound.Method != http.MethodGet || outbound.URL == "" {
		refuse(w, http.StatusUnauthorized, "INVALID_PASSPORT", "the token is none")
		return
	}
	g.calls[outbound.Service]++
	answer(w, http.StatusOK, map[string]any{"status": 200, "headers": map[string]string{}, "body": ""})
}
