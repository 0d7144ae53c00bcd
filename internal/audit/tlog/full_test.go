package tlog_test

import (
	"bytes"
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

	"golang.org/x/mod/sumdb/note"

	"agentpassport.dev/operator/internal/audit"
	"agentpassport.dev/operator/internal/audit/tlog"
)

// childLimit is the largest file that the child may write, in bytes; 0 for any.
const childLimit = "AUDIT_TEST_LIMIT"

// appendUntilRefused appends until the disk is full, prints what was acknowledged as appendUntilKilled does,
// and fails where the log does anything but refuse cleanly.
func appendUntilRefused(folder string) error {
	limit, err := strconv.ParseUint(os.Getenv(childLimit), 10, 64)
	if err != nil {
		return err
	}
	if limit > 0 {
		if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: limit, Max: limit}); err != nil {
			return err
		}
	}
	signer, err := note.NewSigner(os.Getenv(childKey))
	if err != nil {
		return err
	}
	key, err := note.NewVerifier(os.Getenv(childPublic))
	if err != nil {
		return err
	}
	to, err := tryOpen(folder, signer, key)
	if err != nil {
		return refusedCleanly(err)
	}
	for step := range 1 << 20 {
		entries, err := to.Append(context.Background(), record(os.Getenv(childRound), step))
		if err != nil {
			// It stays refused, and says so to whoever comes next.
			if _, again := to.Append(context.Background(), record("another", 0)); !errors.Is(err, tlog.ErrClosed) || !errors.Is(again, tlog.ErrClosed) {
				return fmt.Errorf("it does not refuse: %w, then %w", err, again)
			}
			if err := to.Close(); err == nil {
				return errors.New("Close says nothing of what failed")
			}
			return refusedCleanly(err)
		}
		for _, entry := range entries {
			if _, err := fmt.Println(os.Getenv(childRound), step, entry.Index, entry.Record.Hash); err != nil { //nolint:forbidigo // it is a program of its own, and this is its output
				return err
			}
		}
	}
	return errors.New("the disk does not become full")
}

// refusedCleanly reports whether an error says that there is no room.
func refusedCleanly(err error) error {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EFBIG) ||
		strings.Contains(err.Error(), syscall.ENOSPC.Error()) || strings.Contains(err.Error(), syscall.EFBIG.Error()) {
		return nil
	}
	return fmt.Errorf("it is refused for another reason: %w", err)
}

// TestADiskThatIsFull fills a small file system, at several points of a batch. What was acknowledged is there,
// while the disk is full and after there is room again.
func TestADiskThatIsFull(t *testing.T) {
	for _, free := range []int{300, 404, 508, 612, 716, 820} {
		t.Run(fmt.Sprintf("%d KiB", free), func(t *testing.T) {
			at := t.TempDir()
			if err := syscall.Mount("tmpfs", at, "tmpfs", 0, fmt.Sprintf("size=%dk", free)); err != nil {
				t.Skipf("no file system can be mounted here (%v): TestAFileThatMayNotGrow stands in for it", err)
			}
			t.Cleanup(func() {
				if err := syscall.Unmount(at, 0); err != nil {
					t.Error(err)
				}
			})
			fillDisk(t, filepath.Join(at, "log"), 0, func() error {
				return syscall.Mount("tmpfs", at, "tmpfs", syscall.MS_REMOUNT, "size=32m")
			})
		})
	}
}

// TestAFileThatMayNotGrow has writes fail by a limit of the process, which needs no right to mount.
func TestAFileThatMayNotGrow(t *testing.T) {
	for _, limit := range []int{2_000, 20_000, 60_001} {
		t.Run(fmt.Sprintf("%d bytes", limit), func(t *testing.T) {
			fillDisk(t, t.TempDir(), limit, func() error { return nil })
		})
	}
}

// fillDisk runs the child twice until it is refused, makes room, and goes on.
func fillDisk(t *testing.T, path string, limit int, makeRoom func() error) {
	t.Helper()
	signer, key, private, public := keyTexts(t)
	var all []acknowledged
	for round := range 2 { // the second begins on a disk that is full
		child := exec.Command(os.Args[0])
		child.Env = append(os.Environ(), childFolder+"="+path, childKey+"="+private, childPublic+"="+public,
			childRound+"=full"+strconv.Itoa(round), childLimit+"="+strconv.Itoa(limit))
		var trouble bytes.Buffer
		child.Stderr = &trouble
		out, err := child.Output()
		if err != nil {
			t.Fatalf("round %d: %v\n%s", round, err, &trouble)
		}
		for line := range strings.Lines(string(out)) {
			ack, err := readLine(line)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, ack)
		}
		head, err := tlog.VerifyFolder(context.Background(), path, key)
		if err != nil {
			t.Fatalf("round %d, while it is full: %v", round, err)
		}
		for _, ack := range all {
			if ack.index >= head.Size {
				t.Fatalf("round %d: record %d was acknowledged, %d are signed", round, ack.index, head.Size)
			}
		}
	}
	if len(all) == 0 {
		t.Fatal("nothing was acknowledged: nothing is proved")
	}
	t.Logf("%d records acknowledged", len(all))
	if err := makeRoom(); err != nil {
		t.Fatal(err)
	}
	to := open(t, path, signer, key)
	var entries []audit.Entry
	for _, ack := range all {
		entry := add(t, to, ack.record)[0]
		if entry.Index != ack.index || entry.Record.Hash != ack.hash {
			t.Fatalf("%s is answered with another record than the first", ack.record.ID)
		}
		entries = append(entries, entry)
	}
	entries = append(entries, add(t, to, mission("after", 20)...)...)
	if err := to.Close(); err != nil {
		t.Fatal(err)
	}
	mustProve(t, path, key, entries)
	mustPassFsck(t, path, key)
}
