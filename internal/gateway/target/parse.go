package target

import "strings"

// MaxLength of a target, in bytes: 8 KiB.
const MaxLength = 8 << 10

// The schemes.
const (
	schemeHTTP  = "http"
	schemeHTTPS = "https"
)

// Parse reads a full URL. The error is an *Error.
func Parse(raw string) (Target, error) {
	if len(raw) > MaxLength {
		return Target{}, tooLong()
	}
	if strings.Contains(raw, "#") {
		return Target{}, fragment()
	}
	scheme, rest, ok := strings.Cut(raw, "://")
	if !ok {
		return Target{}, refuse(BadScheme, "the URL is not a full one: write it with https:// and a host")
	}
	end := strings.IndexAny(rest, "/?")
	if end < 0 {
		end = len(rest)
	}
	path, query, hasQuery := strings.Cut(rest[end:], "?")
	if path == "" {
		path = "/"
	}
	return read(strings.ToLower(scheme), rest[:end], path, query, hasQuery)
}

// Below reads a path and a query as they stood in a request line, below the path of a base URL. An empty
// path is the base itself. The error is an *Error.
func Below(base Target, rawRequestPath, rawQuery string, hasQuery bool) (Target, error) {
	if len(rawRequestPath)+len(rawQuery) > MaxLength {
		return Target{}, tooLong()
	}
	t := base
	if rawRequestPath != "" {
		path, err := canonicalPath(rawRequestPath)
		if err != nil {
			return Target{}, err
		}
		t.Path = strings.TrimSuffix(base.Path, "/") + path
	}
	if err := checkQuery(rawQuery); err != nil {
		return Target{}, err
	}
	t.Query, t.HasQuery = rawQuery, hasQuery || rawQuery != ""
	return t.bounded()
}

// FromParts reads scheme, authority and path with query as a proxy has them that sends them on as they
// stand. What is not in canonical form is refused, since it cannot be rewritten; of the authority, letter
// case and the scheme's own port do not count. The error is an *Error.
func FromParts(scheme, authority, rawPath string) (Target, error) {
	if len(scheme)+len(authority)+len(rawPath) > MaxLength {
		return Target{}, tooLong()
	}
	path, query, hasQuery := strings.Cut(rawPath, "?")
	t, err := read(scheme, authority, path, query, hasQuery)
	if err != nil {
		return Target{}, err
	}
	given := strings.ToLower(authority)
	if t.Path != path || given != t.Host.Authority(scheme) && given != t.Host.String() {
		return Target{}, refuse(NotCanonical,
			"the target is not in its canonical form, and is not rewritten here: "+
				"write escapes in capitals, escape no letter, digit, '-', '.', '_' or '~', and end the host without a dot")
	}
	return t, nil
}

// read puts together what stands between the delimiters.
func read(scheme, authority, rawPath, rawQuery string, hasQuery bool) (Target, error) {
	host, err := ParseHost(authority, scheme)
	if err != nil {
		return Target{}, err
	}
	path, err := canonicalPath(rawPath)
	if err != nil {
		return Target{}, err
	}
	if err := checkQuery(rawQuery); err != nil {
		return Target{}, err
	}
	return Target{Scheme: scheme, Host: host, Path: path, Query: rawQuery, HasQuery: hasQuery}.bounded()
}

// bounded refuses a target that is longer than it may be.
func (t Target) bounded() (Target, error) {
	if len(t.Scheme)+len("://")+len("[]:65535")+len(t.Host.Name)+len(t.Path)+len("?")+len(t.Query) > MaxLength {
		return Target{}, tooLong()
	}
	return t, nil
}

func tooLong() error { return refuse(TooLong, "the target is longer than 8 KiB") }
