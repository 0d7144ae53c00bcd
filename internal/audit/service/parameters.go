package service

import (
	"net/url"
	"slices"
	"strconv"
	"strings"

	"agentpassport.dev/operator/internal/audit/wire"
)

// longestValue is how long the value of a parameter may be.
const longestValue = 512

// parameters are those of a query, each known, given once and not empty.
type parameters map[string]string

// parseParameters reads a query, in which only these names may stand.
func parseParameters(raw string, names ...string) (parameters, error) {
	values, err := url.ParseQuery(raw)
	if err != nil {
		return nil, problem(wire.BadRequest, "the query cannot be read: percent-encode the values")
	}
	parsed := parameters{}
	for name, given := range values {
		switch {
		case !slices.Contains(names, name):
			return nil, problem(wire.BadRequest, "unknown query parameter; there are %s", strings.Join(names, ", "))
		case len(given) != 1:
			return nil, problem(wire.BadRequest, "query parameter %s is given %d times", name, len(given))
		case given[0] == "":
			return nil, problem(wire.BadRequest, "query parameter %s is empty; leave it out to ask for all", name)
		case len(given[0]) > longestValue:
			return nil, problem(wire.BadRequest, "query parameter %s has more than %d bytes", name, longestValue)
		}
		parsed[name] = given[0]
	}
	return parsed, nil
}

// number is a parameter as a whole number in decimal.
func (p parameters) number(name string, least, most uint64) (uint64, error) {
	n, err := parseNumber(p[name])
	if err != nil || n < least || n > most {
		return 0, problem(wire.BadRequest, "query parameter %s: want a whole number from %d to %d", name, least, most)
	}
	return n, nil
}

// parseNumber reads a whole number in the one way that it is written.
func parseNumber(text string) (uint64, error) {
	n, err := strconv.ParseUint(text, 10, 63)
	if err != nil || strconv.FormatUint(n, 10) != text {
		return 0, strconv.ErrSyntax
	}
	return n, nil
}
