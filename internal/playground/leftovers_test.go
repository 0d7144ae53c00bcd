package playground

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

func TestLeftoversAreEndedAndNothingElse(t *testing.T) {
	state := t.TempDir()
	left := sleeper(t, "etcd", filepath.Join(state, "etcd"))
	deaf := sleeper(t, "manager", filepath.Join(state, "manager", "kubeconfig"))
	reader := sleeper(t, "tail", filepath.Join(state, "logs", "etcd.log"))
	neighbour := sleeper(t, "etcd", state+"-of-another/etcd")

	ended, err := endLeftovers(t.Context(), state)
	if err != nil || ended != 2 {
		t.Fatalf("ended %d, %v; want 2", ended, err)
	}
	for name, process := range map[string]chan struct{}{"etcd": left, "manager": deaf} {
		select {
		case <-process:
		case <-time.After(10 * time.Second):
			t.Errorf("%s is still running", name)
		}
	}
	for name, process := range map[string]chan struct{}{"pager": reader, "neighbour": neighbour} {
		select {
		case <-process:
			t.Errorf("%s was ended too", name)
		default:
		}
	}
}

func TestOnePlaygroundAtATime(t *testing.T) {
	state := t.TempDir()
	lock, err := lockState(t.Context(), state)
	if err != nil {
		t.Fatal(err)
	}
	impatient, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if _, err := lockState(impatient, state); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("second lock: got %v", err)
	}
	if err := lock.Close(); err != nil {
		t.Fatal(err)
	}
	again, err := lockState(t.Context(), state)
	if err != nil {
		t.Fatalf("after the first ended: %v", err)
	}
	_ = again.Close()
}

// sleeper runs a process that calls itself name and has argument on its command line. The channel
// is closed when it ends.
func sleeper(t *testing.T, name, argument string) chan struct{} {
	t.Helper()
	shell, err := exec.LookPath("sh")
	if err != nil {
		t.Skip("no shell")
	}
	program := filepath.Join(t.TempDir(), name)
	if err := os.Symlink(shell, program); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, "-c", "echo up; read forever", "unused", argument)
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := stdout.Read(make([]byte, 3)); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		_ = cmd.Wait()
		close(ended)
	}()
	t.Cleanup(func() {
		_ = stdin.Close()
		<-ended
	})
	return ended
}
