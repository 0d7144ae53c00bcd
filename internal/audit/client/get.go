package client

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
)

// Get asks for a path of the service, and gives its answer whatever it is: the body may be a stream of any
// length, and has to be closed. ctx bounds the whole of it, and nothing else does.
//
// The error is an ErrUnavailable.
func (c *Client) Get(ctx context.Context, path string, query url.Values) (*http.Response, error) {
	address := c.base + path
	if len(query) > 0 {
		address += "?" + query.Encode()
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, http.NoBody)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	if err := c.authorize(request); err != nil {
		return nil, err
	}
	unbounded := *c.http
	unbounded.Timeout = 0
	response, err := unbounded.Do(request)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	return response, nil
}
