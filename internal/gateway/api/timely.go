package api

import (
	"net/http"
	"time"

	"k8s.io/utils/clock"
)

const (
	// bodyWait is how long a client may take to send a body.
	bodyWait = 30 * time.Second
	// answerWait is how long it may take to take a piece of an answer.
	answerWait = 30 * time.Second
)

// timely keeps a client that sends or takes nothing from holding on to a request.
type timely struct {
	http.ResponseWriter
	clock clock.PassiveClock
}

// Unwrap is for http.ResponseController.
func (t *timely) Unwrap() http.ResponseWriter { return t.ResponseWriter }

// begin limits the time for the body, read or not: net/http reads the rest of one after the answer. It is not
// asked whether the connection knows deadlines: every one of net/http does.
func (t *timely) begin(r *http.Request) {
	if r.Body != nil && r.Body != http.NoBody {
		_ = t.control().SetReadDeadline(t.clock.Now().Add(bodyWait))
	}
}

// wasRead takes the limit away: what the request waits for may take longer.
func (t *timely) wasRead() { _ = t.control().SetReadDeadline(time.Time{}) }

// Write limits the time for each piece.
func (t *timely) Write(piece []byte) (int, error) {
	_ = t.control().SetWriteDeadline(t.clock.Now().Add(answerWait))
	return t.ResponseWriter.Write(piece)
}

// end sends what is buffered while a limit holds, and takes it away: the connection may have further requests.
func (t *timely) end() {
	control := t.control()
	_ = control.SetWriteDeadline(t.clock.Now().Add(answerWait))
	_ = control.Flush()
	_ = control.SetWriteDeadline(time.Time{})
}

func (t *timely) control() *http.ResponseController {
	return http.NewResponseController(t.ResponseWriter)
}
