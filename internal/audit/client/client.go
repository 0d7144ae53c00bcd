// Package client appends records to the audit log service, and asks it what the gateways saw.
package client

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"agentpassport.dev/operator/internal/audit"
	"agentpassport.dev/operator/internal/audit/wire"
)

const (
	// defaultTimeout bounds one request: a batch on a slow disk takes a second, a restart more.
	defaultTimeout = 30 * time.Second
	// maxAnswer is how many bytes of an answer are read: a record comes back with links and hash.
	maxAnswer = wire.MaxBody + wire.MaxRecords*(1<<10)
	// connections are kept for as many callers at once.
	connections = 64
)

var (
	// ErrUnavailable means that nobody knows whether the records were written: there was no
	// connection, no answer in time, or one that tells of the service's own trouble. The same call
	// again finds out, and writes nothing twice.
	ErrUnavailable = errors.New("the audit log is not available")
	// ErrForbidden means that the service does not take this caller for one who may append.
	ErrForbidden = errors.New("the audit log refuses the caller")
)

// BadRecord is a request that the service will never take. None of its records was written.
type BadRecord struct {
	// Message names the record and what is wrong with it.
	Message string
}

// Error implements error.
func (b *BadRecord) Error() string { return "the audit log refuses a record: " + b.Message }

// Options say where the service is and who calls.
type Options struct {
	// URL of the service, https://host:port.
	URL string
	// Address, host:port, is connected to in place of the URL's, such as that of a forwarded port. The
	// certificate has to be for the URL's host all the same. Empty: the URL's.
	Address string
	// TokenFile holds the bearer token. It is read for every request: the kubelet renews it. Empty:
	// none is sent.
	TokenFile string
	// Token is one in itself; it counts where TokenFile is empty.
	Token string
	// CAFile holds the authorities that may sign the service's certificate, as PEM. It is read for
	// every connection.
	CAFile string
	// CA is the same as bytes; it counts where CAFile is empty. Without either the system's
	// authorities count.
	CA []byte
	// Certificate is shown to the service where it asks for one; nil for none.
	Certificate func() (*tls.Certificate, error)
	// Timeout bounds one request; 0: 30 s.
	Timeout time.Duration
}

// Client is a client of one service. Its methods may be called by any goroutine.
type Client struct {
	base      string
	tokenFile string
	token     string
	http      *http.Client
}

// New makes a client. It connects to nothing yet.
func New(options Options) (*Client, error) {
	base, err := url.Parse(options.URL)
	if err != nil || base.Scheme != "https" || base.Host == "" || base.RawQuery != "" || base.Fragment != "" || base.User != nil {
		return nil, errors.New("the URL of the audit log: want https://host:port")
	}
	if options.CAFile == "" && len(options.CA) > 0 {
		if _, err := pool(options.CA); err != nil {
			return nil, err
		}
	}
	timeout := options.Timeout
	if timeout == 0 {
		timeout = defaultTimeout
	}
	return &Client{
		base:      strings.TrimSuffix(base.String(), "/"),
		tokenFile: options.TokenFile,
		token:     options.Token,
		http: &http.Client{
			Timeout: timeout,
			Transport: &http.Transport{
				DialTLSContext:      options.dial,
				MaxIdleConnsPerHost: connections,
				IdleConnTimeout:     time.Minute,
			},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}, nil
}

// dial connects with the authorities as they are now.
func (o Options) dial(ctx context.Context, network, address string) (net.Conn, error) {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: host}
	if o.Address != "" {
		address = o.Address
	}
	authorities := o.CA
	if o.CAFile != "" {
		if authorities, err = os.ReadFile(o.CAFile); err != nil {
			return nil, fmt.Errorf("the CA of the audit log: %w", err)
		}
	}
	if len(authorities) > 0 {
		if config.RootCAs, err = pool(authorities); err != nil {
			return nil, err
		}
	}
	if o.Certificate != nil {
		config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return o.Certificate() }
	}
	return (&tls.Dialer{Config: config}).DialContext(ctx, network, address)
}

func pool(authorities []byte) (*x509.CertPool, error) {
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(authorities) {
		return nil, errors.New("the CA of the audit log: no certificate in PEM")
	}
	return roots, nil
}

// Append puts records into the log, in their order, 512 at most, and returns them as they stand
// there, once they are durable. A record whose id is already there is not written again: the first
// one is returned in its place. Either all are written or none, but for an ErrUnavailable.
//
// The error is an ErrUnavailable, an ErrForbidden or a *BadRecord.
func (c *Client) Append(ctx context.Context, records ...audit.Record) ([]audit.Entry, error) {
	if len(records) == 0 {
		return nil, nil
	}
	if len(records) > wire.MaxRecords {
		return nil, &BadRecord{Message: fmt.Sprintf("%d records at once, at most %d", len(records), wire.MaxRecords)}
	}
	body, err := json.Marshal(wire.Append{Records: records})
	if err != nil {
		return nil, &BadRecord{Message: err.Error()}
	}
	answer, err := c.ask(ctx, http.MethodPost, c.base+wire.RecordsPath, body)
	if err != nil {
		return nil, err
	}
	return appended(records, answer)
}

// AppendRaw is Append for records that are JSON already, and says only whether all are durable: it reads neither
// them nor what the log has made of them.
func (c *Client) AppendRaw(ctx context.Context, records []json.RawMessage) error {
	if len(records) == 0 {
		return nil
	}
	if len(records) > wire.MaxRecords {
		return &BadRecord{Message: fmt.Sprintf("%d records at once, at most %d", len(records), wire.MaxRecords)}
	}
	answer, err := c.ask(ctx, http.MethodPost, c.base+wire.RecordsPath, appendBody(records))
	if err != nil {
		return err
	}
	var got struct {
		Entries []json.RawMessage `json:"entries"`
	}
	if err := json.Unmarshal(answer, &got); err != nil || len(got.Entries) != len(records) {
		return fmt.Errorf("%w: it answered with something else than the records", ErrUnavailable)
	}
	return nil
}

// appendBody is a wire.Append of records that are JSON already.
func appendBody(records []json.RawMessage) []byte {
	size := len(`{"records":[]}`)
	for _, record := range records {
		size += len(record) + 1
	}
	body := append(make([]byte, 0, size), `{"records":[`...)
	for i, record := range records {
		if i > 0 {
			body = append(body, ',')
		}
		body = append(body, record...)
	}
	return append(body, `]}`...)
}

// Calls asks what the gateways saw of the passport with this jti in a namespace, of all that was answered
// for before.
//
// The error is an ErrUnavailable, an ErrForbidden, or another one where the question itself is wrong.
func (c *Client) Calls(ctx context.Context, namespace, jti string) (wire.Calls, error) {
	query := url.Values{"namespace": {namespace}, "jti": {jti}}
	answer, err := c.ask(ctx, http.MethodGet, c.base+wire.CallsPath+"?"+query.Encode(), nil)
	var bad *BadRecord
	if errors.As(err, &bad) {
		return wire.Calls{}, fmt.Errorf("the audit log does not take the question for the calls of a passport: %s", bad.Message)
	}
	if err != nil {
		return wire.Calls{}, err
	}
	var calls wire.Calls
	if err := json.Unmarshal(answer, &calls); err != nil || calls.JTI != jti {
		return wire.Calls{}, fmt.Errorf("%w: it answered with something else than the calls of the passport", ErrUnavailable)
	}
	return calls, nil
}

// ask sends a request, and gives the body of an answer that is a success.
func (c *Client) ask(ctx context.Context, method, address string, body []byte) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, method, address, bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	if method == http.MethodPost {
		request.Header.Set("Content-Type", "application/json")
	}
	if err := c.authorize(request); err != nil {
		return nil, err
	}
	response, err := c.http.Do(request)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	defer func() { _ = response.Body.Close() }()
	answer, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	if response.StatusCode != http.StatusOK {
		return nil, failure(response.StatusCode, answer)
	}
	return answer, nil
}

// authorize adds the token as it is in its file now.
func (c *Client) authorize(request *http.Request) error {
	token := c.token
	if c.tokenFile != "" {
		read, err := os.ReadFile(c.tokenFile)
		if err != nil {
			return fmt.Errorf("%w: the token for the audit log: %w", ErrUnavailable, err)
		}
		token = strings.TrimSpace(string(read))
	}
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	return nil
}

// failure is what an answer says that is no success.
func failure(status int, answer []byte) error {
	var said wire.Failure
	message := http.StatusText(status)
	if err := json.Unmarshal(answer, &said); err == nil && said.Error.Message != "" {
		message = said.Error.Message
	}
	switch {
	case status == http.StatusUnauthorized || status == http.StatusForbidden:
		return fmt.Errorf("%w: %s", ErrForbidden, message)
	case said.Error.Code == wire.BadRecord, said.Error.Code == wire.BadRequest, said.Error.Code == wire.TooLarge:
		return &BadRecord{Message: message}
	default:
		// Also what a proxy or another server answers at this address.
		return fmt.Errorf("%w: it answered %d: %s", ErrUnavailable, status, message)
	}
}

// appended reads the entries, which must be those of the records.
func appended(records []audit.Record, answer []byte) ([]audit.Entry, error) {
	var got wire.Appended
	if err := json.Unmarshal(answer, &got); err != nil || len(got.Entries) != len(records) {
		return nil, fmt.Errorf("%w: it answered with something else than the %d entries", ErrUnavailable, len(records))
	}
	for i := range records {
		if got.Entries[i].Record.ID != records[i].ID {
			return nil, fmt.Errorf("%w: entry %d that it answered with is of another record", ErrUnavailable, i+1)
		}
	}
	return got.Entries, nil
}
