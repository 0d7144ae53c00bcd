package client_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"agentpassport.dev/operator/internal/audit/audittest"
	"agentpassport.dev/operator/internal/audit/client"
	"agentpassport.dev/operator/internal/audit/wire"
)

func TestCalls(t *testing.T) {
	ca := audittest.NewAuthority(t)
	want := wire.Calls{JTI: "pp_1", Seen: []string{"gateway-0"}, Services: map[string]wire.ServiceCalls{"slack": {Sent: 3}}}
	status, answer := http.StatusOK, any(want)
	s := server(t, ca, func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet || r.URL.String() != "/v1/calls?jti=pp_1&namespace=support" ||
			r.Header.Get("Authorization") != "Bearer token" {
			t.Error(r.Method, r.URL, r.Header)
		}
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(answer)
	})
	file := audittest.File(t, t.TempDir(), "token", []byte("token"))
	c := newClient(t, client.Options{URL: s.URL, CA: ca.PEM, TokenFile: file})
	got, err := c.Calls(t.Context(), "support", "pp_1")
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Error(err, diff)
	}
	answer = wire.Calls{JTI: "pp_2"}
	if _, err := c.Calls(t.Context(), "support", "pp_1"); !errors.Is(err, client.ErrUnavailable) {
		t.Error("the calls of another passport", err)
	}
	for _, test := range []struct {
		status int
		code   wire.Code
		want   error
	}{
		{http.StatusForbidden, wire.Forbidden, client.ErrForbidden},
		{http.StatusServiceUnavailable, wire.IndexBehind, client.ErrUnavailable},
		{http.StatusBadRequest, wire.BadRequest, nil},
	} {
		status, answer = test.status, wire.Failure{Error: wire.Error{Code: test.code, Message: "so it says"}}
		_, err := c.Calls(t.Context(), "support", "pp_1")
		var bad *client.BadRecord
		if err == nil || !strings.Contains(err.Error(), "so it says") || (test.want != nil && !errors.Is(err, test.want)) || errors.As(err, &bad) {
			t.Error(test.code, err)
		}
	}
}
