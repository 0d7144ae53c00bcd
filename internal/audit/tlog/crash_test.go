package tlog_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/mod/sumdb/note"

	"agentpassport.dev/operator/internal/audit"
	"agentpassport.dev/operator/internal/audit/tlog"
)

// The child is this test binary, run again with these in its environment.
const (
	childFolder = "AUDIT_TEST_FOLDER"
	childKey    = "AUDIT_TEST_KEY"
	childPublic = "AUDIT_TEST_PUBLIC"
	childRound  = "AUDIT_TEST_ROUND"
)

func TestMain(m *testing.M) {
	if folder := os.Getenv(childFolder); folder != "" {
		work := appendUntilKilled
		if os.Getenv(childLimit) != "" {
			work = appendUntilRefused
		}
		if err := work(folder); err != nil {
			_, _ = fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// appendUntilKilled opens the log and appends from eight writers, each a mission after the other. It
// prints passport, step, index and hash of what was acknowledged, a line each.
func appendUntilKilled(folder string) error {
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
		return err
	}
	var all sync.WaitGroup
	var mu sync.Mutex
	failed := make([]error, 8)
	for writer := range failed {
		all.Go(func() {
			for n := 0; failed[writer] == nil; n++ {
				passport := fmt.Sprintf("%s-%d-%d", os.Getenv(childRound), writer, n)
				// A mission's steps come in calls of various sizes.
				for rest, step := mission(passport, 1+n%50), 0; len(rest) > 0; {
					part := rest[:min(len(rest), 1+n%7)]
					entries, err := to.Append(context.Background(), part...)
					if err != nil {
						failed[writer] = err
						return
					}
					mu.Lock()
					for _, entry := range entries {
						_, err = fmt.Fprintln(os.Stdout, passport, step, entry.Index, entry.Record.Hash)
						step++
					}
					mu.Unlock()
					if err != nil {
						failed[writer] = err
						return
					}
					rest = rest[len(part):]
				}
			}
		})
	}
	all.Wait()
	return errors.Join(failed...)
}

// acknowledged is one line of the child.
type acknowledged struct {
	record audit.Record
	index  uint64
	hash   string
}

func readLine(line string) (acknowledged, error) {
	fields := strings.Fields(line)
	if len(fields) != 4 {
		return acknowledged{}, fmt.Errorf("not a line of the child: %q", line)
	}
	step, err := strconv.Atoi(fields[1])
	if err != nil {
		return acknowledged{}, err
	}
	index, err := strconv.ParseUint(fields[2], 10, 64)
	return acknowledged{record(fields[0], step), index, fields[3]}, err
}

// TestKilledAtAnyPoint kills a writing process again and again, each time at another point: while it
// opens the log, and from there to some hundred records on. After each, all that was ever
// acknowledged is there, proves, and is answered as the first.
func TestKilledAtAnyPoint(t *testing.T) {
	path := t.TempDir()
	signer, key, private, public := keyTexts(t)
	var all []acknowledged
	for round := range 10 {
		lines := killedChild(t, path, private, public, round)
		for _, line := range lines {
			ack, err := readLine(line)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, ack)
		}
		// Verified as the crash has left it: what is signed holds, whatever else lies about.
		if _, err := os.Stat(path + "/checkpoint"); err == nil {
			head, err := tlog.VerifyFolder(context.Background(), path, key)
			if err != nil {
				t.Fatalf("round %d: %v", round, err)
			}
			for _, ack := range all {
				if ack.index >= head.Size {
					t.Fatalf("round %d: record %d was acknowledged, %d are signed", round, ack.index, head.Size)
				}
			}
		} else if len(all) > 0 {
			t.Fatalf("round %d: no checkpoint", round)
		}
	}
	if len(all) < 100 {
		t.Fatalf("only %d records were acknowledged: nothing is proved", len(all))
	}
	t.Logf("%d records acknowledged", len(all))

	to := open(t, path, signer, key)
	size := to.Head().Size
	var entries []audit.Entry
	for len(all) > 0 {
		part := all[:min(len(all), 500)]
		all = all[len(part):]
		records := make([]audit.Record, len(part))
		for i := range part {
			records[i] = part[i].record
		}
		for i, entry := range add(t, to, records...) {
			if entry.Index != part[i].index || entry.Record.Hash != part[i].hash {
				t.Fatalf("%s is answered with another record than the first", part[i].record.ID)
			}
			kept := entry.Record
			kept.PrevHash, kept.PrevIssueHash, kept.Hash = "", "", ""
			if diff := cmp.Diff(part[i].record, kept); diff != "" {
				t.Fatal(diff)
			}
			entries = append(entries, entry)
		}
	}
	if got := to.Head().Size; got != size {
		t.Fatalf("%d records were written twice", got-size)
	}
	mustProve(t, path, key, entries)
	mustPassFsck(t, path, key)
}

// killedChild runs the child until it has acknowledged some records and a moment more, kills it, and
// returns its whole lines.
func killedChild(t *testing.T, path, private, public string, round int) []string {
	t.Helper()
	child := exec.Command(os.Args[0])
	child.Env = append(os.Environ(), childFolder+"="+path, childKey+"="+private, childPublic+"="+public,
		childRound+"="+strconv.Itoa(round))
	var trouble bytes.Buffer
	child.Stderr = &trouble
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	var lines []string
	reader := bufio.NewReader(out)
	read := func() bool {
		line, err := reader.ReadString('\n')
		if err == nil {
			lines = append(lines, strings.TrimSuffix(line, "\n"))
		} else if !errors.Is(err, io.EOF) {
			t.Error(err)
		}
		return err == nil
	}
	// The first round and every fifth after it dies while it makes or opens the log.
	if round%5 != 0 {
		for range 1 + rand.IntN(200) {
			if !read() {
				break
			}
		}
	}
	// The moment of the kill is the thing under test: anywhere within a batch.
	moment, cancel := context.WithTimeout(context.Background(), rand.N(40*time.Millisecond))
	<-moment.Done()
	cancel()
	if err := child.Process.Kill(); err != nil {
		t.Fatalf("the child ended by itself: %v\n%s", err, &trouble)
	}
	// What it wrote before it died is still in the pipe.
	for read() {
	}
	var exit *exec.ExitError
	if err := child.Wait(); !errors.As(err, &exit) || exit.Exited() {
		t.Fatalf("the child was not killed: %v\n%s", err, &trouble)
	}
	return lines
}
