package proxy

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/textproto"
	"net/url"
	"strings"

	"golang.org/x/net/http/httpguts"
	kjson "sigs.k8s.io/json"

	"agentpassport.dev/operator/api/v1alpha1"
	"agentpassport.dev/operator/internal/gateway/headers"
	"agentpassport.dev/operator/internal/gateway/judge"
	"agentpassport.dev/operator/internal/gateway/target"
)

// envelope is the body of POST /v1/proxy.
type envelope struct {
	Service v1alpha1.ServiceName `json:"service"`
	Method  string               `json:"method"`
	URL     string               `json:"url"`
	Headers map[string]string    `json:"headers"`
	Query   map[string]values    `json:"query"`
	Body    json.RawMessage      `json:"body"`

	// content is Body as it is sent; isJSON says that it is JSON of ours to name.
	content []byte
	isJSON  bool
}

// values of a query parameter: one string, or several.
type values []string

// UnmarshalJSON implements json.Unmarshaler.
func (v *values) UnmarshalJSON(text []byte) error {
	if bytes.HasPrefix(text, []byte("[")) {
		return json.Unmarshal(text, (*[]string)(v))
	}
	var one string
	err := json.Unmarshal(text, &one)
	*v = values{one}
	return err
}

// parseEnvelope reads the body. Unknown and repeated names are refused: what a reader before or behind
// this one takes for the call must be the same.
func parseEnvelope(text []byte) (*envelope, *judge.Refusal) {
	e := &envelope{}
	strict, err := kjson.UnmarshalStrict(text, e)
	switch {
	case err != nil:
		return nil, badRequest("the body is no JSON of the form {service, method, url, headers, query, body}, with text in headers and query")
	case len(strict) > 0:
		return nil, badRequest("the body has a field that is unknown, or one twice; known are service, method, url, headers, query and body")
	}
	if refusal := e.readBody(); refusal != nil {
		return nil, refusal
	}
	return e, nil
}

// readBody: a text is sent as it is, any other value as the very bytes that stand there.
func (e *envelope) readBody() *judge.Refusal {
	switch {
	case len(e.Body) == 0 || string(e.Body) == "null":
	case e.Body[0] == '"':
		var text string
		if err := json.Unmarshal(e.Body, &text); err != nil {
			return badRequest("body is no JSON")
		}
		e.content = []byte(text)
	default:
		e.content, e.isJSON = e.Body, true
	}
	return nil
}

// describe gives the URL and the headers of the call.
func (e *envelope) describe() (string, http.Header, *judge.Refusal) {
	given := make(http.Header, len(e.Headers)+2)
	for name, value := range e.Headers {
		key := textproto.CanonicalMIMEHeaderKey(name)
		value = textproto.TrimString(value)
		if !httpguts.ValidHeaderFieldName(name) || !httpguts.ValidHeaderFieldValue(value) {
			return e.URL, nil, badRequest("headers has a name or a value that HTTP does not take (RFC 9110)")
		}
		if _, twice := given[key]; twice {
			return e.URL, nil, badRequest("headers names " + key + " twice, in different case")
		}
		given[key] = []string{value}
	}
	// The answer is put into JSON, as text where it is text.
	delete(given, "Accept-Encoding")
	if _, named := given["Content-Type"]; e.isJSON && !named {
		given["Content-Type"] = []string{"application/json"}
	}
	header, malformed := headers.Judged(given)
	if malformed != nil {
		return e.URL, nil, malformed
	}
	full, malformed := e.merge()
	return full, header, malformed
}

// merge puts query into the URL. A name that the URL's query has already is refused: one reader would take
// the first, another the last.
func (e *envelope) merge() (string, *judge.Refusal) {
	if len(e.Query) == 0 {
		return e.URL, nil
	}
	_, query, hasQuery := strings.Cut(e.URL, "?")
	there := queryNames(query)
	added := url.Values{}
	for name, values := range e.Query {
		if _, twice := there[strings.ToLower(name)]; twice {
			return e.URL, badRequest("query names a parameter that url has as well")
		}
		added[name] = values
	}
	joined := e.URL
	switch {
	case !hasQuery:
		joined += "?"
	case query != "":
		joined += "&"
	}
	return joined + target.EncodeQuery(added), nil
}

// queryNames are the names in a raw query, decoded where they can be, in lower case.
func queryNames(query string) map[string]struct{} {
	names := map[string]struct{}{}
	for part := range strings.FieldsFuncSeq(query, func(r rune) bool { return r == '&' || r == ';' }) {
		name, _, _ := strings.Cut(part, "=")
		if decoded, err := url.QueryUnescape(name); err == nil {
			name = decoded
		}
		names[strings.ToLower(name)] = struct{}{}
	}
	return names
}
