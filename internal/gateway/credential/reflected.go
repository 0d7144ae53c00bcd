package credential

import (
	"bytes"
)

// minReflected is how long a credential is at least that is looked for in answers: a shorter one is
// found in any text.
const minReflected = 8

// ReflectedIn says whether a piece of an answer holds the credential, as it was sent or as it is in the
// Secret. One shorter than 8 bytes is never found. Of an answer in pieces, each must begin with the last
// Overlap bytes of the one before.
func (v *Value) ReflectedIn(piece []byte) bool {
	for _, form := range v.secret().forms {
		if len(form) >= minReflected && bytes.Contains(piece, []byte(form)) {
			return true
		}
	}
	return false
}

// Overlap is how many bytes of one piece of an answer must be looked at again with the next.
func (v *Value) Overlap() int {
	longest := 1
	for _, form := range v.secret().forms {
		longest = max(longest, len(form))
	}
	return longest - 1
}
