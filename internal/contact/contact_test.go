package contact_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	testingclock "k8s.io/utils/clock/testing"

	"agentpassport.dev/operator/internal/contact"
)

// noon is when the tests with a clock of their own take place.
var noon = time.Date(2026, time.March, 2, 12, 0, 0, 0, time.UTC)

func TestContact(t *testing.T) {
	clock := testingclock.NewFakeClock(noon)
	heard := contact.New(clock)
	passports := heard.Watch("/passports", "")
	named := heard.Watch("/secrets", "metadata.name=slack")
	events := map[string]chan struct{}{"": make(chan struct{}), "metadata.name=slack": make(chan struct{}), "metadata.name=github": make(chan struct{})}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/failing":
			w.WriteHeader(http.StatusServiceUnavailable)
		case "/passports", "/secrets":
			w.WriteHeader(http.StatusOK)
			_ = http.NewResponseController(w).Flush()
			for range events[r.URL.Query().Get("fieldSelector")] {
				_, _ = fmt.Fprintln(w, "{}")
				_ = http.NewResponseController(w).Flush()
			}
		}
	}))
	defer server.Close()
	transport := heard.Wrap(http.DefaultTransport)
	get := func(path string) io.ReadCloser {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL+path, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		response, err := transport.RoundTrip(request)
		if err != nil {
			t.Fatal(err)
		}
		return response.Body
	}
	expect := func(what string, server, watch, other time.Duration) {
		t.Helper()
		for _, one := range []struct {
			name  string
			heard *contact.Heard
			want  time.Duration
		}{{"server", heard.Server(), server}, {"watch", passports, watch}, {"other watch", named, other}} {
			if got := heard.Silence(one.heard); got != one.want {
				t.Errorf("%s: silence of the %s is %s, want %s", what, one.name, got, one.want)
			}
		}
	}
	const s = time.Second
	expect("at first", 0, 0, 0)
	clock.Step(10 * s)
	expect("after ten seconds", 10*s, 10*s, 10*s)
	body := get("/passports?watch=true")
	expect("a watch begins, and brings nothing", 0, 10*s, 10*s)
	clock.Step(5 * s)
	events[""] <- struct{}{}
	if _, err := body.Read(make([]byte, 100)); err != nil {
		t.Fatal(err)
	}
	expect("an event", 5*s, 0, 15*s)
	clock.Step(5 * s)
	_ = get("/failing").Close()
	expect("an answer that is none", 10*s, 5*s, 20*s)
	_ = get("/readyz").Close()
	expect("an answer", 0, 5*s, 20*s)
	other := get("/secrets?watch=true&fieldSelector=metadata.name%3Dgithub")
	events["metadata.name=github"] <- struct{}{}
	_, _ = other.Read(make([]byte, 100))
	expect("an event of another Secret", 0, 5*s, 20*s)
	one := get("/secrets?watch=true&fieldSelector=metadata.name%3Dslack")
	events["metadata.name=slack"] <- struct{}{}
	_, _ = one.Read(make([]byte, 100))
	expect("an event of the Secret", 0, 5*s, 0)
	for _, one := range events {
		close(one)
	}
}

// What brings nothing up to date keeps no watch alive: a list that breaks off, again and again, and the first
// events of a watch that begins with what is there.
func TestPartsAreNotHeard(t *testing.T) {
	const end = `{"type":"BOOKMARK","object":{"metadata":{"annotations":{"k8s.io/initial-events-end":"true"}}}}`
	for _, test := range []struct {
		what, query string
		pieces      []string
		broken      bool
		heard       []bool // after each piece, and at the end
	}{
		{"a whole list", "", []string{"{", "}"}, false, []bool{false, false, true}},
		{"a list that breaks off", "", []string{"{", "{"}, true, []bool{false, false, false}},
		{"a watch", "watch=true", []string{"{}", "{}"}, true, []bool{true, true, false}},
		{
			"a watch that begins with what is there", "watch=true&sendInitialEvents=true",
			[]string{"{}", end[:70], end[70:], "{}"},
			true,
			[]bool{false, false, true, true, false},
		},
	} {
		t.Run(test.what, func(t *testing.T) {
			clock := testingclock.NewFakeClock(noon)
			heard := contact.New(clock)
			watch := heard.Watch("/passports", "")
			pipe, source := io.Pipe()
			transport := heard.Wrap(roundTrip(func(*http.Request) (*http.Response, error) {
				return &http.Response{StatusCode: http.StatusOK, Body: pipe}, nil
			}))
			request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://server/passports?"+test.query, http.NoBody)
			if err != nil {
				t.Fatal(err)
			}
			response, err := transport.RoundTrip(request)
			if err != nil {
				t.Fatal(err)
			}
			defer response.Body.Close() //nolint:errcheck // a pipe
			go func() {
				for _, piece := range test.pieces {
					_, _ = io.WriteString(source, piece)
				}
				if test.broken {
					_ = source.CloseWithError(io.ErrUnexpectedEOF)
					return
				}
				_ = source.Close()
			}()
			for i, want := range test.heard {
				clock.Step(time.Second)
				_, _ = response.Body.Read(make([]byte, 1000))
				if heard := heard.Silence(watch) == 0; heard != want {
					t.Errorf("after piece %d: heard %t, want %t", i, heard, want)
				}
			}
		})
	}
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(request *http.Request) (*http.Response, error) { return f(request) }
