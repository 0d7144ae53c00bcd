package api

import (
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// longestValue is how long the value of a query parameter may be; a cursor of the API server is the longest.
const longestValue = 4096

// parameters are those of a query, each known, given once and not empty.
type parameters map[string]string

// query reads the query, in which only these names may stand.
func (c *call) query(names ...string) (parameters, error) {
	values, err := url.ParseQuery(c.r.URL.RawQuery)
	if err != nil {
		return nil, invalid(fault{Message: "the query cannot be read: percent-encode the values"})
	}
	parsed := parameters{}
	var problems []fault
	note := func(field, message string) { problems = append(problems, fault{Field: field, Message: message}) }
	for name, given := range values {
		switch {
		case !slices.Contains(names, name):
			note(name, "is no parameter here; there are "+strings.Join(names, ", "))
		case len(given) != 1:
			note(name, "is given more than once")
		case given[0] == "":
			note(name, "is empty: leave it out")
		case len(given[0]) > longestValue:
			note(name, "is too long")
		default:
			parsed[name] = given[0]
		}
	}
	if len(problems) > 0 {
		slices.SortFunc(problems, func(a, b fault) int { return strings.Compare(a.Field, b.Field) })
		return nil, invalid(problems...)
	}
	return parsed, nil
}

// number is a parameter as a whole number from 1.
func (p parameters) number(name string, absent, most int) (int, error) {
	given, there := p[name]
	if !there {
		return absent, nil
	}
	n, err := strconv.Atoi(given)
	if err != nil || n < 1 || n > most || strconv.Itoa(n) != given {
		return 0, invalid(fault{Field: name, Message: "has to be a whole number from 1 to " + itoa(most)})
	}
	return n, nil
}
