package target

// Reference is where a call wants to go, as a front received it and before anybody read it. The zero
// value leads nowhere.
type Reference struct {
	form                    form
	scheme, authority, path string
	query                   string
	hasQuery                bool
}

type form int

const (
	nowhere form = iota
	full
	below
	parts
)

// Full refers by a full URL.
func Full(raw string) Reference { return Reference{form: full, path: raw} }

// Relative refers by the path and the query of a request line, below the base of a connection.
func Relative(rawRequestPath, rawQuery string, hasQuery bool) Reference {
	return Reference{form: below, path: rawRequestPath, query: rawQuery, hasQuery: hasQuery}
}

// Parts refers by what a proxy has received that sends it on as it stands.
func Parts(scheme, authority, rawPath string) Reference {
	return Reference{form: parts, scheme: scheme, authority: authority, path: rawPath}
}

// Resolve reads it, with the base of the connection. The error is an *Error.
func (r Reference) Resolve(base Target) (Target, error) {
	switch r.form {
	case full:
		return Parse(r.path)
	case below:
		return Below(base, r.path, r.query, r.hasQuery)
	case parts:
		return FromParts(r.scheme, r.authority, r.path)
	default:
		return Target{}, refuse(BadHost, "the call names no target")
	}
}
