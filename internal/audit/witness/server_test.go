package witness_test

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	formats "github.com/transparency-dev/formats/log"
	fnote "github.com/transparency-dev/formats/note"
	"github.com/transparency-dev/merkle/proof"
	"github.com/transparency-dev/merkle/rfc6962"
	"golang.org/x/mod/sumdb/note"
)

// server is a witness as https://c2sp.org/tlog-witness has it: it knows one log by its key, remembers the
// head that it has last signed, and signs what follows from that alone.
type server struct {
	*httptest.Server
	vkey string

	log    note.Verifier
	signer note.Signer

	mu     sync.Mutex
	latest formats.Checkpoint
	signed int
	answer func(http.ResponseWriter) // where it is set, instead
}

func newServer(t *testing.T, name, logKey string) *server {
	t.Helper()
	private, public, err := note.GenerateKey(rand.Reader, name)
	if err != nil {
		t.Fatal(err)
	}
	s := &server{}
	if s.signer, err = fnote.NewSignerForCosignatureV1(private); err != nil {
		t.Fatal(err)
	}
	if s.vkey, err = fnote.VKeyToCosignatureV1(public); err != nil {
		t.Fatal(err)
	}
	if s.log, err = note.NewVerifier(logKey); err != nil {
		t.Fatal(err)
	}
	s.Server = httptest.NewServer(http.HandlerFunc(s.add))
	t.Cleanup(s.Close)
	return s
}

// does has the server answer otherwise; nil has it answer as it should.
func (s *server) does(answer func(http.ResponseWriter)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answer = answer
}

func (s *server) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.signed
}

func (s *server) add(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.answer != nil {
		s.answer(w)
		return
	}
	body, err := io.ReadAll(r.Body)
	if err != nil || r.Method != http.MethodPost || r.URL.Path != "/add-checkpoint" {
		http.Error(w, "want POST /add-checkpoint", http.StatusBadRequest)
		return
	}
	header, checkpoint, _ := bytes.Cut(body, []byte("\n\n"))
	lines := strings.Split(string(header), "\n")
	var old uint64
	if _, err := fmt.Sscanf(lines[0], "old %d", &old); err != nil {
		http.Error(w, "no old size", http.StatusBadRequest)
		return
	}
	hashes := make([][]byte, len(lines)-1)
	for i, line := range lines[1:] {
		if hashes[i], err = base64.StdEncoding.DecodeString(line); err != nil {
			http.Error(w, "a bad hash", http.StatusBadRequest)
			return
		}
	}
	head, _, opened, err := formats.ParseCheckpoint(checkpoint, s.log.Name(), s.log)
	switch {
	case err != nil:
		http.Error(w, "not signed by a log that I know", http.StatusForbidden)
	case old > head.Size:
		http.Error(w, "the old size is larger", http.StatusBadRequest)
	case old != s.latest.Size:
		w.Header().Set("Content-Type", "text/x.tlog.size")
		w.WriteHeader(http.StatusConflict)
		_, _ = fmt.Fprintln(w, s.latest.Size)
	case old == head.Size && old > 0 && !bytes.Equal(head.Hash, s.latest.Hash):
		http.Error(w, "another root", http.StatusConflict)
	case proof.VerifyConsistency(rfc6962.DefaultHasher, old, head.Size, hashes, s.latest.Hash, head.Hash) != nil:
		http.Error(w, "not consistent", http.StatusUnprocessableEntity)
	default:
		cosigned, err := note.Sign(&note.Note{Text: opened.Text}, s.signer)
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		s.latest = *head
		s.signed++
		_, signatures, _ := bytes.Cut(cosigned, []byte("\n\n"))
		_, _ = w.Write(signatures)
	}
}
