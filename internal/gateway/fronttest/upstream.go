package fronttest

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
)

// Upstream is a service that keeps every byte that it gets, and answers each request with the same bytes.
type Upstream struct {
	listener net.Listener
	// elsewhere is the address of a server that is not this one.
	elsewhere string

	mu     sync.Mutex
	answer string
	got    []string
	conns  int
}

// Plain is an answer of 200 with the body "done".
const Plain = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 4\r\n\r\ndone"

// NewUpstream starts one on loopback. It ends with the test.
func NewUpstream(t testing.TB, answer string) *Upstream {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	u := &Upstream{listener: listener, answer: answer}
	t.Cleanup(func() { _ = listener.Close() })
	go u.accept()
	return u
}

// Addr is its address and port.
func (u *Upstream) Addr() string {
	if u.elsewhere != "" {
		return u.elsewhere
	}
	return u.listener.Addr().String()
}

// Answer sets what it answers from now on.
func (u *Upstream) Answer(answer string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.answer = answer
}

// Got are the requests so far, byte for byte; those that were broken off are not among them.
func (u *Upstream) Got() []string {
	u.mu.Lock()
	defer u.mu.Unlock()
	return append([]string(nil), u.got...)
}

// Connections counts those that were made to it.
func (u *Upstream) Connections() int {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.conns
}

func (u *Upstream) accept() {
	for {
		conn, err := u.listener.Accept()
		if err != nil {
			return
		}
		u.mu.Lock()
		u.conns++
		u.mu.Unlock()
		go u.serve(conn)
	}
}

func (u *Upstream) serve(conn net.Conn) {
	defer func() { _ = conn.Close() }()
	from := bufio.NewReader(conn)
	for {
		var raw bytes.Buffer
		request, err := http.ReadRequest(bufio.NewReaderSize(&oneByOne{from: io.TeeReader(from, &raw)}, 16))
		if err != nil {
			return
		}
		if _, err := io.Copy(io.Discard, request.Body); err != nil {
			return
		}
		u.mu.Lock()
		u.got = append(u.got, raw.String())
		answer := u.answer
		u.mu.Unlock()
		if request.Method == http.MethodHead {
			head, _, _ := strings.Cut(answer, "\r\n\r\n")
			answer = head + "\r\n\r\n"
		}
		if _, err := io.WriteString(conn, answer); err != nil || strings.Contains(answer, "Connection: close") {
			return
		}
	}
}

// oneByOne keeps a buffered reader from reading past the end of a request.
type oneByOne struct{ from io.Reader }

// Read implements io.Reader.
func (o *oneByOne) Read(piece []byte) (int, error) {
	return o.from.Read(piece[:min(1, len(piece))])
}

// Forward gives an Upstream that stands for a server of the test's own.
func Forward(address string) *Upstream { return &Upstream{elsewhere: address} }
