package spool_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"testing"

	"k8s.io/utils/clock"

	"agentpassport.dev/operator/internal/gateway/spool"
)

// The child is this test binary, run again with these in its environment.
const (
	childDir   = "SPOOL_TEST_DIR"
	childRound = "SPOOL_TEST_ROUND"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(childDir); dir != "" {
		work := appendUntilKilled
		if os.Getenv(childLimit) != "" {
			work = appendAroundALimit
		}
		if err := work(dir); err != nil {
			_, _ = fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// away is a log that takes nothing.
type away struct{}

func (away) AppendRaw(context.Context, []json.RawMessage) error { return errAway }

// appendUntilKilled appends from sixteen callers, and prints the number of each record that was acknowledged.
func appendUntilKilled(dir string) error {
	round, err := strconv.Atoi(os.Getenv(childRound))
	if err != nil {
		return err
	}
	s, err := spool.Open(spool.Options{Dir: dir, Log: away{}, Clock: clock.RealClock{}, MaxBytes: 64 << 20})
	if err != nil {
		return err
	}
	var out sync.Mutex
	failed := make(chan error)
	for c := range 16 {
		go func() {
			for n := 0; ; n++ {
				number := (round*16+c)*1_000_000 + n
				if err := s.Append(context.Background(), call(number)); err != nil {
					failed <- err
					return
				}
				out.Lock()
				_, err := fmt.Fprintln(os.Stdout, number)
				out.Unlock()
				if err != nil {
					failed <- err
					return
				}
			}
		}()
	}
	return <-failed
}

// Whatever was acknowledged before a kill -9 is in the log in the end.
func TestKilledUnderLoad(t *testing.T) {
	dir := t.TempDir()
	var acknowledged []int
	for round := range 5 {
		child := exec.CommandContext(t.Context(), os.Args[0])
		child.Env = append(os.Environ(), childDir+"="+dir, childRound+"="+strconv.Itoa(round))
		child.Stderr = os.Stderr
		out, err := child.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := child.Start(); err != nil {
			t.Fatal(err)
		}
		lines, told := bufio.NewReader(out), 0
		for {
			line, err := lines.ReadString('\n')
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			number, err := strconv.Atoi(line[:len(line)-1])
			if err != nil {
				t.Fatal(err)
			}
			acknowledged = append(acknowledged, number)
			told++
			if told == 700+333*round {
				if err := child.Process.Kill(); err != nil {
					t.Fatal(err)
				}
			}
		}
		if err := child.Wait(); err == nil {
			t.Fatal("it was not killed")
		}
	}
	log, lines := newGate(t), &said{}
	s := open(t, spool.Options{Dir: dir, Log: log, Logger: lines.logger()})
	drained(t, s)
	has := map[string]bool{}
	for _, id := range log.has() {
		has[id] = true
	}
	for _, number := range acknowledged {
		if !has[call(number).ID] {
			t.Errorf("record %d was acknowledged and is gone", number)
		}
	}
	if lines.String() != "" || len(files(t, dir, "*.damaged")) > 0 {
		t.Error("a kill is no damage", lines)
	}
	t.Logf("%d records were acknowledged, %d found", len(acknowledged), len(has))
}
