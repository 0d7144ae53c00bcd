package proxy_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"agentpassport.dev/operator/api/v1alpha1"
	"agentpassport.dev/operator/internal/gateway/fronttest"
)

func TestCallSendsWhatWasJudged(t *testing.T) {
	tests := map[string]struct{ call, want string }{
		"text": {
			`{"service":"slack","method":"POST","url":"http://SLACK.example:80/api/a%2c?x=%2f","headers":{"content-type":"text/plain","X-A":" b ","Authorization":"Bearer mine","Cookie":"a=b","X-Forwarded-For":"1.1.1.1","Accept-Encoding":"gzip","Host":"evil"},"body":"h\u00e9 {}"}`,
			"POST /api/a%2C?x=%2f HTTP/1.1\r\nHost: slack.example\r\nContent-Length: 6\r\nContent-Type: text/plain\r\nX-A: b\r\n\r\nhé {}",
		},
		"JSON as it stands": {
			`{"service":"slack","method":"PUT","url":"http://slack.example/api/a","body":{"b": 1.0,  "a":"\u00e9"}}`,
			"PUT /api/a HTTP/1.1\r\nHost: slack.example\r\nContent-Length: 25\r\nContent-Type: application/json\r\n\r\n" + `{"b": 1.0,  "a":"\u00e9"}`,
		},
		"JSON with a type of its own": {
			`{"service":"slack","method":"PUT","url":"http://slack.example/api/a","headers":{"Content-Type":"application/x+json"},"body":[1]}`,
			"PUT /api/a HTTP/1.1\r\nHost: slack.example\r\nContent-Length: 3\r\nContent-Type: application/x+json\r\n\r\n[1]",
		},
		"query": {
			`{"service":"slack","method":"GET","url":"http://slack.example/api/a?x=1","query":{"z":["1","2"],"a b":"c&d","y":""}}`,
			"GET /api/a?x=1&a%20b=c%26d&y=&z=1&z=2 HTTP/1.1\r\nHost: slack.example\r\n\r\n",
		},
		"query on none, and no body": {
			`{"service":"slack","method":"DELETE","url":"http://slack.example/api","query":{"a":"b"},"body":null}`,
			"DELETE /api?a=b HTTP/1.1\r\nHost: slack.example\r\n\r\n",
		},
		"user agent": {
			`{"service":"slack","method":"GET","url":"http://slack.example/api/?","headers":{"user-agent":"agent/1"}}`,
			"GET /api/? HTTP/1.1\r\nHost: slack.example\r\nUser-Agent: agent/1\r\n\r\n",
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, nil)
			status, answer := w.call(test.call)
			if status != http.StatusOK {
				t.Fatalf("got %d %v", status, answer)
			}
			if diff := cmp.Diff(test.want, w.only()); diff != "" {
				t.Error(diff)
			}
			want := map[string]any{
				"status": 200.0, "body": "done",
				"headers": map[string]any{"content-type": "text/plain", "content-length": "4"},
			}
			if diff := cmp.Diff(want, answer); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestCallInjectsTheCredential(t *testing.T) {
	tests := map[string]struct {
		spec *v1alpha1.ServiceCredential
		want string
	}{
		"bearer": {bearer, "GET /api/a?k=1 HTTP/1.1\r\nHost: slack.example\r\nAuthorization: Bearer " + fronttest.Secret + "\r\nX-Key: mine\r\n\r\n"},
		"header": {
			&v1alpha1.ServiceCredential{SecretName: "slack", Key: "token", Type: v1alpha1.CredentialHeader, Name: "x-key"},
			"GET /api/a?k=1 HTTP/1.1\r\nHost: slack.example\r\nX-Key: " + fronttest.Secret + "\r\n\r\n",
		},
		"query": {
			&v1alpha1.ServiceCredential{SecretName: "slack", Key: "token", Type: v1alpha1.CredentialQuery, Name: "k"},
			"GET /api/a?k=" + fronttest.Secret + " HTTP/1.1\r\nHost: slack.example\r\nX-Key: mine\r\n\r\n",
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, test.spec)
			w.call(`{"service":"slack","method":"GET","url":"http://slack.example/api/a?k=1","headers":{"X-Key":"mine","Authorization":"Basic mine"}}`)
			if diff := cmp.Diff(test.want, w.only()); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestCallRefuses(t *testing.T) {
	const head = `{"service":"slack","method":"GET","url":"http://slack.example/api/a"`
	tests := map[string]struct {
		call   string
		status int
		reason string
	}{
		"no JSON":               {`service=slack`, 400, "bad_request"},
		"nothing":               {``, 400, "bad_request"},
		"more behind it":        {head + `} {}`, 400, "bad_request"},
		"unknown field":         {head + `,"follow":true}`, 400, "bad_request"},
		"repeated field":        {head + `,"url":"http://slack.example/api/b"}`, 400, "bad_request"},
		"field in another case": {head + `,"URL":"http://slack.example/api/b"}`, 400, "bad_request"},
		"repeated header":       {head + `,"headers":{"A":"1","A":"2"}}`, 400, "bad_request"},
		"header in two cases":   {head + `,"headers":{"A":"1","a":"2"}}`, 400, "bad_request"},
		"repeated parameter":    {head + `,"query":{"a":"1","a":"2"}}`, 400, "bad_request"},
		"header injection":      {head + `,"headers":{"A":"1\r\nX-Passport-Token: x"}}`, 400, "bad_request"},
		"header's name":         {head + `,"headers":{"A: b\r\nC":"1"}}`, 400, "bad_request"},
		"upgrade":               {head + `,"headers":{"Upgrade":"h2c"}}`, 400, "bad_request"},
		"number as header":      {head + `,"headers":{"A":1}}`, 400, "bad_request"},
		"number as parameter":   {head + `,"query":{"a":1}}`, 400, "bad_request"},
		"parameter in both":     {`{"service":"slack","method":"GET","url":"http://slack.example/api/a?x=1&%61=2","query":{"A":"1"}}`, 400, "bad_request"},
		"fragment and query":    {`{"service":"slack","method":"GET","url":"http://slack.example/api/a#?x=1","query":{"a":"1"}}`, 400, "bad_target"},
		"relative":              {`{"service":"slack","method":"GET","url":"/api/a"}`, 400, "bad_target"},
		"foreign host":          {`{"service":"slack","method":"GET","url":"http://evil.example/api/a"}`, 403, "foreign_target"},
		"user before the host":  {`{"service":"slack","method":"GET","url":"http://slack.example@evil.example/api"}`, 400, "bad_target"},
		"another scheme":        {`{"service":"slack","method":"GET","url":"https://slack.example/api/a"}`, 403, "foreign_target"},
		"another service":       {`{"service":"github","method":"GET","url":"http://slack.example/api/a"}`, 403, "credential_outside_scope"},
		"no method":             {`{"service":"slack","url":"http://slack.example/api/a"}`, 400, "bad_request"},
		"method injection":      {`{"service":"slack","method":"GET /x HTTP/1.1","url":"http://slack.example/api/a"}`, 400, "bad_request"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, bearer)
			status, answer := w.call(test.call)
			if status != test.status || reason(answer) != test.reason {
				t.Errorf("got %d %v, want %d %s", status, answer, test.status, test.reason)
			}
			w.nothing()
			if w.judge.Open() != 0 {
				t.Errorf("%d calls are not over", w.judge.Open())
			}
		})
	}
}

func TestCallTakesPOSTAlone(t *testing.T) {
	w := newWorld(t, nil)
	response, _ := w.raw(lines("GET /v1/proxy HTTP/1.1", "Connection: close"))
	if response.StatusCode != http.StatusMethodNotAllowed || response.Header.Get("Allow") != http.MethodPost {
		t.Errorf("got %d, %v", response.StatusCode, response.Header)
	}
	response, _ = w.raw(lines("POST /v1/proxy?service=slack HTTP/1.1", "Connection: close", "Content-Length: 0"))
	if response.StatusCode != http.StatusBadRequest {
		t.Errorf("got %d", response.StatusCode)
	}
}

func TestCallFollowsNoRedirect(t *testing.T) {
	w := newWorld(t, bearer)
	w.upstream.Answer("HTTP/1.1 307 Temporary Redirect\r\nLocation: /api/b\r\nContent-Length: 0\r\n\r\n")
	status, answer := w.call(`{"service":"slack","method":"GET","url":"http://slack.example/api/a"}`)
	want := map[string]any{
		"status": 307.0, "body": "", "headers": map[string]any{"location": "/api/b", "content-length": "0"},
	}
	if diff := cmp.Diff(want, answer); status != http.StatusOK || diff != "" {
		t.Errorf("got %d %s", status, diff)
	}
	w.only()
}

func TestCallCleansAnswers(t *testing.T) {
	w := newWorld(t, bearer)
	w.upstream.Answer("HTTP/1.1 401 Unauthorized\r\nSet-Cookie: session=1\r\nX-Echo: " + fronttest.Secret +
		"\r\nConnection: X-Hop\r\nX-Hop: 1\r\nA: 1\r\nA: 2\r\nContent-Length: 42\r\n\r\nyou sent <" + fronttest.Secret + "> & more")
	_, answer := w.call(`{"service":"slack","method":"GET","url":"http://slack.example/api/a"}`)
	want := map[string]any{
		"status": 401.0, "body": "you sent <[credential]> & more",
		"headers": map[string]any{"x-echo": "[credential]", "a": "1, 2", "content-length": "42"},
	}
	if diff := cmp.Diff(want, answer); diff != "" {
		t.Error(diff)
	}
}

func TestCallGivesBytesInBase64(t *testing.T) {
	w := newWorld(t, nil)
	w.upstream.Answer("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n\xff\x00")
	_, answer := w.call(`{"service":"slack","method":"GET","url":"http://slack.example/api/a"}`)
	if answer["body"] != "/wA=" || answer["body_encoding"] != "base64" {
		t.Errorf("got %v", answer)
	}
}

func TestCallLimitsAnswers(t *testing.T) {
	const most = 10 << 20
	for _, size := range []int{most, most + 1} {
		w := newWorld(t, nil)
		w.upstream.Answer("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + strings.Repeat("a", size))
		status, answer := w.call(`{"service":"slack","method":"GET","url":"http://slack.example/api/a"}`)
		switch {
		case size == most && (status != http.StatusOK || len(answer["body"].(string)) != most):
			t.Errorf("%d bytes: got %d", size, status)
		case size > most && (status != http.StatusRequestEntityTooLarge || reason(answer) != "too_large"):
			t.Errorf("%d bytes: got %d %v", size, status, answer["error"])
		}
	}
}

func TestCallLimitsBodies(t *testing.T) {
	w := newWorld(t, nil)
	head, tail := `{"service":"slack","method":"POST","url":"http://slack.example/api/a","body":"`, `"}`
	status, _ := w.call(head + strings.Repeat("a", 10<<20-len(head)-len(tail)) + tail)
	if status != http.StatusOK {
		t.Errorf("10 MiB: got %d", status)
	}
	status, answer := w.call(head + strings.Repeat("a", 10<<20-len(head)-len(tail)+1) + tail)
	if status != http.StatusRequestEntityTooLarge || reason(answer) != "too_large" {
		t.Errorf("10 MiB and a byte: got %d %v", status, answer)
	}
}
