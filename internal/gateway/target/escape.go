package target

import "strings"

// unescape reads the escape that begins at i.
func unescape(s string, i int) (byte, bool) {
	if s[i] != '%' {
		return 0, false
	}
	return hexPair(s, i+1)
}

// hexPair reads two hexadecimal digits at i.
func hexPair(s string, i int) (byte, bool) {
	if i+2 > len(s) || !isHex(s[i]) || !isHex(s[i+1]) {
		return 0, false
	}
	return hexValue(s[i])<<4 | hexValue(s[i+1]), true
}

func isHex(c byte) bool {
	return isDigit(c) || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
}

func isLowerHex(c byte) bool { return 'a' <= c && c <= 'f' }

func upperHex(c byte) byte {
	if isLowerHex(c) {
		return c - 'a' + 'A'
	}
	return c
}

func hexValue(c byte) byte {
	if isDigit(c) {
		return c - '0'
	}
	return upperHex(c) - 'A' + 10
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

func isAlphanumeric(c byte) bool {
	return isDigit(c) || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}

// isUnreserved is RFC 3986, section 2.3.
func isUnreserved(c byte) bool {
	return isAlphanumeric(c) || c == '-' || c == '.' || c == '_' || c == '~'
}

// isPlainInPath is pchar of RFC 3986, section 3.3, but for the semicolon.
func isPlainInPath(c byte) bool {
	return isUnreserved(c) || strings.IndexByte("!$&'()*+,=:@", c) >= 0
}

func badEscape() error {
	return refuse(BadEscape, "the target has a percent sign without two hexadecimal digits behind it: write it as %25")
}

func badCharacter(where string) error {
	return refuse(BadCharacter, "the "+where+" has a character in it that must be percent-encoded (RFC 3986)")
}

func fragment() error {
	return refuse(Fragment, "the target has a fragment (#): leave it away, or write the character as %23")
}
