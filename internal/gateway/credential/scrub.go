package credential

import "bytes"

// Scrub gives an answer without the credential in it: each of its forms is replaced. The answer itself is
// given back where it has none.
func (v *Value) Scrub(answer []byte) []byte {
	for _, form := range v.secret().forms {
		// ReplaceAll would copy an answer that has none.
		if len(form) >= minReflected && bytes.Contains(answer, []byte(form)) {
			answer = bytes.ReplaceAll(answer, []byte(form), []byte(redacted))
		}
	}
	return answer
}
