package witness_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	testclock "k8s.io/utils/clock/testing"

	"agentpassport.dev/operator/internal/audit"
	"agentpassport.dev/operator/internal/audit/epoch"
	"agentpassport.dev/operator/internal/audit/keys"
	"agentpassport.dev/operator/internal/audit/witness"
	"agentpassport.dev/operator/internal/audit/writer"
)

var noon = time.Date(2026, 8, 1, 12, 0, 0, 0, time.UTC)

func options(t *testing.T) writer.Options {
	t.Helper()
	private, err := keys.Generate(rand.Reader, "agentpassport.dev/auditlog/test")
	if err != nil {
		t.Fatal(err)
	}
	return writer.Options{Dir: t.TempDir(), Keys: []keys.Private{private}, Clock: testclock.NewFakePassiveClock(noon)}
}

func open(t *testing.T, o writer.Options) *writer.Log {
	t.Helper()
	log, err := writer.Open(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = log.Close() })
	return log
}

func add(t *testing.T, log *writer.Log, prefix string, n int) {
	t.Helper()
	for i := range n {
		uid := fmt.Sprint(prefix, i)
		_, err := log.Append(t.Context(), audit.Record{
			ID: audit.ID(uid, string(audit.ConfigChange)), Time: noon, Layer: audit.System, Action: audit.ConfigChange,
			Step: string(audit.ConfigChange), Outcome: audit.Success,
			Object: audit.Object{Kind: "AgentPassport", Name: "bot", UID: uid}, Actor: audit.Actor{Username: "admin"},
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// policy is that so many of these servers have to sign.
func policy(t *testing.T, quorum int, servers ...*server) *witness.Policy {
	t.Helper()
	var text, names strings.Builder
	for i, s := range servers {
		fmt.Fprintf(&text, "witness w%d %s %s\n", i, s.vkey, s.URL)
		fmt.Fprintf(&names, " w%d", i)
	}
	fmt.Fprintf(&text, "group g %d%s\nquorum g\n", quorum, names.String())
	p, err := witness.ParsePolicy([]byte(text.String()))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestWitnessesSignWhatGrows(t *testing.T) {
	o := options(t)
	log := open(t, o)
	logKey := o.Keys[0].ForEpoch(1)
	one, two, three := newServer(t, "one.example.com/w", logKey), newServer(t, "two.example.com/w", logKey), newServer(t, "three.example.com/w", logKey)
	p := policy(t, 2, one, two, three)
	c := &witness.Cosigner{Policy: p, Log: log, Client: http.DefaultClient}
	if err := c.Cosign(t.Context()); err != nil || one.count() != 0 {
		t.Fatal("an empty log is witnessed", err)
	}
	for i, n := range []int{1, 300, 7} {
		add(t, log, fmt.Sprint("round", i, "-"), n)
		if err := c.Cosign(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := c.Cosign(t.Context()); err != nil || one.count() != i+1 {
			t.Fatalf("the same head is signed twice: %d, %v", one.count(), err)
		}
	}
	state, err := log.State()
	if err != nil {
		t.Fatal(err)
	}
	if _, head, err := epoch.OpenState(state); err != nil || head.Size != 308 {
		t.Fatal(head, err)
	}
	if !strings.HasPrefix(string(state.Witnessed), string(state.Checkpoint)) || !p.Satisfied(state.Witnessed) {
		t.Fatalf("what is kept is not the head with signatures:\n%s", state.Witnessed)
	}
	if names := p.Signed(state.Witnessed); len(names) != 3 {
		t.Fatal(names)
	}
	if p.Satisfied(state.Checkpoint) {
		t.Fatal("a head without cosignatures satisfies the policy")
	}

	// After a restart the log does not know what they have signed, and they say.
	add(t, log, "again-", 5)
	c = &witness.Cosigner{Policy: p, Log: log, Client: http.DefaultClient}
	if err := c.Cosign(t.Context()); err != nil || three.count() != 4 {
		t.Fatal(three.count(), err)
	}
}

func TestAQuorumIsEnough(t *testing.T) {
	o := options(t)
	log := open(t, o)
	add(t, log, "u", 3)
	logKey := o.Keys[0].ForEpoch(1)
	one, two := newServer(t, "one.example.com/w", logKey), newServer(t, "two.example.com/w", logKey)
	for name, answer := range map[string]func(http.ResponseWriter){
		"is down":        func(w http.ResponseWriter) { w.WriteHeader(http.StatusServiceUnavailable) },
		"signs nonsense": func(w http.ResponseWriter) { _, _ = fmt.Fprintf(w, "— %s AAAA\n", "two.example.com/w") },
		"sends much":     func(w http.ResponseWriter) { _, _ = w.Write(make([]byte, 1<<20)) },
		"conflicts always": func(w http.ResponseWriter) {
			w.Header().Set("Content-Type", "text/x.tlog.size")
			w.WriteHeader(http.StatusConflict)
			_, _ = fmt.Fprintln(w, 1)
		},
		"is ahead": func(w http.ResponseWriter) {
			w.Header().Set("Content-Type", "text/x.tlog.size")
			w.WriteHeader(http.StatusConflict)
			_, _ = fmt.Fprintln(w, 99)
		},
		"knows us not": func(w http.ResponseWriter) { w.WriteHeader(http.StatusForbidden) },
	} {
		two.does(answer)
		add(t, log, name, 1)
		lenient := &witness.Cosigner{Policy: policy(t, 1, one, two), Log: log, Client: http.DefaultClient}
		if err := lenient.Cosign(t.Context()); err != nil {
			t.Errorf("the other %s: %v", name, err)
		}
		before, err := log.State()
		if err != nil {
			t.Fatal(err)
		}
		strict := &witness.Cosigner{Policy: policy(t, 2, one, two), Log: log, Client: http.DefaultClient}
		err = strict.Cosign(t.Context())
		if !errors.Is(err, witness.ErrQuorum) || !strings.Contains(err.Error(), "two.example.com/w") {
			t.Errorf("the other %s: %v", name, err)
		}
		if _, failed := strict.Witnessed(); failed == nil {
			t.Errorf("the other %s: the failure is not told", name)
		}
		if after, err := log.State(); err != nil || !bytes.Equal(after.Witnessed, before.Witnessed) {
			t.Errorf("the other %s: what too few signed is kept: %v", name, err)
		}
	}
}

// TestAForkIsNotWitnessed sets the folder back and writes it on differently: the witnesses have seen more.
func TestAForkIsNotWitnessed(t *testing.T) {
	o := options(t)
	log := open(t, o)
	add(t, log, "u", 3)
	earlier := t.TempDir() + "/copy"
	if err := os.CopyFS(earlier, os.DirFS(o.Dir)); err != nil {
		t.Fatal(err)
	}
	one := newServer(t, "one.example.com/w", o.Keys[0].ForEpoch(1))
	add(t, log, "v", 3)
	if err := (&witness.Cosigner{Policy: policy(t, 1, one), Log: log, Client: http.DefaultClient}).Cosign(t.Context()); err != nil {
		t.Fatal(err)
	}
	o.Dir = earlier
	fork := open(t, o)
	c := &witness.Cosigner{Policy: policy(t, 1, one), Log: fork, Client: http.DefaultClient}
	for _, c2 := range []struct {
		uid  string
		n    int
		want string
	}{{"x", 1, "set back"}, {"y", 2, "forked"}, {"z", 5, "only grew"}} {
		add(t, fork, c2.uid, c2.n)
		if err := c.Cosign(t.Context()); !errors.Is(err, witness.ErrQuorum) || !strings.Contains(err.Error(), c2.want) {
			t.Errorf("%d records: %v", fork.Head().Size, err)
		}
	}
	if one.count() != 1 {
		t.Error("the witness has signed the fork")
	}
}

func TestAnotherLogIsNotWitnessed(t *testing.T) {
	log := open(t, options(t))
	add(t, log, "u", 1)
	one := newServer(t, "one.example.com/w", options(t).Keys[0].ForEpoch(1))
	c := &witness.Cosigner{Policy: policy(t, 1, one), Log: log, Client: http.DefaultClient}
	if err := c.Cosign(t.Context()); !errors.Is(err, witness.ErrQuorum) || !strings.Contains(err.Error(), "403") {
		t.Fatal(err)
	}
}

// TestItAsksAgainAndAgain runs on a stepped clock.
func TestItAsksAgainAndAgain(t *testing.T) {
	o := options(t)
	log := open(t, o)
	add(t, log, "u", 1)
	one := newServer(t, "one.example.com/w", o.Keys[0].ForEpoch(1))
	asked := make(chan struct{}, 10)
	one.does(func(w http.ResponseWriter) {
		w.WriteHeader(http.StatusServiceUnavailable)
		asked <- struct{}{}
	})
	clock := testclock.NewFakeClock(noon)
	ctx, cancel := context.WithCancel(t.Context())
	c := &witness.Cosigner{Policy: policy(t, 1, one), Log: log, Client: http.DefaultClient, Clock: clock}
	ended := make(chan error, 1)
	go func() { ended <- c.Run(ctx) }()
	<-asked
	clock.Step(witness.Interval)
	<-asked
	cancel()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
}

func TestPoliciesThatAreNone(t *testing.T) {
	good := newServer(t, "one.example.com/w", options(t).Keys[0].ForEpoch(1)).vkey
	for name, text := range map[string]string{
		"empty":            "",
		"no quorum":        "witness a " + good + " https://a.example.com\n",
		"a quorum of none": "quorum nobody\n",
		"a file":           "witness a " + good + " file:///etc/passwd\nquorum a\n",
		"a password":       "witness a " + good + " https://me:hunter2@a.example.com\nquorum a\n",
		"no key":           "witness a nokey https://a.example.com\nquorum a\n",
		"more than all":    "witness a " + good + " https://a.example.com\ngroup g 2 a\nquorum g\n",
		"an unknown word":  "witnes a\nquorum none\n",
		"too long":         strings.Repeat("#\n", 40_000),
	} {
		_, err := witness.ParsePolicy([]byte(text))
		if !errors.Is(err, witness.ErrPolicy) {
			t.Errorf("%s: %v", name, err)
		} else if strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: the error quotes a password", name)
		}
	}
}

// FuzzParsePolicy looks for panics, and for policies whose witnesses cannot be asked.
func FuzzParsePolicy(f *testing.F) {
	const key = "transparency.dev/DEV:witness-little-garden+d8042a87+BCtusOxINQNUTN5Oj8HObRkh2yHf/MwYaGX4CPdiVEPM"
	f.Add([]byte("witness a " + key + " https://a.example.com\nquorum a\n"))
	f.Add([]byte("witness a " + key + " https://a.example.com\ngroup g all a\ngroup h any g a\nquorum h\n"))
	f.Add([]byte("quorum none # nobody\n"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		p, err := witness.ParsePolicy(raw)
		if err != nil {
			return
		}
		if got := p.Signed([]byte("x")); got != nil {
			t.Fatal(got)
		}
		if p.Len() == 0 && !p.Satisfied(nil) {
			t.Fatal("nobody can satisfy it")
		}
	})
}
