// Package client is the gateway's side of the channel to the manager.
package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"time"

	"k8s.io/utils/clock"

	"agentpassport.dev/operator/internal/channel/wire"
)

const (
	// defaultTimeout bounds what one manager may take to answer.
	defaultTimeout = 10 * time.Second
	// maxAnswer is how many bytes of an answer are read: a status list is the longest.
	maxAnswer = 4 << 20
	// maxManagers is how many managers are asked at most.
	maxManagers = 16
)

var (
	// ErrUnavailable means that no manager could be reached, had keys, or led. Time mends it.
	ErrUnavailable = errors.New("no manager answers")
	// ErrNotFound means that there is no such passport, or list.
	ErrNotFound = errors.New("there is none")
	// ErrNotActive means that the passport has no token (any more).
	ErrNotActive = errors.New("the passport is not active")
	// ErrForbidden means that the manager does not take this caller for a gateway.
	ErrForbidden = errors.New("the manager refuses the gateway")
	// ErrBadRequest means that the manager will never take the request.
	ErrBadRequest = errors.New("the manager refuses the request")
)

// Options say where the managers are and who calls.
type Options struct {
	// URL of the managers, https://host:port. All addresses of the host are managers.
	URL string
	// CAFile holds the authority of the managers' certificates, CertFile and KeyFile what is shown to
	// them, all PEM. They are read for every connection: new ones are used without a restart.
	CAFile, CertFile, KeyFile string
	// Clock is the API server's: certificates are judged by it. Nil: the local one.
	Clock clock.PassiveClock
	// Lookup gives the addresses of a host; nil: DNS.
	Lookup func(ctx context.Context, host string) ([]string, error)
	// Timeout bounds what one manager may take to answer; 0: 10 s.
	Timeout time.Duration
}

// Client is a client of the managers. Its methods may be called by any goroutine.
type Client struct {
	options    Options
	host, port string
	http       *http.Client

	mu sync.Mutex
	// leader is the address that led the last time, any one that answered.
	leader, any string
}

// New makes a client. It connects to nothing yet.
func New(options Options) (*Client, error) {
	base, err := url.Parse(options.URL)
	if err != nil || base.Scheme != "https" || base.Hostname() == "" || (base.Path != "" && base.Path != "/") ||
		base.RawQuery != "" || base.Fragment != "" || base.User != nil {
		return nil, errors.New("the URL of the managers: want https://host:port")
	}
	if options.CAFile == "" || options.CertFile == "" || options.KeyFile == "" {
		return nil, errors.New("the channel to the managers needs the files of its authority, its certificate and its key")
	}
	if options.Lookup == nil {
		options.Lookup = net.DefaultResolver.LookupHost
	}
	if options.Timeout == 0 {
		options.Timeout = defaultTimeout
	}
	c := &Client{options: options, host: base.Hostname(), port: base.Port()}
	if c.port == "" {
		c.port = "443"
	}
	c.http = &http.Client{
		Timeout: options.Timeout,
		Transport: &http.Transport{
			DialTLSContext:      c.dial,
			MaxIdleConnsPerHost: 32,
			IdleConnTimeout:     time.Minute,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return c, nil
}

// Token gives the token of an Active passport. The error is an ErrUnavailable, an ErrNotFound, an
// ErrNotActive, an ErrForbidden or an ErrBadRequest.
func (c *Client) Token(ctx context.Context, request wire.TokenRequest) (wire.TokenAnswer, error) {
	var answer wire.TokenAnswer
	err := c.post(ctx, wire.TokenPath, &c.any, request, &answer)
	return answer, err
}

// StatusList gives a signed status list. The error is as that of Token.
func (c *Client) StatusList(ctx context.Context, epoch, list int64) (jwt string, err error) {
	path := wire.StatusListPath + strconv.FormatInt(epoch, 10) + "/" + strconv.FormatInt(list, 10)
	body, err := c.ask(ctx, http.MethodGet, path, &c.any, nil)
	return string(body), err
}

// Signals reports signals to the manager that leads, wire.MaxItems at most, and says of each one whether it
// is settled. Where it fails, the same call again finds out what was stored.
func (c *Client) Signals(ctx context.Context, signals []wire.Signal) (settled []bool, err error) {
	var answer wire.SignalsAnswer
	if err := c.post(ctx, wire.SignalsPath, &c.leader, wire.Signals{Signals: signals}, &answer); err != nil {
		return nil, err
	}
	if len(answer.Settled) != len(signals) {
		return nil, fmt.Errorf("%w: it answered %d signals with %d", ErrUnavailable, len(signals), len(answer.Settled))
	}
	return answer.Settled, nil
}

// Connections reports what became of credentials to the manager that leads, wire.MaxItems at most.
func (c *Client) Connections(ctx context.Context, connections []wire.Connection) error {
	return c.post(ctx, wire.ConnectionsPath, &c.leader, wire.Connections{Connections: connections}, &struct{}{})
}

func (c *Client) post(ctx context.Context, path string, preferred *string, request, into any) error {
	body, err := json.Marshal(request)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrBadRequest, err)
	}
	answer, err := c.ask(ctx, http.MethodPost, path, preferred, body)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(answer, into); err != nil {
		return fmt.Errorf("%w: its answer is not JSON", ErrUnavailable)
	}
	return nil
}

// ask asks one manager after the other until one answers, beginning with the one that did the last time.
func (c *Client) ask(ctx context.Context, method, path string, preferred *string, body []byte) ([]byte, error) {
	addresses, err := c.addresses(ctx, preferred)
	if err != nil {
		return nil, err
	}
	for _, address := range addresses {
		var answer []byte
		if answer, err = c.askOne(ctx, method, path, address, body); err == nil || !errors.Is(err, ErrUnavailable) {
			c.prefer(preferred, address)
			return answer, err
		}
	}
	return nil, err
}

// addresses gives the managers' addresses, the preferred one first. There is one at least.
func (c *Client) addresses(ctx context.Context, preferred *string) ([]string, error) {
	limited, cancel := context.WithTimeout(ctx, c.options.Timeout)
	defer cancel()
	found, err := c.options.Lookup(limited, c.host)
	if err == nil && len(found) == 0 {
		err = errors.New("it has no address")
	}
	if err != nil {
		return nil, fmt.Errorf("%w: find %s: %w", ErrUnavailable, c.host, err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	first := make([]string, 0, len(found))
	var rest []string
	for _, address := range found[:min(len(found), maxManagers)] {
		if address == *preferred {
			first = append(first, address)
			continue
		}
		rest = append(rest, address)
	}
	return append(first, rest...), nil
}

func (c *Client) prefer(preferred *string, address string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	*preferred = address
}

func (c *Client) askOne(ctx context.Context, method, path, address string, body []byte) ([]byte, error) {
	target := "https://" + net.JoinHostPort(address, c.port) + path
	request, err := http.NewRequestWithContext(ctx, method, target, bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrBadRequest, err)
	}
	request.Host = net.JoinHostPort(c.host, c.port)
	if body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	response, err := c.http.Do(request)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	defer response.Body.Close() //nolint:errcheck // it was read
	answer, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("%w: %w", ErrUnavailable, err)
	case len(answer) > maxAnswer:
		return nil, fmt.Errorf("%w: its answer is over %d bytes", ErrUnavailable, maxAnswer)
	case response.StatusCode == http.StatusOK:
		return answer, nil
	}
	return nil, failureOf(response.StatusCode, answer)
}

// failureOf is the error that an answer tells of.
func failureOf(status int, answer []byte) error {
	var failure wire.Failure
	if err := json.Unmarshal(answer, &failure); err != nil || failure.Error.Code == "" {
		return fmt.Errorf("%w: it answers with status %d", ErrUnavailable, status)
	}
	kind := ErrUnavailable
	switch failure.Error.Code {
	case wire.NotFound:
		kind = ErrNotFound
	case wire.NotActive:
		kind = ErrNotActive
	case wire.Forbidden:
		kind = ErrForbidden
	case wire.BadRequest:
		kind = ErrBadRequest
	case wire.NotLeading, wire.Unavailable:
	}
	return fmt.Errorf("%w: %s", kind, failure.Error.Message)
}
