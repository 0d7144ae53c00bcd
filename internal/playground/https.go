package playground

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
)

// ask sends a request to a server whose certificate the authority in a file has signed, and gives status and
// body.
func ask(ctx context.Context, caFile, method, url string, header http.Header, body string) (status int, answer []byte, err error) {
	authorities, err := os.ReadFile(caFile)
	if err != nil {
		return 0, nil, err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(authorities) {
		return 0, nil, fmt.Errorf("%s holds no certificate", caFile)
	}
	request, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
	if err != nil {
		return 0, nil, err
	}
	request.Header = header
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}}
	defer transport.CloseIdleConnections()
	response, err := (&http.Client{Transport: transport, Timeout: patience}).Do(request)
	if err != nil {
		return 0, nil, err
	}
	defer func() { _ = response.Body.Close() }()
	answer, err = io.ReadAll(response.Body)
	return response.StatusCode, answer, err
}

// bearer is the header of a request with a token.
func bearer(token string) http.Header { return http.Header{"Authorization": {"Bearer " + token}} }
