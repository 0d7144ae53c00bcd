package state

import (
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"k8s.io/utils/clock"
)

// Contact keeps when the API server and each watch were heard last. Its methods may be called by any
// goroutine. Use NewContact.
type Contact struct {
	clock   clock.PassiveClock
	began   time.Time
	server  Heard
	watches sync.Map // of *Heard, by the path and the field selector of the collection
}

// NewContact has heard nothing yet.
func NewContact(local clock.PassiveClock) *Contact {
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
// when bytes of a list or a watch of it arrive: events, and bookmarks where nothing happens.
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
			response.Body = &listener{ReadCloser: response.Body, contact: c, heard: heard.(*Heard)}
		}
		return response, nil
	})
}

type roundTripper func(*http.Request) (*http.Response, error)

// RoundTrip implements http.RoundTripper.
func (f roundTripper) RoundTrip(request *http.Request) (*http.Response, error) { return f(request) }

// listener hears the body of an answer.
type listener struct {
	io.ReadCloser
	contact *Contact
	heard   *Heard
}

// Read implements io.Reader.
func (l *listener) Read(p []byte) (int, error) {
	n, err := l.ReadCloser.Read(p)
	if n > 0 {
		l.contact.note(l.heard)
	}
	return n, err
}
