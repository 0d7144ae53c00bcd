package keys_test

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"

	"agentpassport.dev/operator/internal/audit/keys"
	"agentpassport.dev/operator/internal/audit/keys/keystest"
)

const name = "agentpassport.dev/auditlog/test"

var noon = time.Date(2026, 8, 1, 12, 0, 0, 0, time.UTC)

func generate(t testing.TB, log string) keys.Private {
	t.Helper()
	private, err := keys.Generate(rand.Reader, log)
	if err != nil {
		t.Fatal(err)
	}
	return private
}

// ring is a ring of three keys: the second from epoch 1, size 10 on, the third from epoch 2, size 5 on.
func ring(t testing.TB) (*keys.Ring, []keys.Private) {
	t.Helper()
	privates := []keys.Private{keystest.Fixed(name, 1), keystest.Fixed(name, 2), keystest.Fixed(name, 3)}
	r, err := keys.New(privates[0], 1, noon)
	if err != nil {
		t.Fatal(err)
	}
	if r, err = r.Next(privates[0], privates[1], 1, 10, noon.Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	if r, err = r.Next(privates[1], privates[2], 2, 5, noon.Add(2*time.Hour)); err != nil {
		t.Fatal(err)
	}
	return r, privates
}

func TestARingIsReadAsItWasWritten(t *testing.T) {
	r, privates := ring(t)
	read, err := keys.Parse(r.Encode())
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(read.Encode(), r.Encode()) || read.Name() != name || !read.Active().Same(privates[2].Public) {
		t.Fatalf("%s", read.Encode())
	}
	for i, private := range privates {
		if err := read.Pinned(private.Public); err != nil {
			t.Error(err)
		}
		if want := map[bool]keys.Status{true: keys.Active, false: keys.Retired}[i == 2]; read.Status(i) != want {
			t.Errorf("key %d is %s", i+1, read.Status(i))
		}
		// A key may be given as that of an epoch, as witnesses have it.
		ofEpoch, err := keys.ParsePublic(private.ForEpoch(7))
		if err != nil || read.Pinned(ofEpoch) != nil {
			t.Error(err)
		}
	}
	if err := read.Pinned(generate(t, name).Public); !errors.Is(err, keys.ErrRing) {
		t.Error(err)
	}
}

func TestARingWithoutItsChainIsRefused(t *testing.T) {
	r, privates := ring(t)
	text := string(r.Encode())
	other, err := keys.New(generate(t, name), 1, noon)
	if err != nil {
		t.Fatal(err)
	}
	// One who has a retired key makes a ring that goes on otherwise.
	stolen, err := keys.New(privates[0], 1, noon)
	if err != nil {
		t.Fatal(err)
	}
	if stolen, err = stolen.Next(privates[0], generate(t, name), 1, 10, noon.Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	if stolen.Pinned(privates[1].Public) == nil || stolen.Pinned(privates[2].Public) == nil {
		t.Error("who pins a later key takes a ring that does not hold it")
	}
	if _, err := keys.Longer(r, stolen); !errors.Is(err, keys.ErrRing) {
		t.Errorf("a fork of the keys: %v", err)
	}
	if longer, err := keys.Longer(nil, r); err != nil || longer != r {
		t.Error(err)
	}
	statement := func(of string, n int) string { return strings.Split(of, `"statement": "`)[n] }
	for name, text := range map[string]string{
		"empty":                   "",
		"no key":                  `{"name":"` + name + `","keys":[]}`,
		"a first key more":        strings.Replace(text, statement(text, 1), statement(string(other.Encode()), 1), 1),
		"the second of another":   strings.Replace(text, statement(text, 2), statement(string(stolen.Encode()), 2), 1),
		"from another size":       strings.Replace(text, `"from": 10`, `"from": 11`, 1),
		"in the statement, too":   strings.NewReplacer(`"from": 10`, `"from": 11`, `1 10\n`, `1 11\n`).Replace(text),
		"another status":          strings.Replace(text, `"retired"`, `"active"`, 1),
		"a field twice":           strings.Replace(text, `"name"`, `"name": "x", "name"`, 1),
		"another spelling":        strings.Replace(text, `  "name"`, `   "name"`, 1),
		"longer than the longest": strings.Repeat(" ", keys.MaxRing+1),
	} {
		if text == string(r.Encode()) {
			t.Fatalf("%s: nothing changed", name)
		}
		if _, err := keys.Parse([]byte(text)); !errors.Is(err, keys.ErrRing) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestWhoMayNotFollow(t *testing.T) {
	r, privates := ring(t)
	for name, next := range map[string]func() (*keys.Ring, error){
		"signed by a retired key": func() (*keys.Ring, error) { return r.Next(privates[1], generate(t, name), 3, 1, noon) },
		"for another log":         func() (*keys.Ring, error) { return r.Next(privates[2], generate(t, "other"), 3, 1, noon) },
		"a key again":             func() (*keys.Ring, error) { return r.Next(privates[2], privates[0], 3, 1, noon) },
		"an earlier epoch":        func() (*keys.Ring, error) { return r.Next(privates[2], generate(t, name), 1, 100, noon) },
		"an earlier size":         func() (*keys.Ring, error) { return r.Next(privates[2], generate(t, name), 2, 4, noon) },
	} {
		if _, err := next(); err == nil {
			t.Errorf("%s: it follows", name)
		}
	}
}

func TestAKeySignsForItsTimeAlone(t *testing.T) {
	r, privates := ring(t)
	for _, c := range []struct {
		key         int
		epoch, size uint64
		ok          bool
	}{
		{0, 1, 0, true},
		{0, 1, 10, true},
		{0, 1, 11, false},
		{0, 2, 1, false},
		{1, 1, 9, false},
		{1, 1, 10, true},
		{1, 1, 500, true},
		{1, 2, 5, true},
		{1, 2, 6, false},
		{2, 1, 500, false},
		{2, 2, 4, false},
		{2, 2, 5, true},
		{2, 3, 0, true},
	} {
		text := fmt.Sprintf("%s\n%d\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n", keys.Origin(name, c.epoch), c.size)
		signed, err := note.Sign(&note.Note{Text: text}, privates[c.key].Signer(c.epoch))
		if err != nil {
			t.Fatal(err)
		}
		head, err := r.Heads(c.epoch).OpenHead(signed)
		if (err == nil) != c.ok || err == nil && head.Size != c.size {
			t.Errorf("%+v: %v", c, err)
		}
		if _, err := r.Heads(c.epoch + 1).OpenHead(signed); err == nil {
			t.Errorf("%+v passes for a head of the next epoch", c)
		}
	}
}

func TestAPrivateKeyIsNeverPrinted(t *testing.T) {
	private := generate(t, name)
	secret := strings.TrimSpace(string(private.Secret()))
	seed := strings.SplitN(secret, "+", 5)[4]
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q"} {
		for _, value := range []any{private, &private, private.Signer(1), []keys.Private{private}} {
			printed := fmt.Sprintf(verb, value)
			if strings.Contains(printed, "PRIVATE") || strings.Contains(printed, seed[4:20]) || strings.ContainsAny(printed, "[{0x") && len(printed) > 200 {
				t.Errorf("%s of %T prints the key", verb, value)
			}
		}
	}
	again, err := keys.ParsePrivates(append([]byte("# a comment\n\n"), private.Secret()...))
	if err != nil || len(again) != 1 || !again[0].Same(private.Public) {
		t.Fatal(err)
	}
	// The note package reads it too.
	signer, err := note.NewSigner(secret)
	if err != nil || signer.KeyHash() != again[0].Signer(1).KeyHash() && signer.Name() != name {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"cut":          secret[:len(secret)-3],
		"twice":        secret + "\n" + secret,
		"of two logs":  secret + "\n" + string(generate(t, "other").Secret()),
		"a public key": private.String(),
		"nothing":      "# nothing\n",
		"too many":     strings.Repeat(secret+"\n", 200),
	} {
		_, err := keys.ParsePrivates([]byte(text))
		if err == nil {
			t.Errorf("%s is read", name)
		} else if strings.Contains(err.Error(), seed[4:20]) {
			t.Errorf("%s: the error quotes the key", name)
		}
	}
}

func TestAKeyFileIsMadeOnceAndAddedTo(t *testing.T) {
	path := filepath.Join(t.TempDir(), "private")
	first, err := keys.LoadFile(path, rand.Reader, name)
	if err != nil {
		t.Fatal(err)
	}
	again, err := keys.LoadFile(path, rand.Reader, name)
	if err != nil || len(again) != 1 || !again[0].Same(first[0].Public) {
		t.Fatal(err)
	}
	next, err := keys.AddToFile(path, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	both, err := keys.ReadFile(path)
	if err != nil || len(both) != 2 || !both[0].Same(first[0].Public) || !both[1].Same(next) {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatal(info.Mode(), err)
	}
	if _, err := keys.LoadFile(path, rand.Reader, "other"); err == nil {
		t.Fatal("a file of another log is taken")
	}
	if _, err := keys.AddToFile(path+"-none", rand.Reader); !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
}
