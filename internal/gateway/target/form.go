package target

import "net/url"

// URL has exactly the bytes of the target: String and RequestURI of it give those of the target.
func (t Target) URL() *url.URL { return nil }

// String is the target as a full URL.
func (t Target) String() string { return "" }

// RequestURI is path and query, as they stand in a request line.
func (t Target) RequestURI() string { return "" }

// Origin is scheme, host and port (RFC 6454), without the scheme's own port.
func (t Target) Origin() string { return "" }

// Redacted is the target without its query, for records: at most 512 bytes.
func (t Target) Redacted() string { return "" }
