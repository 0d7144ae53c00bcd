package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	. "github.com/onsi/gomega"
	clocktesting "k8s.io/utils/clock/testing"
)

// noon is when the tests take place.
var noon = time.Date(2026, time.March, 2, 12, 0, 0, 0, time.UTC)

// gateway keeps one passport, as the real one does with those who ask for it.
type gateway struct {
	*httptest.Server
	clock *clocktesting.FakeClock

	mu sync.Mutex
	// standard, refuses and dropsCheckouts say how it is disposed.
	standard, refuses bool
	dropsCheckouts    int
	phase             string
	expires           time.Time
	calls             map[string]int64
	issued            map[string]any
	bearers           map[string]bool
	checkpoints       []report
	checkouts         []report
	asks              int
}

type report struct {
	ServicesUsed []string `json:"services_used"`
	ActionsCount int64    `json:"actions_count"`
	Summary      string   `json:"summary"`
	Outcome      string   `json:"outcome"`
}

func newGateway(t *testing.T) *gateway {
	t.Helper()
	g := &gateway{clock: clocktesting.NewFakeClock(noon), calls: map[string]int64{}, bearers: map[string]bool{}}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /v1/passports/issue", g.issue)
	mux.HandleFunc("GET /v1/passports/pp_1", g.get)
	mux.HandleFunc("POST /v1/passports/pp_1/checkpoint", g.checkpoint)
	mux.HandleFunc("POST /v1/passports/pp_1/checkout", g.checkout)
	mux.HandleFunc("POST /v1/proxy", g.call)
	g.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		g.mu.Lock()
		defer g.mu.Unlock()
		g.bearers[r.Header.Get("Authorization")] = true
		mux.ServeHTTP(w, r)
	}))
	t.Cleanup(g.Close)
	return g
}

func answer(w http.ResponseWriter, status int, body any) {
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body)
}

func refuse(w http.ResponseWriter, status int, code, message string) {
	answer(w, status, map[string]any{"error": map[string]string{"code": code, "message": message}})
}

func (g *gateway) token() string { return fmt.Sprintf("token-%d", len(g.checkpoints)+1) }

func (g *gateway) issue(w http.ResponseWriter, r *http.Request) {
	if g.refuses {
		refuse(w, http.StatusForbidden, "PASSPORT_BLOCKED", "agent support-bot is blocked")
		return
	}
	if g.issued != nil {
		panic("a second passport")
	}
	_ = json.NewDecoder(r.Body).Decode(&g.issued)
	g.phase, g.expires = "active", g.clock.Now().Add(5*time.Minute)
	answer(w, http.StatusOK, map[string]any{"token": g.token(), "jti": "pp_1", "expires_at": g.expires})
}

func (g *gateway) get(w http.ResponseWriter, _ *http.Request) {
	g.asks++
	var services []map[string]any
	total := int64(0)
	for service, calls := range g.calls {
		services = append(services, map[string]any{"service": service, "calls": calls})
		total += calls
	}
	answer(w, http.StatusOK, map[string]any{
		"jti": "pp_1", "phase": g.phase, "expires_at": g.expires, "observed": map[string]any{"calls": total, "services": services},
	})
}

func (g *gateway) checkpoint(w http.ResponseWriter, r *http.Request) {
	switch {
	case g.standard:
		refuse(w, http.StatusNotFound, noCheckpoints, "mode Standard")
	case g.phase != "active":
		refuse(w, http.StatusUnauthorized, "PASSPORT_REVOKED", "it is over")
	default:
		g.checkpoints = append(g.checkpoints, read(r.Body))
		g.expires = g.clock.Now().Add(5 * time.Minute)
		answer(w, http.StatusOK, map[string]any{"jti": "pp_1", "accepted": true, "expires_at": g.expires, "token": g.token()})
	}
}

func (g *gateway) checkout(w http.ResponseWriter, r *http.Request) {
	switch {
	case g.standard:
		refuse(w, http.StatusNotFound, noCheckpoints, "mode Standard")
	case g.dropsCheckouts > 0:
		g.dropsCheckouts--
		refuse(w, http.StatusServiceUnavailable, "UNAVAILABLE", "not now")
	default:
		g.phase = "checked_out"
		g.checkouts = append(g.checkouts, read(r.Body))
		answer(w, http.StatusOK, map[string]any{"jti": "pp_1", "checkout_status": "clean", "flags": []string{}})
	}
}

func read(body io.Reader) (r report) {
	_ = json.NewDecoder(body).Decode(&r)
	return r
}

// set changes the gateway.
func (g *gateway) set(change func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	change()
}

// played is a mission that runs.
type played struct {
	g              *gateway
	signals        chan os.Signal
	stdout, stderr *said
	exited         chan int
}

// said is what the command and the mission write, both at once.
type said struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (s *said) Write(text []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(text)
}

func (s *said) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

// play runs a shell script as a mission.
func (g *gateway) play(flags []string, command ...string) *played {
	p := &played{g: g, signals: make(chan os.Signal, 4), stdout: &said{}, stderr: &said{}, exited: make(chan int, 1)}
	args := append([]string{"run", "--gateway", g.URL, "--agent", "support-bot", "--service", "slack"}, flags...)
	args = append(append(args, "--"), command...)
	go func() {
		p.exited <- run(context.Background(), args, process{clock: g.clock, signals: p.signals, stdin: http.NoBody, stdout: p.stdout, stderr: p.stderr})
	}()
	return p
}

func script(text string) []string { return []string{"sh", "-c", text} }

// step moves the clock on by one beat, once the mission waits for it, and waits until it has looked.
func (p *played) step(w *WithT, long time.Duration) {
	before := 0
	p.g.set(func() { before = p.g.asks })
	w.Eventually(p.g.clock.HasWaiters).WithTimeout(time.Minute).Should(BeTrue())
	p.g.clock.Step(long)
	w.Eventually(func() (asks int) {
		p.g.set(func() { asks = p.g.asks })
		return asks
	}).WithTimeout(time.Minute).Should(BeNumerically(">", before))
}

// ended waits for the exit code.
func (p *played) ended(w *WithT) int {
	var code int
	w.Eventually(p.exited).WithTimeout(time.Minute).Should(Receive(&code), "it goes on")
	return code
}

func TestAMissionOfACommand(t *testing.T) {
	for name, c := range map[string]struct {
		script  string
		code    int
		outcome string
		summary string
	}{
		"that succeeds": {`test "$(cat "$PASSPORT_TOKEN_FILE")" = token-1 && test "$PASSPORT_TOKEN" = token-1 && test "$PASSPORT_JTI" = pp_1 && test -n "$PASSPORT_GATEWAY_URL"`, 0, "succeeded", "sh exited with status 0"},
		"that fails":    {`exit 3`, 3, "failed", "sh exited with status 3"},
		"that is hurt":  {`kill -ABRT $$`, 134, "failed", "sh was ended by signal 6 (aborted)"},
		"in secret":     {`test "$(stat -c %a "$PASSPORT_TOKEN_FILE")" = 600 && test "$(stat -c %a "$(dirname "$PASSPORT_TOKEN_FILE")")" = 700`, 0, "succeeded", "sh exited with status 0"},
	} {
		t.Run(name, func(t *testing.T) {
			w, g := NewWithT(t), newGateway(t)
			t.Setenv("TMPDIR", t.TempDir())
			g.calls["slack"] = 12
			p := g.play([]string{"--ttl", "15m", "--intent", "Answer one ticket", "--estimated-duration", "10m"}, script(c.script)...)
			w.Expect(p.ended(w)).To(Equal(c.code), p.stderr.String())
			w.Expect(g.checkouts).To(Equal([]report{{ServicesUsed: []string{"slack"}, ActionsCount: 12, Outcome: c.outcome, Summary: c.summary}}))
			w.Expect(g.issued).To(HaveKeyWithValue("agent_id", "support-bot"))
			w.Expect(g.issued).To(HaveKeyWithValue("ttl_seconds", 900.0))
			w.Expect(g.issued["intent"]).To(Equal(map[string]any{
				"summary": "Answer one ticket", "services": []any{"slack"}, "estimated_duration_seconds": 600.0, "will_delegate": false,
			}))
			w.Expect(filepath.Glob(filepath.Join(os.Getenv("TMPDIR"), "*"))).To(BeEmpty(), "the token is gone")
			w.Expect(p.stderr.String()).NotTo(ContainSubstring("token-"))
		})
	}
}

func TestStreams(t *testing.T) {
	w, g := NewWithT(t), newGateway(t)
	p := g.play(nil, script(`echo out; echo err >&2`)...)
	w.Expect(p.ended(w)).To(Equal(0))
	w.Expect(p.stdout.String()).To(Equal("out\n"))
	w.Expect(p.stderr.String()).To(Equal("err\nmission: pp_1 checked out: clean\n"))
}

func TestCheckpointsAtHalfOfTheInterval(t *testing.T) {
	w, g := NewWithT(t), newGateway(t)
	p := g.play([]string{"--interval", "5m"}, script(`until [ "$(cat "$PASSPORT_TOKEN_FILE")" = token-3 ]; do sleep 0.02; done`)...)
	p.step(w, 149*time.Second)
	g.set(func() {
		w.Expect(g.checkpoints).To(BeEmpty())
		g.calls["slack"] = 2
	})
	p.step(w, beat)
	made := func() (made []report) {
		g.set(func() { made = g.checkpoints })
		return made
	}
	w.Eventually(made).Should(Equal([]report{{ServicesUsed: []string{"slack"}, ActionsCount: 2}}))
	g.set(func() { g.calls = map[string]int64{"slack": 2, "github": 5} })
	p.step(w, 150*time.Second)
	w.Expect(p.ended(w)).To(Equal(0), p.stderr.String())
	w.Expect(made()).To(HaveLen(2))
	w.Expect(g.checkpoints[1]).To(Equal(report{ServicesUsed: []string{"github"}, ActionsCount: 5}), "since the one before")
	w.Expect(g.checkouts[0].ActionsCount).To(Equal(int64(7)), "in all")
}

func TestTheCommandEndsWithThePassport(t *testing.T) {
	for name, c := range map[string]struct {
		script string
		dies   func(*gateway)
		by     time.Duration
		code   int
		says   string
	}{
		"revoked":       {`exec sleep 60`, func(g *gateway) { g.phase = "revoked" }, beat, 143, "it is revoked"},
		"expired":       {`exec sleep 60`, func(g *gateway) { g.standard = true }, 305 * time.Second, 143, "it expired at"},
		"at its ease":   {`trap 'exit 7' TERM; while :; do sleep 0.02; done`, func(g *gateway) { g.phase = "revoked" }, beat, 7, "it is revoked"},
		"not impressed": {`trap '' TERM; while :; do sleep 0.02; done`, func(g *gateway) { g.phase = "revoked" }, beat, 137, "it is revoked"},
	} {
		t.Run(name, func(t *testing.T) {
			w, g := NewWithT(t), newGateway(t)
			g.standard = false
			ready := filepath.Join(t.TempDir(), "ready")
			p := g.play([]string{"--grace", "10s"}, script(strings.Replace(c.script, "while", "touch "+ready+"; while", 1))...)
			if strings.Contains(c.script, "trap") {
				w.Eventually(ready).WithTimeout(time.Minute).Should(BeAnExistingFile())
			}
			p.step(w, beat)
			g.set(func() { c.dies(g) })
			p.step(w, c.by)
			if c.code == 137 {
				w.Eventually(g.clock.HasWaiters).Should(BeTrue())
				go func() {
					for len(p.exited) == 0 {
						g.clock.Step(time.Second)
					}
				}()
			}
			w.Expect(p.ended(w)).To(Equal(c.code), p.stderr.String())
			w.Expect(p.stderr.String()).To(ContainSubstring(c.says))
			if !g.standard {
				w.Expect(g.checkouts).To(HaveLen(1))
				w.Expect(g.checkouts[0].Outcome).To(Equal("aborted"))
				w.Expect(g.checkouts[0].Summary).To(ContainSubstring("after the passport was dead"))
			}
		})
	}
}

func TestSignalsArePassedOn(t *testing.T) {
	for name, c := range map[string]struct {
		script  string
		code    int
		outcome string
	}{
		"to one that ends":      {`while :; do sleep 0.02; done`, 143, "aborted"},
		"to one that cleans up": {`trap 'exit 7' TERM; while :; do sleep 0.02; done`, 7, "failed"},
	} {
		t.Run(name, func(t *testing.T) {
			w, g := NewWithT(t), newGateway(t)
			ready := filepath.Join(t.TempDir(), "ready")
			p := g.play(nil, script(strings.Replace(c.script, "while", "touch "+ready+"; while", 1))...)
			w.Eventually(ready).WithTimeout(time.Minute).Should(BeAnExistingFile())
			p.signals <- syscall.SIGTERM
			w.Expect(p.ended(w)).To(Equal(c.code))
			w.Expect(g.checkouts[0].Outcome).To(Equal(c.outcome))
		})
	}
}

func TestAStandardAgentNeitherCheckpointsNorChecksOut(t *testing.T) {
	w, g := NewWithT(t), newGateway(t)
	g.standard = true
	p := g.play(nil, "true")
	w.Expect(p.ended(w)).To(Equal(0), p.stderr.String())
	w.Expect(g.checkouts).To(BeEmpty())
}

func TestACheckoutThatIsNotDelivered(t *testing.T) {
	for name, c := range map[string]struct {
		drops  int
		script string
		code   int
	}{
		"at once":             {1, "true", 0},
		"at all":              {4, "true", exitOwn},
		"of one that failed":  {4, "exit 3", 3},
		"but the fourth time": {3, "true", 0},
	} {
		t.Run(name, func(t *testing.T) {
			w, g := NewWithT(t), newGateway(t)
			g.dropsCheckouts = c.drops
			p := g.play(nil, script(c.script)...)
			go func() {
				for len(p.exited) == 0 {
					if g.clock.HasWaiters() {
						g.clock.Step(time.Millisecond * 100)
					}
				}
			}()
			w.Expect(p.ended(w)).To(Equal(c.code), p.stderr.String())
		})
	}
}

func TestItsOwnFailures(t *testing.T) {
	ran := filepath.Join(t.TempDir(), "ran")
	for name, c := range map[string]struct {
		flags   []string
		command []string
		says    string
		issues  bool
	}{
		"a command that is not there": {nil, []string{"no-such-command"}, "no-such-command", false},
		"an interval too short":       {[]string{"--interval", "5s"}, []string{"touch", ran}, "--interval", false},
		"a bearer that is not set":    {[]string{"--bearer-env", "NO_SUCH_BEARER"}, []string{"touch", ran}, "NO_SUCH_BEARER", false},
		"an unknown flag":             {[]string{"--color"}, []string{"touch", ran}, "--color", false},
		"a passport that is refused":  {nil, []string{"touch", ran}, "PASSPORT_BLOCKED: agent support-bot is blocked", false},
		"a command that cannot start": {nil, []string{unstartable(t)}, "exec format", true},
	} {
		t.Run(name, func(t *testing.T) {
			w, g := NewWithT(t), newGateway(t)
			g.refuses = strings.Contains(c.says, "BLOCKED")
			p := g.play(c.flags, c.command...)
			w.Expect(p.ended(w)).To(Equal(exitOwn))
			w.Expect(p.stderr.String()).To(And(HavePrefix("mission: "), ContainSubstring(c.says)))
			w.Expect(ran).NotTo(BeAnExistingFile())
			w.Expect(g.issued != nil).To(Equal(c.issues))
			if c.issues {
				w.Expect(g.checkouts[0].Outcome).To(Equal("aborted"))
			}
		})
	}
}

// unstartable is a file that is executable, and no program.
func unstartable(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "rubbish")
	if err := os.WriteFile(path, []byte("\x00\x01"), 0o700); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestTheCommandDoesNotGetTheBearer(t *testing.T) {
	w, g := NewWithT(t), newGateway(t)
	t.Setenv("MY_BEARER", "hush")
	p := g.play([]string{"--bearer-env", "MY_BEARER"}, script(`test -z "$MY_BEARER"`)...)
	w.Expect(p.ended(w)).To(Equal(0))
	w.Expect(g.bearers).To(Equal(map[string]bool{"Bearer hush": true}))
}
