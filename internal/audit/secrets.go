package audit

import (
	"encoding/base64"
	"regexp"
	"strings"
)

// Redacted stands where Redact took something out.
const Redacted = "[redacted]"

var (
	// A compact JWS or JWE: dots between runs of base64url, of which the first is a JSON object, so
	// that it begins with ey or ew. Whether it is one is decided by decoding it.
	compactToken = regexp.MustCompile(`^(e[wy][A-Za-z0-9_-]{6,})\.[A-Za-z0-9_.-]*`)
	// What stands in an Authorization header, and private keys.
	credential = regexp.MustCompile(`(?i)\b(bearer|basic)\s+[A-Za-z0-9._~+/=-]{16,}|` +
		`-----BEGIN [A-Z ]*PRIVATE KEY-----[^-]*(-----END [A-Z ]*PRIVATE KEY-----)?`)
)

// Redact takes everything out of a text that looks like a token or a credential. People and agents
// write summaries and notes; what they paste there must not be kept for good.
func Redact(text string) string {
	// Most texts are names and paths: they hold nothing that these could begin with, and are not searched.
	if strings.ContainsAny(text, " \t\n\f\r") || strings.Contains(text, "-----") {
		text = credential.ReplaceAllString(text, Redacted)
	}
	if !strings.Contains(text, "ey") && !strings.Contains(text, "ew") {
		return text
	}
	var out strings.Builder
	for i := 0; i < len(text); {
		if length := tokenAt(text[i:]); length > 0 {
			out.WriteString(Redacted)
			i += length
			continue
		}
		out.WriteByte(text[i])
		i++
	}
	return out.String()
}

// tokenAt is the length of the token that the text begins with, 0 for none.
func tokenAt(text string) int {
	if !strings.HasPrefix(text, "ey") && !strings.HasPrefix(text, "ew") {
		return 0
	}
	match := compactToken.FindStringSubmatch(text)
	if match == nil {
		return 0
	}
	header := match[1]
	decoded, err := base64.RawURLEncoding.DecodeString(header[:len(header)&^3])
	if err != nil || !strings.HasPrefix(strings.TrimLeft(string(decoded[1:]), " \t\r\n"), `"`) {
		return 0
	}
	return len(match[0])
}

// holdsSecret reports whether a text holds what looks like a token or a credential.
func holdsSecret(text string) bool {
	return Redact(text) != text
}
