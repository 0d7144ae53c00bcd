package passport

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// fetchTimeout is how long one fetch may take.
const fetchTimeout = 5 * time.Second

// fetched is an answer of the issuer's.
type fetched struct {
	body   []byte
	maxAge time.Duration
}

// plainClient follows no redirect: what an issuer publishes is where it says.
func plainClient() *http.Client {
	return &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// get fetches a document of limit bytes at most.
func get(ctx context.Context, client *http.Client, url, accept string, limit int64) (fetched, error) {
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return fetched{}, err
	}
	request.Header.Set("Accept", accept)
	response, err := client.Do(request)
	if err != nil {
		return fetched{}, err
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		return fetched{}, fmt.Errorf("%s answered %s", url, response.Status)
	}
	body, err := io.ReadAll(io.LimitReader(response.Body, limit+1))
	if err == nil && int64(len(body)) > limit {
		err = errors.New("too much")
	}
	if err != nil {
		return fetched{}, fmt.Errorf("%s: %w", url, err)
	}
	return fetched{body: body, maxAge: maxAge(response.Header.Get("Cache-Control"))}, nil
}

// maxAge reads max-age from a Cache-Control header; 0 where it says nothing, or that nothing may be kept.
func maxAge(header string) time.Duration {
	age := time.Duration(0)
	for directive := range strings.SplitSeq(header, ",") {
		name, value, _ := strings.Cut(strings.ToLower(strings.TrimSpace(directive)), "=")
		switch name {
		case "no-store", "no-cache":
			return 0
		case "max-age":
			if n, err := strconv.ParseInt(strings.Trim(value, `"`), 10, 32); err == nil && n > 0 {
				age = seconds(n)
			}
		}
	}
	return age
}
