package passport_test

import (
	"context"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"agentpassport.dev/operator/pkg/passport"
)

// asked is a request as a gateway gets it.
type asked struct {
	Method, Path, Body string
	Bearer, Token, Key string
}

// gateway answers with what it is told to, one after the other, and the last one for ever.
type gateway struct {
	*httptest.Server
	asked   []asked
	answers []func(http.ResponseWriter)
}

func says(status int, body string, header ...string) func(http.ResponseWriter) {
	return func(w http.ResponseWriter) {
		for i := 0; i < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

func newGateway(t *testing.T, answers ...func(http.ResponseWriter)) *gateway {
	t.Helper()
	g := &gateway{answers: answers}
	g.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		g.asked = append(g.asked, asked{
			Method: r.Method, Path: r.URL.EscapedPath(), Body: string(body), Bearer: r.Header.Get("Authorization"),
			Token: r.Header.Get("X-Passport-Token"), Key: r.Header.Get("Idempotency-Key"),
		})
		g.answers[0](w)
		if len(g.answers) > 1 {
			g.answers = g.answers[1:]
		}
	}))
	t.Cleanup(g.Close)
	return g
}

func (g *gateway) client(t *testing.T, options passport.ClientOptions) *passport.Client {
	t.Helper()
	c, err := passport.NewClient(g.URL, options)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestCalls(t *testing.T) {
	at := time.Date(2026, 4, 23, 14, 47, 12, 0, time.UTC)
	for name, c := range map[string]struct {
		answer string
		do     func(context.Context, *passport.Client) (any, error)
		asked  asked
		want   any
	}{
		"issue": {
			`{"token":"t1","jti":"pp_1","expires_at":"2026-04-23T14:47:12.000Z","later":true}`,
			func(ctx context.Context, c *passport.Client) (any, error) {
				return c.Issue(ctx, passport.IssueRequest{
					AgentID: "support-bot", TTLSeconds: 900, CheckpointIntervalSeconds: 300, IdempotencyKey: "key",
					Intent: &passport.MissionIntent{Summary: "Answer", Services: []string{"slack"}, EstimatedDurationSeconds: 60},
				})
			},
			asked{Method: "POST", Path: "/v1/passports/issue", Key: "key", Body: `{"agent_id":"support-bot","intent":{"summary":"Answer","services":["slack"],"estimated_duration_seconds":60,"will_delegate":false},"ttl_seconds":900,"checkpoint_interval_seconds":300}`},
			&passport.Issued{Token: "t1", JTI: "pp_1", ExpiresAt: at},
		},
		"get": {
			`{"jti":"pp_1","phase":"active","expires_at":"2026-04-23T14:47:12Z","observed":{"calls":3,"services":[{"service":"slack","calls":3}]}}`,
			func(ctx context.Context, c *passport.Client) (any, error) { return c.Get(ctx, "pp_1") },
			asked{Method: "GET", Path: "/v1/passports/pp_1"},
			&passport.State{JTI: "pp_1", Phase: "active", ExpiresAt: at, Observed: &passport.Observed{Calls: 3, Services: []passport.ObservedService{{Service: "slack", Calls: 3}}}},
		},
		"a jti that is none": {
			`{}`,
			func(ctx context.Context, c *passport.Client) (any, error) { return c.Get(ctx, "../x") },
			asked{Method: "GET", Path: "/v1/passports/..%2Fx"},
			&passport.State{},
		},
		"checkpoint": {
			`{"jti":"pp_1","accepted":true,"expires_at":"2026-04-23T14:47:12Z","token":"t2"}`,
			func(ctx context.Context, c *passport.Client) (any, error) {
				return c.Checkpoint(ctx, "pp_1", passport.Report{ActionsCount: 2, Summary: "so far"})
			},
			asked{Method: "POST", Path: "/v1/passports/pp_1/checkpoint", Body: `{"services_used":[],"actions_count":2,"summary":"so far"}`},
			&passport.Checkpointed{JTI: "pp_1", Accepted: true, ExpiresAt: at, Token: "t2"},
		},
		"checkout": {
			`{"jti":"pp_1","checkout_status":"flagged","flags":[{"type":"undeclared_service","severity":"warning","message":"notion"}]}`,
			func(ctx context.Context, c *passport.Client) (any, error) {
				return c.Checkout(ctx, "pp_1", passport.CheckoutReport{Outcome: passport.Failed, Report: passport.Report{ServicesUsed: []string{"slack"}, ActionsCount: 12}})
			},
			asked{Method: "POST", Path: "/v1/passports/pp_1/checkout", Body: `{"services_used":["slack"],"actions_count":12,"outcome":"failed"}`},
			&passport.CheckedOut{JTI: "pp_1", Status: "flagged", Flags: []passport.Flag{{Type: "undeclared_service", Severity: "warning", Message: "notion"}}},
		},
		"refresh": {
			`{"token":"t3","jti":"pp_1","expires_at":"2026-04-23T14:47:12Z"}`,
			func(ctx context.Context, c *passport.Client) (any, error) { return c.Refresh(ctx, "pp_1") },
			asked{Method: "POST", Path: "/v1/passports/pp_1/refresh"},
			&passport.Issued{Token: "t3", JTI: "pp_1", ExpiresAt: at},
		},
		"revoke": {
			`{}`,
			func(ctx context.Context, c *passport.Client) (any, error) { return nil, c.Revoke(ctx, "pp_1", "odd") },
			asked{Method: "POST", Path: "/v1/passports/pp_1/revoke", Body: `{"reason":"odd"}`},
			nil,
		},
		"a call": {
			`{"status":404,"headers":{"x":"y"},"body":"no"}`,
			func(ctx context.Context, c *passport.Client) (any, error) {
				return c.Call(ctx, "t1", passport.Outbound{Service: "slack", Method: "POST", URL: "https://slack.com/api", Query: map[string][]string{"a": {"b"}}, Body: json.RawMessage(`{"c":1}`)})
			},
			asked{Method: "POST", Path: "/v1/proxy", Token: "t1", Body: `{"service":"slack","method":"POST","url":"https://slack.com/api","query":{"a":["b"]},"body":{"c":1}}`},
			&passport.Answer{Status: 404, Headers: map[string]string{"x": "y"}, Body: "no"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			g := newGateway(t, says(http.StatusOK, c.answer))
			bearer := func(context.Context) (string, error) { return "b", nil }
			got, err := c.do(t.Context(), g.client(t, passport.ClientOptions{Bearer: bearer}))
			if err != nil {
				t.Fatal(err)
			}
			c.asked.Bearer = "Bearer b"
			if diff := cmp.Diff([]asked{c.asked}, g.asked); diff != "" {
				t.Errorf("asked: want -, got +:\n%s", diff)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("want -, got +:\n%s", diff)
			}
		})
	}
}

func TestErrors(t *testing.T) {
	g := newGateway(t, says(http.StatusUnauthorized, `{"error":{"code":"PASSPORT_REVOKED","message":"it was revoked","details":{"reason":"passport_revoked"}}}`))
	_, err := g.client(t, passport.ClientOptions{}).Call(t.Context(), "secret-token", passport.Outbound{})
	var failed *passport.Error
	if !errors.As(err, &failed) || failed.Status != http.StatusUnauthorized || failed.Code != "PASSPORT_REVOKED" ||
		failed.Message != "it was revoked" || string(failed.Details) != `{"reason":"passport_revoked"}` || !failed.Ended() {
		t.Errorf("%#v", err)
	}
	g = newGateway(t, says(http.StatusForbidden, `<html>`))
	_, err = g.client(t, passport.ClientOptions{}).Get(t.Context(), "pp_1")
	if !errors.As(err, &failed) || failed.Code != "" || failed.Message != "Forbidden" || failed.Ended() {
		t.Errorf("%#v", err)
	}
	g = newGateway(t, says(http.StatusOK, `<html>`))
	if _, err = g.client(t, passport.ClientOptions{}).Get(t.Context(), "pp_1"); err == nil || errors.As(err, new(*passport.Error)) {
		t.Errorf("%#v", err)
	}
	g = newGateway(t, says(http.StatusFound, ``, "Location", "https://evil.example.com"))
	if _, err = g.client(t, passport.ClientOptions{}).Get(t.Context(), "pp_1"); !errors.As(err, &failed) || failed.Status != http.StatusFound {
		t.Errorf("followed a redirect: %v", err)
	}
}

func TestRetries(t *testing.T) {
	busy := says(http.StatusServiceUnavailable, `{"error":{"code":"UNAVAILABLE","message":"not now"}}`, "Retry-After", "3")
	good := says(http.StatusOK, `{"jti":"pp_1"}`)
	for name, c := range map[string]struct {
		answers  []func(http.ResponseWriter)
		do       func(context.Context, *passport.Client) error
		attempts int
		waits    []time.Duration
		code     string
	}{
		"issue, the third time": {[]func(http.ResponseWriter){busy, says(http.StatusBadGateway, ""), good}, issue, 3, []time.Duration{3 * time.Second, 400 * time.Millisecond}, ""},
		"issue, for ever":       {[]func(http.ResponseWriter){busy}, issue, 4, []time.Duration{3 * time.Second, 3 * time.Second, 3 * time.Second}, "UNAVAILABLE"},
		"issue, refused":        {[]func(http.ResponseWriter){says(http.StatusForbidden, `{"error":{"code":"FORBIDDEN"}}`)}, issue, 1, nil, "FORBIDDEN"},
		"a checkout, once": {[]func(http.ResponseWriter){busy, good}, func(ctx context.Context, c *passport.Client) error {
			_, err := c.Checkout(ctx, "pp_1", passport.CheckoutReport{})
			return err
		}, 1, nil, "UNAVAILABLE"},
		"a call, once": {[]func(http.ResponseWriter){busy, good}, func(ctx context.Context, c *passport.Client) error {
			_, err := c.Call(ctx, "t", passport.Outbound{})
			return err
		}, 1, nil, "UNAVAILABLE"},
	} {
		t.Run(name, func(t *testing.T) {
			g := newGateway(t, c.answers...)
			client := g.client(t, passport.ClientOptions{})
			var waits []time.Duration
			client.Unhurried(func(long time.Duration) { waits = append(waits, long) })
			err := c.do(t.Context(), client)
			var failed *passport.Error
			if errors.As(err, &failed) != (c.code != "") || (failed != nil && failed.Code != c.code) {
				t.Errorf("%v", err)
			}
			if len(g.asked) != c.attempts || !cmp.Equal(waits, c.waits) {
				t.Errorf("%d attempts, waits %v", len(g.asked), waits)
			}
			for _, a := range g.asked[1:] {
				if a.Key == "" || a.Key != g.asked[0].Key {
					t.Errorf("keys %q and %q", g.asked[0].Key, a.Key)
				}
			}
		})
	}
}

func issue(ctx context.Context, c *passport.Client) error {
	_, err := c.Issue(ctx, passport.IssueRequest{AgentID: "support-bot"})
	return err
}

func TestBearerFileIsReadForEveryCall(t *testing.T) {
	g := newGateway(t, says(http.StatusOK, `{}`))
	file := filepath.Join(t.TempDir(), "token")
	c := g.client(t, passport.ClientOptions{BearerFile: file})
	if _, err := c.Get(t.Context(), "pp_1"); err == nil || len(g.asked) != 0 {
		t.Errorf("asked without a bearer: %v", err)
	}
	for _, bearer := range []string{"one", "two"} {
		if err := os.WriteFile(file, []byte(bearer+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Get(t.Context(), "pp_1"); err != nil || g.asked[len(g.asked)-1].Bearer != "Bearer "+bearer {
			t.Errorf("%v, %+v", err, g.asked)
		}
	}
}

func TestAuthorities(t *testing.T) {
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `{}`) }))
	defer server.Close()
	file := filepath.Join(t.TempDir(), "ca.crt")
	authority := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	if err := os.WriteFile(file, authority, 0o600); err != nil {
		t.Fatal(err)
	}
	with, err := passport.NewClient(server.URL, passport.ClientOptions{CAFile: file})
	if err != nil {
		t.Fatal(err)
	}
	if _, err = with.Refresh(t.Context(), "pp_1"); err != nil {
		t.Error(err)
	}
	without, err := passport.NewClient(server.URL, passport.ClientOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err = without.Refresh(t.Context(), "pp_1"); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("trusted an unknown authority: %v", err)
	}
}

func TestNewClientRefuses(t *testing.T) {
	empty := filepath.Join(t.TempDir(), "empty")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for gateway, options := range map[string]passport.ClientOptions{
		"": {}, "gateway:8443": {}, "https://gateway/?x=y": {}, "https://u:p@gateway": {}, "https://a": {CAFile: "/nowhere"}, "https://b": {CAFile: empty},
	} {
		if _, err := passport.NewClient(gateway, options); err == nil {
			t.Errorf("%q %+v: made", gateway, options)
		}
	}
}
