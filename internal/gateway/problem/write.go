package problem

import (
	"encoding/json"
	"math"
	"net/http"
	"strconv"
)

// challenge is sent with every 401 (RFC 9110, section 11.6.1; RFC 6750, section 3).
const challenge = `Bearer realm="agentpassport"`

// envelope is the shape of every answer that is no success.
type envelope struct {
	Error body `json:"error"`
}

type body struct {
	Code    string         `json:"code"`
	Message string         `json:"message"`
	Details map[string]any `json:"details,omitempty"`
}

// Write answers with the problem. What the caller had set of the header stays, but for what describes a
// body.
func Write(w http.ResponseWriter, p Problem) {
	text, err := json.Marshal(envelope{Error: body{Code: p.Code, Message: p.Message, Details: p.Details}})
	if err != nil {
		text, _ = json.Marshal(envelope{Error: body{Code: p.Code, Message: p.Message}})
	}
	header := w.Header()
	header.Del("Content-Encoding")
	header.Set("Content-Type", "application/json")
	header.Set("Content-Length", strconv.Itoa(len(text)+1))
	header.Set("Cache-Control", "no-store")
	header.Set("X-Content-Type-Options", "nosniff")
	if p.Status == http.StatusUnauthorized {
		header.Set("WWW-Authenticate", challenge)
	}
	if p.RetryAfter > 0 {
		header.Set("Retry-After", strconv.Itoa(int(math.Ceil(p.RetryAfter.Seconds()))))
	}
	w.WriteHeader(p.Status)
	_, _ = w.Write(append(text, '\n')) // who asked is gone: nobody is left to tell
}
