package client_test

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"agentpassport.dev/operator/internal/audit"
	"agentpassport.dev/operator/internal/audit/audittest"
	"agentpassport.dev/operator/internal/audit/client"
	"agentpassport.dev/operator/internal/audit/wire"
)

// server answers as it is told, over TLS.
func server(t *testing.T, ca *audittest.Authority, handle http.HandlerFunc) *httptest.Server {
	t.Helper()
	s := httptest.NewUnstartedServer(handle)
	s.TLS = &tls.Config{Certificates: []tls.Certificate{ca.Pair(t, "auditlog")}, MinVersion: tls.VersionTLS12, ClientAuth: tls.RequestClientCert}
	s.StartTLS()
	t.Cleanup(s.Close)
	return s
}

func entriesOf(t *testing.T, w http.ResponseWriter, r *http.Request) {
	var asked wire.Append
	if err := json.NewDecoder(r.Body).Decode(&asked); err != nil {
		t.Error(err)
	}
	var said wire.Appended
	for i, record := range asked.Records {
		record.Hash = audit.Zero
		said.Entries = append(said.Entries, audit.Entry{Epoch: 1, Index: uint64(i), Record: record})
	}
	if err := json.NewEncoder(w).Encode(said); err != nil {
		t.Error(err)
	}
}

func newClient(t *testing.T, options client.Options) *client.Client {
	t.Helper()
	c, err := client.New(options)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestAppend(t *testing.T) {
	ca := audittest.NewAuthority(t)
	var token, name string
	s := server(t, ca, func(w http.ResponseWriter, r *http.Request) {
		token, name = r.Header.Get("Authorization"), ""
		if len(r.TLS.PeerCertificates) > 0 {
			name = r.TLS.PeerCertificates[0].Subject.CommonName
		}
		if r.Method != http.MethodPost || r.URL.Path != "/v1/records" {
			t.Error(r.Method, r.URL)
		}
		entriesOf(t, w, r)
	})
	pair := ca.Pair(t, "manager")
	file := audittest.File(t, t.TempDir(), "token", []byte("first\n"))
	c := newClient(t, client.Options{
		URL: s.URL, CA: ca.PEM, TokenFile: file, Certificate: func() (*tls.Certificate, error) { return &pair, nil },
	})
	records := audittest.Missions(0, 1)
	entries, err := c.Append(t.Context(), records...)
	if err != nil || len(entries) != 5 || entries[4].Index != 4 || !cmp.Equal(entries[4].Record.Facts, records[4].Facts) {
		t.Error(err, entries)
	}
	if token != "Bearer first" || name != "manager" {
		t.Error(token, name)
	}
	// The kubelet has renewed it.
	if err := os.WriteFile(file, []byte("second"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Append(t.Context(), records...); err != nil || token != "Bearer second" {
		t.Error(err, token)
	}
	if entries, err := c.Append(t.Context()); err != nil || entries != nil {
		t.Error(entries, err)
	}
}

// What is JSON already goes as it stands, and is done with once as many are answered for.
func TestAppendRaw(t *testing.T) {
	ca := audittest.NewAuthority(t)
	entries := 0
	var got []byte
	s := server(t, ca, func(w http.ResponseWriter, r *http.Request) {
		var err error
		if got, err = io.ReadAll(r.Body); err != nil {
			t.Error(err)
		}
		said := wire.Appended{Entries: make([]audit.Entry, entries)}
		if err := json.NewEncoder(w).Encode(said); err != nil {
			t.Error(err)
		}
	})
	c := newClient(t, client.Options{URL: s.URL, CA: ca.PEM})
	entries = 2
	if err := c.AppendRaw(t.Context(), []json.RawMessage{[]byte(`{"id":"a"}`), []byte(`{"id":"b"}`)}); err != nil || string(got) != `{"records":[{"id":"a"},{"id":"b"}]}` {
		t.Errorf("%v %s", err, got)
	}
	entries = 1
	if err := c.AppendRaw(t.Context(), []json.RawMessage{[]byte(`{}`), []byte(`{}`)}); !errors.Is(err, client.ErrUnavailable) {
		t.Error(err)
	}
	var bad *client.BadRecord
	if err := c.AppendRaw(t.Context(), make([]json.RawMessage, wire.MaxRecords+1)); !errors.As(err, &bad) {
		t.Error(err)
	}
	if err := c.AppendRaw(t.Context(), nil); err != nil {
		t.Error(err)
	}
}

// The authorities that count are those that are in the file when it connects.
func TestTheCAIsReadAgain(t *testing.T) {
	ca, before := audittest.NewAuthority(t), audittest.NewAuthority(t)
	s := server(t, ca, func(w http.ResponseWriter, r *http.Request) { entriesOf(t, w, r) })
	file := audittest.File(t, t.TempDir(), "ca.pem", before.PEM)
	c := newClient(t, client.Options{URL: s.URL, CAFile: file})
	if _, err := c.Append(t.Context(), audittest.Record(0, 0)); !errors.Is(err, client.ErrUnavailable) {
		t.Error(err)
	}
	if err := os.WriteFile(file, ca.PEM, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Append(t.Context(), audittest.Record(0, 0)); err != nil {
		t.Error(err)
	}
}

func TestErrors(t *testing.T) {
	ca := audittest.NewAuthority(t)
	failure := func(status int, code wire.Code, message string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(status)
			_ = json.NewEncoder(w).Encode(wire.Failure{Error: wire.Error{Code: code, Message: message}})
		}
	}
	text := func(status int, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(status)
			_, _ = w.Write([]byte(body))
		}
	}
	for name, test := range map[string]struct {
		handle http.HandlerFunc
		want   error
		says   string
	}{
		"bad record":     {failure(400, wire.BadRecord, "record 2: its action"), nil, "record 2: its action"},
		"too large":      {failure(413, wire.TooLarge, "too many bytes"), nil, "too many bytes"},
		"no token":       {failure(401, wire.Unauthenticated, "show a token"), client.ErrForbidden, "show a token"},
		"no right":       {failure(403, wire.Forbidden, "lacks create"), client.ErrForbidden, "lacks create"},
		"log closed":     {failure(503, wire.LogUnavailable, "opened anew"), client.ErrUnavailable, "opened anew"},
		"internal":       {failure(500, wire.Internal, "could not be read"), client.ErrUnavailable, "could not be read"},
		"another server": {text(404, "<html>"), client.ErrUnavailable, "404: Not Found"},
		"bad gateway":    {text(502, "oh"), client.ErrUnavailable, "502"},
		"somebody's 400": {text(400, "plain HTTP"), client.ErrUnavailable, "400"},
		"moved": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "https://other.example/", http.StatusTemporaryRedirect)
		}, client.ErrUnavailable, "307"},
		"no JSON":          {text(200, "fine"), client.ErrUnavailable, "something else"},
		"too few":          {text(200, `{"entries":[]}`), client.ErrUnavailable, "something else"},
		"another's record": {text(200, `{"entries":[{"epoch":1,"index":0,"record":{"id":"ar_1"}}]}`), client.ErrUnavailable, "another record"},
		"broken off":       {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, client.ErrUnavailable, ""},
	} {
		t.Run(name, func(t *testing.T) {
			s := server(t, ca, test.handle)
			_, err := newClient(t, client.Options{URL: s.URL, CA: ca.PEM}).Append(t.Context(), audittest.Record(0, 0))
			var bad *client.BadRecord
			switch {
			case err == nil || !strings.Contains(err.Error(), test.says):
				t.Error(err)
			case test.want == nil && !errors.As(err, &bad):
				t.Errorf("%v is no BadRecord", err)
			case test.want != nil && !errors.Is(err, test.want):
				t.Errorf("%v is no %v", err, test.want)
			}
		})
	}
}

func TestAServiceThatDoesNotAnswer(t *testing.T) {
	ca := audittest.NewAuthority(t)
	stuck := make(chan struct{})
	s := server(t, ca, func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-stuck:
		case <-r.Context().Done():
		}
	})
	defer close(stuck)
	c := newClient(t, client.Options{URL: s.URL, CA: ca.PEM, Timeout: 50 * time.Millisecond})
	if _, err := c.Append(t.Context(), audittest.Record(0, 0)); !errors.Is(err, client.ErrUnavailable) {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.Append(ctx, audittest.Record(0, 0)); !errors.Is(err, client.ErrUnavailable) || !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	gone := newClient(t, client.Options{URL: "https://127.0.0.1:1", CA: ca.PEM})
	if _, err := gone.Append(t.Context(), audittest.Record(0, 0)); !errors.Is(err, client.ErrUnavailable) {
		t.Error(err)
	}
	tokenless := newClient(t, client.Options{URL: s.URL, CA: ca.PEM, TokenFile: filepath.Join(t.TempDir(), "none")})
	if _, err := tokenless.Append(t.Context(), audittest.Record(0, 0)); !errors.Is(err, client.ErrUnavailable) {
		t.Error(err)
	}
}

func TestOptionsThatCannotBe(t *testing.T) {
	for _, o := range []client.Options{
		{URL: ""},
		{URL: "http://host"},
		{URL: "https://"},
		{URL: "https://user:pw@host"},
		{URL: "https://host?x=1"},
		{URL: "https://host", CA: []byte("none")},
	} {
		if _, err := client.New(o); err == nil {
			t.Error(o.URL)
		}
	}
}

// The manager links the client, and must not link the log with it.
func TestTheClientDoesNotLinkTheLog(t *testing.T) {
	deps, err := exec.CommandContext(t.Context(), "go", "list", "-deps", ".").CombinedOutput()
	if err != nil {
		t.Fatal(err, string(deps))
	}
	for _, unwanted := range []string{"transparency-dev", "k8s.io/apiserver", "bbolt", "audit/tlog"} {
		if strings.Contains(string(deps), unwanted) {
			t.Errorf("it links %s", unwanted)
		}
	}
}
