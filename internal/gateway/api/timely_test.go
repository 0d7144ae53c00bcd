package api_test

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	testingclock "k8s.io/utils/clock/testing"

	"agentpassport.dev/operator/internal/gateway/api"
)

// Whoever sends half a body, or does not take an answer, is not waited for without end. The clock is so far
// behind that half a second is left of the half minute.
func TestClientsThatStall(t *testing.T) {
	behind := options
	behind.Local = testingclock.NewFakePassiveClock(time.Now().Add(-30*time.Second + 500*time.Millisecond))
	server := httptest.NewServer(api.New(behind))
	t.Cleanup(server.Close)
	for _, request := range []string{
		"POST /v1/passports/verify HTTP/1.1\r\nHost: gateway\r\nContent-Length: 100\r\n\r\n{",
		"GET /openapi.json HTTP/1.1\r\nHost: gateway\r\nContent-Length: 100\r\n\r\n{",
	} {
		// The answer, and then the end of the connection: a timeout of the test's own is an error.
		if err := stall(t, server.URL, request); err != nil {
			t.Errorf("%.30q: %v", request, err)
		}
	}
}

// stall sends a part of a request, and reads until the connection ends.
func stall(t *testing.T, url, request string) error {
	t.Helper()
	connection, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", strings.TrimPrefix(url, "http://"))
	if err != nil {
		return err
	}
	defer connection.Close() //nolint:errcheck // a test
	if err := connection.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		return err
	}
	if _, err := io.WriteString(connection, request); err != nil {
		return err
	}
	_, err = io.ReadAll(connection)
	return err
}

// A deadline that has passed ends no later request on the same connection.
func TestDeadlinesEndWithTheirRequest(t *testing.T) {
	clock := testingclock.NewFakePassiveClock(time.Now())
	set := options
	set.Local = clock
	server := httptest.NewServer(api.New(set))
	t.Cleanup(server.Close)
	connection, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", strings.TrimPrefix(server.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close() //nolint:errcheck // a test
	reader := bufio.NewReader(connection)
	for range 3 {
		if _, err := io.WriteString(connection, "POST /v1/passports/verify HTTP/1.1\r\nHost: gateway\r\nContent-Length: 16\r\n\r\n{\"token\":\"none\"}"); err != nil {
			t.Fatal(err)
		}
		response, err := http.ReadResponse(reader, nil)
		if err != nil {
			t.Fatal(err)
		}
		if raw, err := io.ReadAll(response.Body); err != nil || response.StatusCode != http.StatusOK {
			t.Errorf("%d %s %v", response.StatusCode, raw, err)
		}
		_ = response.Body.Close()
	}
}
