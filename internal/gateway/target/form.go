package target

import "net/url"

// maxRedacted is how much of a target a record holds, in bytes.
const maxRedacted = 512

// URL has exactly the bytes of the target: its String and RequestURI are those of the target.
func (t Target) URL() *url.URL {
	path, err := url.PathUnescape(t.Path)
	if err != nil {
		path = t.Path // never: a canonical path has no bad escapes
	}
	return &url.URL{
		Scheme:     t.Scheme,
		Host:       t.Host.Authority(t.Scheme),
		Path:       path,
		RawPath:    t.Path,
		RawQuery:   t.Query,
		ForceQuery: t.HasQuery,
	}
}

// String is the target as a full URL. Parse gives the target back.
func (t Target) String() string { return t.Origin() + t.RequestURI() }

// RequestURI is path and query, as they stand in a request line.
func (t Target) RequestURI() string {
	if !t.HasQuery {
		return t.Path
	}
	return t.Path + "?" + t.Query
}

// Origin is scheme, host and port (RFC 6454), without the scheme's own port.
func (t Target) Origin() string { return t.Scheme + "://" + t.Host.Authority(t.Scheme) }

// Redacted is the target without its query, for records: at most 512 bytes, all of them ASCII.
func (t Target) Redacted() string {
	text := t.Origin() + t.Path
	if len(text) > maxRedacted {
		return text[:maxRedacted-len("...")] + "..."
	}
	return text
}
