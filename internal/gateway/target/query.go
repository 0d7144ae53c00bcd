package target

import (
	"net/url"
	"strings"
)

// checkQuery refuses a query that two readers could cut in two ways. Characters that RFC 3986 would have
// encoded and that no reader takes for anything else, such as brackets, may stand in it.
func checkQuery(raw string) error {
	for i := 0; i < len(raw); i++ {
		switch c := raw[i]; {
		case c == '%':
			value, ok := unescape(raw, i)
			if !ok {
				return badEscape()
			}
			if value == 0 {
				return refuse(BadCharacter, "the query has an encoded NUL in it")
			}
			i += 2
		case c == '#':
			return fragment()
		case c <= ' ' || c >= 0x7f || strings.IndexByte(`"<>\`, c) >= 0:
			return badCharacter("query")
		}
	}
	return nil
}

// EncodeQuery writes parameters as a query that every reader reads alike: in the order of keys, a space as
// %20 and never as a plus sign.
func EncodeQuery(parameters url.Values) string {
	return strings.ReplaceAll(parameters.Encode(), "+", "%20")
}
