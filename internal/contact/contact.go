// Package contact says how long ago the API server was heard, and each watch of it: a cache does not tell whether it is
// still told of anything.
package contact

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/clock"
)

// Contact keeps when the API server and each watch were heard last. Its methods may be called by any
// goroutine. Use New.
type Contact struct {
	clock   clock.PassiveClock
	began   time.Time
	server  Heard
	watches sync.Map // of *Heard, by the path and the field selector of the collection
}

// New has heard nothing yet.
func New(local clock.PassiveClock) *Contact {
	return &Contact{clock: local, began: local.Now()}
}

// Heard is when something was heard last.
type Heard struct {
	// after is the time from the beginning of the Contact in nanoseconds, plus one; 0 is never.
	after atomic.Int64
}

// note that something is heard now.
func (c *Contact) note(h *Heard) { h.after.Store(int64(c.clock.Since(c.began)) + 1) }

// Silence is how long nothing was heard: since the Contact began where nothing ever was.
func (c *Contact) Silence(h *Heard) time.Duration {
	return c.clock.Since(c.began) - time.Duration(max(h.after.Load()-1, 0))
}

// Server is the API server: it is heard whenever it answers something else than a failure of its own.
func (c *Contact) Server() *Heard { return &c.server }

// Watch is the collection at a path of the API server, as far as a field selector narrows it. It is heard
// when a list of it has arrived whole, and when bytes of a watch of it arrive: events, and bookmarks where
// nothing happens. A part of what is there brings nothing up to date: a list that breaks off, or the first
// events of a watch that begins with what is there, is not heard.
func (c *Contact) Watch(path, fieldSelector string) *Heard {
	heard, _ := c.watches.LoadOrStore(path+"?"+fieldSelector, &Heard{})
	return heard.(*Heard)
}

// Forget a collection that is watched no more.
func (c *Contact) Forget(path, fieldSelector string) { c.watches.Delete(path + "?" + fieldSelector) }

// Wrap gives a transport that hears what the API server says.
func (c *Contact) Wrap(next http.RoundTripper) http.RoundTripper {
	return roundTripper(func(request *http.Request) (*http.Response, error) {
		response, err := next.RoundTrip(request)
		if err != nil || response.StatusCode >= http.StatusInternalServerError {
			return response, err
		}
		c.note(&c.server)
		heard, watched := c.watches.Load(request.URL.Path + "?" + request.URL.Query().Get("fieldSelector"))
		if watched && request.Method == http.MethodGet && response.StatusCode == http.StatusOK {
			query := request.URL.Query()
			response.Body = &listener{
				ReadCloser: response.Body, contact: c, heard: heard.(*Heard),
				isList: query.Get("watch") == "", initial: query.Get("sendInitialEvents") == "true",
			}
		}
		return response, nil
	})
}

type roundTripper func(*http.Request) (*http.Response, error)

// RoundTrip implements http.RoundTripper.
func (f roundTripper) RoundTrip(request *http.Request) (*http.Response, error) { return f(request) }

// initialEnd is in the bookmark behind the events that say what is there.
var initialEnd = []byte(metav1.InitialEventsAnnotationKey)

// listener hears the body of an answer.
type listener struct {
	io.ReadCloser
	contact *Contact
	heard   *Heard
	// isList is a list, which is heard at its end.
	isList bool
	// initial events still come; tail is the end of what came of them.
	initial bool
	tail    []byte
}

// Read implements io.Reader.
func (l *listener) Read(p []byte) (int, error) {
	n, err := l.ReadCloser.Read(p)
	if l.isNews(p[:n], err) {
		l.contact.note(l.heard)
	}
	return n, err
}

func (l *listener) isNews(piece []byte, err error) bool {
	switch {
	case l.isList:
		return errors.Is(err, io.EOF)
	case !l.initial:
		return len(piece) > 0
	}
	l.tail = append(l.tail, piece...)
	if bytes.Contains(l.tail, initialEnd) {
		l.initial, l.tail = false, nil
		return true
	}
	l.tail = append(l.tail[:0], l.tail[max(0, len(l.tail)-len(initialEnd)+1):]...)
	return false
}
