package playground

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/go-logr/logr"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"agentpassport.dev/operator/api/v1alpha1"
)

func TestPlayground(t *testing.T) {
	s, screen := startedSession(t)
	st, err := s.stage(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Run("a step fails where things go otherwise", func(t *testing.T) { stepsFail(t, st) })
	t.Run("what a newcomer is told to type works", func(t *testing.T) { newcomer(t, s, st, screen) })
	t.Run("the next newcomer finds nothing of it", func(t *testing.T) { tidied(t, s) })
}

// stepsFail plays with actors who have other rights than their parts: each time that is noticed.
func stepsFail(t *testing.T, st *stage) {
	m := st.newMission()
	play(t, m.ask, m.awaitIssue, m.checkOut)
	if err := m.awaitPhase(t.Context(), patience, v1alpha1.PhaseExpired, v1alpha1.ReasonCheckpointSilence); err == nil {
		t.Error("a passport that is checked out passed for one that expired")
	}
	admin := st.kubelet
	for name, wrong := range map[string]struct {
		actors actors
		do     func(*mission) func(context.Context) (string, error)
		says   string
	}{
		"an agent that may review itself": {
			actors{agent: admin, reviewer: st.reviewer},
			func(m *mission) func(context.Context) (string, error) { return m.reviewByAgent }, "could approve its own mission",
		},
		"a reviewer who may not review": {
			actors{agent: st.agent, reviewer: st.responder},
			func(m *mission) func(context.Context) (string, error) { return m.approve }, "forbidden",
		},
		"a review in another's name": {
			actors{agent: st.agent, reviewer: admin},
			func(m *mission) func(context.Context) (string, error) { return m.approve }, "did not record",
		},
	} {
		m := st.newMission()
		play(t, m.ask, m.awaitIssue, m.checkOut, m.awaitVerdict)
		other := *st
		other.actors = &wrong.actors
		m.stage = &other
		if said, err := wrong.do(m)(t.Context()); err == nil || !strings.Contains(err.Error(), wrong.says) {
			t.Errorf("%s: %q, %v", name, said, err)
		}
	}
}

func play(t *testing.T, steps ...func(context.Context) (string, error)) {
	t.Helper()
	for _, step := range steps {
		if _, err := step(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

// newcomer types what docs/playground.md and the screen say, and sees what they promise.
func newcomer(t *testing.T, s *Session, st *stage, screen *bytes.Buffer) {
	if _, err := s.introduce(t.Context(), st); err != nil {
		t.Fatalf("%v\n%s", err, screen)
	}
	_, told, _ := strings.Cut(screen.String(), "Your turn")
	var exports, commands []string
	for line := range strings.Lines(told) {
		switch line = strings.TrimSpace(line); {
		case strings.HasPrefix(line, "export "):
			exports = append(exports, line)
		case regexp.MustCompile(`^(kubectl |bin/playground |-p )`).MatchString(line):
			commands = append(commands, line)
		}
	}
	if len(exports) != 2 || len(commands) < 10 {
		t.Fatalf("%d exports and %d commands in:\n%s", len(exports), len(commands), told)
	}
	exports = append(exports, "cd "+visitorsDirectory(t, s.Root))
	prints(t, typed(t, append(exports, firstMission(t, s.Root)...)),
		`first-mission +first-mission +support-bot +Flagged +undeclared_service +Unknown +AwaitingReview `,
		`first-mission +first-mission +support-bot +Flagged +undeclared_service +False +Blocked `,
		`answer-ticket-4712 +support-bot +Rejected +PassportBlocked `,
		`passport.agentpassport.dev/answer-ticket-4713 condition met`,
	)
	prints(t, typed(t, append(exports, commands...)),
		` Flagged +undeclared_service +True +Approved `,
		`\nvalid: signed by a key of http://`,
		`checkout.agentpassport.dev/answer-ticket-4711 condition met`,
		`/support-bot .* True +Blocked `,
	)
}

// firstMission is the shell of docs/playground.md on the first mission by hand.
func firstMission(t *testing.T, root string) (blocks []string) {
	t.Helper()
	page, err := os.ReadFile(filepath.Join(root, "docs", "playground.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(page), "\n## The first mission by hand\n")
	section, _, _ = strings.Cut(section, "\n## ")
	for _, block := range regexp.MustCompile("(?s)```sh\n(.*?)```").FindAllStringSubmatch(section, -1) {
		blocks = append(blocks, block[1])
	}
	if len(blocks) < 5 {
		t.Fatalf("%d blocks of shell in the section", len(blocks))
	}
	return blocks
}

func prints(t *testing.T, said string, lines ...string) {
	t.Helper()
	for _, line := range lines {
		if !regexp.MustCompile(line).MatchString(said) {
			t.Errorf("no %q in:\n%s", line, said)
		}
	}
}

func tidied(t *testing.T, s *Session) {
	if err := s.tidy(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, list := range []client.ObjectList{
		&v1alpha1.PassportList{}, &v1alpha1.CheckpointList{}, &v1alpha1.CheckoutList{}, &v1alpha1.AgentBlockList{},
	} {
		if err := s.admin.List(t.Context(), list); err != nil {
			t.Fatal(err)
		}
		if left := meta.LenList(list); left > 0 {
			t.Errorf("%d are left in %T", left, list)
		}
	}
}

// startedSession is a session with everything up, on a state directory of its own, and what it says.
func startedSession(t *testing.T) (*Session, *bytes.Buffer) {
	t.Helper()
	root, err := Root()
	if err != nil {
		t.Fatal(err)
	}
	ctrl.SetLogger(logr.Discard())
	var screen bytes.Buffer
	s := &Session{Root: root, Screen: &Screen{out: &screen}, Clock: clock.RealClock{}, state: t.TempDir()}
	t.Cleanup(func() {
		if err := s.close(); err != nil {
			t.Error(err)
		}
	})
	if err := s.start(t.Context()); err != nil {
		t.Fatalf("%v\n%s", err, &screen)
	}
	return s, &screen
}

// visitorsDirectory has what a visitor finds at the root: the samples, and the playground, just built.
func visitorsDirectory(t *testing.T, root string) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.Symlink(filepath.Join(root, "config"), filepath.Join(dir, "config")); err != nil {
		t.Fatal(err)
	}
	build := exec.Command("go", "build", "-o", filepath.Join(dir, "bin", "playground"), "./hack/playground")
	build.Dir = root
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return dir
}

// typed runs lines in a shell, as somebody would type them, and gives what they print. Only what
// watches until it is stopped is left out.
func typed(t *testing.T, lines []string) string {
	t.Helper()
	script := regexp.MustCompile(`(?m)^kubectl get .* -w( .*)?$`).ReplaceAllString(strings.Join(lines, "\n"), "")
	out, err := exec.Command("sh", "-euc", script).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s\n%s", err, script, out)
	}
	return string(out)
}
