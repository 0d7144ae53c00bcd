package credential

import (
	"bytes"
	"io"
	"slices"
)

// Reader gives what Scrub gives of the whole, as it comes: it keeps back only an end that the credential may
// begin with, of at most Overlap bytes a form. An error of the other reader comes after all that it gave.
func (v *Value) Reader(from io.Reader) io.Reader {
	for _, form := range v.secret().forms {
		if len(form) >= minReflected {
			from = &scrubber{from: from, form: []byte(form)}
		}
	}
	return from
}

// scrubber replaces one form.
type scrubber struct {
	from io.Reader
	form []byte
	// clean is what may be given, and was not yet.
	clean []byte
	// held is the beginning of a form, it may be.
	held []byte
	// err of the other reader; nothing is held then.
	err error
}

// Read implements io.Reader.
func (s *scrubber) Read(piece []byte) (int, error) {
	if len(piece) == 0 {
		return 0, nil
	}
	for len(s.clean) == 0 {
		if s.err != nil {
			return 0, s.err
		}
		var n int
		n, s.err = s.from.Read(piece)
		s.take(piece[:n])
	}
	n := copy(piece, s.clean)
	s.clean = s.clean[n:]
	return n, nil
}

// take looks at the next piece.
func (s *scrubber) take(piece []byte) {
	text := slices.Concat(s.held, piece)
	s.clean = nil
	for at := bytes.Index(text, s.form); at >= 0; at = bytes.Index(text, s.form) {
		s.clean = append(append(s.clean, text[:at]...), redacted...)
		text = text[at+len(s.form):]
	}
	safe := len(text)
	if s.err == nil {
		safe = s.begins(text)
	}
	s.clean = append(s.clean, text[:safe]...)
	s.held = text[safe:]
}

// begins is from where to its end a text may be the beginning of the form; its length where it is nowhere.
func (s *scrubber) begins(text []byte) int {
	at := max(0, len(text)-len(s.form)+1)
	for at < len(text) {
		next := bytes.IndexByte(text[at:], s.form[0])
		if next < 0 {
			break
		}
		if at += next; bytes.HasPrefix(s.form, text[at:]) {
			return at
		}
		at++
	}
	return len(text)
}
