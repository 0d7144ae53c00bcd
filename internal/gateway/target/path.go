package target

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// canonicalPath gives an escaped path in its canonical form, or refuses it.
func canonicalPath(raw string) (string, error) {
	if !strings.HasPrefix(raw, "/") {
		return "", refuse(NoLeadingSlash, "the path does not begin with a slash")
	}
	path, err := rewriteEscapes(raw, isUnreserved)
	if err != nil {
		return "", err
	}
	if err := checkText(path); err != nil {
		return "", err
	}
	return path, checkSegments(path)
}

// rewriteEscapes decodes the escapes of the characters that are plain, and writes the others in capitals.
// It copies only what it changes.
func rewriteEscapes(raw string, plain func(byte) bool) (string, error) {
	var out []byte
	copied := 0
	for i := 0; i < len(raw); i++ {
		c := raw[i]
		if c != '%' {
			if err := checkPathByte(c); err != nil {
				return "", err
			}
			continue
		}
		value, ok := unescape(raw, i)
		switch {
		case !ok:
			return "", badEscape()
		case value == '/' || value == '\\' || value < ' ' || value == 0x7f:
			return "", refuse(EncodedSeparator, "the path has an encoded slash, backslash or control character in it")
		case plain(value):
			out = append(append(out, raw[copied:i]...), value)
			copied = i + 3
		case isLowerHex(raw[i+1]) || isLowerHex(raw[i+2]):
			out = append(append(out, raw[copied:i]...), '%', upperHex(raw[i+1]), upperHex(raw[i+2]))
			copied = i + 3
		}
		i += 2
	}
	if copied == 0 {
		return raw, nil
	}
	return string(append(out, raw[copied:]...)), nil
}

// checkPathByte refuses what must not stand in a path as it is: RFC 3986 has it as pchar or a slash.
func checkPathByte(c byte) error {
	switch {
	case c == '/' || isPlainInPath(c):
		return nil
	case c == ';':
		return refuse(PathParameter, "the path has a semicolon in it, which some servers cut off: write it as %3B")
	case c == '#':
		return fragment()
	default:
		return badCharacter("path")
	}
}

// checkText refuses a path, escapes rewritten, that says something else once it is decoded twice, or that
// is no text once it is decoded.
func checkText(path string) error {
	if !strings.Contains(path, "%") {
		return nil
	}
	decoded := make([]byte, 0, len(path))
	for i := 0; i < len(path); i++ {
		value, ok := unescape(path, i)
		if !ok {
			decoded = append(decoded, path[i])
			continue
		}
		if value == '%' {
			if _, twice := hexPair(path, i+3); twice {
				return refuse(DoubleEncoding, "the path has an encoded percent sign before two hexadecimal digits: it is encoded twice")
			}
		}
		decoded = append(decoded, value)
		i += 2
	}
	if !utf8.Valid(decoded) {
		return refuse(BadUTF8, "the path is no UTF-8 once it is decoded")
	}
	if strings.ContainsFunc(string(decoded), unicode.IsControl) {
		return refuse(EncodedSeparator, "the path has an encoded control character in it")
	}
	return nil
}

// checkSegments refuses dot segments and empty ones, but for a trailing slash.
func checkSegments(path string) error {
	rest := path[1:]
	for {
		segment, after, more := strings.Cut(rest, "/")
		switch {
		case segment == "." || segment == "..":
			return refuse(DotSegment, "the path has a segment of dots in it: write where it leads to")
		case segment == "" && more:
			return refuse(EmptySegment, "the path has two slashes in a row: write one")
		}
		if !more {
			return nil
		}
		rest = after
	}
}

// Pathname gives an escaped path as constraints compare it: two paths that any server reads as one are
// equal in it. To the canonical form it adds that every escape is decoded that need not be there, and that
// a trailing slash is stripped, but for the root's. The error is an *Error.
func Pathname(escaped string) (string, error) {
	path, err := canonicalPath(escaped)
	if err != nil {
		return "", err
	}
	return pathname(path)
}

// Pathname of the target, as constraints compare it.
func (t Target) Pathname() string {
	path, err := pathname(t.Path)
	if err != nil {
		return t.Path // never: what is canonical can be read
	}
	return path
}

func pathname(canonical string) (string, error) {
	path, err := rewriteEscapes(canonical, isPlainInPath)
	if err != nil {
		return "", err
	}
	if len(path) > 1 {
		path = strings.TrimSuffix(path, "/")
	}
	return path, nil
}
