package keys_test

import (
	"bytes"
	"testing"

	"agentpassport.dev/operator/internal/audit/keys"
)

// FuzzParse looks for a keys file that is accepted without its chain, and for panics.
func FuzzParse(f *testing.F) {
	r, privates := ring(f)
	raw := r.Encode()
	f.Add(raw)
	f.Add(raw[:len(raw)/2])
	f.Add(bytes.Replace(raw, []byte(`"from": 10`), []byte(`"from": 11`), 1))
	f.Fuzz(func(t *testing.T, raw []byte) {
		got, err := keys.Parse(raw)
		if err != nil {
			return
		}
		if !bytes.Equal(got.Encode(), raw) {
			t.Fatal("another form is accepted")
		}
		if got.Pinned(privates[0].Public) != nil {
			return // somebody's own ring
		}
		if longer, err := keys.Longer(r, got); err != nil || longer != r {
			t.Fatalf("a ring is accepted that its first key did not sign: %v", err)
		}
	})
}

// FuzzParsePublic looks for verifier keys that do not come back as they were read, and for panics.
func FuzzParsePublic(f *testing.F) {
	_, privates := ring(f)
	f.Add(privates[0].String())
	f.Add(privates[0].ForEpoch(2))
	f.Add("a+00000000+AQ==")
	f.Fuzz(func(t *testing.T, text string) {
		key, err := keys.ParsePublic(text)
		if err != nil {
			return
		}
		again, err := keys.ParsePublic(key.String())
		if err != nil || !again.Same(key) || again.Name() != key.Name() {
			t.Fatalf("%q is read as %q: %v", text, key, err)
		}
	})
}

// FuzzParsePrivates looks for private keys that do not come back, and for panics.
func FuzzParsePrivates(f *testing.F) {
	_, privates := ring(f)
	f.Add(append(privates[0].Secret(), privates[1].Secret()...))
	f.Add([]byte("# none\nPRIVATE+KEY+a+00000000+AQ==\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		all, err := keys.ParsePrivates(text)
		if err != nil {
			return
		}
		var again []byte
		for _, private := range all {
			again = append(again, private.Secret()...)
		}
		if read, err := keys.ParsePrivates(again); err != nil || len(read) != len(all) {
			t.Fatalf("%d keys come back as %d: %v", len(all), len(read), err)
		}
	})
}
