package credential

import (
	"encoding/hex"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// Apply puts the credential into a call: it changes header and returns the new raw query. What the caller
// gave in its place is gone, however it was spelt.
func (v *Value) Apply(header http.Header, rawQuery string) string {
	own := v.secret()
	if own.query {
		return own.applyQuery(rawQuery)
	}
	for name := range header {
		if sameHeader(name, own.name) {
			delete(header, name)
		}
	}
	header[own.name] = []string{own.sent}
	return rawQuery
}

// sameHeader also takes X_Api_Key for X-Api-Key, as CGI and its heirs do.
func sameHeader(a, b string) bool {
	return strings.EqualFold(strings.ReplaceAll(a, "_", "-"), strings.ReplaceAll(b, "_", "-"))
}

func (s *secret) applyQuery(rawQuery string) string {
	own := url.QueryEscape(s.name) + "=" + s.sent
	if rawQuery == "" {
		return own
	}
	var kept []string
	for piece := range strings.SplitSeq(rawQuery, "&") {
		// Some servers take a semicolon for an ampersand.
		parts := strings.Split(piece, ";")
		left := slices.DeleteFunc(parts, s.isParameter)
		if len(left) > 0 {
			kept = append(kept, strings.Join(left, ";"))
		}
	}
	return strings.Join(append(kept, own), "&")
}

// isParameter says whether a server may take this for the credential's parameter: some compare names
// without case, and some read name[] and name[x] as parts of name.
func (s *secret) isParameter(part string) bool {
	name, _, _ := strings.Cut(part, "=")
	name = unescape(name)
	if strings.EqualFold(name, s.name) {
		return true
	}
	name, _, indexed := strings.Cut(name, "[")
	return indexed && strings.EqualFold(name, s.name)
}

// unescape decodes what can be decoded and leaves the rest as it is, as lenient servers do.
func unescape(text string) string {
	if !strings.ContainsAny(text, "%+") {
		return text
	}
	var out strings.Builder
	for i := 0; i < len(text); i++ {
		switch octet := decoded(text[i:]); {
		case octet != nil:
			out.Write(octet)
			i += 2
		case text[i] == '+':
			out.WriteByte(' ')
		default:
			out.WriteByte(text[i])
		}
	}
	return out.String()
}

// decoded is the octet of the percent code that text begins with; nil where it begins with none.
func decoded(text string) []byte {
	if text[0] != '%' || len(text) < 3 {
		return nil
	}
	octet, err := hex.DecodeString(text[1:3])
	if err != nil {
		return nil
	}
	return octet
}
