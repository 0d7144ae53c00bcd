package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	testclock "k8s.io/utils/clock/testing"
	"sigs.k8s.io/yaml"

	"agentpassport.dev/operator/internal/audit"
	"agentpassport.dev/operator/internal/audit/epoch"
	"agentpassport.dev/operator/internal/audit/keys"
	"agentpassport.dev/operator/internal/audit/offline"
	"agentpassport.dev/operator/internal/audit/writer"
	"agentpassport.dev/operator/internal/commandline"
)

var noon = time.Date(2026, 8, 1, 12, 0, 0, 0, time.UTC)

// play runs a command as main does, and returns what it prints and its exit code.
func play(t *testing.T, cmd *cobra.Command, args ...string) (printed string, code int, err error) {
	t.Helper()
	var out bytes.Buffer
	cmd.SetArgs(args)
	cmd.SetOut(&out)
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	commandline.Strict(cmd)
	err = cmd.ExecuteContext(t.Context())
	return out.String(), exitCode(err), err
}

// world is a log with two missions of one agent, its key file, and its mirrored head.
type world struct {
	dir, keyFile, mirrored, public string
}

func newWorld(t *testing.T) world {
	t.Helper()
	at := t.TempDir()
	w := world{dir: filepath.Join(at, "data"), keyFile: filepath.Join(at, "private"), mirrored: filepath.Join(at, "mirror.yaml")}
	w.append(t, mission("m1", 0), mission("m2", time.Hour))
	return w
}

// append opens the log, writes records, and closes it.
func (w *world) append(t *testing.T, missions ...[]audit.Record) {
	t.Helper()
	privates, err := keys.LoadFile(w.keyFile, rand.Reader, defaultLogName)
	if err != nil {
		t.Fatal(err)
	}
	w.public = privates[0].String()
	log, err := writer.Open(context.Background(), writer.Options{Dir: w.dir, Keys: privates, Clock: testclock.NewFakePassiveClock(noon)})
	if err != nil {
		t.Fatal(err)
	}
	for _, records := range missions {
		if _, err := log.Append(t.Context(), records...); err != nil {
			t.Fatal(err)
		}
	}
	state, err := log.State()
	if err != nil {
		t.Fatal(err)
	}
	raw, err := yaml.Marshal(corev1.ConfigMap{
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "ConfigMap"},
		Data:     map[string]string{"epoch": "1", "checkpoint": string(state.Checkpoint), "keys.json": string(state.Keys)},
	})
	if err := errors.Join(err, log.Close(), os.WriteFile(w.mirrored, raw, 0o600)); err != nil {
		t.Fatal(err)
	}
}

func mission(uid string, after time.Duration) []audit.Record {
	records := make([]audit.Record, 2)
	for i, action := range []audit.Action{audit.PassportIssue, audit.PassportCheckout} {
		records[i] = audit.Record{
			ID: audit.ID(uid, string(action)), Time: noon.Add(after), Layer: audit.Vault, Action: action, Step: string(action),
			Outcome: audit.Success, Namespace: "support", Object: audit.Object{Kind: "Passport", Name: "mission", UID: uid},
			Agent: &audit.Agent{Name: "bot", UID: "agent-1"}, PassportJTI: "pp_" + uid, Actor: audit.Actor{Username: "bot"},
		}
	}
	return records
}

func TestVerifySaysWhatItFound(t *testing.T) {
	w := newWorld(t)
	printed, code, err := play(t, offline.NewVerify(), w.dir, "--key", w.public, "--head", w.mirrored)
	if code != 0 {
		t.Fatal(err)
	}
	for _, words := range []string{"Whole: " + defaultLogName, "4 records, 2 missions", w.public, "of epoch 1, 4 records, from " + w.mirrored} {
		if !strings.Contains(printed, words) {
			t.Errorf("%q is not in:\n%s", words, printed)
		}
	}

	entries := filepath.Join(epoch.Folder(w.dir, 1), "tile", "entries", "000.p", "4")
	raw, err := os.ReadFile(entries)
	if err != nil {
		t.Fatal(err)
	}
	raw[len(raw)-10] ^= 1
	if err := os.WriteFile(entries, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, code, err = play(t, offline.NewVerify(), w.dir, "--key", w.public); code != commandline.Bad || !strings.Contains(err.Error(), "epoch 1: the trail is broken at record 3") {
		t.Fatalf("exit code %d: %v", code, err)
	}
	printed, code, _ = play(t, offline.NewVerify(), w.dir, "--key", w.public, "-o", "json")
	var found offline.Result
	if err := json.Unmarshal([]byte(printed), &found); err != nil || code != commandline.Bad {
		t.Fatalf("exit code %d, %v: %s", code, err, printed)
	}
	if found.Whole || found.Break == nil || found.Break.Epoch != 1 || *found.Break.Position != 3 || found.Break.Why == "" {
		t.Fatalf("%s", printed)
	}
}

func TestWhatCannotBeReadIsNoBreak(t *testing.T) {
	w := newWorld(t)
	misused := []string{"no key", "a bad output", "two folders", "no folder given"}
	for name, args := range map[string][]string{
		"no key":          {w.dir},
		"no folder given": {"--key", w.public},
		"a bad key":       {w.dir, "--key", "nonsense"},
		"no folder":       {filepath.Join(w.dir, "none"), "--key", w.public},
		"another folder":  {t.TempDir(), "--key", w.public},
		"no bundle":       {w.mirrored, "--key", w.public},
		"no head":         {w.dir, "--key", w.public, "--head", filepath.Join(w.dir, "none")},
		"a bad head":      {w.dir, "--key", w.public, "--head", w.keyFile},
		"a bad policy":    {w.dir, "--key", w.public, "--witnesses", w.mirrored},
		"a bad output":    {w.dir, "--key", w.public, "-o", "xml"},
		"two folders":     {w.dir, w.dir, "--key", w.public},
	} {
		_, code, err := play(t, offline.NewVerify(), args...)
		want := commandline.Failed
		if slices.Contains(misused, name) {
			want = commandline.Misused
		}
		if code != want {
			t.Errorf("%s: exit code %d, want %d: %v", name, code, want, err)
		} else if strings.Contains(err.Error(), "PRIVATE+KEY") {
			t.Errorf("%s: the error quotes a private key", name)
		}
	}
}

// A flag that is missing is no failure of the command.
func TestABundleNeedsItsFlags(t *testing.T) {
	_, code, err := play(t, offline.NewBundle(), "--agent", "bot", "--key", "k")
	if code != commandline.Misused || !strings.Contains(err.Error(), `"data-dir"`) {
		t.Errorf("exit code %d: %v", code, err)
	}
	_, code, err = play(t, offline.NewBundle(), "--agent=bot", "--from=yesterday", "--to=2026-08-02", "--data-dir=d", "--key=k", "-o=f")
	if code != commandline.Misused || !strings.Contains(err.Error(), `--from "yesterday": want a time`) {
		t.Errorf("exit code %d: %v", code, err)
	}
}

func TestABundleIsMadeAndVerified(t *testing.T) {
	w := newWorld(t)
	file := filepath.Join(t.TempDir(), "bot.bundle")
	args := []string{
		"--agent", "bot", "--namespace", "support", "--from", "2026-08-01", "--to", "2026-08-02T00:00:00Z",
		"--data-dir", w.dir, "--key", w.public, "--head", w.mirrored, "-o", file,
	}
	made, code, err := play(t, offline.NewBundle(), args...)
	if code != 0 {
		t.Fatal(err)
	}
	if _, code, err = play(t, offline.NewBundle(), args...); code != commandline.Failed || !errors.Is(err, os.ErrExist) {
		t.Fatalf("the file is written over: %v", err)
	}
	if err := os.RemoveAll(w.dir); err != nil {
		t.Fatal(err)
	}
	verified, code, err := play(t, offline.NewVerify(), file, "--key", w.public)
	if code != 0 || verified != made {
		t.Fatalf("exit code %d, %v:\n%s", code, err, verified)
	}
	for _, words := range []string{"pp_m1, 2 records, the last is passport.checkout", "It does not prove:"} {
		if !strings.Contains(verified, words) {
			t.Errorf("%q is not in:\n%s", words, verified)
		}
	}
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, bytes.Replace(raw, []byte("pp_m1"), []byte("pp_m3"), 1), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, code, err := play(t, offline.NewVerify(), file, "--key", w.public); code != commandline.Bad {
		t.Fatalf("exit code %d: %v", code, err)
	}
}

func TestAnEpochIsBegunWhereRecordsAreLostAndOnlyThere(t *testing.T) {
	w := newWorld(t)
	begin := []string{"--data-dir", w.dir, "--key-file", w.keyFile, "--head", w.mirrored, "--actor", "alice", "--reason", "the disk broke"}
	if _, code, err := play(t, newBeginEpoch(), begin...); code != commandline.Failed || !errors.Is(err, writer.ErrWhole) {
		t.Fatalf("exit code %d: %v", code, err)
	}
	if err := os.RemoveAll(epoch.Folder(w.dir, 1)); err != nil {
		t.Fatal(err)
	}
	if _, code, err := play(t, newBeginEpoch(), append(begin[:len(begin)-1:len(begin)-1], "")...); code != commandline.Misused {
		t.Fatalf("without a reason, exit code %d: %v", code, err)
	}
	printed, code, err := play(t, newBeginEpoch(), begin...)
	if code != 0 || !strings.HasPrefix(printed, "Epoch 2 is begun") {
		t.Fatalf("exit code %d, %v: %s", code, err, printed)
	}
	w.append(t, mission("m3", time.Hour))
	printed, code, err = play(t, offline.NewVerify(), w.dir, "--key", w.public)
	if code != 0 || !strings.Contains(printed, "LOST: 4 records were signed, 0 kept; alice began epoch 2") ||
		!strings.HasPrefix(printed, "Holds, with a loss") {
		t.Fatalf("exit code %d, %v:\n%s", code, err, printed)
	}
}

func TestANewKeyIsAddedToTheFile(t *testing.T) {
	w := newWorld(t)
	printed, code, err := play(t, newRotateKey(), "--key-file", w.keyFile)
	if code != 0 || strings.Contains(printed, "PRIVATE") {
		t.Fatal(code, err)
	}
	first := w.public
	w.append(t, mission("m3", time.Hour))
	next := strings.TrimSpace(strings.TrimPrefix(printed, "The log will sign with "))
	for _, key := range []string{first, next} {
		printed, code, err := play(t, offline.NewVerify(), w.dir, "--key", key, "--head", w.mirrored)
		if code != 0 || !strings.Contains(printed, "keys        2;") {
			t.Fatalf("exit code %d, %v:\n%s", code, err, printed)
		}
	}
	info, err := os.Stat(w.keyFile)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatal(info.Mode(), err)
	}
}
