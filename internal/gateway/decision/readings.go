package decision

import (
	"net/textproto"
	"net/url"
	"strings"
)

// reader gives what reads the value at a path of a request; nil for a path that is not known.
func reader(path string) func(*Request) reading {
	switch path {
	case "method":
		return func(r *Request) reading { return reading{value: r.Method} }
	case "url.pathname":
		return func(r *Request) reading { return reading{value: r.Target.Pathname()} }
	case "url.host":
		return readHost
	case "url.origin":
		return func(r *Request) reading { return reading{value: r.Target.Origin()} }
	}
	if name, ok := strings.CutPrefix(path, "headers."); ok && name != "" {
		if name = strings.ToLower(name); name == "host" {
			return readHost
		}
		return func(r *Request) reading { return readHeader(r, name) }
	}
	if key, ok := strings.CutPrefix(path, "query."); ok && key != "" {
		return func(r *Request) reading { return readQuery(r.Target.Query, key) }
	}
	return nil
}

func readHost(r *Request) reading {
	return reading{value: r.Target.Host.Authority(r.Target.Scheme)}
}

// readHeader reads the one value of a header, whose name is in lower case. A header whose name differs in
// letter case, or in '_' for '-', counts as the same: CGI and its heirs read it so.
func readHeader(r *Request, name string) reading {
	found := reading{problem: missing}
	for have, values := range r.Header {
		if !sameHeader(have, name) {
			continue
		}
		for _, value := range values {
			if found.problem != missing {
				return reading{problem: repeated}
			}
			found = reading{value: textproto.TrimString(value)}
			if !strings.EqualFold(have, name) {
				found.problem = ambiguous
			}
		}
	}
	return found
}

// readQuery reads the one value of a query parameter, decoded. A plus sign is a space to some readers and
// none to others: both are read. A parameter whose name some reader takes for the same counts as the same.
func readQuery(query, key string) reading {
	if strings.Contains(query, ";") {
		return reading{problem: "the query has a semicolon in it, at which some readers cut it"}
	}
	found := reading{problem: missing}
	for more := true; more; {
		var pair string
		pair, query, more = strings.Cut(query, "&")
		name, value, _ := strings.Cut(pair, "=")
		plain, spaced, ok := decoded(name)
		if !ok {
			return reading{problem: ambiguous}
		}
		if !alike(plain, key) && !alike(spaced, key) {
			continue
		}
		if found.problem != missing {
			return reading{problem: repeated}
		}
		found = readValue(value)
		if plain != key || spaced != key {
			found.problem = ambiguous
		}
	}
	return found
}

func readValue(raw string) reading {
	plain, spaced, ok := decoded(raw)
	if !ok {
		return reading{problem: ambiguous}
	}
	return reading{value: plain, other: spaced, twofold: plain != spaced}
}

// decoded decodes part of a query by RFC 3986, and as a form (a plus sign is a space).
func decoded(raw string) (plain, spaced string, ok bool) {
	if !strings.ContainsAny(raw, "%+") {
		return raw, raw, true
	}
	plain, err := url.PathUnescape(raw)
	if err != nil {
		return "", "", false
	}
	spaced, err = url.QueryUnescape(raw)
	return plain, spaced, err == nil
}

// alike says whether some reader takes two names of parameters for one: some do not tell letter case apart
// (ASP.NET), some take "a[]" for a further "a", some write '.' and ' ' as '_' (PHP).
func alike(a, b string) bool {
	a, b = foldParameter(a), foldParameter(b)
	return a == b || beforeBracket(a) == b || a == beforeBracket(b)
}

func foldParameter(name string) string {
	name = strings.ToLower(strings.TrimLeft(name, " "))
	return strings.ReplaceAll(strings.ReplaceAll(name, ".", "_"), " ", "_")
}

func beforeBracket(name string) string {
	if i := strings.IndexByte(name, '['); i > 0 {
		return name[:i]
	}
	return name
}
