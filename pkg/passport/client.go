package passport

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"
)

const (
	// defaultTimeout is how long one request may take where nobody says: the gateway may wait for the verdict on
	// a checkout, and for the answer of a service.
	defaultTimeout = 60 * time.Second
	// maxAnswer is the longest answer that is read: a service's of 10 MiB in base64, and some.
	maxAnswer = 16 << 20
	// attempts is how often a request is made that may be repeated.
	attempts = 4
	// firstPause is how long it is to the second attempt; it doubles each time, up to longestPause.
	firstPause   = 200 * time.Millisecond
	longestPause = 5 * time.Second
)

// Error is an answer of the gateway that is no success.
type Error struct {
	// Status is the HTTP status.
	Status int
	// Code tells errors apart, such as PASSPORT_REVOKED; it is the contract. Empty where the answer is not the
	// gateway's own, but one of something before it.
	Code string
	// Message says for people what happened, and what to do.
	Message string
	// Details is a JSON object with more, or nil.
	Details json.RawMessage
	// RetryAfter is how long to wait before the same request is made again; 0 where the answer does not say.
	RetryAfter time.Duration
}

// Error implements error.
func (e *Error) Error() string {
	if e.Code == "" {
		return fmt.Sprintf("the gateway answered %d: %s", e.Status, e.Message)
	}
	return fmt.Sprintf("%s: %s", e.Code, e.Message)
}

// Ended says whether the passport is over for good, so that no other call with it will work.
func (e *Error) Ended() bool {
	switch e.Code {
	case "PASSPORT_EXPIRED", "PASSPORT_REVOKED", "PASSPORT_BLOCKED":
		return true
	default:
		return false
	}
}

// ClientOptions are the settings of a Client.
type ClientOptions struct {
	// BearerFile holds the caller's token for the gateway: a projected ServiceAccount token. It is read for
	// every request, since the kubelet renews it.
	BearerFile string
	// Bearer gives it instead, for every request. It counts where BearerFile is empty. Without either nobody
	// is authenticated.
	Bearer func(context.Context) (string, error)
	// CAFile holds the authorities that may sign the gateway's certificate, in PEM; empty: the system's.
	CAFile string
	// Timeout bounds one request; 0: 60 s.
	Timeout time.Duration
	// HTTP replaces the HTTP client; CAFile and Timeout do not count then.
	HTTP *http.Client
}

// Client leads missions over the HTTP API of a gateway. Its methods may be called by any goroutine. Their
// error is an *Error where the gateway answered, and any other where it could not be reached.
type Client struct {
	base   string
	bearer func(context.Context) (string, error)
	http   *http.Client
	// pause waits between two attempts.
	pause func(context.Context, time.Duration) error
}

// NewClient gives a Client of the gateway at a URL. It connects to nothing yet.
func NewClient(gateway string, options ClientOptions) (*Client, error) {
	base, err := url.Parse(gateway)
	if err != nil || !isURL(gateway) || base.RawQuery != "" || base.Fragment != "" || base.User != nil {
		return nil, errors.New("the URL of the gateway: want one such as https://gateway.example.com")
	}
	c := &Client{base: strings.TrimSuffix(base.String(), "/"), bearer: options.bearer(), http: options.HTTP, pause: pause}
	if c.http == nil {
		if c.http, err = options.client(); err != nil {
			return nil, err
		}
	}
	return c, nil
}

func (o ClientOptions) bearer() func(context.Context) (string, error) {
	if o.BearerFile == "" {
		return o.Bearer
	}
	return func(context.Context) (string, error) {
		token, err := os.ReadFile(o.BearerFile)
		return strings.TrimSpace(string(token)), err
	}
}

func (o ClientOptions) client() (*http.Client, error) {
	client := plainClient()
	client.Timeout = o.Timeout
	if client.Timeout == 0 {
		client.Timeout = defaultTimeout
	}
	if o.CAFile == "" {
		return client, nil
	}
	authorities, err := os.ReadFile(o.CAFile)
	if err != nil {
		return nil, fmt.Errorf("the authorities of the gateway: %w", err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(authorities) {
		return nil, fmt.Errorf("the authorities of the gateway: %s holds no certificate in PEM", o.CAFile)
	}
	client.Transport = &http.Transport{
		Proxy:           http.ProxyFromEnvironment,
		TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots},
		IdleConnTimeout: time.Minute,
	}
	return client, nil
}

// call is one request to the gateway.
type call struct {
	method, path string
	// token of the passport; empty for none.
	token string
	// body becomes JSON; nil for none.
	body any
	// key makes a repeat do nothing again; empty for none.
	key string
}

// repeatable says whether the same request may be made again without an answer to the first.
func (c call) repeatable() bool { return c.method == http.MethodGet || c.key != "" }

// newKey draws an Idempotency-Key.
func newKey() string { return rand.Text() }

// do makes a request, again where that is safe and may help, and reads the answer into a pointer.
func (c *Client) do(ctx context.Context, request call, answer any) error {
	var body []byte
	if request.body != nil {
		var err error
		if body, err = json.Marshal(request.body); err != nil {
			return fmt.Errorf("the body: %w", err)
		}
	}
	wait := firstPause
	for attempt := 1; ; attempt++ {
		err := c.once(ctx, request, body, answer)
		again, after := mayHelp(err)
		if err == nil || !again || !request.repeatable() || attempt == attempts || ctx.Err() != nil {
			return err
		}
		if c.pause(ctx, min(max(wait, after), longestPause)) != nil {
			return err
		}
		wait *= 2
	}
}

// mayHelp says whether the same request again may go through, and after how long.
func mayHelp(err error) (again bool, after time.Duration) {
	var answered *Error
	if !errors.As(err, &answered) {
		return true, 0
	}
	switch answered.Status {
	case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true, answered.RetryAfter
	default:
		return false, 0
	}
}

func (c *Client) once(ctx context.Context, r call, body []byte, answer any) error {
	request, err := http.NewRequestWithContext(ctx, r.method, c.base+r.path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	if err := c.address(ctx, request, r); err != nil {
		return err
	}
	response, err := c.http.Do(request)
	if err != nil {
		return fmt.Errorf("the gateway cannot be reached: %w", err)
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer+1))
	switch {
	case err != nil:
		return fmt.Errorf("the answer of the gateway broke off: %w", err)
	case len(text) > maxAnswer:
		return fmt.Errorf("the answer of the gateway is over %d bytes", maxAnswer)
	case response.StatusCode < 200 || response.StatusCode > 299:
		return failure(response, text)
	case answer == nil:
		return nil
	}
	if err := json.Unmarshal(text, answer); err != nil {
		return errors.New("the answer of the gateway is no JSON of its own: is the URL the gateway's?")
	}
	return nil
}

// address puts on a request who makes it, and with which passport.
func (c *Client) address(ctx context.Context, request *http.Request, r call) error {
	if r.body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	request.Header.Set("Accept", "application/json")
	if r.key != "" {
		request.Header.Set("Idempotency-Key", r.key)
	}
	if r.token != "" {
		request.Header.Set("X-Passport-Token", r.token)
	}
	if c.bearer == nil {
		return nil
	}
	bearer, err := c.bearer(ctx)
	if err != nil {
		return fmt.Errorf("the bearer for the gateway: %w", err)
	}
	request.Header.Set("Authorization", "Bearer "+bearer)
	return nil
}

// failure reads an answer that is no success.
func failure(response *http.Response, text []byte) *Error {
	var said struct {
		Error struct {
			Code    string          `json:"code"`
			Message string          `json:"message"`
			Details json.RawMessage `json:"details"`
		} `json:"error"`
	}
	failed := &Error{Status: response.StatusCode, Message: http.StatusText(response.StatusCode)}
	if err := json.Unmarshal(text, &said); err == nil && said.Error.Code != "" {
		failed.Code, failed.Message, failed.Details = said.Error.Code, said.Error.Message, said.Error.Details
	}
	if after, err := strconv.ParseInt(response.Header.Get("Retry-After"), 10, 32); err == nil && after > 0 {
		failed.RetryAfter = seconds(after)
	}
	return failed
}

// pause waits for as long as it says, or until the context ends.
func pause(ctx context.Context, long time.Duration) error {
	timer := time.NewTimer(long) //nolint:forbidigo // this package takes no clock of Kubernetes'
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
