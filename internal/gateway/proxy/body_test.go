package proxy

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"golang.org/x/sync/semaphore"
	"k8s.io/utils/clock"

	"agentpassport.dev/operator/internal/gateway/decision"
	"agentpassport.dev/operator/internal/gateway/judge"
)

// Bodies in memory have a bound together. One that is announced and has not come takes nothing.
func TestBodiesShareTheirRoom(t *testing.T) {
	room := semaphore.NewWeighted(10)
	body := func(text string, announced int64) *upload {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, CallPath, strings.NewReader(text))
		r.ContentLength = announced
		return newUpload(clock.RealClock{}, room, httptest.NewRecorder(), r)
	}
	announced := body("", MaxBody)
	if _, err := announced.whole(); err != nil {
		t.Error(err)
	}
	first, second := body("123456", 6), body("12345", -1)
	if _, err := first.whole(); err != nil {
		t.Error(err)
	}
	var refusal *judge.Refusal
	if _, err := second.whole(); !errors.As(err, &refusal) || refusal.Code != decision.CodeLimited {
		t.Errorf("got %v", err)
	}
	second.release()
	first.release()
	first.release() // gives back once
	third := body("1234567890", 10)
	if _, err := third.whole(); err != nil {
		t.Error(err)
	}
	third.release()
	if !room.TryAcquire(10) {
		t.Error("room is lost")
	}
	(*upload)(nil).release()
}
