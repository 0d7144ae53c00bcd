package proxy

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"sync/atomic"
	"time"

	"golang.org/x/sync/semaphore"
	"k8s.io/utils/clock"

	"agentpassport.dev/operator/internal/gateway/decision"
	"agentpassport.dev/operator/internal/gateway/judge"
)

// upload is the body of a caller, within limits of size and time.
type upload struct {
	clock   clock.PassiveClock
	control *http.ResponseController
	w       http.ResponseWriter
	from    io.ReadCloser
	// room for the bodies of all calls, of which this one holds some until release.
	room *semaphore.Weighted
	held int64
	// length that was announced; -1 for none.
	length int64
	// read is the whole body, where the judge wanted it.
	read    []byte
	wasRead bool
	// failure to read it, which ends the call: net/http then says of the call that it was cancelled.
	failure atomic.Pointer[judge.Refusal]
}

// newUpload gives nil where there is no body. Call release when the call is over.
func newUpload(clk clock.PassiveClock, room *semaphore.Weighted, w http.ResponseWriter, r *http.Request) *upload {
	if r.Body == nil || r.Body == http.NoBody {
		return nil
	}
	u := &upload{clock: clk, control: http.NewResponseController(w), w: w, from: r.Body, room: room, length: r.ContentLength}
	// The limit holds as well for what nobody reads: net/http reads the rest of a body after an answer.
	u.within(BodyWait)
	return u
}

// whole reads all of it into memory. The error is a *judge.Refusal.
func (u *upload) whole() ([]byte, error) {
	if u.length > MaxBody {
		return nil, tooLarge(MaxBody)
	}
	read, err := io.ReadAll(&kept{from: http.MaxBytesReader(u.w, u.from, MaxBody), by: u})
	if err != nil {
		return nil, unread(err)
	}
	u.within(0) // an answer may take longer
	u.read, u.wasRead = read, true
	return read, nil
}

// kept is a body that is read into memory, as long as there is room: whoever announces much, and sends little,
// takes little of it from others.
type kept struct {
	from io.Reader
	by   *upload
}

// Read implements io.Reader.
func (k *kept) Read(piece []byte) (int, error) {
	n, err := k.from.Read(piece)
	if !k.by.room.TryAcquire(int64(n)) {
		return 0, &judge.Refusal{Code: decision.CodeLimited, Reason: "the gateway holds as many bodies as it has room for; try again"}
	}
	k.by.held += int64(n)
	return n, err
}

// release gives back the room.
func (u *upload) release() {
	if u != nil {
		u.room.Release(u.held)
		u.held = 0
	}
}

// send gives the body and its length as it goes out: what the judge read, or a stream.
func (u *upload) send(moved func()) (io.ReadCloser, int64) {
	if u.wasRead {
		return io.NopCloser(bytes.NewReader(u.read)), int64(len(u.read))
	}
	return &stream{upload: u, limited: http.MaxBytesReader(u.w, u.from, MaxStream), moved: moved}, u.length
}

// within sets how long the next read may take; 0 takes the limit away. It is not asked whether the
// connection knows deadlines: every one of net/http does.
func (u *upload) within(wait time.Duration) {
	var deadline time.Time
	if wait > 0 {
		deadline = u.clock.Now().Add(wait)
	}
	_ = u.control.SetReadDeadline(deadline)
}

// stream is a body that goes out as it comes in.
type stream struct {
	*upload
	limited io.ReadCloser
	moved   func()
}

// Read implements io.Reader.
func (s *stream) Read(piece []byte) (int, error) {
	s.within(BodyWait)
	n, err := s.limited.Read(piece)
	s.moved()
	switch {
	case err == nil:
		return n, nil
	case errors.Is(err, io.EOF):
		s.within(0)
		return n, io.EOF
	default:
		refusal := unread(err)
		s.failure.Store(refusal)
		return n, refusal
	}
}

// Close implements io.Closer.
func (s *stream) Close() error { return s.limited.Close() }

func tooLarge(limit int) *judge.Refusal {
	return &judge.Refusal{Code: decision.CodeTooLarge, Reason: fmt.Sprintf("the body has more than %d bytes", limit)}
}

// unread says why a body could not be read.
func unread(err error) *judge.Refusal {
	var large *http.MaxBytesError
	var refusal *judge.Refusal
	switch {
	case errors.As(err, &refusal):
		return refusal
	case errors.As(err, &large):
		return tooLarge(int(large.Limit))
	case errors.Is(err, os.ErrDeadlineExceeded):
		return &judge.Refusal{Code: decision.CodeBadRequest, Reason: fmt.Sprintf("the body did not come within %s", BodyWait)}
	default:
		return &judge.Refusal{Code: decision.CodeBadRequest, Reason: "the body could not be read to its end"}
	}
}

// download is an answer on its way to the caller.
type download struct {
	http.ResponseWriter
	clock clock.PassiveClock
	moved func()
}

// Unwrap is for http.ResponseController.
func (d *download) Unwrap() http.ResponseWriter { return d.ResponseWriter }

// WriteHeader leaves out interim answers: they come before anybody could clean them, and nobody asked.
func (d *download) WriteHeader(status int) {
	if status >= http.StatusOK {
		d.ResponseWriter.WriteHeader(status)
	}
}

// Write gives a caller that takes nothing no more than its time.
func (d *download) Write(piece []byte) (int, error) {
	_ = http.NewResponseController(d.ResponseWriter).SetWriteDeadline(d.clock.Now().Add(BodyWait))
	n, err := d.ResponseWriter.Write(piece)
	d.moved()
	return n, err
}

// end sends what is buffered while the limit holds, then takes it away: the connection may have further
// calls.
func (d *download) end() {
	control := http.NewResponseController(d.ResponseWriter)
	_ = control.SetWriteDeadline(d.clock.Now().Add(BodyWait))
	_ = control.Flush()
	_ = control.SetWriteDeadline(time.Time{})
}
