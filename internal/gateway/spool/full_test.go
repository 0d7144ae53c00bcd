package spool_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"k8s.io/utils/clock"

	"agentpassport.dev/operator/internal/gateway/spool"
)

// childLimit is the largest file that the child may write at first, in bytes.
const childLimit = "SPOOL_TEST_LIMIT"

// A disk that is full refuses records, whole, and takes them again once there is room. None that was acknowledged is
// lost, and none that was refused is found damaged.
func TestADiskThatIsFull(t *testing.T) {
	at := t.TempDir()
	if err := syscall.Mount("tmpfs", at, "tmpfs", 0, "size=200k"); err != nil {
		t.Skipf("no file system can be mounted here (%v): TestAFileThatMayNotGrow stands in for it", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(at, 0); err != nil {
			t.Error(err)
		}
	})
	log, lines := newGate(t), &said{}
	log.set(true)
	options := spool.Options{Dir: filepath.Join(at, "spool"), Log: log, Logger: lines.logger(), MaxBytes: 8 << 20}
	s := open(t, options)
	want := untilRefused(t, s, 0)
	if err := s.Append(t.Context(), call(1_000_000)); !errors.Is(err, spool.ErrFull) {
		t.Error("it is still full", err)
	}
	// What is on the disk is found while it is full.
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, options)
	if err := syscall.Mount("tmpfs", at, "tmpfs", syscall.MS_REMOUNT, "size=16m"); err != nil {
		t.Fatal(err)
	}
	want = append(want, put(t, s, 2_000_000, 2_000_500)...)
	log.set(false)
	drained(t, s)
	missing(t, log, want)
	if aside := files(t, options.Dir, "*.damaged"); len(aside) != 0 || strings.Contains(lines.String(), "damaged") {
		t.Error(aside, lines)
	}
}

// untilRefused appends until the disk is full, and gives the ids of what was acknowledged.
func untilRefused(t *testing.T, s *spool.Spool, from int) (ids []string) {
	t.Helper()
	for n := from; ; n++ {
		err := s.Append(t.Context(), call(n))
		if errors.Is(err, spool.ErrFull) && errors.Is(err, syscall.ENOSPC) {
			return ids
		}
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, call(n).ID)
	}
}

func missing(t *testing.T, log *gate, want []string) {
	t.Helper()
	has := map[string]bool{}
	for _, id := range log.has() {
		has[id] = true
	}
	for _, id := range want {
		if !has[id] {
			t.Fatal("a record was acknowledged and is gone:", id)
		}
	}
}

// appendAroundALimit appends until a write fails by a limit of the process, and goes on once that is lifted.
func appendAroundALimit(dir string) error {
	limit, err := strconv.ParseUint(os.Getenv(childLimit), 10, 64)
	if err != nil {
		return err
	}
	var before syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &before); err != nil {
		return err
	}
	s, err := spool.Open(spool.Options{Dir: dir, Log: away{}, Clock: clock.RealClock{}, MaxBytes: 64 << 20})
	if err != nil {
		return err
	}
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: limit, Max: before.Max}); err != nil {
		return err
	}
	refusals := 0
	for n := range 1000 {
		err := s.Append(context.Background(), call(n))
		switch {
		case err == nil:
			if _, err := fmt.Fprintln(os.Stdout, n); err != nil {
				return err
			}
		case refusals > 0 || !errors.Is(err, syscall.EFBIG):
			return err
		default:
			refusals++
			if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &before); err != nil {
				return err
			}
		}
	}
	if refusals == 0 {
		return errors.New("no write failed")
	}
	return nil // and no Close: it is a crash
}

// A write that fails in its middle spoils no other.
func TestAFileThatMayNotGrow(t *testing.T) {
	for _, limit := range []int{500, 20_001, 300_000} {
		t.Run(strconv.Itoa(limit), func(t *testing.T) {
			dir := t.TempDir()
			child := exec.CommandContext(t.Context(), os.Args[0])
			child.Env = append(os.Environ(), childDir+"="+dir, childLimit+"="+strconv.Itoa(limit))
			child.Stderr = os.Stderr
			out, err := child.Output()
			if err != nil {
				t.Fatal(err)
			}
			var want []string
			for line := range strings.Lines(string(out)) {
				n, err := strconv.Atoi(strings.TrimSpace(line))
				if err != nil {
					t.Fatal(err)
				}
				want = append(want, call(n).ID)
			}
			if len(want) != 999 {
				t.Error(len(want), "were acknowledged")
			}
			log, lines := newGate(t), &said{}
			s := open(t, spool.Options{Dir: dir, Log: log, Logger: lines.logger()})
			drained(t, s)
			missing(t, log, want)
			if lines.String() != "" {
				t.Error(lines)
			}
		})
	}
}
